import { isWantedHere, lifecycleOf } from '../daemon-row.js'
import { maintenanceOf, type MaintenanceTransition } from '../maintenance.js'
import { msSince } from '../scalars.js'
import type { Pass } from './pass.js'

/** Sixth arm: the next step of this node's own maintenance, requested until it is observed (N-53, N-54). */
export function reconcileMaintenance(pass: Pass): void {
  const target = nextStep(pass)
  if (target === undefined) return
  pass.actions.push({ type: 'commit_maintenance_transition', node: pass.thisNode, target })
}

function nextStep(pass: Pass): MaintenanceTransition | undefined {
  const { maintenance, now, configuration } = pass.version
  const state = maintenanceOf(maintenance)
  switch (state.status) {
    case 'entering_maintenance':
      if (isDrained(pass)) return { status: 'maintenance' }
      if (now < state.deadline) return undefined
      return { status: 'drain_failed', reason: `drain deadline elapsed after ${msSince(state.since, now)} ms` }
    case 'maintenance':
      return state.isDrain === true ? { status: 'exiting_maintenance' } : undefined
    case 'exiting_maintenance':
      return isAtWork(pass) ? { status: 'recovery' } : undefined
    case 'recovery':
      return msSince(state.since, now) >= configuration.maintenance.recoveryRampMs ? { status: 'active' } : undefined
    case 'active':
    case 'drain_failed':
      return undefined
  }
}

/** No copy is held here, no daemon runs, and every participant is idle. */
function isDrained({ version }: Pass): boolean {
  if (version.heldHere > 0) return false
  for (const isIdle of version.participants.values()) if (!isIdle) return false
  for (const row of version.daemons.values()) if (lifecycleOf(row) !== 'stopped') return false
  return true
}

/** Every daemon that should run here does, and reports no problem. */
function isAtWork({ version, thisNode }: Pass): boolean {
  for (const row of version.daemons.values()) {
    if (!isWantedHere(row, thisNode)) continue
    const { status } = row.health ?? { status: 'healthy' }
    if (lifecycleOf(row) !== 'running' || status !== 'healthy') return false
  }
  return true
}
