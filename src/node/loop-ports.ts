import type { ControlSink } from './control-event.js'
import type { FoldEvent } from './fold-event.js'
import type { MigrationAborter, MigrationSource } from './admin/index.js'
import type { NodeId } from './ids.js'
import type { Scorer } from './scorer.js'

/** A part of the process that a drain waits for. */
export interface Participant {
  readonly name: string
  /** Whether nothing of it is under way. */
  isIdle(): boolean
}

/**
 * What a loop asks and tells while it runs. Each is called behind a guard: one that throws, or that answers with a promise, is
 * counted and logged, and the loop goes on without its answer (N-423).
 */
export interface LoopPorts {
  readonly control?: ControlSink
  readonly aborter?: MigrationAborter
  readonly migrations?: MigrationSource
  readonly scorer?: Scorer
  /** Told when placement for a node is to be decided anew. */
  readonly onPlacementInvalidated?: (node: NodeId) => void
  /** Told of everything that is folded, in order: what makes a replay. */
  readonly onFolded?: (event: FoldEvent) => void
}
