import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { checkText, optionsSchema, strictSchema } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import type { ActorId, DepartmentId, TenantId } from './ids.js'
import { idSchema, labelSchema, naturalSchema, ofActor, optionalTime, timed } from './scalars.js'
import { checkNewRow } from './task.js'
import { checkCapabilityNames, type TaskConstraints } from './task-spec.js'

/** The longest department label, in UTF-8 bytes. */
export const departmentIdMaxBytes = 128

/** Checks a department label; raises `department_id_empty` or `department_id_too_long`. */
export function departmentId(label: string): DepartmentId {
  checkText('department', label)
  if (label === '') throw new TaskError('department_id_empty', {})
  const length = Buffer.byteLength(label)
  if (length > departmentIdMaxBytes) throw new TaskError('department_id_too_long', { length })
  return label as DepartmentId
}

/** A remote worker's description of itself (T-96). */
export interface ActorRegistration {
  readonly actorId: ActorId
  /** Owner string of the actor's leases; not empty. */
  readonly identity: string
  /** At least one, none empty. */
  readonly capabilities: readonly string[]
  readonly department?: DepartmentId
  /** Milliseconds between heartbeats, at least 1. */
  readonly heartbeatIntervalMs: number
  readonly tenantId?: TenantId
}

/** An actor in the projection. */
export interface Actor extends ActorRegistration {
  readonly registeredAtMs: number
  readonly lastHeartbeatAtMs?: number
  readonly deregisteredAtMs?: number
}

/** How long an actor may be silent before it counts as gone. */
export interface HeartbeatPolicy {
  /** Milliseconds, at least 1. */
  readonly intervalMs: number
  /** At least 1. */
  readonly timeoutMultiplier: number
}

const policySchema = optionsSchema<HeartbeatPolicy>({ intervalMs: naturalSchema, timeoutMultiplier: naturalSchema })

/** Thirty seconds, times three. */
export const defaultHeartbeatPolicy: HeartbeatPolicy = { intervalMs: 30_000, timeoutMultiplier: 3 }

/**
 * How many milliseconds of silence make an actor count as gone; saturates. Raises `zero_heartbeat_interval` or
 * `zero_timeout_multiplier`.
 */
export function heartbeatTimeout(policy: HeartbeatPolicy): number {
  const { intervalMs, timeoutMultiplier } = decode(policySchema, policy, 'heartbeat policy')
  if (intervalMs === 0) throw new TaskError('zero_heartbeat_interval', {})
  if (timeoutMultiplier === 0) throw new TaskError('zero_timeout_multiplier', {})
  return Math.min(intervalMs * timeoutMultiplier, Number.MAX_SAFE_INTEGER)
}

/** The fields of an {@link ActorRegistration}; {@link checkRegistration} checks its rules. */
const registrationEntries = {
  actorId: idSchema<ActorId>(),
  identity: labelSchema,
  capabilities: v.array(labelSchema),
  department: v.exactOptional(v.custom<DepartmentId>((input) => typeof input === 'string', 'expected text')),
  heartbeatIntervalMs: naturalSchema,
  tenantId: v.exactOptional(idSchema<TenantId>()),
}

/** The shape of an {@link ActorRegistration}. */
const registrationSchema: v.GenericSchema<unknown, ActorRegistration> = strictSchema(registrationEntries)

/**
 * Raises `empty_identity`, `empty_capabilities`, `empty_capability_entry`, `department_id_empty`,
 * `department_id_too_long` or `zero_heartbeat_interval`, in this order.
 */
function checkRegistration(registration: ActorRegistration): void {
  if (registration.identity === '') throw new TaskError('empty_identity', {})
  checkCapabilityNames(registration.capabilities)
  if (registration.department !== undefined) departmentId(registration.department)
  if (registration.heartbeatIntervalMs === 0) throw new TaskError('zero_heartbeat_interval', {})
}

/** True when an actor, or this process, has every capability that a task requires. */
export function canRun(
  { capabilities }: Pick<ActorRegistration, 'capabilities'>,
  { requiredCapabilities = [] }: TaskConstraints,
): boolean {
  return requiredCapabilities.every((required) => capabilities.includes(required))
}

/** The tables defined in this file. */
export interface ActorRows {
  readonly actors: Table<ActorId, Actor>
}

/** The reads defined in this file. */
export interface ActorReads {
  actor(actorId: ActorId): Actor | undefined
}

/** The reported result of commands that change nothing but one row. */
export const noOp = { type: 'no_op' } as const

const defineEvent = eventDefiner<ActorRows, ActorReads>()
const defineCommand = commandDefiner<ActorReads>()
const defineRow = rowDefiner<ActorRows, ActorReads>()

/** Replaces the record, and clears heartbeat and deregistration. */
export const actorRegistered = defineEvent('actor_registered', {
  fields: { ...timed, ...registrationEntries },
  check: checkRegistration,
  evolve: (draft, { type: _t, version: _v, sequence: _s, atMs, ...registration }) => {
    draft.put(draft.tables.actors, registration.actorId, { ...registration, registeredAtMs: atMs })
  },
})

/** The actor is gone; its record stays. */
export const actorDeregistered = defineEvent('actor_deregistered', {
  fields: ofActor,
  evolve: (draft, { actorId, atMs }) => changeActor(draft, actorId, { deregisteredAtMs: atMs }),
})

/** The actor has sent a heartbeat. */
export const actorHeartbeaten = defineEvent('actor_heartbeat', {
  fields: ofActor,
  evolve: (draft, { actorId, atMs }) => changeActor(draft, actorId, { lastHeartbeatAtMs: atMs }),
})

/** No checks; replaces an earlier registration. */
export const actorRegister = defineCommand('actor_register', {
  fields: { ...timed, registration: registrationSchema },
  check: ({ registration }) => checkRegistration(registration),
  decide: (_view, { registration, atMs }, sequence) => ({
    event: actorRegistered.create(sequence, { ...registration, atMs }),
    applied: noOp,
  }),
})

/** Checks: known. */
export const actorDeregister = defineCommand('actor_deregister', {
  fields: ofActor,
  decide: (view, { actorId, atMs }, sequence) => {
    knownActor(view, actorId)
    return { event: actorDeregistered.create(sequence, { actorId, atMs }), applied: noOp }
  },
})

/** Checks: known. */
export const actorHeartbeat = defineCommand('actor_heartbeat', {
  fields: ofActor,
  decide: (view, { actorId, atMs }, sequence) => {
    knownActor(view, actorId)
    return { event: actorHeartbeaten.create(sequence, { actorId, atMs }), applied: noOp }
  },
})

/** The snapshot row of an actor. */
export const actorRow = defineRow('actor', {
  fields: {
    ...registrationEntries,
    registeredAtMs: naturalSchema,
    lastHeartbeatAtMs: optionalTime,
    deregisteredAtMs: optionalTime,
  },
  capture: ({ actors }) => actors.rows(),
  restore: (draft, actor) => {
    checkNewRow(draft.view.actor(actor.actorId), 'actor', actor.actorId)
    checkRegistration(actor)
    draft.put(draft.tables.actors, actor.actorId, actor)
  },
})

/** Raises `unknown_actor`. */
export function knownActor(view: ActorReads, actorId: ActorId): void {
  if (view.actor(actorId) === undefined) throw new TaskError('unknown_actor', { actorId })
}

function changeActor(draft: Draft<ActorRows, ActorReads>, actorId: ActorId, change: Partial<Actor>): void {
  const actor = draft.view.actor(actorId)
  if (actor !== undefined) draft.put(draft.tables.actors, actorId, { ...actor, ...change })
}
