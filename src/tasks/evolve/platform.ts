import type { Actor } from '../actor.js'
import type { EventOf, EventType } from '../events.js'
import type { Draft } from '../projection/draft.js'
import { grantKey, roleKey } from '../projection/tables.js'

type Payload<Type extends EventType> = Omit<EventOf<Type>, 'type' | 'version' | 'sequence'>

/** Replaces the record: heartbeat and deregistration are cleared. */
export function actorRegistered(draft: Draft, event: EventOf<'actor_registered'>): void {
  const { timestamp, ...registration } = payloadOf(event)
  draft.put(draft.tables.actors, event.actorId, { ...registration, registeredAt: timestamp })
}

/** The actor is gone; its record stays. */
export function actorDeregistered(draft: Draft, event: EventOf<'actor_deregistered'>): void {
  changeActor(draft, event, { deregisteredAt: event.timestamp })
}

/** A sign of life. */
export function actorHeartbeat(draft: Draft, event: EventOf<'actor_heartbeat'>): void {
  changeActor(draft, event, { lastHeartbeatAt: event.timestamp })
}

/** Replaces the record. */
export function tenantCreated(draft: Draft, { tenantId, name, timestamp }: EventOf<'tenant_created'>): void {
  draft.put(draft.tables.tenants, tenantId, { tenantId, name, createdAt: timestamp })
}

/** The last role wins. */
export function roleAssigned(draft: Draft, { actorId, role, tenantId, timestamp }: EventOf<'role_assigned'>): void {
  draft.put(draft.tables.roles, roleKey(actorId, tenantId), { actorId, tenantId, role, assignedAt: timestamp })
}

/** Replaces the grant and clears an earlier revocation. */
export function capabilityGranted(draft: Draft, event: EventOf<'capability_granted'>): void {
  const { actorId, capability, tenantId, timestamp } = event
  const grant = { actorId, tenantId, capability, grantedAt: timestamp }
  draft.put(draft.tables.grants, grantKey(actorId, capability, tenantId), grant)
}

/** Without a matching grant nothing changes. */
export function capabilityRevoked(draft: Draft, event: EventOf<'capability_revoked'>): void {
  const { actorId, capability, tenantId, timestamp } = event
  const grant = draft.view.capabilityGrant(actorId, capability, tenantId)
  if (grant === undefined) return
  draft.put(draft.tables.grants, grantKey(actorId, capability, tenantId), { ...grant, revokedAt: timestamp })
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
