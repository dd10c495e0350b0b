import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { InvalidInputError } from '../../src/base/errors.js'
import { createUuidSource } from '../../src/base/ids.js'
import { createDeferred } from '../../src/base/promises.js'
import type { OperationId, OperationSpec } from '../../machines/index.js'
import { defineProcess } from '../../src/processes/public.js'
import {
  connectRestate,
  defineOperation,
  registerRestate,
  serveRestate,
  type RestateConnection,
} from '../../src/restate/index.js'
import { Resources } from './support/resources.js'
import { startRestateServer } from './support/server.js'

const resources = new Resources()
const ids = createUuidSource({ now: () => Date.now() })
const rerunnable = { disposition: 'rerunnable' } as const
let restate: RestateConnection

function trap(): never {
  throw new Error('a trap')
}
/** Throws whatever is done with it. */
const hostile = new Proxy(
  {},
  { get: trap, has: trap, getPrototypeOf: trap, ownKeys: trap, getOwnPropertyDescriptor: trap },
)
function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
const values: Readonly<Record<string, () => unknown>> = {
  hostile: () => hostile,
  revoked,
  nothing: () => undefined,
  long: () => new Error('x'.repeat(5_000_000)),
  text: () => 'y'.repeat(3_000_000),
  refusal: () => new InvalidInputError({ subject: 'plan', field: 'a.b', reason: 'too old' }),
  brokenRefusal: () => Object.defineProperty(new InvalidInputError({} as never), 'data', { get: trap }),
}
const thrown = (what: string): never => {
  throw values[what]?.()
}
const outside = defineOperation('outside', rerunnable, (what: string) => thrown(what))
const inside = defineOperation('inside', rerunnable, (what: string, { step }) => step('throw', () => thrown(what)))
const process = defineProcess('inside', rerunnable, (what: string, { step }) => step('throw', () => thrown(what)))
const held = defineOperation('held', rerunnable, (_: unknown, { waitFor }) => waitFor('go'))
const talkative = defineOperation('talkative', rerunnable, (_: unknown, { step }) =>
  step('talk', ({ progress }) => progress('x'.repeat(65_537))),
)
const begun = createDeferred<void>()
let executions = 0
const pause = (durationMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, durationMs))
const branching = defineOperation('branching', rerunnable, (_: unknown, { step, sleep, call }) => {
  const counted = (name: string, durationMs: number) =>
    step(name, async () => {
      executions += 1
      await pause(durationMs)
      return name
    })
  return Promise.all([
    counted('slow', 60),
    counted('quick', 1),
    sleep(30).then(() => 'slept'),
    counted('middling', 20),
    call(double, 2),
  ])
})
const double = defineProcess('double', rerunnable, (input: number, { step }) => step('double', () => 2 * input))
/** Leaves a wait and a step behind. */
const first = defineOperation('first', rerunnable, (_: unknown, { step, sleep, waitFor }) =>
  Promise.race([waitFor('go'), step('long', () => new Promise(() => {})), sleep(20).then(() => 'slept')]),
)
const stuck = defineOperation('stuck', rerunnable, (_: unknown, { step, waitFor }) =>
  Promise.all([
    waitFor('go'),
    step('stuck', ({ signal }) => {
      begun.resolve()
      return new Promise((_, reject) => signal.addEventListener('abort', reject, { once: true }))
    }),
  ]),
)
const emitting = defineProcess(
  'emitting',
  { disposition: 'rerunnable', events: { said: v.string() } },
  async (_: unknown, { emit, step }) => {
    const all = await Promise.all([emit('said', 'a'), emit('said', 'b'), step('one', () => ({ sequence: 0 }))])
    return all.map(({ sequence }) => sequence)
  },
)
let listeners = 0
/** Waits outside of steps, for nothing but the signal. */
const untilAborted = (signal: AbortSignal): Promise<string> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve('aborted'), { once: true })
    listeners += 1
  })
const listening = defineOperation('listening', rerunnable, async (_: unknown, { signal, step }) => {
  await step('begin', () => 1)
  return untilAborted(signal)
})
const listeningProcess = defineProcess('listening', rerunnable, (_: unknown, { signal }) => untilAborted(signal))

beforeAll(async () => {
  const { ingress, admin } = resources.use(await startRestateServer())
  const operations = [outside, inside, held, talkative, branching, first, stuck, listening]
  const definitions = [...operations, process, double, emitting, listeningProcess]
  const worker = resources.use(await serveRestate({ definitions, ingress, maxAttempts: 3 }))
  await registerRestate({ admin, uri: worker.uri })
  restate = connectRestate({ ingress, admin, faultCheckMs: 50 })
})
afterAll(resources.close)

describe.each(Object.keys(values))('work that throws (R-901): %s', (what) => {
  it.each([
    ['within a step', inside],
    ['outside', outside],
  ])('has failed, once, %s', async (_, definition) => {
    const session = restate.session(randomUUID())
    const outcome = await (await session.run(definition, what)).outcome
    expect(outcome).toMatchObject({ type: 'failed', reason: 'threw' })
    expect(JSON.stringify(outcome).length).toBeLessThan(40_000)
    expect(await (await restate.processes(session.id).start(process, what)).output()).toMatchObject({ type: 'failure' })
  })
})

it('what a step refuses stays a refusal of its code and data (R-901)', async () => {
  const handle = await restate.processes(randomUUID()).start(process, 'refusal')
  expect(await handle.output()).toMatchObject({
    code: 'invalid_input',
    message: 'invalid plan: a.b: too old',
  })
})

describe('the text of an end or a report (R-900)', () => {
  const longest = 'r'.repeat(65_536)
  const refused = (field: string) => ({ code: 'invalid_input', data: { field } })

  it('is refused when a caller gives too much, and the operation goes on', async () => {
    const session = restate.session(randomUUID())
    const spec: OperationSpec = {
      id: ids.uuid() as OperationId,
      kind: 'background_tool_op',
      ownerSessionId: session.id,
      displayName: 'by hand',
      sourceLabel: 'test',
      childSessionId: null,
      expectPeerChannel: false,
    }
    const { operations } = session
    const { id } = spec
    await operations.registerOperation(spec)
    await operations.provisioningSucceeded(id)
    const result = { id, content: 'x'.repeat(2 ** 20 + 1), isError: false, durationMs: 1, tokensUsed: 0 }
    await expect(operations.reportProgress(id, { message: `${longest}r` })).rejects.toMatchObject(refused('message'))
    await expect(operations.cancelOperation(id, `${longest}r`)).rejects.toMatchObject(refused('reason'))
    await expect(operations.terminateOperation(id, `${longest}r`)).rejects.toMatchObject(refused('reason'))
    await expect(operations.failOperation(id, `${longest}r`)).rejects.toMatchObject(refused('error'))
    await expect(operations.completeOperation(id, result)).rejects.toMatchObject(refused('result.content'))
    await expect(session.close(`${longest}r`)).rejects.toMatchObject(refused('reason'))
    expect(await operations.snapshot(id)).toMatchObject({ status: 'running', progressCount: 0 })
    await operations.cancelOperation(id, longest)
    expect(await session.outcome(id)).toEqual({ type: 'cancelled', reason: longest })
  })

  it('is refused to a step that reports too much', async () => {
    const handle = await restate.session(randomUUID()).run(talkative, undefined)
    expect(await handle.outcome).toMatchObject({ type: 'failed', cause: { code: 'invalid_input' } })
  })

  it('is cut where nobody would hear a refusal: the reason of a signal', async () => {
    const stop = new AbortController()
    const handle = await restate.session(randomUUID()).run(held, undefined, { signal: stop.signal })
    stop.abort(new Error('s'.repeat(100_000)))
    expect(await handle.outcome).toEqual({ type: 'cancelled', reason: `${'s'.repeat(8192)}…` })
  })
})

describe('the branches of a run (R-902)', () => {
  it('go on at the same time: steps, timers and calls, each done once', async () => {
    const handle = await restate.session(randomUUID()).run(branching, undefined)
    expect(await handle.result()).toEqual(['slow', 'quick', 'slept', 'middling', 4])
    expect(executions).toBe(3)
  })

  it('may be left behind by the one that comes first', async () => {
    const handle = await restate.session(randomUUID()).run(first, undefined)
    expect(await handle.result()).toBe('slept')
  })

  it('all learn of a cancel', async () => {
    const handle = await restate.session(randomUUID()).run(stuck, undefined)
    await begun.promise
    await handle.cancel('enough')
    expect(await handle.outcome).toEqual({ type: 'cancelled', reason: 'enough' })
  })

  it('write the events of a process in their order', async () => {
    const handle = await restate.processes(randomUUID()).start(emitting, undefined)
    // The start of the step is logged somewhere between.
    const [first = 0, second = 0] = await handle.result()
    expect(first).toBeGreaterThan(0)
    expect(second).toBeGreaterThan(first)
  })
})

describe('code that listens to the signal of its run outside of steps (R-903)', () => {
  it('learns of a cancel and of a deadline of an operation', async () => {
    const session = restate.session(randomUUID())
    const cancelled = await session.run(listening, undefined)
    await expect.poll(() => listeners).toBe(1)
    await cancelled.cancel('enough')
    expect(await cancelled.outcome).toEqual({ type: 'cancelled', reason: 'enough' })
    const late = await session.run(listening, undefined, { deadlineMs: 50 })
    expect(await late.outcome).toMatchObject({ type: 'failed', reason: 'deadline' })
  })

  it('learns of a cancel of a process', async () => {
    const processes = restate.processes(randomUUID())
    const { id } = await processes.start(listeningProcess, undefined)
    await expect.poll(() => listeners).toBe(3)
    await processes.cancel(id, 'enough')
    expect(await restate.attach.awaitTerminal(id, { isStarted: true })).toEqual({
      type: 'cancelled',
      message: 'enough',
    })
  })
})
