import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OperationError } from '../../src/operations/public.js'
import { createRuntime } from '../../src/runtime.js'
import {
  checkOperationsModel,
  ModelError,
  openSession,
  type OperationsModelOptions,
  sessionPort,
  type OperationsPort,
  type OperationsUnderTest,
} from '../../src/testing/index.js'

type Change = (whole: OperationsPort) => OperationsPort

/** A session of ours of which some methods are others, in every life. */
function changed(change: Change): OperationsModelOptions['open'] {
  return async (limits) => {
    const system = await openSession(limits)
    return {
      ...system,
      port: over(system.port, change),
      crash: async () => over((await system.crash?.()) ?? system.port, change),
      restart: async (reason) => over((await system.restart?.(reason)) ?? system.port, change),
    }
  }
}

/** The methods of a registry as functions of their own, so that they can be spread. */
function over(registry: OperationsPort, change: Change): OperationsPort {
  const whole: Record<string, unknown> = {}
  for (let at: object = registry; at !== Object.prototype; at = Object.getPrototypeOf(at) as object) {
    for (const name of Object.getOwnPropertyNames(at)) {
      const value = name === 'constructor' ? undefined : (registry as Record<string, unknown>)[name]
      if (typeof value === 'function') whole[name] ??= value.bind(registry)
    }
  }
  const port = change(whole)
  return Object.defineProperty(port, 'lost', { get: () => registry.lost })
}

async function faultOf(options: OperationsModelOptions): Promise<ModelError> {
  const report: unknown = await checkOperationsModel(fc, { numRuns: 60, seed: 1, ...options }).catch(
    (error: unknown) => error,
  )
  expect(report).toBeInstanceOf(Error)
  const { message, cause } = report as Error
  expect(message).toContain('seed: 1,')
  expect(cause).toBeInstanceOf(ModelError)
  return cause as ModelError
}

const limits = [{ maxCompleted: 2 }, { maxConcurrent: 2, maxCompleted: 3 }]

describe('the search refuses, before it opens anything,', () => {
  const wrong: readonly [object | undefined, string][] = [
    [undefined, 'invalid operations model options: $: not an object: undefined'],
    [{}, 'invalid operations model options: open: missing'],
    [{ open: openSession, runs: 3 }, 'invalid operations model options: runs: unknown, the fields are'],
    [{ open: openSession, numRuns: 0 }, 'invalid operations model options: numRuns: not a whole number from 1'],
    [{ open: openSession, kinds: ['sleep'] }, 'invalid operations model options: kinds.0: Invalid'],
    [{ open: openSession, kinds: [] }, 'invalid operations model options: kinds: Invalid'],
    [{ open: openSession, limits: [] }, 'invalid operations model options: limits: Invalid'],
    [{ open: openSession, weights: { advanec: 1 } }, 'invalid operations model options: weights.advanec: unknown'],
    [{ open: openSession, comparison: 'full' }, 'invalid operations model options: comparison: Invalid'],
  ]

  it.each(wrong)('%j', async (options, message) => {
    await expect(checkOperationsModel(fc, options as never)).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining(message),
    })
  })

  it('something that is not fast-check', async () => {
    const search = checkOperationsModel({} as never, { open: openSession })
    await expect(search).rejects.toThrow('invalid fast-check module: $: has no method')
  })

  it('a port without any method, which could only ever agree', async () => {
    const closed: unknown[] = []
    const open = (): OperationsUnderTest => ({ port: {}, close: () => void closed.push('closed') })
    await expect(checkOperationsModel(fc, { open })).rejects.toThrow('operations port: $: has no method to call')
    expect(closed).toEqual(['closed'])
  })
})

describe('the model of operations finds nothing wrong with', () => {
  it('a session, compared as a whole, through crashes and restarts', async () => {
    const search = checkOperationsModel(fc, { open: openSession, comparison: 'whole', limits, numRuns: 60 })
    await expect(search).resolves.toBeUndefined()
  })

  it('[O-211] a session whose operations wait in line, through ends, cancels, waits, crashes and restarts', async () => {
    const inLine = [
      { maxConcurrent: 1, maxCompleted: 3, whenFull: 'queue', maxQueued: 5 },
      { maxConcurrent: 2, maxCompleted: 3, whenFull: 'queue', maxQueued: 2 },
    ] as const
    const search = checkOperationsModel(fc, {
      open: openSession,
      comparison: 'whole',
      limits: inLine,
      numRuns: 150,
    })
    await expect(search).resolves.toBeUndefined()
    // Long enough to find the shortest history, should there be one, and to name it.
  }, 120_000)

  it('the port of a session of which one method is replaced by another that does the same', async () => {
    const open = async (): Promise<OperationsUnderTest> => {
      const runtime = await createRuntime()
      const port = sessionPort(runtime.session('model'))
      const cancelOperation: OperationsPort['cancelOperation'] = (id, reason) => port.cancelOperation?.(id, reason)
      expect(Object.keys(port)).toEqual(expect.arrayContaining(['registerOperation', 'queue', 'completionFeed']))
      return { port: { ...port, cancelOperation }, close: () => runtime.close({ policy: 'terminate' }) }
    }
    await expect(checkOperationsModel(fc, { open, numRuns: 5, seed: 2 })).resolves.toBeUndefined()
  })

  it('a port of few methods, which answers late and tells little', async () => {
    const few: Change = ({ registerOperation, provisioningSucceeded, cancelOperation, snapshot }) => ({
      registerOperation: async (spec) => registerOperation?.(spec),
      provisioningSucceeded: async (id) => provisioningSucceeded?.(id),
      cancelOperation: async (id) => cancelOperation?.(id),
      snapshot: async (id) => {
        const found = await snapshot?.(id)
        return found === undefined ? undefined : { id, status: found.status }
      },
    })
    await expect(checkOperationsModel(fc, { open: changed(few), limits, numRuns: 30 })).resolves.toBeUndefined()
  })
})

describe('the model of operations finds', () => {
  const faults: Record<string, readonly [Change, RegExp]> = {
    'a completion that is lost': [
      (whole) => ({
        ...whole,
        completionFeed: async () => {
          const feed = await whole.completionFeed?.()
          return {
            since: async (cursor) => {
              const { entries = [] } = (await feed?.since(cursor)) ?? {}
              return { entries: entries.filter(({ outcome }) => outcome?.type !== 'cancelled') }
            },
          }
        },
      }),
      /^completion feed/,
    ],
    'a refusal with another code': [
      (whole) => ({
        ...whole,
        provisioningSucceeded: async (id) => {
          try {
            await whole.provisioningSucceeded?.(id)
          } catch {
            throw new OperationError('not_found', { id })
          }
        },
      }),
      /should be refused with invalid_transition, but it was refused with not_found/,
    ],
    'a call that is taken and does nothing': [
      (whole) => ({ ...whole, cancelOperation: async () => {} }),
      /^operations|should be refused/,
    ],
    'a watch that is never answered': [
      (whole) => ({ ...whole, registerWatcher: () => new Promise(() => {}) }),
      /^watch .* no answer came|^watch of/,
    ],
    'a wait that is answered too early': [
      (whole) => ({
        ...whole,
        waitAll: async (turnId, ids) => ({ outcomes: [], satisfied: { turnId, operationIds: ids } }),
      }),
      /wait/,
    ],
  }

  it.each(Object.entries(faults))('%s', async (_, [change, message]) => {
    const { message: text, data } = await faultOf({ open: changed(change), limits, patienceMs: 500 })
    expect(text).toMatch(message)
    // Shrunk to what it takes.
    expect(data.steps.length).toBeLessThanOrEqual(4)
  })

  it('what a crash takes back although it was answered', async () => {
    const open: OperationsModelOptions['open'] = async (limits) => {
      const system = await openSession(limits)
      return { ...system, crash: async () => (await openSession(limits)).port }
    }
    const { message, data } = await faultOf({ open, limits, comparison: 'whole' })
    expect(message).toMatch(/^lost operations|^operations|^\[O-37\] cursor|^completion feed/)
    expect(data.steps.at(-1)).toBe('crash')
    expect(data.steps.length).toBeLessThanOrEqual(3)
  })

  it('the same history again from what the report names', async () => {
    const open = changed((whole) => ({ ...whole, cancelOperation: async () => {} }))
    const report: unknown = await checkOperationsModel(fc, { open, seed: 3 }).catch((error: unknown) => error)
    const { message, cause } = report as Error
    const [, path = ''] = /path: "([\d:]+)"/.exec(message) ?? []
    const [, replayPath = ''] = /replayPath="([^"]+)"/.exec(message) ?? []
    expect([path, replayPath]).not.toContain('')
    const again: unknown = await checkOperationsModel(fc, { open, seed: 3, path, replayPath }).catch(
      (error: unknown) => error,
    )
    expect(((again as Error).cause as ModelError).data).toEqual((cause as ModelError).data)
  })
})
