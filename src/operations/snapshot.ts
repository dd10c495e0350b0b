import * as v from 'valibot'
import { rowDefiner } from '../state/row.js'
import {
  isTerminal,
  liveStatuses,
  terminalStatuses,
  type OperationId,
  type OperationSpec,
} from '../../machines/operation-vocabulary.js'
import { kindClasses } from './classification.js'
import { internalError } from './errors.js'
import { checkKey, childSessionOf, readFacts, type OperationRow } from './projection.js'
import type { OperationRecords } from './records.js'
import type {
  CompletionCursors,
  CompletionEntry,
  EpochId,
  FeedRetention,
  PersistedCompletion,
  PersistedOperation,
} from './types.js'
import { count, kind as kindSchema, outcome as outcomeSchema, spec as specSchema, uuid } from './vocabulary.js'
import type { PersistedOperations } from './wire.js'

/** What the rows of one snapshot say, gathered row by row. */
export class SnapshotState implements PersistedOperations {
  readonly operations = new Map<OperationId, PersistedOperation>()
  readonly specs = new Map<OperationId, OperationSpec>()
  readonly feedFacts = new Map<OperationId, PersistedCompletion>()
  readonly completionEntries: CompletionEntry[] = []
  epochId = '' as EpochId
  cursors: CompletionCursors = { agent_applied: 0, runtime_observed: 0, runtime_injected: 0 }
  nextCompletionSeq = 0
  maxCompleted = 0
  maxConcurrent: number | null = null
  retention: FeedRetention = { droppedThrough: 0, droppedCount: 0 }
}

const defineRow = rowDefiner<PersistedOperations, undefined>()

/** Rows are put back into one that can be filled. */
const fill = (tables: PersistedOperations): SnapshotState => tables as SnapshotState

const session = defineRow('session', {
  fields: {
    epochId: uuid<EpochId>(),
    maxCompleted: count,
    maxConcurrent: v.nullable(count),
    cursors: v.strictObject({ agent_applied: count, runtime_observed: count, runtime_injected: count }),
    nextCompletionSeq: count,
    droppedThrough: count,
    droppedCount: count,
  },
  capture: ({ epochId, maxCompleted, maxConcurrent, cursors, nextCompletionSeq, retention }) => [
    {
      epochId,
      maxCompleted,
      maxConcurrent,
      cursors,
      nextCompletionSeq,
      droppedThrough: retention?.droppedThrough ?? 0,
      droppedCount: retention?.droppedCount ?? 0,
    },
  ],
  restore: ({ tables }, { droppedThrough, droppedCount, ...row }) => {
    Object.assign(fill(tables), { ...row, retention: { droppedThrough, droppedCount } })
  },
})

const operation = defineRow('operation', {
  fields: {
    spec: specSchema,
    status: v.picklist([...liveStatuses, ...terminalStatuses]),
    peerReady: v.boolean(),
    progressCount: count,
    outcome: v.nullable(outcomeSchema),
    sequence: v.optional(count),
  },
  *capture({ operations, specs }) {
    for (const [id, { status, source, peerReady, progressCount, outcome, completionSequence }] of operations) {
      const { operationSource: _mirror, ...rest } = specs.get(id) as OperationSpec
      yield {
        spec: { ...rest, ...(source !== null && { operationSource: source }) },
        status: status as Exclude<typeof status, 'absent'>,
        peerReady,
        progressCount,
        outcome,
        ...(completionSequence !== undefined && { sequence: completionSequence }),
      }
    }
  },
  restore: ({ tables }, { spec, sequence, ...row }) => {
    const { operations, specs } = fill(tables)
    const { id, kind, operationSource: source = null } = spec
    specs.set(id, spec)
    operations.set(id, {
      ...row,
      kind,
      source,
      ...(sequence !== undefined && { completionSequence: sequence }),
    })
  },
})

const completion = defineRow('completion', {
  fields: {
    seq: count,
    operationId: uuid<OperationId>(),
    kind: kindSchema,
    displayName: v.string(),
    outcome: outcomeSchema,
    completedAtMs: v.nullable(count),
  },
  capture: ({ completionEntries }) => completionEntries,
  restore: ({ tables }, entry) => {
    const { feedFacts, completionEntries } = fill(tables)
    const { operationId, seq, kind, outcome } = entry
    feedFacts.set(operationId, { seq, kind, outcome })
    completionEntries.push(entry)
  },
})

/** The rows of a session in a snapshot of the journal: small ones, so that no record has to hold a whole registry. */
export const snapshotRows = [session, operation, completion] as const

/**
 * The durable part of a registry, read fail-closed (O-112): every operation of a kept
 * kind, ended or not, and every retained feed row. Raises `internal` rather than leaving something out.
 */
export function capturePersisted(epochId: EpochId, records: OperationRecords): PersistedOperations {
  const operations = new Map<OperationId, PersistedOperation>()
  const specs = new Map<OperationId, OperationSpec>()
  for (const [key, row] of records.rows) {
    const id = checkKey(key)
    const persisted = persistedOperation(id, row)
    if (persisted === undefined || records.isEvictionPending(id)) continue
    operations.set(id, persisted)
    specs.set(id, { ...row.spec, childSessionId: childSessionOf(row.source) })
  }
  const completionEntries = records.feed.rows()
  const { droppedThrough, droppedCount } = records.feed
  return {
    epochId,
    operations,
    specs,
    feedFacts: new Map(
      completionEntries.map(({ operationId, seq, kind, outcome }) => [operationId, { seq, kind, outcome }]),
    ),
    completionEntries,
    cursors: { ...records.cursors },
    // Not the last one minted: the end that has it may be under way, and is then journalled behind this snapshot.
    nextCompletionSeq: records.durableSequence,
    maxCompleted: records.maxCompleted,
    maxConcurrent: records.maxConcurrent ?? null,
    retention: { droppedThrough, droppedCount },
  }
}

/** The facts of one operation; nothing for a kind that leaves no trace. */
function persistedOperation(id: OperationId, row: OperationRow): PersistedOperation | undefined {
  const { kind, status, peerReady, progressCount, source, outcome } = readFacts(id, row)
  if (kindClasses[kind].durability === 'discard') return undefined
  const sequence = row.settlement?.sequence
  if (isTerminal(status) && sequence === undefined)
    throw internalError(`missing completion sequence for operation ${id}`)
  if (!isTerminal(status) && sequence !== undefined) {
    throw internalError(`completion sequence for non-terminal operation ${id}`)
  }
  return {
    status,
    kind,
    source: source ?? null,
    peerReady,
    progressCount,
    outcome: outcome ?? null,
    ...(sequence !== undefined && { completionSequence: sequence }),
  }
}
