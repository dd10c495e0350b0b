import { deepFreeze } from '../../base/freeze.js'
import type { NodeAction } from '../action.js'
import { isFrozen, type NodeVersion } from '../state.js'
import { reconcileDaemons } from './daemons.js'
import { reconcileForcedEvictions, reconcileForcedPlacements } from './forced.js'
import { reconcileLocality } from './locality.js'
import { reconcileMaintenance } from './maintenance.js'
import { beginPass } from './pass.js'
import { reconcileReplicas } from './replicas.js'
import { reconcilePlacement, type Scoring } from './scheduler.js'

/**
 * Computes the actions that bring the actual state to the desired one: seven arms, always in this order. None while the
 * cluster is frozen.
 *
 * Pure: the same version and the same answers of the scorer give the same list. The actions that the queue accepted are
 * folded as `reconciled`; the next pass asks again for those it dropped.
 */
export function reconcile(version: NodeVersion, scoring?: Scoring): readonly NodeAction[] {
  if (isFrozen(version)) return []
  const pass = beginPass(version)
  reconcileDaemons(pass)
  reconcileForcedEvictions(pass)
  reconcileForcedPlacements(pass)
  reconcileReplicas(pass)
  reconcileLocality(pass)
  reconcileMaintenance(pass)
  reconcilePlacement(pass, scoring)
  return deepFreeze(pass.actions)
}
