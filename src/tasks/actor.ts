import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { optionsSchema } from '../base/options.js'
import { checkCapabilityNames } from './constraints.js'
import { TaskError } from './errors.js'
import { departmentId, type ActorId, type DepartmentId, type TenantId } from './ids.js'
import { idSchema, labelSchema, naturalSchema } from './scalars.js'

/** A remote worker as it introduces itself (spec mutation authority 1.12). */
export interface ActorRegistration {
  readonly actorId: ActorId
  /** Lease owner string of the actor; not empty. */
  readonly identity: string
  /** At least one, none empty. */
  readonly capabilities: readonly string[]
  readonly department?: DepartmentId
  /** Milliseconds between its heartbeats, at least 1. */
  readonly heartbeatIntervalMs: number
  readonly tenantId?: TenantId
}

/** An actor as the projection holds it. */
export interface Actor extends ActorRegistration {
  readonly registeredAtMs: number
  readonly lastHeartbeatAtMs?: number
  readonly deregisteredAtMs?: number
}

/** After how much silence an actor counts as gone. */
export interface HeartbeatPolicy {
  /** Milliseconds, at least 1. */
  readonly intervalMs: number
  /** At least 1. */
  readonly timeoutMultiplier: number
}

const policySchema = optionsSchema<HeartbeatPolicy>({ intervalMs: naturalSchema, timeoutMultiplier: naturalSchema })

/** Thirty seconds, three times. */
export const defaultHeartbeatPolicy: HeartbeatPolicy = { intervalMs: 30_000, timeoutMultiplier: 3 }

/** The milliseconds of silence after which an actor counts as gone, saturating. Raises `zero_heartbeat_interval` or `zero_timeout_multiplier`. */
export function heartbeatTimeout(policy: HeartbeatPolicy): number {
  const { intervalMs, timeoutMultiplier } = decode(policySchema, policy, 'heartbeat policy')
  if (intervalMs === 0) throw new TaskError('zero_heartbeat_interval', {})
  if (timeoutMultiplier === 0) throw new TaskError('zero_timeout_multiplier', {})
  return Math.min(intervalMs * timeoutMultiplier, Number.MAX_SAFE_INTEGER)
}

/** The fields of an {@link ActorRegistration}; its rules are {@link checkRegistration}'s. */
export const registrationEntries = {
  actorId: idSchema<ActorId>(),
  identity: labelSchema,
  capabilities: v.array(labelSchema),
  department: v.exactOptional(v.custom<DepartmentId>((input) => typeof input === 'string', 'expected text')),
  heartbeatIntervalMs: naturalSchema,
  tenantId: v.exactOptional(idSchema<TenantId>()),
}

/**
 * Raises `empty_identity`, `empty_capabilities`, `empty_capability_entry`, `department_id_empty`,
 * `department_id_too_long` or `zero_heartbeat_interval`, in this order.
 */
export function checkRegistration(registration: ActorRegistration): void {
  if (registration.identity === '') throw new TaskError('empty_identity', {})
  checkCapabilityNames(registration.capabilities)
  if (registration.department !== undefined) departmentId(registration.department)
  if (registration.heartbeatIntervalMs === 0) throw new TaskError('zero_heartbeat_interval', {})
}
