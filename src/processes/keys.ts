import { hash } from 'node:crypto'
import { canonicalJson } from '../base/json-copy.js'
import type { JsonValue } from '../base/json.js'
import type { ProcessId } from './scalars.js'

/** The replay keys of what the registry and its callers write, so that a retry is told to be one (P-23). */

/** Of the end by a built-in terminal type. */
export function terminalKey(processId: ProcessId, eventType: string): string {
  return `process:${processId}:terminal:${eventType}`
}

/** Of a request to cancel: one per distinct payload, of one size however long the reason is. */
export function cancelRequestKey(processId: ProcessId, payload: JsonValue): string {
  return `process:${processId}:cancel_requested:v1:${digestOf(['process.cancel_requested', payload])}`
}

/** Of a signal. */
export function signalKey(processId: ProcessId, name: string, signalId: string): string {
  return `process:${processId}:signal.${name}:${signalId}`
}

/** Of the nth wait for a signal, which its nth occurrence ends. */
export function signalWaitKey(processId: ProcessId, name: string, ordinal: number): string {
  return `process:${processId}:signal.${name}:${ordinal}`
}

/** Of a yield or wake of an engine. */
export function ordinalKey(processId: ProcessId, ordinal: number): string {
  return `process:${processId}:event:${ordinal}`
}

/** Of an event that a run has named. */
export function emitKey(processId: ProcessId, key: string): string {
  return `process:${processId}:emitted:${key}`
}

/** Of the nth start. */
export function firstStartedKey(processId: ProcessId, attempt: number): string {
  return `process:${processId}:first-started:attempt:${attempt}`
}

/** Of the beginning of a wait. */
export function waitingKey(processId: ProcessId, waitKey: string, sinceMs: number): string {
  return `process:${processId}:wait:${waitKey}:since:${sinceMs}:entered`
}

/** Of the end of a wait. */
export function resumedKey(processId: ProcessId, waitKey: string, sinceMs: number): string {
  return `process:${processId}:wait:${waitKey}:since:${sinceMs}:cleared`
}

/** Of the reference to something outside. */
export function externalRefKey(processId: ProcessId): string {
  return `process:${processId}:external-ref`
}

/** Of the request to abandon. */
export function abandonRequestedKey(processId: ProcessId): string {
  return `process:${processId}:abandon-requested`
}

/** Of the result of a step. */
export function stepKey(processId: ProcessId, name: string, ordinal: number): string {
  return `process:${processId}:step:${name}:${ordinal}`
}

/** Of an adoption. */
export function adoptedKey(processId: ProcessId, fencingToken: number): string {
  return `process:${processId}:adopted:${fencingToken}`
}

/** Hex SHA-256 of the canonical JSON of a value. */
export function digestOf(value: JsonValue): string {
  return hash('sha256', canonicalJson(value))
}
