import * as v from 'valibot'
import { isUuid } from '../base/ids.js'
import type { ActorId, AttemptId, ReservationId, RunId, SubscriptionId, TaskId, TenantId } from './ids.js'

/**
 * Accepts a natural number: an instant in epoch milliseconds or a duration in milliseconds, a sequence, an amount or a
 * limit.
 */
export const naturalSchema = v.custom<number>(
  (input) => Number.isSafeInteger(input) && (input as number) >= 0,
  'expected a non-negative safe integer',
)

/** Accepts an unsigned 32-bit integer. */
export const countSchema = v.custom<number>(
  (input) => Number.isInteger(input) && (input as number) >= 0 && (input as number) <= 0xffff_ffff,
  'expected an integer from 0 to 4294967295',
)

/** Accepts a signed 32-bit integer. */
export const prioritySchema = v.custom<number>(
  (input) => Number.isInteger(input) && ((input as number) | 0) === input,
  'expected a signed 32-bit integer',
)

/** The longest name, key or label, in UTF-16 units. */
export const labelMaxLength = 4096

/** Accepts a name, key or label, even an empty one; emptiness is checked elsewhere. */
export const labelSchema = v.pipe(v.string(), v.maxLength(labelMaxLength))

/** Accepts a lower-case UUID. */
export function idSchema<Id extends string>(): v.GenericSchema<unknown, Id> {
  return v.custom<Id>(isUuid, 'expected a lower-case UUID')
}

/** Accepts a value as JSON text. */
export const jsonTextSchema = v.custom<string>(
  (input) => typeof input === 'string' && isJsonText(input),
  'expected JSON text',
)

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** The time of a change. Groups of fields such as this are shared by commands, events and rows. */
export const timed = { atMs: naturalSchema }
export const ofTask = { ...timed, taskId: idSchema<TaskId>() }
export const ofRun = { ...timed, runId: idSchema<RunId>() }
export const ofAttempt = { ...ofRun, attemptId: idSchema<AttemptId>() }
export const ofReservation = { ...timed, reservationId: idSchema<ReservationId>() }
export const ofSubscription = { ...timed, subscriptionId: idSchema<SubscriptionId>() }
export const ofActor = { ...timed, actorId: idSchema<ActorId>() }
export const ofActorInTenant = { ...ofActor, tenantId: idSchema<TenantId>() }

/** Token of the lease under which the caller works; required while the run is leased (T-146). */
export const fenced = { fencingToken: v.exactOptional(naturalSchema) }

/** An optional instant. */
export const optionalTime = v.exactOptional(naturalSchema)

/** An optional run id. */
export const optionalRunId = v.exactOptional(idSchema<RunId>())

/** A list of tasks. */
export const taskIdsSchema = v.array(idSchema<TaskId>())
