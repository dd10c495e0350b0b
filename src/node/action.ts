import type { DaemonRef } from './daemon.js'
import type { ActionId, ChainId, NodeId } from './ids.js'
import type { MaintenanceTransition } from './maintenance.js'
import type { MonotonicMs } from './vocabulary.js'

/** An action that reconciliation asks for. Its monotonic instants never leave the process. */
export type NodeAction =
  | { readonly type: 'start_daemon'; readonly daemon: DaemonRef }
  | {
      readonly type: 'stop_daemon'
      readonly daemon: DaemonRef
      readonly reason: string
      /** After this instant the dispatcher ends the daemon by force. */
      readonly deadline: MonotonicMs
    }
  | { readonly type: 'apply_backoff'; readonly daemon: DaemonRef; readonly until: MonotonicMs }
  | { readonly type: 'pull_replica'; readonly chain: ChainId; readonly source: NodeId }
  | { readonly type: 'drop_replica'; readonly chain: ChainId }
  | {
      readonly type: 'request_placement'
      readonly chain: ChainId
      /** Nodes that are not candidates, sorted. */
      readonly exclude: readonly NodeId[]
      /** The only candidate, if an operator has named one. */
      readonly target?: NodeId
    }
  | { readonly type: 'request_eviction'; readonly chain: ChainId; readonly victim: NodeId }
  | { readonly type: 'mark_avoid'; readonly peer: NodeId; readonly reason: string; readonly ttlMs: number }
  | {
      readonly type: 'commit_maintenance_transition'
      readonly node: NodeId
      readonly target: MaintenanceTransition
    }

/** The type of an action. */
export type ActionKind = NodeAction['type']

/** Every type of action. */
export const actionKinds = [
  'start_daemon',
  'stop_daemon',
  'apply_backoff',
  'pull_replica',
  'drop_replica',
  'request_placement',
  'request_eviction',
  'mark_avoid',
  'commit_maintenance_transition',
] as const satisfies readonly ActionKind[]

/** An action on its way to the executor. */
export interface PendingAction {
  readonly id: ActionId
  readonly action: NodeAction
  /** The instant of the tick that requested it. */
  readonly emittedAt: MonotonicMs
}
