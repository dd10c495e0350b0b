import { freezeGateChart } from '../../machines/freeze-gate.js'
import { maintenanceChart } from '../../machines/maintenance.js'
import type { AdminEvent, AvoidScope } from './admin-event.js'
import { isIce } from './admin-event.js'
import { moved } from './daemon-row.js'
import type { NodeEffect } from './effect.js'
import { countForced, isForcing } from './forced.js'
import { putUngated } from './fold-daemon.js'
import { moveMaintenance } from './fold-maintenance.js'
import type { NodeId } from './ids.js'
import { withRestarts } from './restart.js'
import { isFrozen, runningHere, type NodeState } from './state.js'

const nothing: readonly NodeEffect[] = Object.freeze([])

/**
 * Why an operator's event is refused before verification: a freeze allows only events that break the glass, and forced
 * entries are bounded.
 */
export function refusalOf(state: NodeState, event: AdminEvent): 'freeze_in_effect' | 'queue_full' | undefined {
  if (!isIce(event)) return isFrozen(state) ? 'freeze_in_effect' : undefined
  const isFull = countForced(state.forced) >= state.configuration.forcedEntriesCapacity
  return isForcing(event) && isFull ? 'queue_full' : undefined
}

/** Folds an operator's event. Every node folds it; only the node that it is addressed to acts on it. */
export function foldAdmin(state: NodeState, event: AdminEvent): readonly NodeEffect[] {
  const isHere = 'node' in event && event.node === state.configuration.thisNode
  switch (event.type) {
    case 'enter_maintenance':
      return enter(state, event.node, event.drainForMs, false)
    case 'drain':
      return enter(state, event.node, event.drainForMs, true)
    case 'exit_maintenance':
      return exit(state, event.node)
    case 'cordon':
      return cordon(state, event.node, true)
    case 'uncordon':
      return cordon(state, event.node, false)
    case 'restart_all_daemons':
      if (isHere) state.restarts = withRestarts(state.restarts, runningHere(state))
      return nothing
    case 'invalidate_placement':
      return [{ type: 'invalidate_placement', node: event.node }]
    case 'clear_avoid_list':
      state.avoided.clear()
      return nothing
    case 'drop_replicas':
      if (isHere) {
        for (const chain of event.chains) state.changeChain(chain, (row) => ({ ...row, localIntent: 'drop' }))
      }
      return nothing
    case 'flush_avoid_lists':
      flush(state, event.scope)
      return nothing
    case 'freeze_cluster':
      state.freeze =
        freezeGateChart.move(state.freeze, { type: 'freeze', until: state.now + event.ttlMs }) ?? state.freeze
      return nothing
    case 'thaw_cluster':
      state.freeze = freezeGateChart.move(state.freeze, { type: 'thaw' }) ?? state.freeze
      return nothing
    case 'force_evict_replica': {
      const { chain, victim } = event
      state.forced = { ...state.forced, evictions: [...state.forced.evictions, { chain, victim }] }
      return nothing
    }
    case 'force_cutover': {
      const { chain, target } = event
      state.forced = { ...state.forced, placements: [...state.forced.placements, { chain, target }] }
      return nothing
    }
    case 'force_restart_daemon': {
      const row = state.daemon(event.daemon.id)
      return row === undefined ? nothing : putUngated(state, moved(row, { type: 'force_release' }))
    }
    case 'kill_migration':
      return [{ type: 'kill_migration', migration: event.migration }]
  }
}

function enter(
  state: NodeState,
  node: NodeId,
  drainForMs: number | undefined,
  isDrain: boolean,
): readonly NodeEffect[] {
  const { thisNode, maintenance } = state.configuration
  if (node !== thisNode) {
    state.changePeer(node, { maintenance: 'entering_maintenance' })
    return nothing
  }
  const deadline = state.now + (drainForMs ?? maintenance.defaultDrainMs)
  const next = maintenanceChart.move(state.maintenance, { type: 'enter', at: state.now, deadline, isDrain })
  return next === undefined ? nothing : moveMaintenance(state, next)
}

function exit(state: NodeState, node: NodeId): readonly NodeEffect[] {
  if (node !== state.configuration.thisNode) {
    state.changePeer(node, { maintenance: 'exiting_maintenance' })
    return nothing
  }
  const next = maintenanceChart.move(state.maintenance, { type: 'exit', at: state.now })
  return next === undefined ? nothing : moveMaintenance(state, next)
}

function cordon(state: NodeState, node: NodeId, isCordoned: boolean): readonly NodeEffect[] {
  state.changePeer(node, { isCordoned })
  if (node !== state.configuration.thisNode) return nothing
  state.isCordoned = isCordoned
  if (!isCordoned) {
    for (const row of state.daemons()) if (row.isHeldBack) state.putDaemon({ ...row, isHeldBack: false })
  }
  return nothing
}

function flush(state: NodeState, scope: AvoidScope): void {
  switch (scope.type) {
    case 'local':
      if (scope.node === state.configuration.thisNode) state.avoided.clear()
      return
    case 'on_peer':
      return state.avoided.delete(scope.peer)
    case 'global':
      return state.avoided.clear()
  }
}
