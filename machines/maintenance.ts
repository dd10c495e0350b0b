import { assign, setup } from 'xstate'
import { ChartTable, type Place } from './chart-table.js'
import type { MaintenanceStatus, MonotonicMs } from './node-vocabulary.js'

/** The context of the maintenance chart; empty while active. */
export interface MaintenanceContext {
  readonly since: MonotonicMs | undefined
  /** The deadline of the current drain. */
  readonly deadline: MonotonicMs | undefined
  /** Why the drain has failed. */
  readonly reason: string | undefined
  /** Whether the node goes back to work by itself once it is drained. */
  readonly isDrain: boolean
}

/** What is known about a state that was observed or is being restored. */
export interface ObservedMaintenance {
  readonly since?: MonotonicMs
  readonly deadline?: MonotonicMs
  readonly reason?: string
  readonly isDrain?: boolean
}

/** What can happen to the maintenance of a node. */
export type MaintenanceMove =
  | { readonly type: 'enter'; readonly at: MonotonicMs; readonly deadline: MonotonicMs; readonly isDrain: boolean }
  | { readonly type: 'exit'; readonly at: MonotonicMs }
  | { readonly type: `observe_${MaintenanceStatus}`; readonly state: ObservedMaintenance }
  | { readonly type: `restore_${Exclude<MaintenanceStatus, 'active'>}`; readonly state: ObservedMaintenance }

/** The context while active. */
const atWork: MaintenanceContext = Object.freeze({
  since: undefined,
  deadline: undefined,
  reason: undefined,
  isDrain: false,
})

/**
 * Takes a node out of service and back (N-40).
 *
 * Operators enter and exit. All other changes are observed: they were committed before and come back as observations.
 * An observation that is no successor of the current state is refused, so late and repeated observations have no
 * effect.
 */
export const maintenanceMachine = setup({
  types: { context: {} as MaintenanceContext, events: {} as MaintenanceMove },
  actions: {
    beginDrain: assign(({ event }) =>
      event.type === 'enter'
        ? { since: event.at, deadline: event.deadline, reason: undefined, isDrain: event.isDrain }
        : {},
    ),
    beginExit: assign(({ event }) => (event.type === 'exit' ? { ...atWork, since: event.at } : {})),
    /** The observation replaces what was known; `isDrain` is kept unless the observation contains it. */
    observe: assign(({ context, event }) =>
      'state' in event ? { ...atWork, ...event.state, isDrain: event.state.isDrain ?? context.isDrain } : {},
    ),
    observeEnd: assign(({ event }) => ('state' in event ? { ...atWork, ...event.state, isDrain: false } : {})),
    forget: assign(() => atWork),
  },
}).createMachine({
  id: 'maintenance',
  description: 'How a node is taken out of service and put back.',
  context: atWork,
  initial: 'active',
  on: { enter: { target: '.entering_maintenance', actions: 'beginDrain' } },
  states: {
    active: {
      description: 'In service. Maintenance that an earlier process left unfinished resumes from here.',
      on: {
        observe_active: { actions: 'forget' },
        observe_entering_maintenance: { target: 'entering_maintenance', actions: 'observe' },
        restore_entering_maintenance: { target: 'entering_maintenance', actions: 'observe' },
        restore_maintenance: { target: 'maintenance', actions: 'observe' },
        restore_exiting_maintenance: { target: 'exiting_maintenance', actions: 'observe' },
        restore_drain_failed: { target: 'drain_failed', actions: 'observe' },
        restore_recovery: { target: 'recovery', actions: 'observe' },
      },
    },
    entering_maintenance: {
      description: 'Accepts nothing new. What is running is stopped or moved elsewhere.',
      tags: 'draining',
      on: {
        observe_entering_maintenance: { actions: 'observe' },
        observe_maintenance: { target: 'maintenance', actions: 'observe' },
        observe_drain_failed: { target: 'drain_failed', actions: 'observeEnd' },
      },
    },
    maintenance: {
      description: 'Drained. A drain continues by itself; otherwise an operator ends maintenance.',
      tags: 'draining',
      on: {
        exit: { target: 'exiting_maintenance', actions: 'beginExit' },
        observe_maintenance: { actions: 'observe' },
        observe_exiting_maintenance: { target: 'exiting_maintenance', actions: 'observeEnd' },
        observe_drain_failed: { target: 'drain_failed', actions: 'observeEnd' },
      },
    },
    drain_failed: {
      description: 'The deadline passed with work left over. An operator ends maintenance or starts it again.',
      tags: 'draining',
      on: {
        exit: { target: 'exiting_maintenance', actions: 'beginExit' },
        observe_drain_failed: { actions: 'observe' },
        observe_exiting_maintenance: { target: 'exiting_maintenance', actions: 'observeEnd' },
      },
    },
    exiting_maintenance: {
      description: 'Daemons start again.',
      on: {
        observe_exiting_maintenance: { actions: 'observe' },
        observe_recovery: { target: 'recovery', actions: 'observeEnd' },
      },
    },
    recovery: {
      description: 'Back in service and under observation for a while.',
      on: {
        observe_recovery: { actions: 'observe' },
        observe_active: { target: 'active', actions: 'forget' },
      },
    },
  },
})

/** The chart for the maintenance of a node stored as a row. */
export const maintenanceChart = new ChartTable(maintenanceMachine)

/** The state of a node's maintenance, and the context of its chart. */
export type MaintenancePlace = Place<typeof maintenanceMachine>

/** In service from the beginning. */
export const initialMaintenance: MaintenancePlace = Object.freeze({ value: 'active', context: atWork })
