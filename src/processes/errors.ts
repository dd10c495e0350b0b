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
  /** Nothing is registered under the id; `prunedAtMs` says when it was pruned, while that is remembered. */
  'process.unknown': ({ processId, prunedAtMs }: OfProcess & { readonly prunedAtMs?: number }) =>
    `unknown process ${quoted(processId)}${prunedAtMs === undefined ? '' : `, pruned at ${prunedAtMs}`}`,
  /** A registration breaks a rule of its own. */
  'process.registration_invalid': ({ field, reason }: { readonly field: string; readonly reason: string }) =>
    `invalid registration: ${field}: ${reason}`,
  /** Another registration stands under the same id. */
  'process.registration_conflict': ({
    processId,
    stored,
    provided,
  }: OfProcess & { readonly stored: string; readonly provided: string }) =>
    `process ${quoted(processId)} is registered differently: ${stored}, not ${provided}`,
  /** The process has not declared events of this type. */
  'process.event_undeclared': ({ processId, eventType }: OfEvent) =>
    `process ${quoted(processId)} declares no event ${eventType}`,
  /** Only the registry itself writes events of this type. */
  'process.event_reserved': ({ eventType }: OfEvent) => `events ${eventType} are written by the registry alone`,
  /** Events of this type are appended once, under a key. */
  'process.event_key_required': ({ eventType }: OfEvent) => `an event ${eventType} needs a replay key`,
  /** The payload does not fit what the type declares, or a selector finds nothing in it. */
  'process.event_payload_invalid': ({
    eventType,
    path,
    reason,
  }: OfEvent & { readonly path: string; readonly reason: string }) =>
    `the payload of ${eventType} does not fit: ${path}: ${reason}`,
  /** The key was used for another event. */
  'process.replay_conflict': ({ processId, key }: OfProcess & { readonly key: string }) =>
    `process ${quoted(processId)} has another event under the key ${key}`,
  /** What has ended ends no second time, and takes no signals. */
  'process.already_terminal': ({ processId, status }: OfProcess & { readonly status: ProcessStatus }) =>
    `process ${quoted(processId)} is ${status} already`,
  /** The reference is written once. */
  'process.external_ref_conflict': ({
    processId,
    stored,
    provided,
  }: OfProcess & { readonly stored: JsonValue; readonly provided: JsonValue }) =>
    `process ${quoted(processId)} refers to ${JSON.stringify(stored)}, not ${JSON.stringify(provided)}`,
  /** What has ended waits for nothing. */
  'process.wait_refused': ({ processId, status }: OfProcess & { readonly status: ProcessStatus }) =>
    `process ${quoted(processId)} is ${status} and waits for nothing`,
  /** What has ended cannot be given up. */
  'process.abandon_refused': ({ processId, status }: OfProcess & { readonly status: ProcessStatus }) =>
    `process ${quoted(processId)} is ${status} and cannot be abandoned`,
  /** Another execution has started it, and nobody else ever may. */
  'process.already_started': ({ processId, owner }: OfProcess & { readonly owner: string }) =>
    `process ${quoted(processId)} was started by ${owner} and is bound to it`,
  /** The process has been started as often as it may be, and has ended as abandoned. */
  'process.attempts_exhausted': ({ processId, maxAttempts }: OfProcess & { readonly maxAttempts: number }) =>
    `process ${quoted(processId)} was started ${maxAttempts} times and may not be started again`,
  /** Steps are for processes that may run again, adoption for those bound to their owner. */
  'process.disposition_unfit': ({
    processId,
    disposition,
    action,
  }: OfProcess & { readonly disposition: RecoveryDisposition; readonly action: string }) =>
    `process ${quoted(processId)} is ${disposition}: ${action} is not for it`,
  /** Whoever completes it may not. */
  'process.completion_unauthorized': ({
    processId,
    authority,
    disposition,
  }: OfProcess & { readonly authority: string; readonly disposition: RecoveryDisposition }) =>
    `${authority} may not end process ${quoted(processId)}, which is ${disposition}`,
  /** The session does not hold the handle that it should hand on. */
  'process.grant_missing': ({ processId, sessionId }: OfProcess & { readonly sessionId: string }) =>
    `session ${sessionId} has no handle on process ${quoted(processId)}`,
  /** The lease is not the one that holds the process now. */
  'process.lease_superseded': ({ processId, fencingToken }: OfProcess & { readonly fencingToken: number }) =>
    `the lease ${fencingToken} on process ${quoted(processId)} is missing or expired: stop working`,
  /** The fencing tokens of the process are used up. */
  'process.fencing_overflow': ({ processId }: OfProcess) =>
    `process ${quoted(processId)} can be leased no further: its fencing tokens are used up`,
  /** A lease must outlive two renewals that fail. */
  'process.lease_timings_invalid': ({ field, reason }: { readonly field: string; readonly reason: string }) =>
    `invalid lease timings: ${field}: ${reason}`,
  /** A cursor of another store or another purpose. */
  'process.cursor_invalid': ({ cursor }: { readonly cursor: string }) => `not a cursor of this store: ${cursor}`,
  /** What is stored contradicts itself; nothing is guessed around it. */
  'process.stored_invalid': ({ field, reason }: { readonly field: string; readonly reason: string }) =>
    `the store holds what cannot be: ${field}: ${reason}`,
  /** The time for the wait is over; the process goes on. */
  'process.await_timeout': ({ processId, timeoutMs }: OfProcess & { readonly timeoutMs: number }) =>
    `process ${quoted(processId)}: what was waited for did not come within ${timeoutMs} ms`,
  /** Nothing is defined under this kind here, so nobody can say what its processes run in. */
  'process.kind_unknown': ({ kind }: { readonly kind: string }) => `no process ${kind} is defined here`,
  /** The same definition, or an equal one, is there already: another one of the kind needs another version. */
  'process.kind_defined': ({ kind }: { readonly kind: string }) =>
    `a process ${kind} of this version is defined already`,
  /** Why a run is told to stop by its signal. */
  'process.run_stopped': ({ processId, cause }: OfProcess & { readonly cause: string }) =>
    `the run of process ${quoted(processId)} was told to stop: ${cause}`,
  /** It runs on another host, whose processes nobody here knows. */
  'process.elsewhere': ({ processId, hostId }: OfProcess & { readonly hostId: string }) =>
    `process ${quoted(processId)} runs on another host: ${hostId}`,
  /** Runs would lose what they keep there although the processes themselves survive. */
  'process.facet_inline': ({ facet }: { readonly facet: string }) =>
    `${facet} does not survive its host, and processes that are durable need it`,
  /** The worker takes nothing more. */
  'process.worker_closed': () => 'the worker is closed',
  /** Nobody waits here any more: the runtime is closing. */
  'process.await_closed': ({ wait }: { readonly wait: string }) => `the wait for ${wait} was closed`,
  /** The storage failed; that says nothing about the process. */
  'store.unavailable': ({ store, reason }: { readonly store: string; readonly reason: string }) =>
    `the store ${store} failed: ${reason}`,
}

/** Data of every error of the processes room, by code. */
export type ProcessErrorData = ErrorDataOf<typeof messages>

/** Raised by the processes room; branch on `code`. */
export const ProcessError = defineErrors('ProcessError', messages)

/** An error of the processes room. */
export type ProcessError<Code extends keyof ProcessErrorData = keyof ProcessErrorData> = StatewardError<
  Code,
  ProcessErrorData[Code]
>
