import { describe, expect, it } from 'vitest'
import { createActor } from 'xstate'
import { adjacencyMapToArray, getAdjacencyMap, getShortestPaths } from 'xstate/graph'
import { ChartTable } from '../../machines/chart-table.js'
import { operationMachine, type OperationEvent } from '../../machines/operation.js'
import {
  isTerminal,
  liveStatuses,
  operationActions,
  operationKinds,
  terminalStatuses,
  terminalStatusOf,
  type OperationId,
  type OperationKind,
  type OperationOutcome,
  type OperationStatus,
  type TerminalAction,
} from '../../machines/operation-vocabulary.js'
// Written out there cell by cell, from what was promised: the chart is no part of it.
import { transitions } from '../../src/testing/operations/tables.js'

const id = '01890000-0000-7000-8000-000000000001' as OperationId

const statuses = Object.keys(transitions) as OperationStatus[]

const outcomes: readonly OperationOutcome[] = [
  { type: 'completed', result: { id, content: 'done', isError: false, durationMs: 5, tokensUsed: 7 } },
  { type: 'failed', error: 'broken' },
  { type: 'aborted', reason: null },
  { type: 'cancelled', reason: 'not needed' },
  { type: 'retired' },
  { type: 'terminated', reason: 'owner left' },
]

const liveEvents: readonly OperationEvent[] = [
  { type: 'start' },
  { type: 'progress_reported' },
  { type: 'peer_ready' },
  { type: 'retire_requested' },
]

const terminalActions = Object.keys(terminalStatusOf) as TerminalAction[]

/** Every action, every terminal one with every outcome and with none at all. */
const everyEvent: readonly OperationEvent[] = [
  ...liveEvents,
  ...terminalActions.flatMap((type) => outcomes.map((outcome) => ({ type, outcome }))),
  ...terminalActions.map((type) => ({ type }) as OperationEvent),
]

/** Reachable states told apart by status, peer flag, outcome and up to two reports. */
function reachable(kind: OperationKind) {
  const options = {
    input: { id, kind, displayName: 'fetch docs' },
    events: everyEvent,
    serializeState: (snapshot: { value: unknown; context: unknown }) =>
      JSON.stringify([snapshot.value, snapshot.context]),
  }
  const steps = adjacencyMapToArray(
    getAdjacencyMap(operationMachine, {
      ...options,
      filterEvents: ({ context }, { type }) => type !== 'progress_reported' || context.progressCount < 2,
    }),
  )
  return { options, steps }
}

/** The outcome an event may carry at most once its action is legal. */
function outcomeOf(event: OperationEvent): OperationOutcome | undefined {
  return 'outcome' in event ? event.outcome : undefined
}

describe.each(operationKinds)('the chart of a %s', (kind) => {
  const { options, steps } = reachable(kind)

  it('reaches every status of the table', () => {
    const paths = getShortestPaths(operationMachine, {
      ...options,
      stopWhen: ({ context }) => context.progressCount > 0,
    })
    expect(new Set(paths.map(({ state }) => state.value))).toEqual(new Set(statuses))
  })

  it('does in every reachable state with every event what the table says', () => {
    expect(steps.length).toBeGreaterThan(400)
    for (const { state, event, nextState } of steps) {
      const target = transitions[state.value][event.type]
      const isPeerEvent = event.type === 'peer_ready'
      const peerIsAwaited = kind === 'mob_member_child' && !state.context.peerReady
      const isTerminalEvent = event.type in terminalStatusOf
      const accepted =
        target !== undefined &&
        (!isPeerEvent || peerIsAwaited) &&
        (!isTerminalEvent || outcomeOf(event)?.type === target)
      expect(state.can(event), `${state.value} -> ${JSON.stringify(event)}`).toBe(accepted)
      expect(nextState.value).toBe(accepted ? target : state.value)
      const changes = {
        ...(isPeerEvent && { peerReady: true }),
        ...(event.type === 'progress_reported' && { progressCount: state.context.progressCount + 1 }),
        ...(isTerminalEvent && { outcome: outcomeOf(event) }),
      }
      expect(nextState.context).toEqual(accepted ? { ...state.context, ...changes } : state.context)
    }
  })

  it('is done exactly in the terminal statuses, with the outcome as its output', () => {
    for (const { nextState } of steps) {
      const isOver = (terminalStatuses as readonly string[]).includes(nextState.value)
      expect(nextState.status).toBe(isOver ? 'done' : 'active')
      expect(nextState.context.outcome?.type).toBe(isOver ? nextState.value : undefined)
      expect(nextState.output).toEqual(nextState.context.outcome)
    }
  })

  it('[O-28] is peer-ready only when it is a member child', () => {
    const ready = steps.filter(({ nextState }) => nextState.context.peerReady)
    expect(ready.length > 0).toBe(kind === 'mob_member_child')
  })
})

describe('the table of the chart', () => {
  const chart = new ChartTable(operationMachine)

  it.each(statuses)('allows in %s what the row of the table allows', (status) => {
    const allowed = operationActions.filter((action) => chart.isPossible(status, action))
    expect(new Set(allowed)).toEqual(new Set(Object.keys(transitions[status])))
  })

  it('refuses everything in what is no status', () => {
    const absent = 'absent' as OperationStatus
    expect(operationActions.filter((action) => chart.isPossible(absent, action))).toEqual([])
    const context = { id, kind: 'mob_member_child', displayName: '', peerReady: false, progressCount: 0 } as const
    const place = { value: absent, context: { ...context, outcome: undefined } }
    expect(chart.select(place, { type: 'start' })).toMatchObject({ isTaken: false, guard: undefined })
  })

  const peerFacts = operationKinds.flatMap((kind) => [false, true].map((peerReady) => ({ kind, peerReady })))

  it.each(peerFacts)('names a refusal in the order of O-23: $kind, peer $peerReady', (facts) => {
    for (const value of statuses) {
      const context = { id, displayName: '', progressCount: 0, outcome: undefined, ...facts }
      for (const event of everyEvent) {
        const { type } = event
        const isInTable = type in transitions[value]
        const isOwn = !(type in terminalStatusOf) || outcomeOf(event)?.type === transitions[value][type]
        const peerRefusal =
          facts.kind === 'mob_member_child' ? (facts.peerReady ? 'hasNoPeer' : undefined) : 'expectsPeer'
        const expected =
          type === 'peer_ready'
            ? (peerRefusal ?? (isInTable ? undefined : 'isAtWork'))
            : isInTable && !isOwn
              ? 'outcomeIs'
              : undefined
        const { isTaken, guard } = chart.select({ value, context }, event)
        expect({ value, event, guard, isTaken }).toEqual({
          value,
          event,
          guard: expected,
          isTaken: isInTable && expected === undefined,
        })
      }
    }
  })
})

describe('the vocabulary', () => {
  it('divides the statuses of the table into live and terminal ones', () => {
    expect([...liveStatuses, ...terminalStatuses]).toEqual(statuses)
    expect(statuses.filter(isTerminal)).toEqual([
      'completed',
      'failed',
      'aborted',
      'cancelled',
      'retired',
      'terminated',
    ])
  })
})

describe('an operation as an actor', () => {
  it('[O-19] may retire straight from running', () => {
    const actor = createActor(operationMachine, { input: { id, kind: 'background_tool_op', displayName: 'build' } })
    actor.start()
    actor.send({ type: 'start' })
    actor.send({ type: 'retire_completed', outcome: { type: 'retired' } })
    expect(actor.getSnapshot()).toMatchObject({ value: 'retired', status: 'done', output: { type: 'retired' } })
  })

  it('[O-20] refuses a completion that carries a retired payload, then takes the right one', () => {
    const actor = createActor(operationMachine, { input: { id, kind: 'background_tool_op', displayName: 'build' } })
    actor.start()
    actor.send({ type: 'start' })
    actor.send({ type: 'complete', outcome: { type: 'retired' } })
    expect(actor.getSnapshot().value).toBe('running')
    const [completed] = outcomes
    actor.send({ type: 'complete', outcome: completed as OperationOutcome })
    expect(actor.getSnapshot()).toMatchObject({ value: 'completed', output: { result: { content: 'done' } } })
  })

  it('comes back from its persisted snapshot in the state it was in', () => {
    const input = { id, kind: 'mob_member_child', displayName: 'scout' } as const
    const before = createActor(operationMachine, { input }).start()
    for (const event of [{ type: 'start' }, { type: 'peer_ready' }, { type: 'retire_requested' }] as const) {
      before.send(event)
    }
    const text = JSON.stringify(before.getPersistedSnapshot())
    const after = createActor(operationMachine, { input, snapshot: JSON.parse(text) }).start()
    expect(after.getSnapshot()).toMatchObject({
      value: 'retiring',
      context: { peerReady: true, kind: 'mob_member_child' },
    })
    after.send({ type: 'retire_completed', outcome: { type: 'retired' } })
    expect(after.getSnapshot().value).toBe('retired')
  })
})
