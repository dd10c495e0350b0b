import type { MaintenancePlace } from '../../machines/maintenance.js'
import type { NodeEffect } from './effect.js'
import type { NodeId } from './ids.js'
import { maintenanceOf, observed, restored, type MaintenanceState } from './maintenance.js'
import type { NodeState } from './state.js'

const nothing: readonly NodeEffect[] = Object.freeze([])

/** Folds the committed transition of a node. For this node it counts only if it is a successor of the current state. */
export function foldObserved(state: NodeState, node: NodeId, seen: MaintenanceState): readonly NodeEffect[] {
  if (node !== state.configuration.thisNode) {
    state.changePeer(node, { maintenance: seen.status })
    return nothing
  }
  const next = observed(state.maintenance, seen)
  if (next !== undefined) return moveMaintenance(state, next)
  return [{ type: 'observation_refused', from: state.maintenance.value, to: seen.status }]
}

/** Folds the maintenance state that an earlier life of this node left. */
export function foldRestored(state: NodeState, left: MaintenanceState): readonly NodeEffect[] {
  const next = restored(state.maintenance, left)
  return next === undefined ? nothing : moveMaintenance(state, next)
}

/** Moves this node's maintenance; the node's own peer row shows the new state, and its daemons are told of a drain. */
export function moveMaintenance(state: NodeState, next: MaintenancePlace): readonly NodeEffect[] {
  const from = state.maintenance.value
  state.maintenance = next
  state.changePeer(state.configuration.thisNode, { maintenance: next.value })
  if (from === next.value) return nothing
  const to = maintenanceOf(next)
  if (to.status === 'entering_maintenance') {
    return [{ type: 'control', event: { type: 'drain_start', deadline: to.deadline } }]
  }
  const isOver = from === 'entering_maintenance' && (to.status === 'maintenance' || to.status === 'drain_failed')
  return isOver ? [{ type: 'control', event: { type: 'drain_finish' } }] : nothing
}
