import type { IceProposal } from '../admin-event.js'
import type { NodeId } from '../ids.js'

/** What rests after a commit of the second tier: one node, or what concerns the cluster as a whole. Neither stops the other. */
export type CooldownTarget = NodeId | 'cluster'

/** How long a target rests. */
export interface Cooldown {
  readonly target: CooldownTarget
  /** Epoch milliseconds; from then on it rests no more. */
  readonly expiresAtMs: number
}

/** What a proposal makes rest, and what must not rest for it. A thaw waits for nothing: a freeze must not block its own end. */
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
