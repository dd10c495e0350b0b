import type { Actor } from '../actor.js'
import type { EventOf, EventType } from '../events.js'
import type { Draft } from '../projection/draft.js'
import { grantKey, roleKey } from '../projection/tables.js'

type Payload<Type extends EventType> = Omit<EventOf<Type>, 'type' | 'version' | 'sequence'>

/** Replaces the record: heartbeat and deregistration are cleared. */
export function actorRegistered(draft: Draft, event: EventOf<'actor_registered'>): void {
  const { atMs, ...registration } = payloadOf(event)
  draft.put(draft.tables.actors, event.actorId, { ...registration, registeredAtMs: atMs })
}

/** The actor is gone; its record stays. */
export function actorDeregistered(draft: Draft, event: EventOf<'actor_deregistered'>): void {
  changeActor(draft, event, { deregisteredAtMs: event.atMs })
}

/** A sign of life. */
export function actorHeartbeat(draft: Draft, event: EventOf<'actor_heartbeat'>): void {
  changeActor(draft, event, { lastHeartbeatAtMs: event.atMs })
}

/** Replaces the record. */
export function tenantCreated(draft: Draft, { tenantId, name, atMs }: EventOf<'tenant_created'>): void {
  draft.put(draft.tables.tenants, tenantId, { tenantId, name, createdAtMs: atMs })
}

/** The last role wins. */
export function roleAssigned(draft: Draft, { actorId, role, tenantId, atMs }: EventOf<'role_assigned'>): void {
  draft.put(draft.tables.roles, roleKey(actorId, tenantId), { actorId, tenantId, role, assignedAtMs: atMs })
}

/** Replaces the grant and clears an earlier revocation. */
export function capabilityGranted(draft: Draft, event: EventOf<'capability_granted'>): void {
  const { actorId, capability, tenantId, atMs } = event
  const grant = { actorId, tenantId, capability, grantedAtMs: atMs }
  draft.put(draft.tables.grants, grantKey(actorId, capability, tenantId), grant)
}

/** Without a matching grant nothing changes. */
export function capabilityRevoked(draft: Draft, event: EventOf<'capability_revoked'>): void {
  const { actorId, capability, tenantId, atMs } = event
  const grant = draft.view.capabilityGrant(actorId, capability, tenantId)
  if (grant === undefined) return
  draft.put(draft.tables.grants, grantKey(actorId, capability, tenantId), { ...grant, revokedAtMs: atMs })
}

/** Appends a line; its time is its own. */
export function ledgerEntryAppended(draft: Draft, event: EventOf<'ledger_entry_appended'>): void {
  draft.put(draft.tables.ledger, event.entryId, payloadOf(event))
}

function changeActor(draft: Draft, { actorId }: Pick<Actor, 'actorId'>, change: Partial<Actor>): void {
  const actor = draft.view.actor(actorId)
  if (actor !== undefined) draft.put(draft.tables.actors, actorId, { ...actor, ...change })
}

function payloadOf<Type extends EventType>({ type: _t, version: _v, sequence: _s, ...payload }: EventOf<Type>) {
  return payload as Payload<Type>
}
