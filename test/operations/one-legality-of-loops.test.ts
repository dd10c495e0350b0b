import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type * as idleWakeModule from '../../machines/idle-wake.js'
import { idleWakeMachine } from '../../machines/idle-wake.js'
import type { OperationId, TurnId, WaitAllSatisfied, WaitRequestId } from '../../machines/operation-vocabulary.js'
import type * as turnModule from '../../machines/turn.js'
import { turnMachine } from '../../machines/turn.js'
import type * as barrierModule from '../../machines/wait-all-barrier.js'
import { waitAllBarrierMachine } from '../../machines/wait-all-barrier.js'
import type { OperationsWait } from '../../src/operations/system.js'
import type { ContinuationInput, IdleWakeHost } from '../../src/operations/index.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { complete, freshId, run, settled, start } from './support/background.js'

type Chart = 'turn' | 'wait-all-barrier' | 'idle-wake'

/** The room anew, with a chart in which one guard always gives this answer. */
async function roomWith(chart?: Chart, guard = '', answer = true) {
  const guards = { [guard]: () => answer } as never
  vi.doMock('../../machines/turn.js', async (original) => {
    const stock = await original<typeof turnModule>()
    return chart === 'turn' ? { ...stock, turnMachine: stock.turnMachine.provide({ guards }) } : stock
  })
  vi.doMock('../../machines/wait-all-barrier.js', async (original) => {
    const stock = await original<typeof barrierModule>()
    if (chart !== 'wait-all-barrier') return stock
    return { ...stock, waitAllBarrierMachine: stock.waitAllBarrierMachine.provide({ guards }) }
  })
  vi.doMock('../../machines/idle-wake.js', async (original) => {
    const stock = await original<typeof idleWakeModule>()
    return chart === 'idle-wake' ? { ...stock, idleWakeMachine: stock.idleWakeMachine.provide({ guards }) } : stock
  })
  const { createRuntime } = await import('../../src/runtime.js')
  const { Turn } = await import('../../src/operations/turn.js')
  const runtime = await createRuntime({ clock: new SimulatedClock() })
  return { Turn, session: runtime.session('agent') }
}

beforeEach(() => void vi.resetModules())
afterEach(() => {
  vi.doUnmock('../../machines/turn.js')
  vi.doUnmock('../../machines/wait-all-barrier.js')
  vi.doUnmock('../../machines/idle-wake.js')
  // Files of one process share their modules.
  vi.resetModules()
})

describe('the chart of a turn is the only place that refuses:', () => {
  const turnId = freshId<TurnId>()
  const other = freshId<TurnId>()
  const id = freshId()

  /** A turn that waits, and what its wait answers with. */
  async function waiting(guard?: string) {
    const { Turn } = await roomWith(guard === undefined ? undefined : 'turn', guard)
    let answer = (_: WaitAllSatisfied): void => {}
    const answered = new Promise<WaitAllSatisfied>((resolve) => (answer = resolve))
    const waitAll = (): OperationsWait =>
      Object.assign(
        answered.then((satisfied) => ({ outcomes: [], satisfied })),
        { requestId: 'request' as WaitRequestId, [Symbol.dispose]: () => {} },
      )
    const turn = new Turn({ turnId, operations: { waitAll, acknowledgeObligation: () => true } })
    const outcomes = turn.awaitOperations([{ operationId: id, waitPolicy: 'barrier' }])
    outcomes.catch(() => {})
    const satisfied = (operationIds: readonly OperationId[]): void =>
      answer({ waitRequestId: 'request' as WaitRequestId, turnId, operationIds })
    return { turn, outcomes, satisfied }
  }

  it('isCurrentTurn refuses what means another turn', async () => {
    const { turn } = await waiting()
    turn.actor.send({ type: 'fail', turnId: other, reason: 'theirs' })
    expect(turn.state).toBe('waiting_for_operations')
  })

  it('where isCurrentTurn lets pass, nothing else refuses', async () => {
    const { turn } = await waiting('isCurrentTurn')
    turn.actor.send({ type: 'fail', turnId: other, reason: 'theirs' })
    expect([turn.state, turn.failure]).toEqual(['failed', 'theirs'])
  })

  it('answersTheBarrier refuses an obligation over other members', async () => {
    const { turn, outcomes, satisfied } = await waiting()
    satisfied([freshId()])
    await expect(outcomes).rejects.toMatchObject({ code: 'turn_refused' })
    expect(turn.state).toBe('failed')
  })

  it('where answersTheBarrier lets pass, nothing else refuses', async () => {
    const { turn, outcomes, satisfied } = await waiting('answersTheBarrier')
    satisfied([freshId()])
    expect(await outcomes).toEqual([])
    expect(turn.state).toBe('draining_boundary')
  })

  it('isBarrierEmpty refuses to go on while members run', async () => {
    const { turn } = await waiting()
    turn.actor.send({ type: 'tool_calls_resolved', turnId })
    expect(turn.state).toBe('waiting_for_operations')
  })

  it('where isBarrierEmpty lets pass, nothing else refuses', async () => {
    const { turn } = await waiting('isBarrierEmpty')
    turn.actor.send({ type: 'tool_calls_resolved', turnId })
    await turn.drainBoundary()
    expect(turn.state).toBe('calling_llm')
  })

  it('no guard is left that nobody looked at here', () => {
    expect(Object.keys(turnMachine.implementations.guards)).toEqual([
      'isCurrentTurn',
      'answersTheBarrier',
      'isBarrierEmpty',
    ])
  })
})

describe('the chart of the barrier is the only place that lets a turn wait:', () => {
  /** Obligations when a wait for two has begun, and after the end of one of them. */
  async function obligations(guard?: string): Promise<readonly number[]> {
    const { session } = await roomWith(guard === undefined ? undefined : 'wait-all-barrier', guard)
    const ids = [await start(session), await start(session)]
    // Satisfied before its time, a barrier has no outcomes to hand over: the waiter is refused those, not the obligation.
    session.waitAll(freshId<TurnId>(), ids).catch(() => {})
    const counts = [session.operations.outstandingObligations().length]
    if (ids[0] !== undefined) await complete(session, ids[0])
    counts.push(session.operations.outstandingObligations().length)
    return counts
  }

  it('its guards do', async () => {
    expect(await obligations()).toEqual([0, 0])
  })

  it.each([
    ['noMemberIsLeft', [1, 1]],
    ['isLastMember', [0, 1]],
  ])('where %s lets pass, nothing else keeps it waiting', async (guard, expected) => {
    expect(await obligations(guard)).toEqual(expected)
  })

  it('no guard is left that nobody looked at here', () => {
    expect(Object.keys(waitAllBarrierMachine.implementations.guards)).toEqual(['noMemberIsLeft', 'isLastMember'])
  })
})

describe('the chart of idle wake is the only place that holds back:', () => {
  /** What a loop did until nothing happened any more. */
  async function watch(guard: string | undefined, host: Partial<IdleWakeHost>, kind?: 'mob_member_child') {
    const { session } = await roomWith(guard === undefined ? undefined : 'idle-wake', guard, guard !== 'foundNothing')
    const offered: number[] = []
    const inject = ({ throughSeq }: ContinuationInput): boolean => offered.push(throughSeq) > 0
    const wake = session.wakeWhenIdle({ isQuiescent: () => true, inject, ...host })
    await run(session, 'job', kind)
    await settled()
    const cursors = ['runtime_observed', 'runtime_injected'] as const
    const [observed, injected] = cursors.map((cursor) => session.operations.completionCursor(cursor))
    const { value, output } = wake.actor.getSnapshot()
    wake[Symbol.dispose]()
    return { value, offered, observed, injected, reason: output?.reason }
  }

  const refuses = { inject: () => false }

  it('foundNothing passes over what is worth no wake', async () => {
    expect(await watch(undefined, {}, 'mob_member_child')).toMatchObject({ offered: [], observed: 1, injected: 0 })
  })

  it('where foundNothing finds something, it is offered', async () => {
    expect(await watch('foundNothing', {}, 'mob_member_child')).toMatchObject({
      offered: [1],
      observed: 1,
      injected: 1,
    })
  })

  it('wasAccepted holds what the host refuses', async () => {
    expect(await watch(undefined, refuses)).toMatchObject({ value: 'holding', observed: 0, injected: 0 })
  })

  it('where wasAccepted lets pass, nothing else holds it', async () => {
    expect(await watch('wasAccepted', refuses)).toMatchObject({ value: 'waiting', observed: 1, injected: 1 })
  })

  it('isQuiescent and ownershipIsLost ask the host, and nobody else answers', async () => {
    expect(await watch(undefined, { isQuiescent: () => false })).toMatchObject({ value: 'holding', offered: [] })
    expect(await watch(undefined, { ownsRuntime: () => false })).toMatchObject({
      reason: 'lost_ownership',
      offered: [],
    })
  })

  it('no guard is left that nobody looked at here', () => {
    // The last only names the reason of a stop.
    const others = ['metGap']
    expect(Object.keys(idleWakeMachine.implementations.guards)).toEqual([
      'ownershipIsLost',
      'isQuiescent',
      'foundNothing',
      'wasAccepted',
      ...others,
    ])
  })
})
