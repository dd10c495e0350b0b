import * as v from 'valibot'
import { deepFreeze } from '../base/freeze.js'
import { strictSchema } from '../base/options.js'
import type { JsonValue } from '../base/json.js'
import { storedReader } from '../state/reader.js'
import { wireCodec } from '../state/wire.js'
import { cancelRequestedType, isSignalType } from './event-type.js'
import type { LogEntry } from './event.js'
import { ownerSchema, type LeaseOwner } from './lease.js'
import { outputSchema, type AwaitOutput } from './output.js'
import type { Registered } from './registration.js'
import {
  idSchema,
  jsonSchema,
  keySchema,
  nameSchema,
  naturalSchema,
  positiveSchema,
  textSchema,
  type ProcessId,
} from './scalars.js'
import type { SessionScope } from './scope.js'
import { processStatuses, type ProcessStatus } from './vocabulary.js'

/** A reference to the process in an external system, such as a workflow of an engine. Written once. */
export interface ExternalRef {
  readonly backend: string
  readonly id: string
  readonly metadata?: JsonValue
}

/** What a process waits for. Its status stays `running`. */
export interface WaitState {
  /** Epoch milliseconds. A restarted execution passes the stored value. */
  readonly sinceMs: number
  readonly kind: WaitKind
}

/** What an execution waits for. */
export type WaitKind =
  /** The nth signal of this name. */
  | {
      readonly type: 'signal'
      readonly name: string
      readonly eventType: string
      readonly key: string
      readonly ordinal: number
    }
  | { readonly type: 'timer'; readonly untilMs: number }
  | { readonly type: 'process'; readonly processId: ProcessId }

/** A request to abandon a process. It does not end the process by itself. */
export interface AbandonRequest {
  readonly requestedBy: string
  readonly requestedAtMs: number
  readonly reason?: string
}

/** Who started executing a process, under which lease, and at which attempt. */
export interface Started {
  readonly owner: LeaseOwner
  readonly startedAtMs: number
  /** 0 if it is executed elsewhere, without a lease. */
  readonly fencingToken: number
  readonly attempt: number
}

/** The state of a process. It follows from its log. */
export interface ProcessState {
  readonly status: ProcessStatus
  /** Set once the process has ended. */
  readonly outcome?: AwaitOutput
  readonly updatedAtMs: number
  /** The length of the log. */
  readonly lastSequence: number
  readonly externalRef?: ExternalRef
  readonly firstStarted?: Started
  readonly abandonRequest?: AbandonRequest
  /** Set once there is a request to cancel. */
  readonly cancelRequested?: true
  readonly wait?: WaitState
  /** How many signals arrived, by event type. The nth signal ends the nth wait. */
  readonly signalCounts: Readonly<Record<string, number>>
}

/** A process as stored: its constant registration, the state that follows from its log, and its wake target. */
export interface StoredProcess {
  readonly registered: Registered
  readonly registrationHash: string
  readonly createdAtMs: number
  readonly wakeTarget?: SessionScope
  readonly state: ProcessState
}

/** A process as returned to callers. */
export interface ProcessRecord extends Registered, Omit<ProcessState, 'lastSequence' | 'signalCounts'> {
  readonly registrationHash: string
  readonly createdAtMs: number
  readonly wakeTarget?: SessionScope
  /** Sequence of its last event. 0 if there is none. */
  readonly lastSequence: number
}

/** The status, with the outcome if the process has ended, in one value. */
export type StatusView =
  | { readonly state: 'running' }
  | { readonly state: Exclude<ProcessStatus, 'running'>; readonly awaitOutput: AwaitOutput }

/** The shape of an {@link ExternalRef}. */
export const externalRefSchema: v.GenericSchema<unknown, ExternalRef> = strictSchema({
  backend: nameSchema,
  id: idSchema,
  metadata: v.exactOptional(jsonSchema),
})

const waitKindSchema: v.GenericSchema<unknown, WaitKind> = v.variant('type', [
  strictSchema({
    type: v.literal('signal'),
    name: nameSchema,
    eventType: nameSchema,
    key: keySchema,
    ordinal: positiveSchema,
  }),
  strictSchema({ type: v.literal('timer'), untilMs: naturalSchema }),
  strictSchema({ type: v.literal('process'), processId: idSchema }),
])

/** The shape of a {@link WaitState}. */
export const waitSchema: v.GenericSchema<unknown, WaitState> = strictSchema({
  sinceMs: naturalSchema,
  kind: waitKindSchema,
})

/** The shape of an {@link AbandonRequest}. */
export const abandonRequestSchema: v.GenericSchema<unknown, AbandonRequest> = strictSchema({
  requestedBy: nameSchema,
  requestedAtMs: naturalSchema,
  reason: v.exactOptional(textSchema),
})

/** The shape of {@link Started}. */
export const startedSchema: v.GenericSchema<unknown, Started> = strictSchema({
  owner: ownerSchema,
  startedAtMs: naturalSchema,
  fencingToken: naturalSchema,
  attempt: positiveSchema,
})

/** The shape of a {@link ProcessState}. */
export const stateSchema: v.GenericSchema<unknown, ProcessState> = strictSchema({
  status: v.picklist(processStatuses),
  outcome: v.exactOptional(outputSchema),
  updatedAtMs: naturalSchema,
  lastSequence: naturalSchema,
  externalRef: v.exactOptional(externalRefSchema),
  firstStarted: v.exactOptional(startedSchema),
  abandonRequest: v.exactOptional(abandonRequestSchema),
  cancelRequested: v.exactOptional(v.literal(true)),
  wait: v.exactOptional(waitSchema),
  signalCounts: v.record(v.string(), positiveSchema),
})

/** Codec for a value in a lifecycle event, with wire names. */
function lifecycleField<Value>(field: string, schema: v.GenericSchema<unknown, Value>) {
  const wire = wireCodec(schema)
  const read = storedReader(schema)
  return {
    write: (value: Value): JsonValue => ({ [field]: wire.encode(value) }),
    read: (payload: JsonValue): Value =>
      read((payload as Readonly<Record<string, JsonValue>>)[field], `event ${field}`),
  }
}

/** Payloads of the lifecycle events that change the record (P-24). */
export const lifecyclePayloads = {
  started: lifecycleField('started', startedSchema),
  wait: lifecycleField('wait', waitSchema),
  externalRef: lifecycleField('external_ref', externalRefSchema),
  request: lifecycleField('request', abandonRequestSchema),
}

/** The state of a newly registered process. */
export function initialState(createdAtMs: number): ProcessState {
  return { status: 'running', updatedAtMs: createdAtMs, lastSequence: 0, signalCounts: {} }
}

/**
 * The state after one more event. Every store changes state only through this function, so folding the log over the
 * registration gives the stored state (P-26).
 */
export function fold(state: ProcessState, entry: LogEntry): ProcessState {
  const next = { ...state, lastSequence: entry.sequence, updatedAtMs: entry.occurredAtMs }
  const { eventType, payload, semantics } = entry
  switch (eventType) {
    case 'process.first_started':
      return { ...next, firstStarted: lifecyclePayloads.started.read(payload) }
    case 'process.external_ref_set':
      return { ...next, externalRef: lifecyclePayloads.externalRef.read(payload) }
    case 'process.abandon_requested':
      return { ...next, abandonRequest: lifecyclePayloads.request.read(payload) }
    case cancelRequestedType:
      return { ...next, cancelRequested: true }
    case 'process.waiting':
      return { ...next, wait: lifecyclePayloads.wait.read(payload) }
    case 'process.resumed':
      return withoutWait(next)
    default:
  }
  if (semantics?.terminal !== undefined) {
    const { state: status, awaitOutput } = semantics.terminal
    return { ...withoutWait(next), status, outcome: awaitOutput }
  }
  if (!isSignalType(eventType)) return next
  return { ...next, signalCounts: { ...next.signalCounts, [eventType]: (next.signalCounts[eventType] ?? 0) + 1 } }
}

/**
 * When a process becomes workable, in epoch milliseconds (P-64). 0 if nothing is missing or it was asked to cancel,
 * `undefined` if it has ended or is waiting for a missing signal.
 */
export function workableFromMs(state: ProcessState): number | undefined {
  const { status, wait, signalCounts, cancelRequested } = state
  if (status !== 'running') return undefined
  if (wait === undefined || cancelRequested) return 0
  const { kind } = wait
  switch (kind.type) {
    case 'timer':
      return kind.untilMs
    case 'signal':
      return (signalCounts[kind.eventType] ?? 0) >= kind.ordinal ? 0 : undefined
    case 'process':
      return 0
  }
}

const records = new WeakMap<StoredProcess, ProcessRecord>()

/** The public record of a process: one frozen object per stored one. */
export function recordOf(stored: StoredProcess): ProcessRecord {
  let record = records.get(stored)
  if (record === undefined) {
    const { registered, state, ...rest } = stored
    const { signalCounts: _, ...visible } = state
    record = deepFreeze({ ...registered, ...rest, ...visible })
    records.set(stored, record)
  }
  return record
}

/** Status and outcome in one value, for older callers. */
export function statusOf({ status, outcome }: Pick<ProcessRecord, 'status' | 'outcome'>): StatusView {
  if (status === 'running' || outcome === undefined) return { state: 'running' }
  return { state: status, awaitOutput: outcome }
}

/** Identifies a wait within its process. */
export function waitKeyOf(kind: WaitKind): string {
  switch (kind.type) {
    case 'signal':
      return kind.key
    case 'timer':
      return `timer:${kind.untilMs}`
    case 'process':
      return `process:${kind.processId}`
  }
}

function withoutWait({ wait: _, ...state }: ProcessState): ProcessState {
  return state
}
