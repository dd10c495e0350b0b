import type { NodeAction } from './action.js'
import type { AdminEvent } from './admin-event.js'
import type { DaemonRef } from './daemon.js'
import type { IntentEvent, ObservedEvent } from './event.js'
import type { ForcedEntries } from './forced.js'
import type { DaemonId, NodeId } from './ids.js'
import type { PeerInventory } from './inventory.js'
import type { MaintenanceState } from './maintenance.js'
import type { MonotonicMs } from './vocabulary.js'

/** The combined answers of one tick's inventory probes for a peer. */
export interface InventorySample {
  readonly peer: NodeId
  readonly inventory: PeerInventory
}

/**
 * Everything that the loop folds: `started` first, then the rest in order. Events contain every instant, so that
 * folding a recorded list again yields the same states, actions and snapshots.
 */
export type FoldEvent =
  | ObservedEvent
  | IntentEvent
  /** The first event of a life: `at` is the node's instant until its first tick. */
  | { readonly type: 'started'; readonly at: MonotonicMs }
  /** The maintenance state of an earlier life, in this life's clock; before the first tick. */
  | { readonly type: 'maintenance_restored'; readonly state: MaintenanceState }
  | { readonly type: 'freeze_restored'; readonly until: MonotonicMs }
  | {
      readonly type: 'gate_restored'
      readonly daemon: DaemonRef
      readonly until: MonotonicMs
      readonly isCrashLooping: boolean
    }
  | { readonly type: 'forced_restored'; readonly forced: ForcedEntries }
  /** Restarts that are still pending for daemons that are alive; folded after the adopted daemons. */
  | { readonly type: 'restarts_restored'; readonly daemons: readonly DaemonId[] }
  /** Time has advanced. */
  | { readonly type: 'tick'; readonly at: MonotonicMs }
  /** An operator's event that was accepted; rejected ones are never folded. */
  | { readonly type: 'admin_event'; readonly event: AdminEvent }
  /**
   * The answers of one tick's inventory probes, merged by field for each peer. `isComplete`: none has failed and at
   * least one has answered, so that peers that none of them named are forgotten.
   */
  | {
      readonly type: 'inventory_polled'
      readonly samples: readonly InventorySample[]
      readonly isComplete: boolean
    }
  /** A pass of reconciliation is over: the queue accepted these of its actions, in order, and dropped the others. */
  | { readonly type: 'reconciled'; readonly enqueued: readonly NodeAction[] }
