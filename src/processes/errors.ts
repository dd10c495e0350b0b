import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import type { StatewardError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import type { ProcessId } from './scalars.js'
import type { RecoveryDisposition, ProcessStatus } from './vocabulary.js'

interface OfProcess {
  readonly processId: ProcessId
}

interface OfEvent extends OfProcess {
  readonly eventType: string
}

const quoted = (id: string): string => `\`${id}\``

const messages = {
  /** No process is registered under this id. `prunedAtMs` says when it was pruned, while the tombstone exists. */
  'process.unknown': ({ processId, prunedAtMs }: OfProcess & { readonly prunedAtMs?: number }) =>
    `unknown process ${quoted(processId)}${prunedAtMs === undefined ? '' : `, pruned at ${prunedAtMs}`}`,
  /** A registration breaks a rule. */
  'process.registration_invalid': ({ field, reason }: { readonly field: string; readonly reason: string }) =>
    `invalid registration: ${field}: ${reason}`,
  /** The id is already registered with different content. */
  'process.registration_conflict': ({
    processId,
    stored,
    provided,
  }: OfProcess & { readonly stored: string; readonly provided: string }) =>
    `process ${quoted(processId)} is already registered differently: ${stored}, not ${provided}`,
  /** The process does not declare events of this type. */
  'process.event_undeclared': ({ processId, eventType }: OfEvent) =>
    `process ${quoted(processId)} declares no event ${eventType}`,
  /** Only the registry itself writes events of this type. */
  'process.event_reserved': ({ eventType }: OfEvent) => `events ${eventType} are written only by the registry`,
  /** Events of this type are appended once and need a replay key. */
  'process.event_key_required': ({ eventType }: OfEvent) => `an event ${eventType} needs a replay key`,
  /** The payload does not match the type's schema, or a selector finds nothing in it. */
  'process.event_payload_invalid': ({
    eventType,
    path,
    reason,
  }: OfEvent & { readonly path: string; readonly reason: string }) =>
    `the payload of ${eventType} is invalid: ${path}: ${reason}`,
  /** The replay key was used for a different event. */
  'process.replay_conflict': ({ processId, key }: OfProcess & { readonly key: string }) =>
    `process ${quoted(processId)} has another event under the key ${key}`,
  /** The process has ended: it cannot end again and accepts no signals. */
  'process.already_terminal': ({ processId, status }: OfProcess & { readonly status: ProcessStatus }) =>
    `process ${quoted(processId)} is already ${status}`,
  /** The process already has a different external reference, which is written only once. */
  'process.external_ref_conflict': ({
    processId,
    stored,
    provided,
  }: OfProcess & { readonly stored: JsonValue; readonly provided: JsonValue }) =>
    `process ${quoted(processId)} refers to ${JSON.stringify(stored)}, not ${JSON.stringify(provided)}`,
  /** The process has ended and cannot wait. */
  'process.wait_refused': ({ processId, status }: OfProcess & { readonly status: ProcessStatus }) =>
    `process ${quoted(processId)} is ${status} and waits for nothing`,
  /** The process has ended and cannot be abandoned. */
  'process.abandon_refused': ({ processId, status }: OfProcess & { readonly status: ProcessStatus }) =>
    `process ${quoted(processId)} is ${status} and cannot be abandoned`,
  /** Another execution has started this owner-bound process, and only that one may run it. */
  'process.already_started': ({ processId, owner }: OfProcess & { readonly owner: string }) =>
    `process ${quoted(processId)} was started by ${owner} and is bound to it`,
  /** The process has used up its attempts and has ended as abandoned. */
  'process.attempts_exhausted': ({ processId, maxAttempts }: OfProcess & { readonly maxAttempts: number }) =>
    `process ${quoted(processId)} was started ${maxAttempts} times and may not be started again`,
  /** Steps are for rerunnable processes, adoption is for owner-bound ones. */
  'process.disposition_unfit': ({
    processId,
    disposition,
    action,
  }: OfProcess & { readonly disposition: RecoveryDisposition; readonly action: string }) =>
    `process ${quoted(processId)} is ${disposition}, which does not allow ${action}`,
  /** This caller may not end the process. */
  'process.completion_unauthorized': ({
    processId,
    authority,
    disposition,
  }: OfProcess & { readonly authority: string; readonly disposition: RecoveryDisposition }) =>
    `${authority} may not end process ${quoted(processId)}, which is ${disposition}`,
  /** The session does not hold the handle that it is asked to transfer. */
  'process.grant_missing': ({ processId, sessionId }: OfProcess & { readonly sessionId: string }) =>
    `session ${sessionId} has no handle on process ${quoted(processId)}`,
  /** The lease does not hold the process any more. */
  'process.lease_superseded': ({ processId, fencingToken }: OfProcess & { readonly fencingToken: number }) =>
    `the lease ${fencingToken} on process ${quoted(processId)} is missing or expired: stop working`,
  /** The fencing tokens of the process are used up. */
  'process.fencing_overflow': ({ processId }: OfProcess) =>
    `process ${quoted(processId)} cannot be leased again: its fencing tokens are used up`,
  /** The lease is shorter than three renewal intervals, so it would not survive two failed renewals. */
  'process.lease_timings_invalid': ({ field, reason }: { readonly field: string; readonly reason: string }) =>
    `invalid lease timings: ${field}: ${reason}`,
  /** The cursor belongs to another store or another purpose. */
  'process.cursor_invalid': ({ cursor }: { readonly cursor: string }) => `not a cursor of this store: ${cursor}`,
  /** The stored data contradicts itself. The store does not guess. */
  'process.stored_invalid': ({ field, reason }: { readonly field: string; readonly reason: string }) =>
    `the data of the store is corrupt: ${field}: ${reason}`,
  /** The wait timed out. The process goes on. */
  'process.await_timeout': ({ processId, timeoutMs }: OfProcess & { readonly timeoutMs: number }) =>
    `the wait for process ${quoted(processId)} timed out after ${timeoutMs} ms`,
  /** No process of this kind is defined here, so its environment is unknown. */
  'process.kind_unknown': ({ kind }: { readonly kind: string }) => `no process kind ${kind} is defined here`,
  /** This definition, or an equal one, is already added. Another definition of the kind needs another version. */
  'process.kind_defined': ({ kind }: { readonly kind: string }) =>
    `this version of the process kind ${kind} is already defined`,
  /** The reason of a run's signal when it must stop. */
  'process.run_stopped': ({ processId, cause }: OfProcess & { readonly cause: string }) =>
    `the run of process ${quoted(processId)} was asked to stop: ${cause}`,
  /** The process runs on another host, whose processes are not visible here. */
  'process.elsewhere': ({ processId, hostId }: OfProcess & { readonly hostId: string }) =>
    `process ${quoted(processId)} runs on another host: ${hostId}`,
  /** A facet would lose its state although the processes themselves are durable. */
  'process.facet_inline': ({ facet }: { readonly facet: string }) =>
    `${facet} does not survive its host, but durable processes need it to`,
  /** The worker is closed and accepts nothing. */
  'process.worker_closed': () => 'the worker is closed',
  /** The wait ended because the runtime is closing. */
  'process.await_closed': ({ wait }: { readonly wait: string }) => `the wait for ${wait} was closed`,
  /** The storage failed. This says nothing about the process. */
  'store.unavailable': ({ store, reason }: { readonly store: string; readonly reason: string }) =>
    `the store ${store} failed: ${reason}`,
}

/** Data of every error of the processes room, by code. */
export type ProcessErrorData = ErrorDataOf<typeof messages>

/** Thrown by the processes room. Branch on `code`. */
export const ProcessError = defineErrors('ProcessError', messages)

/** Refuses a cursor, whatever it is. */
export function invalidCursor(cursor: unknown, cause?: unknown): ProcessError<'process.cursor_invalid'> {
  const text = typeof cursor === 'string' ? cursor.slice(0, 300) : typeof cursor
  return new ProcessError('process.cursor_invalid', { cursor: text }, { cause })
}

/** An error of the processes room. */
export type ProcessError<Code extends keyof ProcessErrorData = keyof ProcessErrorData> = StatewardError<
  Code,
  ProcessErrorData[Code]
>
