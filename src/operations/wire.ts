import * as v from 'valibot'
import { decode } from '../base/decode.js'
import {
  liveStatuses,
  terminalStatuses,
  type OperationId,
  type OperationSpec,
  type WaitRequestId,
} from '../../machines/operation-vocabulary.js'
import type {
  CompletionCursors,
  CompletionEntry,
  EpochId,
  FeedRetention,
  PersistedCompletion,
  PersistedOperation,
} from './types.js'
import {
  encodeOutcome,
  encodeSource,
  encodeSpec,
  wireCount,
  wireKind,
  wireOperationId,
  wireOperationKey,
  wireOutcome,
  wireSource,
  wireSpec,
  wireUuid,
} from './wire-vocabulary.js'

/** The durable part of a registry (O-108), decoded. */
export interface PersistedOperations {
  readonly epochId: EpochId
  readonly operations: ReadonlyMap<OperationId, PersistedOperation>
  readonly specs: ReadonlyMap<OperationId, OperationSpec>
  readonly feedFacts: ReadonlyMap<OperationId, PersistedCompletion>
  /** The rows of the feed, oldest first. */
  readonly completionEntries: readonly CompletionEntry[]
  readonly cursors: CompletionCursors
  readonly nextCompletionSeq: number
  readonly maxCompleted: number
  readonly maxConcurrent: number | null
  readonly retention?: FeedRetention
  /** The active wait that began first, for readers of an export; waits end with their process. */
  readonly wait?: { readonly requestId: WaitRequestId; readonly operationIds: readonly OperationId[] }
}

const wireRecord = v.object({
  status: v.picklist([...liveStatuses, ...terminalStatuses, 'absent']),
  kind: wireKind,
  // Required but nullable: null says there is none, a missing field is corruption.
  operation_source: v.nullable(wireSource),
  peer_ready: v.boolean(),
  progress_count: wireCount,
  terminal_outcome: v.optional(v.nullable(wireOutcome), null),
  completion_sequence: v.optional(wireCount),
  watcher_count: wireCount,
  terminal_buffered: v.boolean(),
})

const wireFeedFact = v.object({ seq: wireCount, kind: wireKind, terminal_outcome: wireOutcome })

const wireEntry = v.object({
  seq: wireCount,
  operation_id: wireOperationId,
  kind: wireKind,
  display_name: v.string(),
  terminal_outcome: wireOutcome,
  completed_at_ms: v.optional(v.nullable(wireCount), null),
})

const wireSnapshot = v.object({
  epoch_id: wireUuid,
  authority_state: v.object({
    operations: v.record(wireOperationKey, wireRecord),
    completion_feed_entries: v.record(wireOperationKey, wireFeedFact),
    next_completion_seq: wireCount,
    max_completed: wireCount,
    max_concurrent: v.optional(v.nullable(wireCount), null),
    completed_order: v.array(v.string()),
    active_count: wireCount,
    wait_operation_ids: v.array(v.string()),
    wait_request_id: v.optional(v.nullable(v.string()), null),
  }),
  operation_specs: v.record(wireOperationKey, wireSpec),
  completion_entries: v.array(wireEntry),
  cursors: v.object({
    agent_applied_cursor: wireCount,
    runtime_observed_seq: wireCount,
    runtime_last_injected_seq: wireCount,
  }),
  completion_feed_retention: v.optional(v.object({ dropped_through: wireCount, dropped_count: wireCount })),
})

/** A snapshot of a registry as JSON. */
export type WireOperationsSnapshot = v.InferInput<typeof wireSnapshot>

/** Decodes a snapshot; raises `invalid_input` naming the field that is missing or wrong. */
export function decodeSnapshot(input: unknown): PersistedOperations {
  const wire = decode(wireSnapshot, input, 'operations snapshot')
  const { authority_state: authority, cursors, completion_feed_retention: retention } = wire
  return {
    epochId: wire.epoch_id as EpochId,
    operations: mapOf(
      authority.operations,
      (record): PersistedOperation => ({
        status: record.status,
        kind: record.kind,
        source: record.operation_source,
        peerReady: record.peer_ready,
        progressCount: record.progress_count,
        outcome: record.terminal_outcome,
        ...(record.completion_sequence !== undefined && { completionSequence: record.completion_sequence }),
      }),
    ),
    specs: mapOf(wire.operation_specs, (spec) => spec),
    feedFacts: mapOf(authority.completion_feed_entries, ({ seq, kind, terminal_outcome: outcome }) => ({
      seq,
      kind,
      outcome,
    })),
    completionEntries: wire.completion_entries.map(decodeEntry),
    cursors: {
      agent_applied: cursors.agent_applied_cursor,
      runtime_observed: cursors.runtime_observed_seq,
      runtime_injected: cursors.runtime_last_injected_seq,
    },
    nextCompletionSeq: authority.next_completion_seq,
    maxCompleted: authority.max_completed,
    maxConcurrent: authority.max_concurrent,
    ...(retention !== undefined && {
      retention: { droppedThrough: retention.dropped_through, droppedCount: retention.dropped_count },
    }),
  }
}

/** The same as JSON. Fields that recovery ignores are filled for readers of the older shape (O-108). */
export function encodeSnapshot(persisted: PersistedOperations): WireOperationsSnapshot {
  const { operations, specs, feedFacts, cursors, retention } = persisted
  const ended = [...operations].filter(([, { completionSequence }]) => completionSequence !== undefined)
  const order = ended.toSorted(([, one], [, other]) => (one.completionSequence ?? 0) - (other.completionSequence ?? 0))
  return {
    epoch_id: persisted.epochId,
    authority_state: {
      operations: objectOf(operations, (record) => ({
        status: record.status,
        kind: record.kind,
        operation_source: record.source === null ? null : encodeSource(record.source),
        peer_ready: record.peerReady,
        progress_count: record.progressCount,
        terminal_outcome: record.outcome === null ? null : encodeOutcome(record.outcome),
        ...(record.completionSequence !== undefined && { completion_sequence: record.completionSequence }),
        watcher_count: 0,
        terminal_buffered: record.outcome !== null,
      })),
      completion_feed_entries: objectOf(feedFacts, ({ seq, kind, outcome }) => ({
        seq,
        kind,
        terminal_outcome: encodeOutcome(outcome),
      })),
      next_completion_seq: persisted.nextCompletionSeq,
      max_completed: persisted.maxCompleted,
      max_concurrent: persisted.maxConcurrent,
      completed_order: order.map(([id]) => id),
      active_count: operations.size - ended.length,
      wait_operation_ids: [...(persisted.wait?.operationIds ?? [])],
      wait_request_id: persisted.wait?.requestId ?? null,
    },
    operation_specs: objectOf(specs, encodeSpec),
    completion_entries: persisted.completionEntries.map(encodeEntry),
    cursors: {
      agent_applied_cursor: cursors.agent_applied,
      runtime_observed_seq: cursors.runtime_observed,
      runtime_last_injected_seq: cursors.runtime_injected,
    },
    ...(retention !== undefined && {
      completion_feed_retention: { dropped_through: retention.droppedThrough, dropped_count: retention.droppedCount },
    }),
  }
}

function decodeEntry(entry: v.InferOutput<typeof wireEntry>): CompletionEntry {
  return {
    seq: entry.seq,
    operationId: entry.operation_id,
    kind: entry.kind,
    displayName: entry.display_name,
    outcome: entry.terminal_outcome,
    completedAtMs: entry.completed_at_ms,
  }
}

/** A feed row as JSON. */
export function encodeEntry(entry: CompletionEntry): v.InferInput<typeof wireEntry> {
  return {
    seq: entry.seq,
    operation_id: entry.operationId,
    kind: entry.kind,
    display_name: entry.displayName,
    terminal_outcome: encodeOutcome(entry.outcome),
    completed_at_ms: entry.completedAtMs,
  }
}

function mapOf<Wire, Value>(record: Record<string, Wire>, decodeOne: (wire: Wire) => Value): Map<OperationId, Value> {
  return new Map(Object.entries(record).map(([id, wire]) => [id as OperationId, decodeOne(wire)]))
}

function objectOf<Value, Wire>(
  map: ReadonlyMap<OperationId, Value>,
  encodeOne: (value: Value) => Wire,
): Record<string, Wire> {
  return Object.fromEntries([...map].map(([id, value]) => [id, encodeOne(value)]))
}
