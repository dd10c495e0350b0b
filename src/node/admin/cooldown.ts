import type { IceProposal } from '../admin-event.js'
import type { NodeId } from '../ids.js'

/**
 * What a cooldown applies to after a commit that breaks the glass: one node, or the whole cluster. The two are
 * independent.
 */
export type CooldownTarget = NodeId | 'cluster'

/** How long a target is in its cooldown. */
export interface Cooldown {
  readonly target: CooldownTarget
  /** When it ends, in epoch milliseconds. */
  readonly expiresAtMs: number
}

/**
 * The target whose cooldown a proposal starts, and which must not be in one already. `undefined` for a thaw: a freeze
 * must not block its own end.
 */
export function cooldownTargetOf(proposal: IceProposal): CooldownTarget | undefined {
  switch (proposal.type) {
    case 'thaw_cluster':
      return undefined
    case 'freeze_cluster':
    case 'force_restart_daemon':
    case 'kill_migration':
      return 'cluster'
    case 'force_evict_replica':
      return proposal.victim
    case 'force_cutover':
      return proposal.target
    case 'flush_avoid_lists': {
      const { scope } = proposal
      if (scope.type === 'global') return 'cluster'
      return scope.type === 'local' ? scope.node : scope.peer
    }
  }
}
