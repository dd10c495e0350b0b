import { isDeepStrictEqual } from 'node:util'
import {
  expectsPeer,
  isTerminal,
  type OperationId,
  type OperationKind,
  type OperationOutcome,
  type OperationSpec,
} from '../../machines/operation-vocabulary.js'
import { kindClasses } from './classification.js'
import { internalError } from './errors.js'
import { childSessionOf } from './projection.js'
import type { OperationRecords } from './records.js'
import { sourceProblem } from './source.js'
import type { CompletionEntry, FeedRetention, PersistedOperation } from './types.js'
import type { PersistedOperations } from './wire.js'

/** An operation that was live when the state was captured; its process has not seen its end. */
export interface InterruptedOperation {
  readonly spec: OperationSpec
  readonly status: PersistedOperation['status']
}

/**
 * Raises `internal` for facts that no operation of this kind can have: a peer where none is expected (O-28), or the result of another operation (O-50).
 */
export function checkKind(
  id: OperationId,
  kind: OperationKind,
  { peerReady, outcome }: Pick<PersistedOperation, 'peerReady' | 'outcome'>,
): void {
  if (peerReady && !expectsPeer(kind)) throw internalError(`operation ${id} is peer-ready, which no ${kind} is`)
  checkResult(id, outcome)
}

function checkResult(id: OperationId, outcome: OperationOutcome | null): void {
  if (outcome?.type !== 'completed' || outcome.result.id === id) return
  throw internalError(`the result of operation ${id} names ${outcome.result.id}`)
}

interface Ended {
  readonly id: OperationId
  readonly record: PersistedOperation
  readonly outcome: OperationOutcome
  readonly sequence: number
}

/**
 * Fills fresh records from persisted state (O-115) and returns what was live.
 *
 * Every contradiction raises `internal`: corruption is refused, never guessed around. The persisted
 * order of completions, active count and wait fields are not read.
 */
export function recover(persisted: PersistedOperations, records: OperationRecords): InterruptedOperation[] {
  const { ended, live } = sort(persisted)
  const claimed = new Map<number, OperationId>()
  for (const { id, sequence } of ended) claim(claimed, sequence, id, persisted.nextCompletionSeq)
  const retainedIds = new Set(ended.map(({ id }) => id))
  checkFeedFacts(persisted, retainedIds, claimed)
  checkRetention(persisted.retention, persisted.completionEntries)
  const { entries, retention } = retained(entriesBySequence(persisted, ended), persisted.retention)

  for (const { id, record, outcome, sequence } of ended) {
    const spec = specOf(persisted, id, record)
    const { peerReady, progressCount, source } = record
    const restored = { spec, source: source ?? undefined, peerReady, progressCount, outcome, sequence }
    records.restore(restored)
  }
  records.raiseSequence(persisted.nextCompletionSeq)
  for (const [consumer, cursor] of Object.entries(persisted.cursors)) {
    records.advanceCursor(consumer as keyof PersistedOperations['cursors'], cursor)
  }
  if (retention !== undefined) records.restoreRetention(retention)
  for (const entry of entries) records.publish(entry)
  return live.map(({ id, record }) => ({ spec: specOf(persisted, id, record), status: record.status }))
}

/** Decides what becomes of each operation; the order of the input does not matter. */
function sort({ operations }: PersistedOperations): {
  ended: Ended[]
  live: { id: OperationId; record: PersistedOperation }[]
} {
  const ended: Ended[] = []
  const live: { id: OperationId; record: PersistedOperation }[] = []
  for (const [id, record] of operations) {
    const { kind, status, outcome, completionSequence: sequence } = record
    if (kindClasses[kind].durability === 'discard') continue
    checkKind(id, kind, record)
    if (status !== 'absent' && isTerminal(status)) {
      if (outcome === null) throw internalError(`recovered operation ${id} is missing terminal outcome`)
      if (sequence === undefined) throw internalError(`recovered operation ${id} is missing completion sequence`)
      if (outcome.type !== status) {
        throw internalError(
          `payload variant ${outcome.type} of operation ${id} does not match terminal outcome discriminant ${status}`,
        )
      }
      ended.push({ id, record, outcome, sequence })
    } else {
      if (outcome !== null) throw internalError(`terminal outcome for non-terminal operation ${id}`)
      if (sequence !== undefined) throw internalError(`completion sequence for non-terminal operation ${id}`)
      if (status !== 'absent') live.push({ id, record })
    }
  }
  return { ended: ended.toSorted((one, other) => one.sequence - other.sequence), live }
}

function claim(claimed: Map<number, OperationId>, sequence: number, id: OperationId, counter: number): void {
  if (sequence < 1) throw internalError(`recovered operation ${id} carries sequence ${sequence}`)
  if (sequence > counter) {
    throw internalError(
      `RecoverCompletionFeedEntry: sequence ${sequence} of operation ${id} is beyond the counter ${counter}`,
    )
  }
  const other = claimed.get(sequence)
  if (other !== undefined && other !== id) throw internalError(`sequence ${sequence} is claimed by ${other} and ${id}`)
  claimed.set(sequence, id)
}

function specOf({ specs }: PersistedOperations, id: OperationId, record: PersistedOperation): OperationSpec {
  const spec = specs.get(id)
  if (spec === undefined) throw internalError(`retained operation ${id} has no spec`)
  if (spec.id !== id) throw internalError(`spec under key ${id} names ${spec.id}`)
  if (spec.kind !== record.kind)
    throw internalError(`spec of operation ${id} names kind ${spec.kind}, the record ${record.kind}`)
  if (spec.expectPeerChannel !== expectsPeer(spec.kind)) {
    throw internalError(`spec of operation ${id} contradicts the kind ${spec.kind} on a peer channel`)
  }
  const source = record.source ?? undefined
  if (spec.operationSource !== undefined && !isDeepStrictEqual(spec.operationSource, source)) {
    throw internalError(`operation source mirror of ${id} drifted from its authority`)
  }
  if (source !== undefined && sourceProblem(source) !== undefined) {
    throw internalError(`operation source authority has invalid source for ${id}`)
  }
  const { operationSource: _mirror, ...rest } = spec
  return { ...rest, ...(source !== undefined && { operationSource: source }), childSessionId: childSessionOf(source) }
}

/** A retained public record without a feed fact is tolerated; a feed fact without a record is the trace of an evicted one. */
function checkFeedFacts(
  { feedFacts, operations, completionEntries, nextCompletionSeq }: PersistedOperations,
  retainedIds: ReadonlySet<OperationId>,
  claimed: Map<number, OperationId>,
): void {
  for (const [id, { seq, kind, outcome }] of feedFacts) {
    if (kindClasses[kind].feed === 'suppress')
      throw internalError(`completion feed authority holds the hidden kind ${kind} of ${id}`)
    claim(claimed, seq, id, nextCompletionSeq)
    checkResult(id, outcome)
    const record = operations.get(id)
    if (record === undefined || !retainedIds.has(id)) continue
    const { completionSequence, kind: recordKind, outcome: recordOutcome } = record
    if (completionSequence !== seq || recordKind !== kind || !isDeepStrictEqual(recordOutcome, outcome)) {
      throw internalError(`completion feed fact of ${id} drifted from its recovery`)
    }
  }
  const seen = new Set<OperationId>()
  for (const { operationId, seq, kind, outcome } of completionEntries) {
    const fact = feedFacts.get(operationId)
    if (fact === undefined) throw internalError(`completion entry ${operationId} has no generated feed authority`)
    if (fact.seq !== seq || fact.kind !== kind || !isDeepStrictEqual(fact.outcome, outcome)) {
      throw internalError(`completion entry ${operationId} drifted from its feed authority`)
    }
    if (seen.has(operationId)) throw internalError(`completion entry ${operationId} appears twice`)
    seen.add(operationId)
  }
}

/** Every public completion in order: what the facts say, shown with the names and times the entries and specs know. */
function entriesBySequence(
  { feedFacts, completionEntries, specs }: PersistedOperations,
  ended: readonly Ended[],
): CompletionEntry[] {
  const entryOf = new Map(completionEntries.map((entry) => [entry.operationId, entry]))
  const rows = new Map<OperationId, { seq: number; kind: PersistedOperation['kind']; outcome: OperationOutcome }>(
    feedFacts,
  )
  for (const { id, record, outcome, sequence } of ended) {
    if (kindClasses[record.kind].feed === 'emit') rows.set(id, { seq: sequence, kind: record.kind, outcome })
  }
  return [...rows]
    .map(([operationId, { seq, kind, outcome }]) => ({
      seq,
      operationId,
      kind,
      displayName: specs.get(operationId)?.displayName ?? entryOf.get(operationId)?.displayName ?? '',
      outcome,
      completedAtMs: entryOf.get(operationId)?.completedAtMs ?? null,
    }))
    .toSorted((one, other) => one.seq - other.seq)
}

/** The carrier must agree with itself and with the rows that were in the feed. */
function checkRetention(retention: FeedRetention | undefined, entries: readonly CompletionEntry[]): void {
  if (retention === undefined) return
  const { droppedThrough, droppedCount } = retention
  if (droppedCount > 0 !== droppedThrough > 0) throw internalError('feed retention counters contradict each other')
  if (droppedCount > droppedThrough) throw internalError('feed retention dropped more rows than sequences')
  if (droppedCount === 0) return
  if (entries.length === 0) throw internalError('feed retention names dropped rows but no row is retained')
  if (entries.some(({ seq }) => seq <= droppedThrough)) {
    throw internalError('feed retention names a dropped sequence that is retained')
  }
}

/**
 * Rows that had left the feed come back where records still know all of them, and the gap closes; otherwise the gap
 * stays as it was (O-71).
 */
function retained(
  entries: readonly CompletionEntry[],
  retention: FeedRetention | undefined,
): { entries: readonly CompletionEntry[]; retention?: FeedRetention } {
  if (retention === undefined) return { entries }
  const suffix = entries.filter(({ seq }) => seq > retention.droppedThrough)
  if (entries.length - suffix.length === retention.droppedCount) return { entries }
  return { entries: suffix, retention }
}
