import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import type { JsonValue } from '../base/json.js'
import { materializedSchema, type MaterializedSemantics } from './event-type.js'
import { checkSize, jsonSchema, keySchema, naturalSchema, nameSchema, positiveSchema, take } from './scalars.js'
import type { ProcessId } from './scalars.js'
import { scopeIdOf, scopeSchema, type CausalRef, type SessionScope } from './scope.js'

/** One event as its process's log holds it; what follows from its place is left out. */
export interface LogEntry {
  /** Its place in the log, from 1, without gaps. */
  readonly sequence: number
  readonly eventType: string
  readonly payload: JsonValue
  /** Unique in the process. */
  readonly replayKey?: string
  /** Left out when nothing follows from the event. */
  readonly semantics?: MaterializedSemantics
  /** Epoch milliseconds by the clock of the store. */
  readonly occurredAtMs: number
}

/** What made the registry write something. */
export interface EventInvocation {
  readonly scope: { readonly sessionId: 'runtime' }
  readonly subject: {
    readonly type: 'process_event'
    readonly processId: ProcessId
    readonly sequence: number
    readonly eventType: string
  }
  readonly causedBy: { readonly type: 'process'; readonly processId: ProcessId }
  readonly replay?: { readonly key: string }
}

/** One event of a process. */
export interface ProcessEvent {
  readonly processId: ProcessId
  readonly sequence: number
  readonly eventType: string
  readonly payload: JsonValue
  readonly invocation: EventInvocation
  readonly semantics: MaterializedSemantics
  /** Epoch milliseconds by the clock of the store. */
  readonly occurredAt: number
}

/** An event that somebody wants in the log. */
export interface AppendRequest {
  readonly eventType: string
  readonly payload: JsonValue
  /** A retry under the same key gets the event that is there. Ends and requests to cancel need one. */
  readonly replay?: { readonly key: string }
  /** Where its wake goes; default the target of the process. */
  readonly wakeTargetScope?: SessionScope
}

/** A session that is to be woken by an event. */
export interface WakeDelivery {
  readonly wakeId: string
  readonly targetSessionId: string
  readonly targetScopeId: string
  readonly processId: ProcessId
  readonly sequence: number
  readonly eventType: string
  readonly eventInvocation: EventInvocation
  readonly processCausedBy?: CausalRef
  readonly dedupeKey: string
  readonly input: JsonValue
  readonly createdAtMs: number
}

/** What became of an append. */
export interface AppendResult {
  /** The stored event; of a retry the one that was there. */
  readonly event: ProcessEvent
  /** There when the event wakes and there is somebody to be woken. */
  readonly wakeDelivery?: WakeDelivery
  /** True when the event was there already. */
  readonly replayed: boolean
}

/** The shape of a {@link LogEntry}. */
export const logEntrySchema: v.GenericSchema<unknown, LogEntry> = strictSchema({
  sequence: positiveSchema,
  eventType: nameSchema,
  payload: jsonSchema,
  replayKey: v.exactOptional(keySchema),
  semantics: v.exactOptional(materializedSchema),
  occurredAtMs: naturalSchema,
})

const appendRequestSchema: v.GenericSchema<unknown, AppendRequest> = strictSchema({
  eventType: nameSchema,
  payload: jsonSchema,
  replay: v.exactOptional(strictSchema({ key: keySchema })),
  wakeTargetScope: v.exactOptional(scopeSchema),
})

/** Takes a request. Raises `invalid_input` naming the field, also for a payload that is too large. */
export function takeAppendRequest(input: unknown): AppendRequest {
  const request = take(appendRequestSchema, input, 'append request')
  checkSize(request.payload, 'append request', 'payload')
  return request
}

const nothing: MaterializedSemantics = Object.freeze({})

/** An entry as the event that callers see. */
export function eventOf(processId: ProcessId, entry: LogEntry): ProcessEvent {
  const { sequence, eventType, payload, replayKey, semantics = nothing, occurredAtMs } = entry
  const invocation: EventInvocation = Object.freeze({
    scope: runtimeScope,
    subject: Object.freeze({ type: 'process_event', processId, sequence, eventType }),
    causedBy: Object.freeze({ type: 'process', processId }),
    ...(replayKey !== undefined && { replay: Object.freeze({ key: replayKey }) }),
  })
  return Object.freeze({ processId, sequence, eventType, payload, invocation, semantics, occurredAt: occurredAtMs })
}

const runtimeScope = Object.freeze({ sessionId: 'runtime' } as const)

/** What is known of a process where its wakes are delivered. */
export interface WakeSource {
  readonly wakeTarget?: SessionScope
  readonly causedBy?: CausalRef
}

/** The delivery that an event asks for; `undefined` when it wakes nobody. */
export function wakeDeliveryOf(event: ProcessEvent, { wakeTarget, causedBy }: WakeSource): WakeDelivery | undefined {
  const { wake } = event.semantics
  const target = wake?.target ?? wakeTarget
  if (wake === undefined || target === undefined) return undefined
  const { processId, sequence, eventType, invocation, occurredAt } = event
  const targetScopeId = scopeIdOf(target)
  return Object.freeze({
    wakeId: wakeIdOf(targetScopeId, wake.dedupeKey),
    targetSessionId: target.sessionId,
    targetScopeId,
    processId,
    sequence,
    eventType,
    eventInvocation: invocation,
    ...(causedBy !== undefined && { processCausedBy: causedBy }),
    dedupeKey: wake.dedupeKey,
    input: wake.input,
    createdAtMs: occurredAt,
  })
}

/** Whether an event wakes somebody, given the target of its process. */
export function doesWake({ semantics }: Pick<LogEntry, 'semantics'>, wakeTarget: SessionScope | undefined): boolean {
  return semantics?.wake !== undefined && (semantics.wake.target ?? wakeTarget) !== undefined
}

function wakeIdOf(targetScopeId: string, dedupeKey: string): string {
  return `wake:${createHash('sha256')
    .update(JSON.stringify([targetScopeId, dedupeKey]))
    .digest('hex')}`
}
