import { hash } from 'node:crypto'
import { canonicalJson } from '../base/json-copy.js'
import type { JsonValue } from '../base/json.js'
import { longestId, type ProcessId } from './scalars.js'

/** The replay keys of events that the registry and its callers write, so that a retry is recognized (P-23), and ids of called processes. */

/** Key of an end with a built-in terminal type. */
export function terminalKey(processId: ProcessId, eventType: string): string {
  return `process:${processId}:terminal:${eventType}`
}

/** Key of a request to cancel: one per distinct payload. Its length does not depend on the reason. */
export function cancelRequestKey(processId: ProcessId, payload: JsonValue): string {
  return `process:${processId}:cancel_requested:v1:${digestOf(['process.cancel_requested', payload])}`
}

/** Key of a signal. */
export function signalKey(processId: ProcessId, name: string, signalId: string): string {
  return `process:${processId}:signal.${name}:${signalId}`
}

/** Key of the nth wait for a signal, which ends with the nth signal of that name. */
export function signalWaitKey(processId: ProcessId, name: string, ordinal: number): string {
  return `process:${processId}:signal.${name}:${ordinal}`
}

/** Key of the nth event that a run or engine emits without a key. */
export function ordinalKey(processId: ProcessId, ordinal: number): string {
  return `process:${processId}:event:${ordinal}`
}

/** Key of an event that a run emits under its own key. */
export function emitKey(processId: ProcessId, key: string): string {
  return `process:${processId}:emitted:${key}`
}

/** Key of the nth start. */
export function firstStartedKey(processId: ProcessId, attempt: number): string {
  return `process:${processId}:first-started:attempt:${attempt}`
}

/** Key of the beginning of a wait. */
export function waitingKey(processId: ProcessId, waitKey: string, sinceMs: number): string {
  return `process:${processId}:wait:${waitKey}:since:${sinceMs}:entered`
}

/** Key of the end of a wait. */
export function resumedKey(processId: ProcessId, waitKey: string, sinceMs: number): string {
  return `process:${processId}:wait:${waitKey}:since:${sinceMs}:cleared`
}

/** Key of the external reference. */
export function externalRefKey(processId: ProcessId): string {
  return `process:${processId}:external-ref`
}

/** Key of the request to abandon. */
export function abandonRequestedKey(processId: ProcessId): string {
  return `process:${processId}:abandon-requested`
}

/** Key of the result of a step. */
export function stepKey(processId: ProcessId, name: string, ordinal: number): string {
  return `process:${processId}:step:${name}:${ordinal}`
}

/** Key of an adoption. */
export function adoptedKey(processId: ProcessId, fencingToken: number): string {
  return `process:${processId}:adopted:${fencingToken}`
}

/** Hex SHA-256 of the canonical JSON of a value. */
export function digestOf(value: JsonValue): string {
  return hash('sha256', canonicalJson(value))
}

/** The id of the process called under a key. The same in every run. */
export function childIdOf(parentId: ProcessId, key: string): ProcessId {
  const id = `${parentId}/${key}`
  if (id.length <= longestId) return id
  return `called:${hash('sha256', id)}`
}
