import { runMachine } from '../../../machines/run.js'
import { isTerminalRunState, runStates, statesOf } from '../../tasks/run.js'
import { innermostStates } from '../stream/chart-graph.js'
import type { InspectedState } from '../views/state.js'

/** The number of runs in each innermost state of their chart. O(runs that have not ended). */
export function occupancyOfRuns({ tasks }: Pick<InspectedState, 'tasks'>): Readonly<Record<string, number>> {
  const counts = new Map<string, number>()
  const add = (states: readonly string[], count: number): void => {
    for (const state of states) counts.set(state, (counts.get(state) ?? 0) + count)
  }
  for (const state of runStates) {
    const count = tasks.countIn(state)
    if (count === 0) continue
    if (isTerminalRunState(state)) {
      add(innermostStates(runMachine as never, { lifecycle: state, attempt: 'idle', lease: 'free' }), count)
      continue
    }
    for (const run of tasks.runsIn(state)) add(innermostStates(runMachine as never, statesOf(run)), 1)
  }
  return Object.fromEntries(counts)
}
