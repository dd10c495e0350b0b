import { setup } from 'xstate'
import { ChartTable } from './chart-table.js'

/** How many actions are waiting, and the depths at which the cluster has to slow down and may continue. */
export interface DepthMove {
  readonly type: 'depth'
  readonly depth: number
  readonly threshold: number
  readonly release: number
}

/** Whether the cluster is told to slow down (N-72). Between release and threshold it keeps its state. */
export const clusterBackpressureMachine = setup({
  types: { events: {} as DepthMove },
  guards: {
    reachesThreshold: ({ event: { depth, threshold } }) => depth >= threshold,
    isReleased: ({ event: { depth, release } }) => depth <= release,
  },
}).createMachine({
  id: 'cluster-backpressure',
  description: 'Whether this node asks the cluster to slow down because too many actions are queued.',
  initial: 'steady',
  states: {
    steady: { on: { depth: { guard: 'reachesThreshold', target: 'asserted' } } },
    asserted: { on: { depth: { guard: 'isReleased', target: 'steady' } } },
  },
})

/** The chart for the flag stored as a row. */
export const clusterBackpressureChart = new ChartTable(clusterBackpressureMachine)
