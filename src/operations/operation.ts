import * as v from 'valibot'
import {
  expectsPeer,
  isTerminal,
  liveStatuses,
  terminalStatuses,
  type OperationId,
  type OperationKind,
  type OperationOutcome,
  type OperationSpec,
  type OperationStatus,
} from '../../machines/operation-vocabulary.js'
import { kindClasses } from './classification.js'
import { internalError } from './errors.js'
import { checkKey, childSessionOf, readFacts, type OperationRow } from './operation-row.js'
import { canEnd } from './own-chart.js'
import type { OperationRecords } from './records.js'
import { defineEvent, defineRow, type SessionState } from './session-state.js'
import { sourceProblem } from './source.js'
import type { UnfinishedOperation } from './unfinished.js'
import { count, outcome, spec, uuid } from './vocabulary.js'

/** An operation of a retained kind was registered, or a lost one was started again under its id. */
export const operationRegistered = defineEvent('operation_registered', {
  fields: { spec },
  isNoted: true,
  evolve: ({ tables }, { spec: registered }) => tables.unfinished.add({ spec: registered, status: 'provisioning' }),
})

/** An operation started to run. Nothing else is journalled before its end. */
export const operationStarted = defineEvent('operation_started', {
  fields: { id: uuid<OperationId>(), startedAtMs: v.exactOptional(count) },
  isNoted: true,
  evolve: ({ tables }, { id, startedAtMs }) => tables.unfinished.start(id, startedAtMs),
})

/** An operation ended, with its sequence in the completion order. */
export const operationEnded = defineEvent('operation_ended', {
  fields: {
    id: uuid<OperationId>(),
    completionSequence: count,
    outcome,
    peerReady: v.boolean(),
    progressCount: count,
    completedAtMs: count,
  },
  evolve: ({ tables }, event) => {
    const { id, completionSequence, completedAtMs } = event
    const ended = unfinishedOf(tables, id, event.outcome)
    if (completionSequence <= tables.records.order.lastSequence) {
      throw internalError(`sequence ${completionSequence} of operation ${id} is claimed already`)
    }
    tables.unfinished.end(id)
    const { kind, displayName } = ended.spec
    restoreOperation(tables, { ...event, spec: ended.spec, status: event.outcome.type })
    if (kindClasses[kind].feed === 'suppress') return
    tables.records.publish({
      seq: completionSequence,
      operationId: id,
      kind,
      displayName,
      outcome: event.outcome,
      completedAtMs,
    })
  },
})

/** Ended operations were collected; the feed keeps its rows. */
export const operationsCollected = defineEvent('operations_collected', {
  fields: { ids: v.array(uuid<OperationId>()) },
  isNoted: true,
  evolve: ({ tables }, { ids }) => tables.records.drop(ids),
})

/** Lost operations were dealt with and are no longer reported. */
export const lostForgotten = defineEvent('lost_forgotten', {
  fields: { ids: v.array(uuid<OperationId>()) },
  isNoted: true,
  evolve: ({ tables }, { ids }) => {
    for (const id of ids) tables.unfinished.delete(id)
  },
})

/**
 * The unfinished operation that a journalled end refers to. Journalled ends obey the rules of live calls, so the chart
 * must allow this end.
 */
function unfinishedOf(state: SessionState, id: OperationId, reached: OperationOutcome): UnfinishedOperation {
  const found = state.unfinished.get(id)
  if (found === undefined) throw internalError(`the journal ends operation ${id}, which it never registered`)
  if (!canEnd(found.spec, found.status, reached)) {
    throw internalError(`the journal ends operation ${id} as ${reached.type} while it is ${found.status}`)
  }
  return found
}

/** An operation in a snapshot: its spec, its status and, if it has ended, its outcome. */
export interface StoredOperation {
  readonly spec: OperationSpec
  readonly status: OperationStatus
  readonly peerReady: boolean
  readonly progressCount: number
  readonly outcome: OperationOutcome | null
  readonly completionSequence?: number | undefined
  /** Epoch milliseconds; only for an operation that has not ended. */
  readonly startedAtMs?: number | undefined
  /** Set if an operation above it has ended, so that this one still has to be ended. */
  readonly isOwed?: true | undefined
}

/**
 * Every operation of a retained kind, with checked facts (O-112): ended operations in completion order, then the
 * others. Raises `internal` rather than leave anything out.
 */
export function storedOperations(state: SessionState): StoredOperation[] {
  const { records, unfinished } = state
  const ended: StoredOperation[] = []
  const live: StoredOperation[] = []
  for (const [key, row] of records.rows) {
    const id = checkKey(key)
    const stored = storedOperation(id, row, records)
    if (stored === undefined || records.isEvictionPending(id)) continue
    const rows = stored.completionSequence === undefined ? live : ended
    rows.push(stored)
  }
  ended.sort((one, other) => (one.completionSequence ?? 0) - (other.completionSequence ?? 0))
  const nothing = { peerReady: false, progressCount: 0, outcome: null } as const
  const owed = new Set(unfinished.owed)
  for (const operation of unfinished) {
    if (records.has(operation.spec.id)) continue
    live.push({ ...operation, ...nothing, ...(owed.has(operation) && { isOwed: true }) })
  }
  return [...ended, ...live]
}

/** `undefined` for a kind that is not journalled. */
function storedOperation(id: OperationId, row: OperationRow, records: OperationRecords): StoredOperation | undefined {
  const { kind, status, peerReady, progressCount, source, outcome: reached = null } = readFacts(id, row)
  if (kindClasses[kind].durability === 'discard') return undefined
  const completionSequence = row.stamp?.sequence
  if (isTerminal(status) && completionSequence === undefined) {
    throw internalError(`missing completion sequence for operation ${id}`)
  }
  if (!isTerminal(status) && completionSequence !== undefined) {
    throw internalError(`completion sequence for non-terminal operation ${id}`)
  }
  const { operationSource: _mirror, ...rest } = row.spec
  return {
    spec: { ...rest, ...(source !== undefined && { operationSource: source }), childSessionId: childSessionOf(source) },
    status,
    peerReady,
    progressCount,
    outcome: reached,
    ...(completionSequence !== undefined && { completionSequence }),
    ...(!isTerminal(status) && row.startedAtMs !== undefined && { startedAtMs: row.startedAtMs }),
    ...(!isTerminal(status) && records.isOwedAnEnd(id) && { isOwed: true }),
  }
}

/**
 * Restores an operation (O-115): an ended one in full, an unfinished one only as lost. Raises `internal` for facts that
 * contradict each other or are impossible for its kind: corruption is refused, nothing is guessed.
 */
export function restoreOperation(state: SessionState, stored: StoredOperation): void {
  const {
    spec: told,
    status,
    peerReady,
    progressCount,
    outcome: reached,
    completionSequence: sequence,
    startedAtMs,
    isOwed,
  } = stored
  const { id, kind, operationSource: source } = told
  checkKind(id, kind, { peerReady, outcome: reached })
  checkSpec(told)
  const restored: OperationSpec = { ...told, childSessionId: childSessionOf(source) }
  if (!isTerminal(status)) {
    if (reached !== null) throw internalError(`terminal outcome for non-terminal operation ${id}`)
    if (sequence !== undefined) throw internalError(`completion sequence for non-terminal operation ${id}`)
    const started = startedAtMs === undefined ? {} : { startedAtMs }
    state.unfinished.add({ spec: restored, status, ...started }, { isOwed: isOwed === true })
    return
  }
  if (reached === null) throw internalError(`recovered operation ${id} is missing terminal outcome`)
  if (sequence === undefined) throw internalError(`recovered operation ${id} is missing completion sequence`)
  if (reached.type !== status) {
    throw internalError(
      `payload variant ${reached.type} of operation ${id} does not match terminal outcome discriminant ${status}`,
    )
  }
  state.records.restore({ spec: restored, source, peerReady, progressCount, outcome: reached, sequence })
}

/**
 * Claims the sequence of a restored end, which belongs to one operation only. Raises `internal` like {@link
 * SessionState.claim}.
 */
export function claimSequence(
  state: SessionState,
  { spec: { id }, status, completionSequence }: StoredOperation,
): void {
  if (isTerminal(status) && completionSequence !== undefined) state.claim(completionSequence, id)
}

/** Raises `internal` for a peer where the kind has none (O-28), or for the result of another operation (O-50). */
function checkKind(
  id: OperationId,
  kind: OperationKind,
  { peerReady, outcome: reached }: Pick<StoredOperation, 'peerReady' | 'outcome'>,
): void {
  if (peerReady && !expectsPeer(kind)) throw internalError(`operation ${id} is peer-ready, which no ${kind} is`)
  if (reached !== null) checkResult(id, reached)
}

/** Raises `internal` for the result of another operation (O-50). */
export function checkResult(id: OperationId, reached: OperationOutcome): void {
  if (reached.type !== 'completed' || reached.result.id === id) return
  throw internalError(`the result of operation ${id} names ${reached.result.id}`)
}

function checkSpec({ id, kind, expectPeerChannel, operationSource }: OperationSpec): void {
  if (expectPeerChannel !== expectsPeer(kind)) {
    throw internalError(`spec of operation ${id} contradicts the kind ${kind} on a peer channel`)
  }
  if (operationSource !== undefined && sourceProblem(operationSource) !== undefined) {
    throw internalError(`operation source authority has invalid source for ${id}`)
  }
}

/** An operation. In a snapshot these follow the session row. */
export const operationRow = defineRow('operation', {
  fields: {
    spec,
    status: v.picklist([...liveStatuses, ...terminalStatuses]),
    peerReady: v.boolean(),
    progressCount: count,
    outcome: v.nullable(outcome),
    completionSequence: v.optional(count),
    startedAtMs: v.optional(count),
    isOwed: v.optional(v.literal(true)),
  },
  capture: (state) => (state.currentEpoch === undefined ? [] : storedOperations(state)),
  restore: ({ tables }, row) => {
    claimSequence(tables, row)
    restoreOperation(tables, row)
  },
})
