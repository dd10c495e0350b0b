import * as v from 'valibot'
import { maintenanceChart, type MaintenancePlace } from '../../machines/maintenance.js'
import { strictSchema } from '../base/options.js'
import { monotonicSchema, textSchema } from './scalars.js'
import type { MaintenanceStatus, MonotonicMs } from './vocabulary.js'

/** Where this node stands in its maintenance, since when, and until when. */
export type MaintenanceState =
  | { readonly status: 'active' }
  | {
      readonly status: 'entering_maintenance'
      readonly since: MonotonicMs
      /** Drained until then, or the drain has failed. */
      readonly deadline: MonotonicMs
      /** Of a drain: once drained, the node goes back to work by itself. */
      readonly isDrain?: true
    }
  | { readonly status: 'maintenance'; readonly since: MonotonicMs; readonly isDrain?: true }
  | { readonly status: 'exiting_maintenance' | 'recovery'; readonly since: MonotonicMs }
  | { readonly status: 'drain_failed'; readonly since: MonotonicMs; readonly reason: string }

/** What a node should become next; the commit of it comes back as `maintenance_transition_observed`. */
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

/** What a place in the chart says. */
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

/** Where a node stands once it has become so; a drain is not known to last any longer. */
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

/** Where an observed transition leads; `undefined` when it is no successor of where the node stands. */
export function observed(
  place: MaintenancePlace,
  { status, ...state }: MaintenanceState,
): MaintenancePlace | undefined {
  return maintenanceChart.move(place, { type: `observe_${status}`, state })
}

/** Where an earlier life had left the node; `undefined` when this one has gone on already. */
export function restored(
  place: MaintenancePlace,
  { status, ...state }: MaintenanceState,
): MaintenancePlace | undefined {
  if (status === 'active') return place
  return maintenanceChart.move(place, { type: `restore_${status}`, state })
}

/** Whether what runs on the node is to leave it: nothing new is taken, and what is there is stopped or moved. */
export function isDraining(status: MaintenanceStatus | undefined): boolean {
  return status !== undefined && maintenanceChart.hasTag(status, 'draining')
}
