import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import type { JsonObject } from '../../base/json.js'
import { registrationEntries } from '../actor.js'
import { outcomeSchema, type AttemptRecord } from '../attempt.js'
import { dimensionSchema } from '../budget.js'
import type { ActorId, AttemptId, ReservationId, RunId, SubscriptionId, TaskId, TenantId } from '../ids.js'
import { capabilitySchema, ledgerEntryEntries, roleSchema } from '../platform.js'
import { runStates, type RunHistoryEntry } from '../run.js'
import { countSchema, idSchema, labelSchema, naturalSchema, prioritySchema } from '../scalars.js'
import { eventFilterSchema } from '../subscription.js'
import { taskSpecSchema } from '../task-spec.js'

/** Version of the rows below; a program reads exactly its own. */
export const snapshotSchema = 2

const optionalTime = v.exactOptional(naturalSchema)

const historyEntries = {
  from: v.exactOptional(v.picklist(runStates)),
  to: v.picklist(runStates),
  atMs: naturalSchema,
  reason: v.exactOptional(v.string()),
} as const
const historyEntry: v.GenericSchema<unknown, RunHistoryEntry> = v.strictObject(historyEntries)

const attemptEntries = {
  attemptId: idSchema<AttemptId>(),
  startedAtMs: naturalSchema,
  finishedAtMs: optionalTime,
  outcome: v.exactOptional(outcomeSchema),
} as const
const attemptRecord: v.GenericSchema<unknown, AttemptRecord> = v.strictObject(attemptEntries)

const rows = {
  header: v.strictObject({
    row: v.literal('header'),
    schema: naturalSchema,
    sequence: naturalSchema,
    taskCount: naturalSchema,
    runCount: naturalSchema,
    engine: v.strictObject({ paused: v.boolean(), pausedAtMs: optionalTime, resumedAtMs: optionalTime }),
  }),
  task: v.strictObject({
    row: v.literal('task'),
    spec: taskSpecSchema,
    createdAtMs: naturalSchema,
    cancelledAtMs: optionalTime,
  }),
  prerequisites: v.strictObject({
    row: v.literal('prerequisites'),
    taskId: idSchema<TaskId>(),
    /** How many of them came in the rows before; absent in the first row of a task. */
    after: v.exactOptional(naturalSchema),
    dependsOn: v.array(idSchema<TaskId>()),
  }),
  /** Its first steps and attempts; the others follow, see `rowsOfRun`. */
  run: v.strictObject({
    row: v.literal('run'),
    id: idSchema<RunId>(),
    taskId: idSchema<TaskId>(),
    state: v.picklist(runStates),
    currentAttemptId: v.exactOptional(idSchema<AttemptId>()),
    attemptCount: countSchema,
    createdAtMs: naturalSchema,
    scheduledAtMs: naturalSchema,
    effectivePriority: prioritySchema,
    lastStateChangeAtMs: naturalSchema,
    retryAtMs: optionalTime,
    lease: v.exactOptional(
      v.strictObject({
        owner: labelSchema,
        expiresAtMs: naturalSchema,
        fencingToken: naturalSchema,
        acquiredAtMs: naturalSchema,
        updatedAtMs: naturalSchema,
      }),
    ),
    history: v.array(historyEntry),
    attempts: v.array(attemptRecord),
  }),
  step: v.strictObject({ row: v.literal('step'), runId: idSchema<RunId>(), ...historyEntries }),
  attempt: v.strictObject({ row: v.literal('attempt'), runId: idSchema<RunId>(), ...attemptEntries }),
  budget: v.strictObject({
    row: v.literal('budget'),
    taskId: idSchema<TaskId>(),
    dimension: dimensionSchema,
    limit: naturalSchema,
    consumed: naturalSchema,
    reserved: naturalSchema,
    allocatedAtMs: naturalSchema,
    replenishedAtMs: optionalTime,
    exhausted: v.boolean(),
  }),
  reservation: v.strictObject({
    row: v.literal('reservation'),
    reservationId: idSchema<ReservationId>(),
    taskId: idSchema<TaskId>(),
    runId: v.exactOptional(idSchema<RunId>()),
    dimension: dimensionSchema,
    amount: naturalSchema,
    chargedTaskIds: v.array(idSchema<TaskId>()),
    reservedAtMs: naturalSchema,
  }),
  subscription: v.strictObject({
    row: v.literal('subscription'),
    subscriptionId: idSchema<SubscriptionId>(),
    taskId: idSchema<TaskId>(),
    filter: eventFilterSchema,
    rearm: v.boolean(),
    createdAtMs: naturalSchema,
    triggeredAtMs: optionalTime,
    pendingTriggers: naturalSchema,
    consumedAtMs: optionalTime,
    cancelledAtMs: optionalTime,
  }),
  actor: v.strictObject({
    row: v.literal('actor'),
    ...registrationEntries,
    registeredAtMs: naturalSchema,
    lastHeartbeatAtMs: optionalTime,
    deregisteredAtMs: optionalTime,
  }),
  tenant: v.strictObject({
    row: v.literal('tenant'),
    tenantId: idSchema<TenantId>(),
    name: labelSchema,
    createdAtMs: naturalSchema,
  }),
  role: v.strictObject({
    row: v.literal('role'),
    actorId: idSchema<ActorId>(),
    tenantId: idSchema<TenantId>(),
    role: roleSchema,
    assignedAtMs: naturalSchema,
  }),
  grant: v.strictObject({
    row: v.literal('grant'),
    actorId: idSchema<ActorId>(),
    tenantId: idSchema<TenantId>(),
    capability: capabilitySchema,
    grantedAtMs: naturalSchema,
    revokedAtMs: optionalTime,
  }),
  ledger: v.strictObject({ row: v.literal('ledger'), ...ledgerEntryEntries }),
  end: v.strictObject({ row: v.literal('end') }),
} as const

const kinds = v.picklist(Object.keys(rows) as [keyof typeof rows])

/** One row of a snapshot. */
export type SnapshotRow = { [Kind in keyof typeof rows]: v.InferOutput<(typeof rows)[Kind]> }[keyof typeof rows]

/** Reads a snapshot row; raises `invalid_input` naming the field. */
export function decodeRow(stored: JsonObject): SnapshotRow {
  const { row: kind } = decode(v.looseObject({ row: kinds }), stored, 'task snapshot row')
  return decode(rows[kind], stored, `task snapshot row ${kind}`)
}
