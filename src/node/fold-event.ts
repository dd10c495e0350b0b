import type { NodeAction } from './action.js'
import type { AdminEvent } from './admin-event.js'
import type { DaemonRef } from './daemon.js'
import type { IntentEvent, ObservedEvent } from './event.js'
import type { ForcedEntries } from './forced.js'
import type { DaemonId, NodeId } from './ids.js'
import type { PeerInventory } from './inventory.js'
import type { MaintenanceState } from './maintenance.js'
import type { MonotonicMs } from './vocabulary.js'

/** What the inventory probes of one tick have said of a peer. */
export interface InventorySample {
  readonly peer: NodeId
  readonly inventory: PeerInventory
}

/**
 * What the loop folds, in this order of a life: `started` first, then whatever happens. Every instant is in it, so that folding
 * a recorded list of these again comes to the same states, actions and snapshots.
 */
export type FoldEvent =
  | ObservedEvent
  | IntentEvent
  /** The first of a life: `at` is the instant of the node until its first tick. */
  | { readonly type: 'started'; readonly at: MonotonicMs }
  /** What an earlier life had left, by the clock of this one; before the first tick. */
  | { readonly type: 'maintenance_restored'; readonly state: MaintenanceState }
  | { readonly type: 'freeze_restored'; readonly until: MonotonicMs }
  | {
      readonly type: 'gate_restored'
      readonly daemon: DaemonRef
      readonly until: MonotonicMs
      readonly isCrashLooping: boolean
    }
  | { readonly type: 'forced_restored'; readonly forced: ForcedEntries }
  /** Those of them that are still alive are to be restarted: after what was found alive. */
  | { readonly type: 'restarts_restored'; readonly daemons: readonly DaemonId[] }
  /** Time has passed. */
  | { readonly type: 'tick'; readonly at: MonotonicMs }
  /** An operator's event that has passed the freeze gate and its verifier; a rejected one is never folded. */
  | { readonly type: 'admin_event'; readonly event: AdminEvent }
  /**
   * What the inventory probes of one tick have said; what they say of one peer is put together by field. `isComplete`: none
   * has failed and one at least has said something, so that peers which nobody named are forgotten.
   */
  | {
      readonly type: 'inventory_polled'
      readonly samples: readonly InventorySample[]
      readonly isComplete: boolean
    }
  /** A pass of reconciliation is over: these actions of it were taken by the queue, in order; others were dropped. */
  | { readonly type: 'reconciled'; readonly enqueued: readonly NodeAction[] }
