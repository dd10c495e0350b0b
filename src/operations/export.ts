/** Export and import of a session as a document (O-108). */

import { isDeepStrictEqual } from 'node:util'
import * as v from 'valibot'
import { isUuid } from '../base/ids.js'
import { documentCodec, type DocumentOf } from '../state/document.js'
import {
  isTerminal,
  liveStatuses,
  terminalStatuses,
  type OperationId,
  type OperationOutcome,
  type OperationSpec,
  type WaitRequestId,
} from '../../machines/operation-vocabulary.js'
import { kindClasses } from './classification.js'
import { entryFields, restoreCompletion } from './completion.js'
import { internalError } from './errors.js'
import { checkResult, claimSequence, restoreOperation, storedOperations, type StoredOperation } from './operation.js'
import { restoreSession, sessionRowOf, type SessionState } from './session-state.js'
import type { CompletionEntry, EpochId, FeedRetention } from './types.js'
import { count, kind, outcomeFields, source, specFields, uuid } from './vocabulary.js'

/** An operation id as a key of an object. */
const key = v.pipe(
  v.string(),
  v.check((text) => isUuid(text), 'invalid operation id key'),
)

/**
 * A nullable field; leaving it out when writing is the same as `null`. The default is a function, because a plain
 * default would not be written.
 */
function orNull<const Schema extends v.GenericSchema>(schema: Schema) {
  return v.optional(v.nullable(schema), () => null)
}

const reason = orNull(v.string())

/** An outcome, with its type next to its fields. */
const documentOutcome = v.variant('outcomeType', [
  v.strictObject({ outcomeType: v.literal('completed'), ...outcomeFields.completed }),
  v.strictObject({ outcomeType: v.literal('failed'), ...outcomeFields.failed }),
  v.strictObject({ outcomeType: v.literal('aborted'), reason }),
  v.strictObject({ outcomeType: v.literal('cancelled'), reason }),
  v.strictObject({ outcomeType: v.literal('retired') }),
  v.strictObject({ outcomeType: v.literal('terminated'), ...outcomeFields.terminated }),
])
type DocumentOutcome = v.InferInput<typeof documentOutcome>

const outcome = v.pipe(
  documentOutcome,
  v.transform(({ outcomeType: type, ...fields }): OperationOutcome => {
    return (type === 'completed' ? { type, result: fields } : { type, ...fields }) as OperationOutcome
  }),
)

function writtenOutcome(reached: OperationOutcome): DocumentOutcome {
  const { type: outcomeType, ...fields } = reached
  return (
    reached.type === 'completed' ? { outcomeType, ...reached.result } : { outcomeType, ...fields }
  ) as DocumentOutcome
}

const record = v.strictObject({
  status: v.picklist([...liveStatuses, ...terminalStatuses, 'absent']),
  kind,
  // Required but nullable: null means there is none, a missing field means corruption.
  operationSource: v.nullable(source),
  peerReady: v.boolean(),
  progressCount: count,
  terminalOutcome: orNull(outcome),
  completionSequence: v.optional(count),
  watcherCount: count,
  terminalBuffered: v.boolean(),
})
type DocumentRecord = v.InferOutput<typeof record>

const { outcome: _, completedAtMs: __, ...sharedEntryFields } = entryFields
const entry = v.strictObject({
  ...sharedEntryFields,
  terminalOutcome: outcome,
  completedAtMs: orNull(count),
})

const documentSchema = v.strictObject({
  epochId: uuid<EpochId>(),
  authorityState: v.strictObject({
    operations: v.record(key, record),
    completionFeedEntries: v.record(key, v.strictObject({ seq: count, kind, terminalOutcome: outcome })),
    nextCompletionSeq: count,
    maxCompleted: count,
    maxConcurrent: orNull(count),
    completedOrder: v.array(v.string()),
    activeCount: count,
    waitOperationIds: v.array(v.string()),
    waitRequestId: orNull(v.string()),
  }),
  operationSpecs: v.record(
    key,
    v.strictObject({ ...specFields, childSessionId: orNull(specFields.childSessionId.wrapped) }),
  ),
  completionEntries: v.array(entry),
  cursors: v.strictObject({
    agentAppliedCursor: count,
    runtimeObservedSeq: count,
    runtimeLastInjectedSeq: count,
  }),
  completionFeedRetention: v.optional(v.strictObject({ droppedThrough: count, droppedCount: count })),
})
type Document = v.InferOutput<typeof documentSchema>
type WrittenDocument = v.InferInput<typeof documentSchema>

/** A session as a JSON document. */
export type WireOperationsSnapshot = DocumentOf<WrittenDocument>

const codec = documentCodec<WrittenDocument, Document>(documentSchema, 'operations snapshot')

/** Options of an export. */
export interface ExportOptions {
  /** The oldest active wait, for readers of an export; waits end with their process. */
  readonly wait?: { readonly requestId: WaitRequestId; readonly operationIds: readonly OperationId[] } | undefined
  /** Leaves out operations that were live when the previous process ended. Default false. */
  readonly withoutLost?: boolean
}

/**
 * Returns the current state of a session as a document. Fields that import ignores are filled in for readers of the
 * older format. Raises `internal` for corrupt facts.
 */
export function documentOf(
  state: SessionState,
  { wait, withoutLost = false }: ExportOptions = {},
): WireOperationsSnapshot {
  const { epochId, cursors, nextCompletionSeq, maxCompleted, maxConcurrent, droppedThrough, droppedCount } =
    sessionRowOf(state)
  const { records } = state
  const entries = records.order.feed.rows()
  const stored = storedOperations(state).filter(({ spec: { id } }) => !withoutLost || records.has(id))
  const ended = stored.filter(({ completionSequence }) => completionSequence !== undefined)
  return codec.encode({
    epochId,
    authorityState: {
      operations: Object.fromEntries(stored.map((operation) => [operation.spec.id, writtenRecord(operation)])),
      completionFeedEntries: Object.fromEntries(
        entries.map(({ operationId, seq, kind: shown, outcome: reached }) => [
          operationId,
          { seq, kind: shown, terminalOutcome: writtenOutcome(reached) },
        ]),
      ),
      nextCompletionSeq,
      maxCompleted,
      maxConcurrent,
      completedOrder: ended.map(({ spec: { id } }) => id),
      activeCount: stored.length - ended.length,
      waitOperationIds: [...(wait?.operationIds ?? [])],
      waitRequestId: wait?.requestId ?? null,
    },
    operationSpecs: Object.fromEntries(stored.map(({ spec }) => [spec.id, spec])),
    completionEntries: entries.map(({ outcome: reached, ...shared }) => ({
      ...shared,
      terminalOutcome: writtenOutcome(reached),
    })),
    cursors: {
      agentAppliedCursor: cursors.agent_applied,
      runtimeObservedSeq: cursors.runtime_observed,
      runtimeLastInjectedSeq: cursors.runtime_injected,
    },
    completionFeedRetention: { droppedThrough, droppedCount },
  })
}

function writtenRecord({
  spec,
  status,
  peerReady,
  progressCount,
  outcome: reached,
  completionSequence,
}: StoredOperation) {
  return {
    status,
    kind: spec.kind,
    operationSource: spec.operationSource ?? null,
    peerReady,
    progressCount,
    terminalOutcome: reached === null ? null : writtenOutcome(reached),
    ...(completionSequence !== undefined && { completionSequence }),
    watcherCount: 0,
    terminalBuffered: reached !== null,
  }
}

/**
 * Fills an empty state from a document (O-115). Raises `invalid_input` naming a field that is missing or wrong, and
 * `internal` for any contradiction: corruption is refused, nothing is guessed. The order of completions, the counts and
 * the waits in a document are ignored.
 */
export function restoreDocument(state: SessionState, input: unknown): void {
  const document = codec.decode(input)
  const { authorityState: authority, cursors, completionFeedRetention: retention } = document
  restoreSession(state, {
    epochId: document.epochId,
    maxCompleted: authority.maxCompleted,
    maxConcurrent: authority.maxConcurrent,
    cursors: {
      agent_applied: cursors.agentAppliedCursor,
      runtime_observed: cursors.runtimeObservedSeq,
      runtime_injected: cursors.runtimeLastInjectedSeq,
    },
    nextCompletionSeq: authority.nextCompletionSeq,
    droppedThrough: 0,
    droppedCount: 0,
  })
  const operations = operationsIn(document)
  for (const operation of operations) {
    claimSequence(state, operation)
    restoreOperation(state, operation)
  }
  checkFeedFacts(document, state)
  checkRetention(retention, document.completionEntries)
  const { entries, retention: kept } = retained(entriesIn(document, operations), retention)
  if (kept !== undefined) state.records.order.restoreRetention(kept)
  for (const completion of entries) restoreCompletion(state, completion)
}

/** The operations of a document, the ended ones in completion order whatever their order in the document. */
function operationsIn({ authorityState, operationSpecs }: Document): StoredOperation[] {
  const found: StoredOperation[] = []
  for (const [text, facts] of Object.entries(authorityState.operations)) {
    const id = text as OperationId
    const { status, peerReady, progressCount, terminalOutcome, completionSequence } = facts
    if (kindClasses[facts.kind].durability === 'discard') continue
    if (status === 'absent') {
      if (terminalOutcome !== null) throw internalError(`terminal outcome for non-terminal operation ${id}`)
      if (completionSequence !== undefined) {
        throw internalError(`completion sequence for non-terminal operation ${id}`)
      }
      continue
    }
    found.push({
      spec: specOf(id, operationSpecs[id] as OperationSpec | undefined, facts),
      status,
      peerReady,
      progressCount,
      outcome: terminalOutcome,
      ...(completionSequence !== undefined && { completionSequence }),
    })
  }
  return found.toSorted((one, other) => (one.completionSequence ?? 0) - (other.completionSequence ?? 0))
}

/** Returns the spec with its source, which is stored with the facts; the spec may repeat it. */
function specOf(id: OperationId, spec: OperationSpec | undefined, facts: DocumentRecord): OperationSpec {
  if (spec === undefined) throw internalError(`retained operation ${id} has no spec`)
  if (spec.id !== id) throw internalError(`spec under key ${id} names ${spec.id}`)
  if (spec.kind !== facts.kind) {
    throw internalError(`spec of operation ${id} names kind ${spec.kind}, the record ${facts.kind}`)
  }
  const { operationSource: mirror, ...rest } = spec
  const operationSource = facts.operationSource ?? undefined
  if (mirror !== undefined && !isDeepStrictEqual(mirror, operationSource)) {
    throw internalError(`operation source mirror of ${id} drifted from its authority`)
  }
  return { ...rest, ...(operationSource !== undefined && { operationSource }) }
}

/**
 * A retained public record without a feed fact is allowed. A feed fact without a record belongs to an evicted
 * operation.
 */
function checkFeedFacts({ authorityState, completionEntries }: Document, state: SessionState): void {
  const { completionFeedEntries: facts } = authorityState
  for (const [text, { seq, kind: told, terminalOutcome }] of Object.entries(facts)) {
    const id = text as OperationId
    if (kindClasses[told].feed === 'suppress') {
      throw internalError(`completion feed authority holds the hidden kind ${told} of ${id}`)
    }
    state.claim(seq, id)
    checkResult(id, terminalOutcome)
    const row = state.records.rows.get(id)
    if (row === undefined) continue
    const { context, stamp } = row
    if (stamp?.sequence !== seq || context.kind !== told || !isDeepStrictEqual(context.outcome, terminalOutcome)) {
      throw internalError(`completion feed fact of ${id} drifted from its recovery`)
    }
  }
  const seen = new Set<OperationId>()
  for (const { operationId: id, seq, kind: told, terminalOutcome } of completionEntries) {
    const fact = facts[id]
    if (fact === undefined) throw internalError(`completion entry ${id} has no generated feed authority`)
    if (fact.seq !== seq || fact.kind !== told || !isDeepStrictEqual(fact.terminalOutcome, terminalOutcome)) {
      throw internalError(`completion entry ${id} drifted from its feed authority`)
    }
    if (seen.has(id)) throw internalError(`completion entry ${id} appears twice`)
    seen.add(id)
  }
}

/** Every public completion in order: built from the facts, with names and times from the entries and specs. */
function entriesIn(
  { authorityState, completionEntries, operationSpecs }: Document,
  operations: readonly StoredOperation[],
): CompletionEntry[] {
  const written = new Map(completionEntries.map((one) => [one.operationId, one]))
  const known = new Map<OperationId, Pick<CompletionEntry, 'seq' | 'kind' | 'outcome'>>()
  for (const [id, { seq, kind: shown, terminalOutcome }] of Object.entries(authorityState.completionFeedEntries)) {
    known.set(id as OperationId, { seq, kind: shown, outcome: terminalOutcome })
  }
  for (const { spec, status, outcome: reached, completionSequence: seq } of operations) {
    if (!isTerminal(status) || reached === null || seq === undefined) continue
    if (kindClasses[spec.kind].feed === 'emit') known.set(spec.id, { seq, kind: spec.kind, outcome: reached })
  }
  return Array.from(known, ([operationId, shown]) => ({
    ...shown,
    operationId,
    displayName: operationSpecs[operationId]?.displayName ?? written.get(operationId)?.displayName ?? '',
    completedAtMs: written.get(operationId)?.completedAtMs ?? null,
  })).toSorted((one, other) => one.seq - other.seq)
}

/** The retention counters must agree with each other and with the rows of the feed. */
function checkRetention(retention: FeedRetention | undefined, entries: readonly { readonly seq: number }[]): void {
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
 * If the records still know all rows that were dropped from the feed, these are restored and there is no gap; otherwise
 * the gap stays (O-71).
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
