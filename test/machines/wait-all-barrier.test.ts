import { describe, expect, it } from 'vitest'
import { createActor, type SnapshotFrom } from 'xstate'
import { adjacencyMapToArray, getAdjacencyMap } from 'xstate/graph'
import type { OperationId, TurnId, WaitAllSatisfied, WaitRequestId } from '../../machines/operation-vocabulary.js'
import {
  waitAllBarrierMachine,
  type WaitAllBarrierEvent,
  type WaitAllBarrierInput,
} from '../../machines/wait-all-barrier.js'

const operationIds = ['a', 'b', 'c'] as readonly string[] as readonly OperationId[]
const requestId = 'request' as WaitRequestId
const turnId = 'run' as TurnId

const events: readonly WaitAllBarrierEvent[] = [
  { type: 'begin' },
  { type: 'member_ended' },
  { type: 'cancel' },
  { type: 'fault', cause: 'corrupt' },
  { type: 'acknowledge' },
]

function start(remaining: number) {
  const obligations: WaitAllSatisfied[] = []
  const actor = createActor(waitAllBarrierMachine, { input: { requestId, turnId, operationIds, remaining } })
  actor.on('satisfied', ({ obligation }) => obligations.push(obligation))
  actor.start()
  actor.send({ type: 'begin' })
  return { actor, obligations }
}

describe('the wait-all barrier', () => {
  it('does in every reachable state with every event what the table says', () => {
    const steps = adjacencyMapToArray(
      // The graph types know no emitted events, hence the cast.
      getAdjacencyMap<SnapshotFrom<typeof waitAllBarrierMachine>, WaitAllBarrierEvent, WaitAllBarrierInput>(
        waitAllBarrierMachine as never,
        { events, input: { requestId, turnId, operationIds, remaining: 3 } },
      ),
    )
    const rows = steps.map(({ state, event, nextState }) =>
      [
        `${state.value} ${state.context.remaining}`,
        event.type,
        `${nextState.value} ${nextState.context.remaining}`,
      ].join(' | '),
    )
    const ends = (state: string) => events.map(({ type }) => `${state} | ${type} | ${state}`)
    expect(rows.toSorted()).toEqual(
      [
        'waiting 3 | begin | waiting 3',
        'waiting 3 | member_ended | waiting 2',
        'waiting 3 | cancel | cancelled 3',
        'waiting 3 | fault | faulted 3',
        'waiting 3 | acknowledge | waiting 3',
        'waiting 2 | begin | waiting 2',
        'waiting 2 | member_ended | waiting 1',
        'waiting 2 | cancel | cancelled 2',
        'waiting 2 | fault | faulted 2',
        'waiting 2 | acknowledge | waiting 2',
        'waiting 1 | begin | waiting 1',
        'waiting 1 | member_ended | satisfied 0',
        'waiting 1 | cancel | cancelled 1',
        'waiting 1 | fault | faulted 1',
        'waiting 1 | acknowledge | waiting 1',
        'satisfied 0 | begin | satisfied 0',
        'satisfied 0 | member_ended | satisfied 0',
        'satisfied 0 | cancel | satisfied 0',
        'satisfied 0 | fault | satisfied 0',
        'satisfied 0 | acknowledge | acknowledged 0',
        ...['cancelled 3', 'cancelled 2', 'cancelled 1'].flatMap(ends),
        ...['faulted 3', 'faulted 2', 'faulted 1', 'acknowledged 0'].flatMap(ends),
      ].toSorted(),
    )
  })

  it('[O-96] emits its obligation exactly once, when the last member ends, and never before', () => {
    const { actor, obligations } = start(2)
    actor.send({ type: 'member_ended' })
    expect(obligations).toEqual([])
    actor.send({ type: 'member_ended' })
    actor.send({ type: 'member_ended' })
    expect(obligations).toEqual([{ waitRequestId: 'request', turnId: 'run', operationIds: ['a', 'b', 'c'] }])
  })

  it('is satisfied from the start when no member is live', () => {
    const { actor, obligations } = start(0)
    expect(actor.getSnapshot().value).toBe('satisfied')
    expect(obligations).toHaveLength(1)
  })

  it('is done only when the obligation has been acknowledged', () => {
    const { actor } = start(1)
    actor.send({ type: 'member_ended' })
    expect(actor.getSnapshot().status).toBe('active')
    actor.send({ type: 'acknowledge' })
    expect(actor.getSnapshot()).toMatchObject({ status: 'done', value: 'acknowledged' })
  })

  it.each([{ type: 'cancel' }, { type: 'fault', cause: 'corrupt' }] as const)('owes nothing after %o', (event) => {
    const { actor, obligations } = start(1)
    actor.send(event)
    expect(actor.getSnapshot().status).toBe('done')
    expect(obligations).toEqual([])
  })

  it('remembers why it broke', () => {
    const { actor } = start(1)
    actor.send({ type: 'fault', cause: 'active wait without turn id' })
    expect(actor.getSnapshot().context.fault).toBe('active wait without turn id')
  })

  it('shares the member list instead of copying it per member', () => {
    const { actor } = start(3)
    actor.send({ type: 'member_ended' })
    expect(actor.getSnapshot().context.operationIds).toBe(operationIds)
  })
})
