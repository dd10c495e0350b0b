import * as v from 'valibot'
import { maintenanceChart, type MaintenancePlace } from '../../machines/maintenance.js'
import { strictSchema } from '../base/options.js'
import { monotonicSchema, textSchema } from './scalars.js'
import type { MaintenanceStatus, MonotonicMs } from './vocabulary.js'

/** The maintenance state of this node, since when, and until when. */
export type MaintenanceState =
  | { readonly status: 'active' }
  | {
      readonly status: 'entering_maintenance'
      readonly since: MonotonicMs
      /** The drain must be complete by then; otherwise it has failed. */
      readonly deadline: MonotonicMs
      /** Set for a drain: once drained, the node returns to work by itself. */
      readonly isDrain?: true
    }
  | { readonly status: 'maintenance'; readonly since: MonotonicMs; readonly isDrain?: true }
  | { readonly status: 'exiting_maintenance' | 'recovery'; readonly since: MonotonicMs }
  | { readonly status: 'drain_failed'; readonly since: MonotonicMs; readonly reason: string }

/** The next maintenance state of a node. Its commit comes back as `maintenance_transition_observed`. */
export type MaintenanceTransition =
  | { readonly status: Exclude<MaintenanceStatus, 'drain_failed'> }
  | { readonly status: 'drain_failed'; readonly reason: string }

const sinceField = { since: monotonicSchema }
const drainField = { isDrain: v.exactOptional(v.literal(true)) }

/** Accepts a {@link MaintenanceState}. */
export const maintenanceStateSchema: v.GenericSchema<unknown, MaintenanceState> = v.variant('status', [
  strictSchema({ status: v.literal('active') }),
  strictSchema({ status: v.literal('entering_maintenance'), ...sinceField, deadline: monotonicSchema, ...drainField }),
  strictSchema({ status: v.literal('maintenance'), ...sinceField, ...drainField }),
  strictSchema({ status: v.picklist(['exiting_maintenance', 'recovery']), ...sinceField }),
  strictSchema({ status: v.literal('drain_failed'), ...sinceField, reason: textSchema }),
])

/** The maintenance state at a place in the chart. */
export function maintenanceOf({ value, context }: MaintenancePlace): MaintenanceState {
  const { since = 0, deadline = since, reason = '', isDrain } = context
  const drain = isDrain ? ({ isDrain } as const) : {}
  switch (value) {
    case 'active':
      return { status: value }
    case 'entering_maintenance':
      return { status: value, since, deadline, ...drain }
    case 'maintenance':
      return { status: value, since, ...drain }
    case 'drain_failed':
      return { status: value, since, reason }
    case 'exiting_maintenance':
    case 'recovery':
      return { status: value, since }
  }
}

/** The state of a node after a transition; the deadline of a drain is not known here. */
export function stateAfter(target: MaintenanceTransition, at: MonotonicMs): MaintenanceState {
  switch (target.status) {
    case 'active':
      return { status: target.status }
    case 'entering_maintenance':
      return { status: target.status, since: at, deadline: at }
    case 'drain_failed':
      return { status: target.status, since: at, reason: target.reason }
    case 'maintenance':
    case 'exiting_maintenance':
    case 'recovery':
      return { status: target.status, since: at }
  }
}

/** The place that an observed transition leads to; `undefined` if it is not a successor of the current one. */
export function observed(
  place: MaintenancePlace,
  { status, ...state }: MaintenanceState,
): MaintenancePlace | undefined {
  return maintenanceChart.move(place, { type: `observe_${status}`, state })
}

/** The place where an earlier life left the node; `undefined` if this life has moved on already. */
export function restored(
  place: MaintenancePlace,
  { status, ...state }: MaintenanceState,
): MaintenancePlace | undefined {
  if (status === 'active') return place
  return maintenanceChart.move(place, { type: `restore_${status}`, state })
}

/** Whether the node is being emptied: it accepts nothing new, and what is there is stopped or moved. */
export function isDraining(status: MaintenanceStatus | undefined): boolean {
  return status !== undefined && maintenanceChart.hasTag(status, 'draining')
}
