import type { ControlSink } from './control-event.js'
import type { FoldEvent } from './fold-event.js'
import type { MigrationId, NodeId } from './ids.js'
import type { MigrationView } from './snapshot.js'
import type { Scorer } from './scorer.js'

/**
 * Ends a migration. One that is not on this node is ended already. What it raises is recorded as a failure; it is not waited for,
 * so that an answer that comes later is a fault of it.
 */
export interface MigrationAborter {
  abort(migration: MigrationId): void
}

/** Says which migrations are under way here; synchronous and quick. */
export interface MigrationSource {
  migrations(): readonly MigrationView[]
}

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
