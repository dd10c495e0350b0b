import { processChart, type ProcessMove, type ProcessPlace } from '../../machines/process.js'
import type { Selection } from '../../machines/chart-table.js'
import type { JsonValue } from '../base/json.js'
import { ProcessError } from './errors.js'
import type { MaterializedSemantics } from './event-type.js'
import type { LogEntry } from './event.js'
import type { HandleGrant } from './grant.js'
import type { StoredLease } from './lease.js'
import type { Tombstone } from './pruning.js'
import { fold, type StoredProcess } from './record.js'
import type { ProcessId } from './scalars.js'

/*
 * How every store changes one process: under the process's lock it loads the rows that a command asks for, has the command
 * decide, and writes what it decided, all in one transaction. Commands are pure, so that a rule stands once and holds in
 * memory, on the journal and in SQL alike.
 */

/**
 * The stored rows of one process that a command is decided on, all read under the lock that the writes are made under.
 */
export interface ProcessRows {
  readonly process: StoredProcess | undefined
  /** Set if the process was pruned and its tombstone still exists. */
  readonly tombstone: Tombstone | undefined
  readonly lease: StoredLease | undefined
  /** The log entry under the key that the command names. */
  readonly keyed: LogEntry | undefined
  /** The grant of the scope that the command names. */
  readonly grant: HandleGrant | undefined
}

/** What the store provides to a decision. */
export interface DecisionContext {
  /** Epoch milliseconds by the store's clock, read within the transaction. */
  readonly nowMs: number
  /** A unique text for a lease token. */
  newToken(): string
}

/** What a command writes to its process, in one change. */
export interface ProcessWrites {
  /** The process is new. If there is a tombstone under its id, it is removed. */
  readonly register?: StoredProcess
  /** Appended to the log, in order. The new state is that of `process`. */
  readonly entries?: readonly LogEntry[]
  /** Replaces the stored lease. */
  readonly lease?: StoredLease
  /** The sequence of the wake that is acknowledged. */
  readonly ack?: number
  /** Replaces the grant of the same scope. */
  readonly grant?: HandleGrant
  /** The scope whose grant is removed. */
  readonly revoke?: string
}

/** The result of deciding a command. */
export interface Decided<Result> {
  /** Absent if nothing changes. */
  readonly writes?: ProcessWrites
  /** The process after the writes. Set if they change it. */
  readonly process?: StoredProcess
  readonly result: Result
  /** Thrown to the caller instead of the result, once the writes are durable. */
  readonly refusal?: Error
  /** What was ignored, for the logger. */
  readonly warning?: string
}

/** A change to one process. */
export interface ProcessCommand<Result> {
  readonly processId: ProcessId
  /** Loads the log entry under this key. */
  readonly key?: string
  /** Loads the grant of this scope. */
  readonly scopeId?: string
  /** Decides using the rows alone. To refuse, it throws, and nothing is written. */
  decide(rows: ProcessRows, context: DecisionContext): Decided<Result>
}

/** The process in the rows. Raises `process.unknown`. */
export function known(
  processId: ProcessId,
  { process, tombstone }: Pick<ProcessRows, 'process' | 'tombstone'>,
): StoredProcess {
  if (process !== undefined) return process
  throw unknownProcess(processId, tombstone)
}

/** `process.unknown`, with the time of pruning if the tombstone still exists. */
export function unknownProcess(
  processId: ProcessId,
  tombstone: Pick<Tombstone, 'prunedAtMs'> | undefined,
): ProcessError<'process.unknown'> {
  return new ProcessError('process.unknown', {
    processId,
    ...(tombstone !== undefined && { prunedAtMs: tombstone.prunedAtMs }),
  })
}

/** A log entry to be appended. */
export interface NewEntry {
  readonly eventType: string
  readonly payload: JsonValue
  readonly replayKey?: string
  readonly semantics?: MaterializedSemantics
}

/** The entry with its sequence and time, and the process after it. */
export function appended(
  process: StoredProcess,
  { eventType, payload, replayKey, semantics }: NewEntry,
  occurredAtMs: number,
): { readonly entry: LogEntry; readonly process: StoredProcess } {
  const isPlain = semantics?.terminal === undefined && semantics?.wake === undefined
  const entry: LogEntry = {
    sequence: process.state.lastSequence + 1,
    eventType,
    payload,
    ...(replayKey !== undefined && { replayKey }),
    ...(!isPlain && { semantics }),
    occurredAtMs,
  }
  return { entry, process: { ...process, state: fold(process.state, entry) } }
}

/** The state of a process in its chart. */
export function placeOf({ registered, state }: StoredProcess): ProcessPlace {
  const { status, wait, firstStarted, externalRef, abandonRequest } = state
  return {
    value: {
      lifecycle: status === 'running' ? { running: wait === undefined ? 'active' : 'waiting' } : status,
      execution: firstStarted === undefined ? 'unstarted' : 'started',
    },
    context: {
      disposition: registered.disposition,
      maxAttempts: registered.maxAttempts,
      start: firstStarted,
      hasExternalRef: externalRef !== undefined,
      hasAbandonRequest: abandonRequest !== undefined,
    },
  }
}

/** How the chart answers a move. */
export function select(process: StoredProcess, move: ProcessMove): Selection {
  return processChart.select(placeOf(process), move)
}

/** The answer if the process were still running. Tells whether the status alone is the reason for a refusal. */
export function selectIfRunning(process: StoredProcess, move: ProcessMove): Selection {
  const { value, context } = placeOf(process)
  return processChart.select({ value: { ...value, lifecycle: { running: 'active' } }, context }, move)
}
