import { describe, expect, it } from 'vitest'
import { adjacencyMapToArray, getAdjacencyMap } from 'xstate/graph'
import { endAuthorities, processStatuses, recoveryDispositions } from '../../machines/process-vocabulary.js'
import {
  processChart,
  processMachine,
  type ProcessContext,
  type ProcessMove,
  type ProcessPlace,
} from '../../machines/process.js'

/** Places of every kind: where a process can stand, and what it can remember there. */
function* places(): Iterable<ProcessPlace> {
  for (const disposition of recoveryDispositions) {
    for (const lifecycle of ['active', 'waiting', ...processStatuses.slice(1)] as const) {
      for (const attempt of [0, 1, 2]) {
        for (const maxAttempts of [undefined, 2]) {
          for (const has of [false, true]) {
            const isRunning = lifecycle === 'active' || lifecycle === 'waiting'
            const value = {
              lifecycle: isRunning ? { running: lifecycle } : lifecycle,
              execution: attempt === 0 ? 'unstarted' : 'started',
            } as ProcessPlace['value']
            const start = attempt === 0 ? undefined : { fencingToken: 5, attempt }
            const context: ProcessContext = {
              disposition,
              maxAttempts,
              start,
              hasExternalRef: has,
              hasAbandonRequest: has,
            }
            yield { value, context }
          }
        }
      }
    }
  }
}

const moves: readonly ProcessMove[] = [
  { type: 'append' },
  { type: 'signal' },
  { type: 'wait' },
  { type: 'resume' },
  { type: 'set_external_ref' },
  { type: 'request_abandon' },
  { type: 'record_step' },
  { type: 'adopt' },
  { type: 'give_up' },
  { type: 'start', fencingToken: 5 },
  { type: 'start', fencingToken: 6 },
  ...(['complete', 'fail', 'cancel', 'abandon'] as const).flatMap((type) =>
    endAuthorities.map((authority) => ({ type, authority })),
  ),
]

/** Who may end what (P-30, P-31), written down independently of the chart. */
const mayEnd: Readonly<Record<string, readonly string[]>> = {
  rerunnable: ['lease', 'producer', 'workflow_key'],
  owner_bound: ['lease', 'producer', 'workflow_key'],
  externally_owned: ['producer', 'external_owner'],
}

/** P-20 read as a table: whether a move is legal. */
function isLegal({ value, context }: ProcessPlace, move: ProcessMove): boolean {
  const isRunning = typeof value.lifecycle === 'object'
  const { disposition, start, maxAttempts } = context
  const isUsedUp = maxAttempts !== undefined && (start?.attempt ?? 0) >= maxAttempts
  switch (move.type) {
    case 'append':
      return true
    case 'signal':
    case 'wait':
      return isRunning
    case 'resume':
      return typeof value.lifecycle === 'object' && value.lifecycle.running === 'waiting'
    case 'set_external_ref':
      return !context.hasExternalRef
    case 'request_abandon':
      return isRunning && !context.hasAbandonRequest
    case 'record_step':
      return isRunning && disposition === 'rerunnable'
    case 'adopt':
      return isRunning && disposition === 'owner_bound'
    case 'give_up':
      return isRunning && disposition === 'rerunnable' && isUsedUp
    case 'start':
      if (!isRunning) return false
      return start === undefined || (disposition === 'rerunnable' && move.fencingToken > 5 && !isUsedUp)
    default: {
      if (!isRunning) return false
      if (mayEnd[disposition]?.includes(move.authority) === true) return true
      const isGivenUp = move.type === 'abandon' && disposition === 'externally_owned'
      return isGivenUp && ['lease', 'reconciled_abandon'].includes(move.authority)
    }
  }
}

describe('the chart of a process', () => {
  it('allows what the page says, in every place and for every move (P-20)', () => {
    let legal = 0
    for (const place of places()) {
      for (const move of moves) {
        const { isTaken } = processChart.select(place, move)
        expect({ place, move, isTaken }).toEqual({ place, move, isTaken: isLegal(place, move) })
        if (isTaken) legal += 1
      }
    }
    expect(legal).toBeGreaterThan(1000)
  })

  it.each([
    ['complete', 'completed'],
    ['fail', 'failed'],
    ['cancel', 'cancelled'],
    ['abandon', 'abandoned'],
  ] as const)('ends by %s as %s for good, whatever it waited for', (type, status) => {
    for (const running of ['active', 'waiting'] as const) {
      const place = placeAt({ running })
      const end = processChart.move(place, { type, authority: 'lease' })
      expect(end?.value).toEqual({ lifecycle: status, execution: 'unstarted' })
    }
    const over = placeAt(status)
    const left = moves.map((move) => processChart.move(over, move)).filter((next) => next !== undefined)
    expect(left.map(({ value }) => value.lifecycle)).toEqual([status, status])
  })

  it('counts starts by higher fences, and remembers the last', () => {
    const first = processChart.move(placeAt({ running: 'active' }), { type: 'start', fencingToken: 3 })
    expect(first?.value.execution).toBe('started')
    expect(first?.context.start).toEqual({ fencingToken: 3, attempt: 1 })
    const second = first && processChart.move(first, { type: 'start', fencingToken: 4 })
    expect(second?.context.start).toEqual({ fencingToken: 4, attempt: 2 })
    expect(second && processChart.select(second, { type: 'start', fencingToken: 4 }).guard).toBe('isHigherFence')
  })

  it('is a chart that XState walks as the table does', () => {
    const events = moves.filter(({ type }) => type !== 'start')
    const map = getAdjacencyMap(processMachine, {
      input: { disposition: 'externally_owned' },
      events: [...events, { type: 'start', fencingToken: 1 }],
    })
    const steps = adjacencyMapToArray(map)
    expect(steps.length).toBeGreaterThan(100)
    for (const { state, event, nextState } of steps) {
      const place = { value: state.value, context: state.context } as ProcessPlace
      const { isTaken } = processChart.select(place, event)
      expect({ place, event, isTaken }).toEqual({ place, event, isTaken: isLegal(place, event) })
      const next = processChart.move(place, event)
      if (next !== undefined) expect(next).toEqual({ value: nextState.value, context: nextState.context })
    }
  })
})

function placeAt(lifecycle: ProcessPlace['value']['lifecycle']): ProcessPlace {
  return {
    value: { lifecycle, execution: 'unstarted' },
    context: {
      disposition: 'rerunnable',
      maxAttempts: undefined,
      start: undefined,
      hasExternalRef: false,
      hasAbandonRequest: false,
    },
  }
}
