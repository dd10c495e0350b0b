import { isTerminal, type OperationId, type OperationSpec } from '../../machines/operation-vocabulary.js'
import { kindClasses } from './classification.js'
import { internalError } from './errors.js'
import { checkKey, childSessionOf, readFacts, type OperationRow } from './projection.js'
import type { OperationRecords } from './records.js'
import type { EpochId, PersistedOperation } from './types.js'
import type { PersistedOperations } from './wire.js'

/**
 * The durable part of a registry, read fail-closed (spec operations 7.2): every operation of a kept
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
  const { oldest } = records.waits
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
    ...(oldest !== undefined && { wait: oldest.request }),
  }
}

/** The facts of one operation; nothing for a kind that leaves no trace. */
export function persistedOperation(id: OperationId, row: OperationRow): PersistedOperation | undefined {
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
