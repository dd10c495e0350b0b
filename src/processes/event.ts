import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import type { JsonValue } from '../base/json.js'
import { materializedSchema, type MaterializedSemantics } from './event-type.js'
import { checkSize, jsonSchema, keySchema, naturalSchema, nameSchema, positiveSchema, take } from './scalars.js'
import type { ProcessId } from './scalars.js'
import { scopeIdOf, scopeSchema, type CausalRef, type SessionScope } from './scope.js'

/** An event as stored in the log of its process. Everything that follows from its position is left out. */
export interface LogEntry {
  /** Position in the log, from 1, without gaps. */
  readonly sequence: number
  readonly eventType: string
  readonly payload: JsonValue
  /** Unique within the process. */
  readonly replayKey?: string
  /** Absent if the event has no effects. */
  readonly semantics?: MaterializedSemantics
  /** Epoch milliseconds by the store's clock. */
  readonly occurredAtMs: number
}

/** What caused the registry to write an event. */
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
  /** Epoch milliseconds by the store's clock. */
  readonly occurredAt: number
}

/** A request to append an event. */
export interface AppendRequest {
  readonly eventType: string
  readonly payload: JsonValue
  /** A retry under the same key returns the existing event. Ends and requests to cancel need a key. */
  readonly replay?: { readonly key: string }
  /** Where its wake goes. Default: the wake target of the process. */
  readonly wakeTargetScope?: SessionScope
}

/** A wake to be delivered to a session. */
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

/** The result of an append. */
export interface AppendResult {
  /** The stored event. For a retry, the existing one. */
  readonly event: ProcessEvent
  /** Set if the event wakes and has a target. */
  readonly wakeDelivery?: WakeDelivery
  /** True if the event already existed. */
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

/** Checks and copies a request. Raises `invalid_input` naming the field, also if the payload is too large. */
export function takeAppendRequest(input: unknown): AppendRequest {
  const request = take(appendRequestSchema, input, 'append request')
  checkSize(request.payload, 'append request', 'payload')
  return request
}

const nothing: MaterializedSemantics = Object.freeze({})

/** The public event of a log entry. */
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

/** What building a wake delivery needs from the process. */
export interface WakeSource {
  readonly wakeTarget?: SessionScope
  readonly causedBy?: CausalRef
}

/** The delivery that an event asks for. `undefined` if it wakes no session. */
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

/** Whether an event wakes a session, given the wake target of its process. */
export function doesWake({ semantics }: Pick<LogEntry, 'semantics'>, wakeTarget: SessionScope | undefined): boolean {
  return semantics?.wake !== undefined && (semantics.wake.target ?? wakeTarget) !== undefined
}

function wakeIdOf(targetScopeId: string, dedupeKey: string): string {
  return `wake:${createHash('sha256')
    .update(JSON.stringify([targetScopeId, dedupeKey]))
    .digest('hex')}`
}
