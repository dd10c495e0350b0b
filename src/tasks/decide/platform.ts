import type { CommandOf } from '../commands.js'
import { TaskError } from '../errors.js'
import type { ActorId, TenantId } from '../ids.js'
import type { TaskView } from '../view.js'
import { fact, noOp, type Decision } from './decision.js'

/** No checks; replaces an earlier registration. */
export function actorRegister(
  _view: TaskView,
  { registration, atMs }: CommandOf<'actor_register'>,
  sequence: number,
): Decision<'actor_register'> {
  return { event: fact(sequence, 'actor_registered', { ...registration, atMs }), applied: noOp }
}

/** Checks: known. */
export function actorDeregister(
  view: TaskView,
  { actorId, atMs }: CommandOf<'actor_deregister'>,
  sequence: number,
): Decision<'actor_deregister'> {
  checkActor(view, actorId)
  return { event: fact(sequence, 'actor_deregistered', { actorId, atMs }), applied: noOp }
}

/** Checks: known. */
export function actorHeartbeat(
  view: TaskView,
  { actorId, atMs }: CommandOf<'actor_heartbeat'>,
  sequence: number,
): Decision<'actor_heartbeat'> {
  checkActor(view, actorId)
  return { event: fact(sequence, 'actor_heartbeat', { actorId, atMs }), applied: noOp }
}

/** No checks; replaces an earlier record. */
export function tenantCreate(
  _view: TaskView,
  { registration, atMs }: CommandOf<'tenant_create'>,
  sequence: number,
): Decision<'tenant_create'> {
  return { event: fact(sequence, 'tenant_created', { ...registration, atMs }), applied: noOp }
}

/** Checks: actor known; tenant known. */
export function roleAssign(
  view: TaskView,
  { actorId, role, tenantId, atMs }: CommandOf<'role_assign'>,
  sequence: number,
): Decision<'role_assign'> {
  checkActor(view, actorId)
  checkTenant(view, tenantId)
  return { event: fact(sequence, 'role_assigned', { actorId, role, tenantId, atMs }), applied: noOp }
}

/** Checks: actor known; tenant known. */
export function capabilityGrant(
  view: TaskView,
  { actorId, capability, tenantId, atMs }: CommandOf<'capability_grant'>,
  sequence: number,
): Decision<'capability_grant'> {
  checkActor(view, actorId)
  checkTenant(view, tenantId)
  return { event: fact(sequence, 'capability_granted', { actorId, capability, tenantId, atMs }), applied: noOp }
}

/** Checks: actor known; tenant known. Without a matching grant nothing changes. */
export function capabilityRevoke(
  view: TaskView,
  { actorId, capability, tenantId, atMs }: CommandOf<'capability_revoke'>,
  sequence: number,
): Decision<'capability_revoke'> {
  checkActor(view, actorId)
  checkTenant(view, tenantId)
  return { event: fact(sequence, 'capability_revoked', { actorId, capability, tenantId, atMs }), applied: noOp }
}

/** Checks: tenant known; actor known; id not known. The entry keeps its own time. */
export function ledgerAppend(
  view: TaskView,
  { entry }: CommandOf<'ledger_append'>,
  sequence: number,
): Decision<'ledger_append'> {
  const { entryId, tenantId, actorId } = entry
  checkTenant(view, tenantId)
  if (actorId !== undefined) checkActor(view, actorId)
  if (view.ledgerEntry(entryId) !== undefined) throw new TaskError('ledger_entry_already_exists', { entryId })
  return { event: fact(sequence, 'ledger_entry_appended', entry), applied: noOp }
}

function checkActor(view: TaskView, actorId: ActorId): void {
  if (view.actor(actorId) === undefined) throw new TaskError('unknown_actor', { actorId })
}

function checkTenant(view: TaskView, tenantId: TenantId): void {
  if (view.tenant(tenantId) === undefined) throw new TaskError('unknown_tenant', { tenantId })
}
