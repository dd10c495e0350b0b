import * as v from 'valibot'
import { dimensionSchema } from '../budget.js'
import type { ActorId, AttemptId, ReservationId, RunId, SubscriptionId, TaskId, TenantId } from '../ids.js'
import { idSchema, labelSchema, naturalSchema } from '../scalars.js'

/** Groups of fields that commands and events share. */
export const timed = { atMs: naturalSchema }
export const ofTask = { ...timed, taskId: idSchema<TaskId>() }
export const ofRun = { ...timed, runId: idSchema<RunId>() }
export const ofAttempt = { ...ofRun, attemptId: idSchema<AttemptId>() }
export const ofLease = { ...ofRun, owner: labelSchema, expiresAtMs: naturalSchema }
export const ofBudget = { ...ofTask, dimension: dimensionSchema }
export const ofReservation = { ...timed, reservationId: idSchema<ReservationId>() }
export const ofSubscription = { ...timed, subscriptionId: idSchema<SubscriptionId>() }
export const ofActor = { ...timed, actorId: idSchema<ActorId>() }
export const ofActorInTenant = { ...ofActor, tenantId: idSchema<TenantId>() }
export const ofTenant = { tenantId: idSchema<TenantId>(), name: labelSchema }

/** A list of task ids. */
export const taskIdsSchema = v.array(idSchema<TaskId>())

/** An optional run id. */
export const optionalRunId = v.exactOptional(idSchema<RunId>())
