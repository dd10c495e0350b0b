import type { ControlEvent } from './control-event.js'
import type { DaemonId, MigrationId, NodeId } from './ids.js'
import type { MaintenanceStatus } from './vocabulary.js'

/** What folding an event asks of the loop. The state is changed already. */
export type NodeEffect =
  | { readonly type: 'control'; readonly event: ControlEvent }
  /** A daemon that was held back may be started: see `apply_backoff`. */
  | { readonly type: 'open_daemon_gate'; readonly daemon: DaemonId }
  | { readonly type: 'kill_migration'; readonly migration: MigrationId }
  /** Placement of daemons and copies must be decided again for the node. */
  | { readonly type: 'invalidate_placement'; readonly node: NodeId }
  /** An observed transition is not a successor of this node's state, which is kept: worth a warning. */
  | {
      readonly type: 'observation_refused'
      readonly from: MaintenanceStatus
      readonly to: MaintenanceStatus
    }
