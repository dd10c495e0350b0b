import * as v from 'valibot'
import { decode, readable } from '../../base/decode.js'
import { InvalidInputError } from '../../base/errors.js'
import { textOf, strictSchema } from '../../base/options.js'
import { checkRegistration, registrationEntries } from '../actor.js'
import { checkParts, outcomeSchema } from '../attempt.js'
import { checkAmount, checkLimit } from '../budget.js'
import type { CommandOf, CommandPayloads, CommandType } from '../commands.js'
import {
  capabilitySchema,
  checkCapability,
  checkLedgerEntry,
  checkRole,
  checkTenant,
  ledgerEntryEntries,
  roleSchema,
} from '../platform.js'
import { checkOccurs } from '../run-policy.js'
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

const fenced = { fencingToken: v.exactOptional(naturalSchema) }

function command<const Entries extends v.ObjectEntries>(entries: Entries) {
  return strictSchema({ type: v.string(), ...entries })
}

type PayloadSchemas = { readonly [Type in CommandType]: v.GenericSchema<unknown, CommandPayloads[Type]> }

const schemas: PayloadSchemas = {
  task_create: command({ ...timed, taskSpec: taskSpecSchema }),
  run_create: command({ runInstance: runInstanceSchema }),
  run_state_transition: command({
    ...ofRun,
    ...fenced,
    previousState: v.picklist(runStates),
    newState: v.picklist(runStates),
    retryAtMs: v.exactOptional(naturalSchema),
  }),
  attempt_start: command({ ...ofAttempt, ...fenced }),
  attempt_finish: command({ ...ofAttempt, ...fenced, outcome: outcomeSchema }),
  task_cancel: command(ofTask),
  dependency_declare: command({ ...ofTask, dependsOn: taskIdsSchema }),
  run_suspend: command({ ...ofRun, ...fenced, reason: v.exactOptional(v.string()) }),
  run_resume: command(ofRun),
  lease_acquire: command(ofLease),
  lease_heartbeat: command({ ...ofLease, ...fenced }),
  lease_expire: command(ofLease),
  lease_release: command({ ...ofLease, ...fenced }),
  engine_pause: command(timed),
  engine_resume: command(timed),
  budget_allocate: command({ ...ofBudget, limit: naturalSchema }),
  budget_consume: command({ ...ofBudget, amount: naturalSchema }),
  budget_replenish: command({ ...ofBudget, newLimit: naturalSchema }),
  subscription_create: command({
    ...ofSubscription,
    ...ofTask,
    filter: eventFilterSchema,
    rearm: v.exactOptional(v.boolean()),
  }),
  subscription_cancel: command(ofSubscription),
  subscription_trigger: command(ofSubscription),
  actor_register: command({ ...timed, registration: strictSchema(registrationEntries) }),
  actor_deregister: command(ofActor),
  actor_heartbeat: command(ofActor),
  tenant_create: command({ ...timed, registration: strictSchema(ofTenant) }),
  role_assign: command({ ...ofActorInTenant, role: roleSchema }),
  capability_grant: command({ ...ofActorInTenant, capability: capabilitySchema }),
  capability_revoke: command({ ...ofActorInTenant, capability: capabilitySchema }),
  ledger_append: command({ ...timed, entry: strictSchema(ledgerEntryEntries) }),
  budget_reserve: command({ ...ofReservation, ...ofBudget, amount: naturalSchema, runId: optionalRunId }),
  budget_settle: command({ ...ofReservation, amount: naturalSchema }),
  budget_release: command(ofReservation),
  subscription_consume: command({ ...ofSubscription, runId: optionalRunId }),
}

type Checks = { readonly [Type in CommandType]?: (command: CommandOf<Type>) => void }

/** The rules of construction that a value can break although its shape is right (spec mutation authority 1). */
const checks: Checks = {
  task_create: ({ taskSpec, atMs }) => {
    checkTaskSpec(taskSpec)
    checkOccurs(taskSpec.runPolicy, atMs)
  },
  run_create: ({ runInstance }) => checkRunIds(runInstance.id, runInstance.taskId),
  run_state_transition: ({ newState, retryAtMs }) => {
    if (retryAtMs === undefined || newState === 'retry_wait') return
    throw new InvalidInputError({ subject: 'command', field: 'retryAtMs', reason: `does not go with ${newState}` })
  },
  attempt_finish: ({ outcome }) => void checkParts(outcome),
  lease_acquire: checkOwner,
  lease_heartbeat: checkOwner,
  lease_expire: checkOwner,
  lease_release: checkOwner,
  budget_allocate: ({ dimension, limit }) => checkLimit(dimension, limit),
  budget_consume: ({ dimension, amount }) => checkAmount(dimension, amount),
  budget_replenish: ({ dimension, newLimit }) => checkLimit(dimension, newLimit),
  budget_reserve: ({ dimension, amount }) => checkAmount(dimension, amount),
  subscription_create: ({ filter }) => checkFilter(filter),
  actor_register: ({ registration }) => checkRegistration(registration),
  tenant_create: ({ registration }) => checkTenant(registration),
  role_assign: ({ role }) => checkRole(role),
  capability_grant: ({ capability }) => checkCapability(capability),
  capability_revoke: ({ capability }) => checkCapability(capability),
  ledger_append: ({ entry }) => checkLedgerEntry(entry),
}

/**
 * Takes a copy of a command that nobody else can change. Raises `invalid_input` naming the field, or the
 * construction error of the value; the lane is not involved yet.
 */
export function parseCommand<Type extends CommandType>(input: CommandOf<Type>): CommandOf<Type> {
  const type: unknown = readable('command', () => (input as { readonly type?: unknown } | null)?.type)
  if (!isCommandType(type)) {
    throw new InvalidInputError({ subject: 'command', field: 'type', reason: `unknown command: ${textOf(type)}` })
  }
  const parsed = decode(schemas[type], input, `command ${type}`) as unknown as CommandOf<Type>
  checks[type]?.(parsed as never)
  return parsed
}

function isCommandType(type: unknown): type is CommandType {
  return typeof type === 'string' && Object.hasOwn(schemas, type)
}
