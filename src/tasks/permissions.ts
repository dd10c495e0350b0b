import { decode } from '../base/decode.js'
import type { ActorRegistration } from './actor.js'
import type { TaskConstraints } from './constraints.js'
import { TaskError } from './errors.js'
import type { ActorId, TenantId } from './ids.js'
import { capabilitySchema, type Capability } from './platform.js'
import type { TaskProjection } from './view.js'

/**
 * Raises `no_role_assigned`, then `missing_capability`: an actor needs a role in the tenant and the capability granted,
 * not revoked (spec mutation authority 7.10). Roles imply no capabilities; the authority itself asks nobody.
 */
export function checkPermission(
  projection: Pick<TaskProjection, 'role' | 'hasCapability'>,
  actorId: ActorId,
  capability: Capability,
  tenantId: TenantId,
): void {
  decode(capabilitySchema, capability, 'capability')
  if (projection.role(actorId, tenantId) === undefined) throw new TaskError('no_role_assigned', { actorId, tenantId })
  if (!projection.hasCapability(actorId, capability, tenantId)) {
    throw new TaskError('missing_capability', { actorId, tenantId, capability })
  }
}

/** True when an actor, or this process, has every capability a task requires. */
export function canRun(
  { capabilities }: Pick<ActorRegistration, 'capabilities'>,
  { requiredCapabilities = [] }: TaskConstraints,
): boolean {
  return requiredCapabilities.every((required) => capabilities.includes(required))
}
