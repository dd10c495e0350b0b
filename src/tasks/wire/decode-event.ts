import * as v from 'valibot'
import { checkRegistration, registrationEntries } from '../actor.js'
import { errorDetailsSchema } from '../../base/error-details.js'
import { attemptResults, failureClasses, failureReasons } from '../attempt.js'
import { decode } from '../../base/decode.js'
import { InvalidInputError } from '../../base/errors.js'
import type { JsonObject } from '../../base/json.js'
import { checkLimit } from '../budget.js'
import { base64Schema } from '../bytes.js'
import type { EventPayloads, EventType, TaskEvent } from '../events.js'
import {
  capabilitySchema,
  checkCapability,
  checkLedgerEntry,
  checkRole,
  checkTenant,
  ledgerEntryEntries,
  roleSchema,
} from '../platform.js'
import { checkOwner, checkRunIds, runInstanceSchema, runStates } from '../run.js'
import { naturalSchema } from '../scalars.js'
import { checkFilter, eventFilterSchema } from '../subscription.js'
import { checkTaskSpec, taskSpecSchema } from '../task-spec.js'
import {
  ofActor,
  ofActorInTenant,
  ofAttempt,
  ofBudget,
  ofLease,
  ofReservation,
  ofRun,
  ofSubscription,
  ofTask,
  ofTenant,
  optionalRunId,
  taskIdsSchema,
  timed,
} from './entries.js'

type PayloadSchemas = { readonly [Type in EventType]: v.GenericSchema<unknown, EventPayloads[Type]> }

function event<const Entries extends v.ObjectEntries>(entries: Entries) {
  return v.strictObject({ type: v.string(), version: v.literal(1), sequence: naturalSchema, ...entries })
}

const schemas: PayloadSchemas = {
  task_created: event({ ...timed, taskSpec: taskSpecSchema }),
  run_created: event({ runInstance: runInstanceSchema }),
  run_state_changed: event({
    ...ofRun,
    previousState: v.picklist(runStates),
    newState: v.picklist(runStates),
    retryAtMs: v.exactOptional(naturalSchema),
  }),
  attempt_started: event(ofAttempt),
  attempt_finished: event({
    ...ofAttempt,
    result: v.picklist(attemptResults),
    error: v.exactOptional(v.string()),
    output: v.exactOptional(base64Schema),
    failureClass: v.exactOptional(v.picklist(failureClasses)),
    reason: v.exactOptional(v.picklist(failureReasons)),
    cause: v.exactOptional(errorDetailsSchema),
  }),
  task_cancelled: event(ofTask),
  run_cancelled: event(ofRun),
  lease_acquired: event(ofLease),
  lease_heartbeat: event(ofLease),
  lease_expired: event(ofLease),
  lease_released: event(ofLease),
  engine_paused: event(timed),
  engine_resumed: event(timed),
  dependency_declared: event({ ...ofTask, dependsOn: taskIdsSchema }),
  run_suspended: event({ ...ofRun, reason: v.exactOptional(v.string()) }),
  run_resumed: event(ofRun),
  budget_allocated: event({ ...ofBudget, limit: naturalSchema }),
  budget_consumed: event({ ...ofBudget, amount: naturalSchema }),
  budget_exhausted: event(ofBudget),
  budget_replenished: event({ ...ofBudget, newLimit: naturalSchema }),
  subscription_created: event({ ...ofSubscription, ...ofTask, filter: eventFilterSchema, rearm: v.boolean() }),
  subscription_triggered: event(ofSubscription),
  subscription_cancelled: event(ofSubscription),
  actor_registered: event({ ...timed, ...registrationEntries }),
  actor_deregistered: event(ofActor),
  actor_heartbeat: event(ofActor),
  tenant_created: event({ ...timed, ...ofTenant }),
  role_assigned: event({ ...ofActorInTenant, role: roleSchema }),
  capability_granted: event({ ...ofActorInTenant, capability: capabilitySchema }),
  capability_revoked: event({ ...ofActorInTenant, capability: capabilitySchema }),
  ledger_entry_appended: event(ledgerEntryEntries),
  budget_reserved: event({ ...ofReservation, ...ofBudget, amount: naturalSchema, runId: optionalRunId }),
  budget_settled: event({ ...ofReservation, amount: naturalSchema }),
  budget_released: event(ofReservation),
  subscription_consumed: event({ ...ofSubscription, runId: optionalRunId }),
}

type Checks = { readonly [Type in EventType]?: (event: EventPayloads[Type]) => void }

/** The rules of construction hold for what is read as for what is built (spec mutation authority 1). */
const checks: Checks = {
  task_created: ({ taskSpec }) => checkTaskSpec(taskSpec),
  run_created: ({ runInstance }) => checkRunIds(runInstance.id, runInstance.taskId),
  lease_acquired: checkOwner,
  budget_allocated: ({ dimension, limit }) => checkLimit(dimension, limit),
  budget_replenished: ({ dimension, newLimit }) => checkLimit(dimension, newLimit),
  subscription_created: ({ filter }) => checkFilter(filter),
  actor_registered: checkRegistration,
  tenant_created: checkTenant,
  role_assigned: ({ role }) => checkRole(role),
  capability_granted: ({ capability }) => checkCapability(capability),
  ledger_entry_appended: checkLedgerEntry,
}

/** Reads a stored event; raises `invalid_input` naming the field, or the construction error of a value. */
export function decodeEvent(stored: JsonObject): TaskEvent {
  const { type } = stored
  if (typeof type !== 'string' || !Object.hasOwn(schemas, type)) {
    throw new InvalidInputError({
      subject: 'task event',
      field: 'type',
      reason: `unknown event: ${JSON.stringify(type)}`,
    })
  }
  const decoded = decode(schemas[type as EventType], stored, `task event ${type}`)
  const check = checks[type as EventType] as ((event: unknown) => void) | undefined
  check?.(decoded)
  return decoded as unknown as TaskEvent
}
