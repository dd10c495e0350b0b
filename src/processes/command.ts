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

/** What a store has of one process when a command is decided; all of it read under the lock that the writes are made under. */
export interface ProcessRows {
  readonly process: StoredProcess | undefined
  /** Of a process that was pruned, while that is remembered. */
  readonly tombstone: Tombstone | undefined
  readonly lease: StoredLease | undefined
  /** The entry of its log under the key that the command names. */
  readonly keyed: LogEntry | undefined
  /** The grant of the scope that the command names. */
  readonly grant: HandleGrant | undefined
}

/** What a store lends to a decision. */
export interface DecisionContext {
  /** Epoch milliseconds by the one clock of the store, read within the transaction. */
  readonly nowMs: number
  /** A text that was never used before, for the token of a lease. */
  newToken(): string
}

/** What a command makes of its process, to be written as one. */
export interface ProcessWrites {
  /** The process was not there before; a tombstone of its id goes. */
  readonly register?: StoredProcess
  /** Behind the log, in order. The state is that of `process`. */
  readonly entries?: readonly LogEntry[]
  /** Replaces what is stored of its leases. */
  readonly lease?: StoredLease
  /** A sequence that is acknowledged. */
  readonly ack?: number
  /** Replaces the grant of the same scope. */
  readonly grant?: HandleGrant
  /** The scope whose grant goes. */
  readonly revoke?: string
}

/** What follows from a command. */
export interface Decided<Result> {
  /** Absent when nothing changes. */
  readonly writes?: ProcessWrites
  /** The process after the writes; there when they change it. */
  readonly process?: StoredProcess
  readonly result: Result
  /** What the caller gets instead of the result, once the writes are durable. */
  readonly refusal?: Error
  /** What was ignored, for the logger. */
  readonly warning?: string
}

/** Something to be done to one process. */
export interface ProcessCommand<Result> {
  readonly processId: ProcessId
  /** The key whose entry is loaded. */
  readonly key?: string
  /** The scope whose grant is loaded. */
  readonly scopeId?: string
  /** Decides by the rows alone; raises the refusal, and nothing is written then. */
  decide(rows: ProcessRows, context: DecisionContext): Decided<Result>
}

/** The process of the rows. Raises `process.unknown`. */
export function known(
  processId: ProcessId,
  { process, tombstone }: Pick<ProcessRows, 'process' | 'tombstone'>,
): StoredProcess {
  if (process !== undefined) return process
  throw unknownProcess(processId, tombstone)
}

/** `process.unknown`, with the time of its pruning while that is remembered. */
export function unknownProcess(
  processId: ProcessId,
  tombstone: Tombstone | undefined,
): ProcessError<'process.unknown'> {
  return new ProcessError('process.unknown', {
    processId,
    ...(tombstone !== undefined && { prunedAtMs: tombstone.prunedAtMs }),
  })
}

/** An entry that is about to be appended. */
export interface NewEntry {
  readonly eventType: string
  readonly payload: JsonValue
  readonly replayKey?: string
  readonly semantics?: MaterializedSemantics
}

/** The entry with its place and time, and the process after it. */
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

/** Where a process stands in its chart. */
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

/** What the chart says to a move. */
export function select(process: StoredProcess, move: ProcessMove): Selection {
  return processChart.select(placeOf(process), move)
}

/** The same if the process were running still: whether it is its status alone that refuses. */
export function selectIfRunning(process: StoredProcess, move: ProcessMove): Selection {
  const { value, context } = placeOf(process)
  return processChart.select({ value: { ...value, lifecycle: { running: 'active' } }, context }, move)
}
