import type { NodeAction } from './action.js'
import type { NodeEffect } from './effect.js'
import type { FoldEvent } from './fold-event.js'
import type { ActionId, EpochId } from './ids.js'
import type { AdminAuditRecord, FailureRecord, LogRecord } from './records.js'
import type { RememberedState } from './remembering.js'
import type { Scorer } from './scorer.js'
import type { MigrationView, NodeSnapshot } from './snapshot.js'
import type { MonotonicMs } from './vocabulary.js'

/** An action that was asked for lately. */
export interface RecentEmission {
  readonly id: ActionId
  readonly kind: NodeAction['type']
  readonly emittedAt: MonotonicMs
}

/** What a snapshot shows beside the folded state. */
export interface SnapshotParts {
  readonly epoch: EpochId
  readonly pass: number
  readonly recentlyEmitted: readonly RecentEmission[]
  readonly recentFailures: readonly FailureRecord[]
  readonly adminAudit: readonly AdminAuditRecord[]
  readonly logRing: readonly LogRecord[]
  readonly inFlightMigrations: readonly MigrationView[]
}

/** The folded state of a node and what follows from it: all of it without a clock, a timer or anything outside. */
export interface NodeCore extends RememberedState {
  /** The instant of the last tick, or of the start. */
  readonly now: MonotonicMs
  readonly isFrozen: boolean
  readonly forcedEntries: { readonly count: number; readonly capacity: number }
  fold(event: FoldEvent): readonly NodeEffect[]
  reconcile(scorer: Scorer | undefined): readonly NodeAction[]
  snapshot(parts: SnapshotParts): NodeSnapshot
}
