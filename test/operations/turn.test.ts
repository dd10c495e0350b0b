import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { OperationId, TurnId } from '../../machines/operation-vocabulary.js'
import type { AsyncOperationRef } from '../../machines/turn.js'
import { Turn, type OperationRegistry, type TurnOptions, type TurnState } from '../../src/operations/index.js'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import type { Session } from '../../src/operations/session.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { complete, freshId, run, start } from './support/background.js'

const barrier = (operationId: OperationId): AsyncOperationRef => ({ operationId, waitPolicy: 'barrier' })
const detached = (operationId: OperationId): AsyncOperationRef => ({ operationId, waitPolicy: 'detached' })

let runtime: Runtime
let session: Session
let turnId: TurnId

beforeEach(async () => {
  runtime = await createRuntime({ clock: new SimulatedClock() })
  session = runtime.session('agent')
  turnId = freshId<TurnId>()
})
afterEach(() => runtime.close({ policy: 'terminate' }))

/** Every state the turn goes through from here on. */
function statesOf(turn: Turn): TurnState[] {
  const states: TurnState[] = []
  turn.actor.subscribe(({ value }) => {
    if (states.at(-1) !== value) states.push(value)
  })
  return states
}

const code = (expected: string) => expect.objectContaining({ code: expected })

describe('a turn with barrier operations', () => {
  it('[O-103] waits for them, takes the obligation, drains its boundary and goes on to the model', async () => {
    const turn = session.turn(turnId)
    const states = statesOf(turn)
    const one = await start(session, 'one')
    const other = await start(session, 'other')
    const outcomes = turn.awaitOperations([barrier(other), barrier(one)])
    await complete(session, one, 'first')
    expect(turn.state).toBe('waiting_for_operations')
    await complete(session, other, 'second')
    expect(await outcomes).toMatchObject([
      { operationId: other, outcome: { type: 'completed', result: { content: 'second' } } },
      { operationId: one, outcome: { type: 'completed', result: { content: 'first' } } },
    ])
    expect(turn.state).toBe('draining_boundary')
    expect(await turn.drainBoundary()).toEqual({ type: 'delivered', notices: [] })
    turn.finish()
    expect(states).toEqual(['waiting_for_operations', 'draining_boundary', 'calling_llm', 'finished'])
  })

  it('[O-103] acknowledges the obligation at the registry, so that nothing is owed', async () => {
    const turn = session.turn(turnId)
    await turn.awaitOperations([barrier(await run(session))])
    expect(session.operations.outstandingObligations()).toEqual([])
    expect(session.operations.diagnostics().pendingWait).toBeNull()
  })

  it('[O-104] shows its typed refs while it waits, and drops them afterwards', async () => {
    const turn = session.turn(turnId)
    const awaited = await start(session)
    const background = await start(session)
    const outcomes = turn.awaitOperations([detached(background), barrier(awaited)])
    expect(turn.pendingOperations).toEqual([
      { operationId: background, waitPolicy: 'detached' },
      { operationId: awaited, waitPolicy: 'barrier' },
    ])
    expect(turn.barrierIds).toEqual([awaited])
    await complete(session, awaited)
    await outcomes
    expect(turn.pendingOperations).toEqual([])
    expect(turn.barrierIds).toEqual([])
  })

  it('awaits an operation once that two tool calls name', async () => {
    const turn = session.turn(turnId)
    const id = await run(session)
    expect(await turn.awaitOperations([barrier(id), barrier(id)])).toHaveLength(1)
  })

  it('never awaits detached operations', async () => {
    const turn = session.turn(turnId)
    expect(await turn.awaitOperations([detached(await start(session))])).toEqual([])
    expect(turn.state).toBe('draining_boundary')
    expect(session.operations.diagnostics().pendingWait).toBeNull()
  })

  it('[O-15] is visible in the diagnostics of the registry until its operations have ended', async () => {
    const id = await start(session, 'build')
    const { operations } = session
    await operations.reportProgress(id, { message: 'half', fraction: 0.5 })
    expect(operations.diagnostics()).toMatchObject({
      operationCount: 1,
      activeCount: 1,
      pendingWait: null,
      operations: [{ id, displayName: 'build', status: 'running', progressCount: 1 }],
    })
    const wait = operations.waitAll(turnId, [id])
    expect(operations.diagnostics().pendingWait).toEqual({ requestId: wait.requestId, turnId, operationIds: [id] })
    await complete(session, id)
    expect((await wait).satisfied).toEqual({ waitRequestId: wait.requestId, turnId, operationIds: [id] })
    expect(operations.diagnostics().pendingWait).toBeNull()
  })

  it('[O-107] keeps its wait through everything that happens around the registry, then settles', async () => {
    const turn = session.turn(turnId)
    const id = await start(session)
    const outcomes = turn.awaitOperations([barrier(id)])
    const { pendingWait } = session.operations.diagnostics()
    // The executor is attached and detached twice, other work ends and is collected, the owner retires.
    for (let attachments = 0; attachments < 2; attachments += 1) {
      using wake = session.wakeWhenIdle({ isQuiescent: () => true, inject: () => true })
      expect(wake.actor.getSnapshot().value).toBe('waiting')
    }
    await run(session, 'passing by')
    await session.operations.collectCompleted()
    await runtime.flush()
    session.operations.drain()
    expect(session.operations.diagnostics().pendingWait).toEqual(pendingWait)
    await complete(session, id)
    expect(await outcomes).toHaveLength(1)
    expect(session.operations.diagnostics().pendingWait).toBeNull()
  })
})

describe('a fault while a turn waits', () => {
  /** What `awaitOperations` rejects with, and how often the turn failed before that. */
  async function faultOf(turn: Turn, refs: readonly AsyncOperationRef[], options?: { signal: AbortSignal }) {
    const states = statesOf(turn)
    const failuresWhenTold: number[] = []
    const failures = (): number => states.filter((state) => state === 'failed').length
    const error: unknown = await turn.awaitOperations(refs, options).catch((cause: unknown) => {
      failuresWhenTold.push(failures())
      return cause
    })
    expect(failuresWhenTold).toEqual([1])
    expect(failures()).toBe(1)
    return error
  }

  it('[O-106] without a registry fails the turn once, before the error is returned, and completes nothing', async () => {
    const turn = new Turn({ turnId })
    const id = await start(session)
    expect(await faultOf(turn, [barrier(id)])).toEqual(code('unsupported'))
    expect(turn.failure).toBe('operation not supported: wait_all')
    expect(session.operations.snapshot(id)).toMatchObject({ status: 'running' })
    expect(session.feed.watermark()).toBe(0)
  })

  it('[O-106] detached operations need no registry', async () => {
    const turn = new Turn({ turnId })
    expect(await turn.awaitOperations([detached(freshId())])).toEqual([])
  })

  it('[O-103] an unknown operation fails the turn', async () => {
    const turn = session.turn(turnId)
    expect(await faultOf(turn, [barrier(freshId())])).toEqual(code('not_found'))
    expect(turn.failure).toMatch(/^operation not found/)
  })

  it('[O-103] a wait that somebody holds under its id fails the turn, and not that wait', async () => {
    const id = await start(session)
    const first = session.turn(turnId)
    const outcomes = first.awaitOperations([barrier(id)])
    expect(await faultOf(session.turn(turnId), [barrier(id)])).toEqual(code('wait_already_active'))
    await complete(session, id)
    expect(await outcomes).toHaveLength(1)
  })

  it('goes on beside other turns that wait', async () => {
    const id = await start(session)
    const turns = [freshId<TurnId>(), turnId].map((one) => session.turn(one))
    const outcomes = turns.map((turn) => turn.awaitOperations([barrier(id)]))
    await complete(session, id)
    expect((await Promise.all(outcomes)).map((one) => one.length)).toEqual([1, 1])
    expect(turns.map(({ state }) => state)).toEqual(['draining_boundary', 'draining_boundary'])
    expect(session.operations.outstandingObligations()).toEqual([])
  })

  it('[O-103] a registry that goes away fails the turn', async () => {
    const turn = session.turn(turnId)
    const fault = faultOf(turn, [barrier(await start(session))])
    session.dispose()
    expect(await fault).toEqual(code('internal'))
  })

  it.each([
    [
      'another run',
      (satisfied: { operationIds: readonly OperationId[] }) => ({ ...satisfied, turnId: freshId<TurnId>() }),
    ],
    ['other members', (satisfied: { turnId: TurnId }) => ({ ...satisfied, operationIds: [freshId()] })],
  ])('[O-103] feedback that names %s is rejected, fails the turn, and leaves nothing owed', async (_, twist) => {
    const acknowledged: unknown[] = []
    const { operations } = session
    const operationsThatTwist = {
      waitAll: (...request: Parameters<OperationRegistry['waitAll']>) => {
        const wait = operations.waitAll(...request)
        const result = wait.result.then(({ outcomes, satisfied }) => ({
          outcomes,
          satisfied: { ...satisfied, ...twist(satisfied) },
        }))
        return Object.assign(Object.create(wait) as typeof wait, { then: result.then.bind(result) })
      },
      acknowledgeObligation: (satisfied: Parameters<OperationRegistry['acknowledgeObligation']>[0]) => {
        acknowledged.push(satisfied.waitRequestId)
        operations.acknowledgeObligation(satisfied)
      },
    } as Required<TurnOptions>['operations']
    const turn = new Turn({ turnId, operations: operationsThatTwist })
    expect(await faultOf(turn, [barrier(await run(session))])).toEqual(code('turn_refused'))
    expect(acknowledged).toHaveLength(1)
    expect(operations.outstandingObligations()).toEqual([])
  })

  it('an aborted signal fails the turn with its reason and lets go of the barrier', async () => {
    const turn = session.turn(turnId)
    const controller = new AbortController()
    const reason = new Error('the user pressed escape')
    const fault = faultOf(turn, [barrier(await start(session))], { signal: controller.signal })
    controller.abort(reason)
    expect(await fault).toBe(reason)
    expect(turn.failure).toBe('the user pressed escape')
    expect(session.operations.diagnostics().pendingWait).toBeNull()
    expect(session.operations.outstandingObligations()).toEqual([])
  })

  it('a signal that was aborted before never activates the barrier', async () => {
    const reason = new Error('too late')
    const turn = session.turn(turnId)
    expect(await faultOf(turn, [barrier(await start(session))], { signal: AbortSignal.abort(reason) })).toBe(reason)
    expect(session.operations.diagnostics().pendingWait).toBeNull()
  })

  it('failing or disposing a turn gives up its wait, so that the next turn can wait', async () => {
    const id = await start(session)
    const abandoned = session.turn(freshId<TurnId>())
    const given = abandoned.awaitOperations([barrier(id)])
    abandoned[Symbol.dispose]()
    abandoned.fail('again')
    await expect(given).rejects.toMatchObject({ name: 'AbortError' })
    expect(abandoned.failure).toBe('the turn was abandoned')
    const outcomes = session.turn(turnId).awaitOperations([barrier(id)])
    await complete(session, id)
    expect(await outcomes).toHaveLength(1)
  })

  it('a turn that fails between the end of its operations and the hand-off owes nothing', async () => {
    const turn = session.turn(turnId)
    const id = await start(session)
    const outcomes = turn.awaitOperations([barrier(id)])
    const completed = complete(session, id)
    turn.fail('the model is gone')
    await completed
    await expect(outcomes).rejects.toMatchObject({ code: 'turn_refused' })
    expect(turn.failure).toBe('the model is gone')
    expect(session.operations.outstandingObligations()).toEqual([])
  })
})

describe('a turn refuses what does not fit its moment and stays as it is', () => {
  it('a second wait while one is pending', async () => {
    const turn = session.turn(turnId)
    const id = await start(session)
    const outcomes = turn.awaitOperations([barrier(id)])
    await expect(turn.awaitOperations([])).rejects.toMatchObject({
      code: 'turn_refused',
      data: { turnId, event: 'register_pending_operations', state: 'waiting_for_operations' },
    })
    await complete(session, id)
    expect(await outcomes).toHaveLength(1)
  })

  it('draining before the boundary, finishing at it, anything after its end', async () => {
    const turn = session.turn(turnId)
    await expect(turn.drainBoundary()).rejects.toMatchObject({ code: 'turn_refused' })
    await turn.awaitOperations([])
    expect(() => turn.finish()).toThrow(code('turn_refused'))
    await turn.drainBoundary()
    turn.finish()
    await expect(turn.awaitOperations([])).rejects.toMatchObject({ data: { state: 'finished' } })
    turn.fail('too late')
    expect(turn.failure).toBeUndefined()
  })

  it('a turn id that is not a UUID', () => {
    expect(() => session.turn('the first run')).toThrow(code('invalid_input'))
  })
})

describe('draining the boundary', () => {
  it('stays at the boundary when the delivery is deferred or fails, and goes on with the next one', async () => {
    const turn = session.turn(turnId)
    await turn.awaitOperations([])
    const operationId = freshId()
    const deferred = { type: 'deferred', operationId } as const
    expect(await turn.drainBoundary({ deliver: async () => deferred })).toEqual(deferred)
    expect(turn.state).toBe('draining_boundary')
    const broken = { deliver: () => Promise.reject(new Error('the transcript is locked')) }
    await expect(turn.drainBoundary(broken)).rejects.toThrow('the transcript is locked')
    expect(turn.state).toBe('draining_boundary')
    await turn.drainBoundary()
    expect(turn.state).toBe('calling_llm')
  })
})
