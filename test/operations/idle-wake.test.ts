import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { StatewardError } from '../../src/base/errors.js'
import { createDeferred } from '../../src/base/promises.js'
import { silentLogger } from '../../src/base/logger.js'
import { IdleWake, type ContinuationInput, type IdleWakeHost } from '../../src/operations/index.js'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import type { Session } from '../../src/operations/session.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { passTime, run, settled } from './support/background.js'

let clock: SimulatedClock
let warnings: string[]
let errors: object[]
let runtime: Runtime
let session: Session

beforeEach(async () => {
  clock = new SimulatedClock()
  warnings = []
  errors = []
  const logger = {
    ...silentLogger,
    warn: (fields: object) => warnings.push(JSON.stringify(fields)),
    error: (fields: object) => errors.push(fields),
  }
  runtime = await createRuntime({ clock, logger })
  session = runtime.session('agent')
})
afterEach(async () => {
  await runtime.close({ policy: 'terminate' })
  expect(clock.pendingTimeouts).toBe(0)
})

const observed = (): number => session.operations.completionCursor('runtime_observed')
const injected = (): number => session.operations.completionCursor('runtime_injected')

const pass = (milliseconds: number): Promise<void> => passTime(clock, milliseconds)

/** A host that takes everything, unless told otherwise, and keeps what it took. */
function openWake(over: Partial<IdleWakeHost> = {}) {
  const inputs: ContinuationInput[] = []
  const inject = (input: ContinuationInput): boolean => {
    inputs.push(input)
    return true
  }
  const wake = session.wakeWhenIdle({ isQuiescent: () => true, inject, ...over })
  return { wake, inputs }
}

describe('the idle-wake loop', () => {
  it('[O-80] injects one derived, invisible, steering input of system origin with the fixed reason and no request id', async () => {
    const { inputs } = openWake()
    await run(session)
    await settled()
    expect(inputs).toEqual([
      {
        origin: 'system',
        durability: 'derived',
        visibleInTranscript: false,
        visibleToOperator: false,
        handling: 'steer',
        reason: 'detached_background_op_completed',
        throughSeq: 1,
      },
    ])
  })

  it('[O-81] advances both cursors to the watermark once the input is queued, before the queue is worked off', async () => {
    await run(session)
    await run(session, 'child', 'mob_member_child')
    const cursors: number[][] = []
    const { inputs } = openWake({ processQueue: () => void cursors.push([injected(), observed()]) })
    await settled()
    expect(inputs).toMatchObject([{ throughSeq: 2 }])
    expect(cursors).toEqual([[2, 2]])
  })

  it('[O-81] moves the injected cursor first: what was injected is never offered again, what was only observed may be', async () => {
    const moves: string[] = []
    const operations = new Proxy(session.operations, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        return (...args: unknown[]): unknown => {
          if (name === 'advanceCompletionCursor') moves.push(args.join(' '))
          return Reflect.apply(member, target, args)
        }
      },
    })
    using _ = new IdleWake({ operations, clock, host: { isQuiescent: () => true, inject: () => true } })
    await run(session)
    await settled()
    expect(moves).toEqual(['runtime_injected 1', 'runtime_observed 1'])
  })

  it('[O-82] queues nothing and moves no cursor when the registry can no longer answer', async () => {
    const { wake, inputs } = openWake()
    const fault = new StatewardError('internal', 'ops lifecycle registry poisoned', {})
    vi.spyOn(session.operations, 'completionCursor').mockImplementation(() => {
      throw fault
    })
    await run(session)
    expect(await wake.stopped).toEqual({ reason: 'fault', cause: fault })
    vi.restoreAllMocks()
    expect(inputs).toEqual([])
    expect([observed(), injected()]).toEqual([0, 0])
    expect(errors).toEqual([{ reason: 'fault', cause: 'ops lifecycle registry poisoned' }])
  })

  it('[O-75] does not start when the registry cannot say where it stood', () => {
    vi.spyOn(session.operations, 'completionCursor').mockImplementation(() => {
      throw new Error('poisoned')
    })
    expect(() => openWake()).toThrow('poisoned')
    vi.restoreAllMocks()
  })

  it('[O-83] does nothing on an empty feed', async () => {
    const { wake, inputs } = openWake()
    await settled()
    expect(wake.actor.getSnapshot().value).toBe('waiting')
    expect(inputs).toEqual([])
    expect([observed(), injected()]).toEqual([0, 0])
  })

  it('[O-83] advances only the observed cursor over rows that wake nobody', async () => {
    const { inputs } = openWake()
    await run(session, 'child', 'mob_member_child')
    await settled()
    expect(inputs).toEqual([])
    expect([observed(), injected()]).toEqual([1, 0])
  })

  it.each([
    ['a completion', 'background_tool_op'],
    ['a row that wakes nobody', 'mob_member_child'],
  ] as const)('[O-84] that lost its runtime advances nothing for %s, and ends', async (_, kind) => {
    const { wake, inputs } = openWake({ ownsRuntime: () => false })
    await run(session, 'job', kind)
    expect(await wake.stopped).toEqual({ reason: 'lost_ownership' })
    expect(inputs).toEqual([])
    expect([observed(), injected()]).toEqual([0, 0])
  })

  it('[O-84] that loses its runtime while injecting advances nothing', async () => {
    let isOwner = true
    const { wake } = openWake({
      ownsRuntime: () => isOwner,
      inject: () => {
        isOwner = false
        return true
      },
    })
    await run(session)
    expect(await wake.stopped).toEqual({ reason: 'lost_ownership' })
    expect([observed(), injected()]).toEqual([0, 0])
  })

  it.each([
    ['refused', () => false],
    ['broken', () => Promise.reject(new Error('the queue is gone'))],
  ])('[O-85] moves no cursor after a %s injection and offers it again', async (_, refuse) => {
    const offers: ContinuationInput[] = []
    const answer: { inject: () => boolean | Promise<boolean> } = { inject: refuse }
    openWake({
      inject: (input) => {
        offers.push(input)
        return answer.inject()
      },
    })
    await run(session)
    await settled()
    expect([observed(), injected()]).toEqual([0, 0])
    expect(offers).toHaveLength(1)
    answer.inject = () => true
    await pass(25)
    expect(offers).toHaveLength(2)
    expect([observed(), injected()]).toEqual([1, 1])
  })

  it('starts where the stored cursors stand, so that what completed before it began is not skipped', async () => {
    await run(session)
    await run(session)
    session.operations.advanceCompletionCursor('runtime_injected', 1)
    const { inputs } = openWake()
    await settled()
    expect(inputs).toMatchObject([{ throughSeq: 2 }])
  })

  it('a second loop after the first wakes nobody for what the first has injected', async () => {
    const first = openWake()
    await run(session)
    await settled()
    first.wake[Symbol.dispose]()
    const second = openWake()
    await settled()
    expect(second.inputs).toEqual([])
  })

  it.each(['isQuiescent', 'ownsRuntime'] as const)(
    'ends when its host breaks while it is asked (%s): nobody else could say',
    async (question) => {
      const { wake, inputs } = openWake({
        [question]: () => {
          throw new Error('no such runtime')
        },
      })
      await run(session)
      expect(await wake.stopped).toMatchObject({
        reason: 'fault',
        cause: { message: expect.stringContaining('no such runtime') },
      })
      expect([inputs, observed(), injected()]).toEqual([[], 0, 0])
    },
  )

  it('goes on when working off the queue fails', async () => {
    const { inputs } = openWake({ processQueue: () => Promise.reject(new Error('the run broke')) })
    await run(session)
    await settled()
    await run(session)
    await settled()
    expect(inputs).toMatchObject([{ throughSeq: 1 }, { throughSeq: 2 }])
    expect(errors).toMatchObject([{ error: 'the run broke' }, { error: 'the run broke' }])
  })
})

describe('a completion that has to wait', () => {
  it('[O-87] stays visible while the runtime is not quiescent, and is injected once when it is', async () => {
    let isQuiescent = false
    const { inputs } = openWake({ isQuiescent: () => isQuiescent })
    await run(session)
    await pass(3000)
    expect(inputs).toEqual([])
    expect([observed(), injected()]).toEqual([0, 0])
    expect(session.feed.since(observed()).entries).toHaveLength(1)
    isQuiescent = true
    await pass(1000)
    expect(inputs).toHaveLength(1)
    expect([observed(), injected()]).toEqual([1, 1])
    await pass(5000)
    expect(inputs).toHaveLength(1)
  })

  it('[O-87] is injected as soon as the executor says that it did something', async () => {
    let isQuiescent = false
    const { wake, inputs } = openWake({ isQuiescent: () => isQuiescent })
    await run(session)
    await pass(3000)
    isQuiescent = true
    wake.queueDrained()
    await settled()
    expect(inputs).toHaveLength(1)
  })

  it('[O-88] costs a bounded number of feed reads: 6 in the first second, then 1 per second', async () => {
    const reads = vi.spyOn(session.feed, 'since')
    openWake({ isQuiescent: () => false })
    await run(session)
    await settled()
    const perSecond: number[] = []
    for (let second = 0; second < 6; second += 1) {
      await pass(1000)
      perSecond.push(reads.mock.calls.length)
      reads.mockClear()
    }
    expect(perSecond).toEqual([6, 1, 1, 1, 1, 1])
  })

  it('[O-88] costs no more when injections keep failing', async () => {
    const reads = vi.spyOn(session.feed, 'since')
    openWake({ inject: () => false })
    await run(session)
    await settled()
    await pass(5000)
    expect(reads.mock.calls.length).toBe(10)
  })

  it('[O-88] costs nothing while nothing is held', async () => {
    openWake()
    await run(session)
    await settled()
    const reads = vi.spyOn(session.feed, 'since')
    await pass(5000)
    expect(reads).not.toHaveBeenCalled()
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('looks again at once when more completes, and injects one continuation for all of it', async () => {
    let isQuiescent = false
    const { inputs } = openWake({ isQuiescent: () => isQuiescent })
    await run(session)
    await pass(3000)
    isQuiescent = true
    await run(session)
    await settled()
    expect(inputs).toMatchObject([{ throughSeq: 2 }])
  })

  it('warns once per reason', async () => {
    let isQuiescent = false
    let accepts = false
    openWake({ isQuiescent: () => isQuiescent, inject: () => accepts })
    await run(session)
    await pass(2000)
    expect(warnings).toEqual(['{"reason":"not_quiescent"}'])
    isQuiescent = true
    await pass(2000)
    isQuiescent = false
    await pass(2000)
    expect(warnings).toEqual(['{"reason":"not_quiescent"}', '{"reason":"injection_failed"}'])
    isQuiescent = true
    accepts = true
    await pass(2000)
    expect([observed(), injected()]).toEqual([1, 1])
  })

  it('is released without a continuation when the turn shows it meanwhile', async () => {
    const { wake, inputs } = openWake({ isQuiescent: () => false })
    await run(session)
    await settled()
    session.operations.advanceCompletionCursor('agent_applied', 1)
    await pass(25)
    expect(wake.actor.getSnapshot()).toMatchObject({ value: 'waiting', context: { hold: undefined } })
    expect(inputs).toEqual([])
    expect([observed(), injected()]).toEqual([1, 0])
  })
})

describe('a gap in the feed', () => {
  async function overflow(): Promise<void> {
    for (let index = 0; index < 1025; index += 1) await run(session)
  }

  it('[O-72] stops the loop instead of moving a cursor across it', async () => {
    await overflow()
    const { wake, inputs } = openWake()
    expect(await wake.stopped).toMatchObject({
      reason: 'gap',
      cause: { code: 'feed_gap', data: { requestedAfterSeq: 0, droppedThrough: 1, watermark: 1025 } },
    })
    expect(inputs).toEqual([])
    expect([observed(), injected()]).toEqual([0, 0])
    expect(errors).toMatchObject([{ reason: 'gap' }])
  })

  it('[O-86] is none for the loop when the turn has shown what was dropped', async () => {
    await run(session)
    session.operations.advanceCompletionCursor('agent_applied', 1)
    await overflow()
    session.operations.advanceCompletionCursor('agent_applied', 2)
    const { inputs } = openWake()
    await settled()
    expect(inputs).toMatchObject([{ throughSeq: 1026 }])
  })
})

describe('stopping', () => {
  it.each([
    ['waits', {}],
    ['holds', { isQuiescent: () => false }],
    ['injects', { inject: () => createDeferred<boolean>().promise }],
    ['drains', { processQueue: () => createDeferred<void>().promise }],
  ] as [string, Partial<IdleWakeHost>][])('leaves no timer and no waiter behind while the loop %s', async (_, over) => {
    const { wake } = openWake(over)
    await run(session)
    await settled()
    wake[Symbol.dispose]()
    wake[Symbol.dispose]()
    wake.queueDrained()
    expect(await wake.stopped).toEqual({ reason: 'asked' })
    expect(clock.pendingTimeouts).toBe(0)
    const reads = vi.spyOn(session.feed, 'since')
    await run(session)
    await pass(2000)
    expect(reads).not.toHaveBeenCalled()
    expect(errors).toEqual([])
  })

  it('comes with closing the session, whose own endings wake nobody', async () => {
    const { wake, inputs } = openWake()
    const untilAborted = (signal: AbortSignal): Promise<void> =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
    const background = { kind: 'background_tool_op', displayName: 'job' } as const
    session.run(background, ({ retiring }) => untilAborted(retiring))
    session.run(background, ({ signal }) => untilAborted(signal))
    await settled()
    const closed = runtime.close({ policy: 'retire', graceMs: 100 })
    await settled()
    expect(session.feed.since(0).entries).toMatchObject([{ outcome: { type: 'completed' } }])
    await pass(100)
    await closed
    expect(await wake.stopped).toEqual({ reason: 'asked' })
    expect(session.feed.watermark()).toBe(2)
    expect(inputs).toEqual([])
  })

  it.each([
    ['waits', true],
    ['holds', false],
  ])(
    'comes with the end of the registry for a loop that the session does not know, while it %s',
    async (_, isQuiet) => {
      const { operations } = session
      const host = { isQuiescent: () => isQuiet, inject: () => true }
      const wake = new IdleWake({ operations, host, clock })
      await run(session)
      await settled()
      operations.dispose()
      expect(await wake.stopped).toMatchObject({ reason: 'fault', cause: { code: 'channel_closed' } })
      expect(clock.pendingTimeouts).toBe(0)
    },
  )

  it('leaves what was accepted but not recorded to the next loop', async () => {
    const answer = createDeferred<boolean>()
    const { wake } = openWake({ inject: () => answer.promise })
    await run(session)
    await settled()
    wake[Symbol.dispose]()
    answer.resolve(true)
    await settled()
    expect([observed(), injected()]).toEqual([0, 0])
    const { inputs } = openWake()
    await settled()
    expect(inputs).toMatchObject([{ throughSeq: 1 }])
  })

  it('can be done without a session', async () => {
    using wake = new IdleWake({
      operations: session.operations,
      host: { isQuiescent: () => false, inject: () => true },
    })
    expect(wake.actor.getSnapshot().value).toBe('waiting')
  })
})
