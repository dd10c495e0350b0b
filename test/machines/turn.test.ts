import { describe, expect, it } from 'vitest'
import { createActor } from 'xstate'
import { adjacencyMapToArray, getAdjacencyMap } from 'xstate/graph'
import type { OperationId, TurnId } from '../../machines/operation-vocabulary.js'
import { turnMachine, type AsyncOperationRef, type TurnEvent } from '../../machines/turn.js'

const turnId = 'run' as TurnId
const staleRunId = 'stale run' as TurnId

const ids = (...names: string[]): OperationId[] => names as OperationId[]
const ref = (name: string, waitPolicy: AsyncOperationRef['waitPolicy']): AsyncOperationRef => ({
  operationId: name as OperationId,
  waitPolicy,
})

const barrierOfTwo = [ref('a', 'barrier'), ref('b', 'barrier'), ref('x', 'detached')]
const detachedOnly = [ref('x', 'detached')]

/** Each under a name, for the current run; the table below uses the names. */
const currentEvents = {
  'register a b': { type: 'register_pending_operations', turnId, refs: barrierOfTwo },
  'register detached': { type: 'register_pending_operations', turnId, refs: detachedOnly },
  'satisfied a b': { type: 'operations_barrier_satisfied', turnId, operationIds: ids('a', 'b') },
  'satisfied b a': { type: 'operations_barrier_satisfied', turnId, operationIds: ids('b', 'a') },
  'satisfied a': { type: 'operations_barrier_satisfied', turnId, operationIds: ids('a') },
  'satisfied a b c': { type: 'operations_barrier_satisfied', turnId, operationIds: ids('a', 'b', 'c') },
  'satisfied a c': { type: 'operations_barrier_satisfied', turnId, operationIds: ids('a', 'c') },
  'satisfied a a': { type: 'operations_barrier_satisfied', turnId, operationIds: ids('a', 'a') },
  'satisfied nothing': { type: 'operations_barrier_satisfied', turnId, operationIds: [] },
  resolved: { type: 'tool_calls_resolved', turnId },
  drained: { type: 'boundary_drained', turnId },
  finish: { type: 'finish', turnId },
  fail: { type: 'fail', turnId, reason: 'no registry' },
} as const satisfies Record<string, TurnEvent>

type EventName = keyof typeof currentEvents

const names = Object.keys(currentEvents) as EventName[]

/** What a turn owes, by state: `calling_llm`, `waiting_for_operations` with its barrier, and so on. */
const stateName = ({ value, context }: { value: string; context: { barrierIds: readonly string[] } }) =>
  value === 'waiting_for_operations' ? `waiting [${context.barrierIds.join(' ')}]` : value

/** O-103, O-105; a missing cell leaves the turn as it is. */
const table: Record<string, Partial<Record<EventName, string>>> = {
  calling_llm: {
    'register a b': 'waiting [a b]',
    'register detached': 'waiting []',
    finish: 'finished',
    fail: 'failed',
  },
  'waiting [a b]': {
    'register a b': 'waiting [a b]',
    'register detached': 'waiting []',
    'satisfied a b': 'waiting []',
    'satisfied b a': 'waiting []',
    fail: 'failed',
  },
  'waiting []': {
    'register a b': 'waiting [a b]',
    'register detached': 'waiting []',
    'satisfied nothing': 'waiting []',
    resolved: 'draining_boundary',
    fail: 'failed',
  },
  draining_boundary: { drained: 'calling_llm', fail: 'failed' },
  finished: {},
  failed: {},
}

const steps = adjacencyMapToArray(
  getAdjacencyMap(turnMachine, {
    input: { turnId },
    events: names.flatMap((name): TurnEvent[] => [currentEvents[name], { ...currentEvents[name], turnId: staleRunId }]),
  }),
)

describe('the turn', () => {
  it('reaches every state of the table', () => {
    expect(new Set(steps.map(({ state }) => stateName(state)))).toEqual(new Set(Object.keys(table)))
  })

  it('does in every reachable state with every event of the current run what the table says', () => {
    for (const { state, event, nextState } of steps) {
      const name = names.find((candidate) => currentEvents[candidate] === event)
      if (name === undefined) continue
      const target = table[stateName(state)]?.[name]
      expect(state.can(event), `${stateName(state)} -> ${name}`).toBe(target !== undefined)
      expect(stateName(nextState), `${stateName(state)} -> ${name}`).toBe(target ?? stateName(state))
    }
  })

  it('refuses every event of another run in every state', () => {
    const stale = steps.filter(({ event }) => event.turnId === staleRunId)
    expect(stale.length).toBeGreaterThan(60)
    for (const { state, event, nextState } of stale) {
      expect(state.can(event)).toBe(false)
      expect(nextState.toJSON()).toEqual(state.toJSON())
    }
  })

  it('[O-104] keeps the typed detached and barrier refs it registered, and drops them with the barrier', () => {
    const actor = createActor(turnMachine, { input: { turnId } }).start()
    actor.send(currentEvents['register a b'])
    expect(actor.getSnapshot().context).toMatchObject({
      pendingOperations: [
        { operationId: 'a', waitPolicy: 'barrier' },
        { operationId: 'b', waitPolicy: 'barrier' },
        { operationId: 'x', waitPolicy: 'detached' },
      ],
      barrierIds: ['a', 'b'],
    })
    actor.send(currentEvents['satisfied b a'])
    expect(actor.getSnapshot().context).toMatchObject({ pendingOperations: [], barrierIds: [] })
  })

  it('[O-105] refuses to resolve its tool calls while barrier members are outstanding', () => {
    const actor = createActor(turnMachine, { input: { turnId } }).start()
    actor.send(currentEvents['register a b'])
    actor.send(currentEvents.resolved)
    expect(actor.getSnapshot().value).toBe('waiting_for_operations')
    actor.send(currentEvents['satisfied a b'])
    actor.send(currentEvents.resolved)
    expect(actor.getSnapshot().value).toBe('draining_boundary')
    actor.send(currentEvents.drained)
    expect(actor.getSnapshot().value).toBe('calling_llm')
  })

  it('takes barrier members as a set, so that a ref named twice can still be satisfied', () => {
    const actor = createActor(turnMachine, { input: { turnId } }).start()
    const refs = [ref('a', 'barrier'), ref('a', 'barrier')]
    actor.send({ type: 'register_pending_operations', turnId, refs })
    actor.send(currentEvents['satisfied a'])
    expect(actor.getSnapshot().context.barrierIds).toEqual([])
  })

  it('ends failed with the reason, from anywhere before its end', () => {
    const actor = createActor(turnMachine, { input: { turnId } }).start()
    actor.send(currentEvents['register a b'])
    actor.send(currentEvents.fail)
    expect(actor.getSnapshot()).toMatchObject({ status: 'done', value: 'failed', context: { failure: 'no registry' } })
  })
})
