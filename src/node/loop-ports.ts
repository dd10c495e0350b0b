import type { ControlSink } from './control-event.js'
import type { FoldEvent } from './fold-event.js'
import type { MigrationAborter, MigrationSource } from './admin/index.js'
import type { NodeId } from './ids.js'
import type { Scorer } from './scorer.js'

/** A part of the process that a drain waits for. */
export interface Participant {
  readonly name: string
  /** Whether it has no work under way. */
  isIdle(): boolean
}

/**
 * The ports that a loop calls while it runs. Each call is guarded: a port that throws or returns a promise is counted
 * and logged, and the loop goes on without its answer (N-423).
 */
export interface LoopPorts {
  readonly control?: ControlSink
  readonly aborter?: MigrationAborter
  readonly migrations?: MigrationSource
  readonly scorer?: Scorer
  /** Called when placement for a node must be decided again. */
  readonly onPlacementInvalidated?: (node: NodeId) => void
  /** Called with every event that is folded, in order; the list can be replayed. */
  readonly onFolded?: (event: FoldEvent) => void
}
