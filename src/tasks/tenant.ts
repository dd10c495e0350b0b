import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { strictSchema } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { knownActor, noOp, type ActorReads, type ActorRows } from './actor.js'
import { base64Schema, type Base64 } from './bytes.js'
import { TaskError } from './errors.js'
import type { ActorId, LedgerEntryId, TenantId } from './ids.js'
import { idSchema, labelSchema, naturalSchema, ofActorInTenant, optionalTime, timed } from './scalars.js'
import { checkNewRow } from './task.js'
import type { Capability } from './vocabulary.js'

export type { Capability } from './vocabulary.js'

/** The input that creates a tenant (T-139). */
export interface TenantRegistration {
  readonly tenantId: TenantId
  /** Not empty. */
  readonly name: string
}

/** A tenant in the projection. */
export interface Tenant extends TenantRegistration {
  readonly createdAtMs: number
}

/** The role of an actor in a tenant; roles imply no capabilities. */
export type Role =
  | { readonly type: 'operator' | 'auditor' | 'gatekeeper' }
  | { readonly type: 'custom'; readonly name: string }

/** One role per actor and tenant. */
export interface RoleAssignment {
  readonly actorId: ActorId
  readonly tenantId: TenantId
  readonly role: Role
  readonly assignedAtMs: number
}

/** A granted capability; in force while `revokedAtMs` is absent. */
export interface CapabilityGrant {
  readonly actorId: ActorId
  readonly tenantId: TenantId
  readonly capability: Capability
  readonly grantedAtMs: number
  readonly revokedAtMs?: number
}

/** A line of a tenant's append-only ledger. */
export interface LedgerEntry {
  readonly entryId: LedgerEntryId
  readonly tenantId: TenantId
  /** Not empty. */
  readonly ledgerKey: string
  readonly actorId?: ActorId
  readonly payload: Base64
  /** The entry's own time, in epoch milliseconds. */
  readonly atMs: number
}

/** The shape of a {@link Role}. */
const roleSchema: v.GenericSchema<unknown, Role> = v.variant('type', [
  strictSchema({ type: v.picklist(['operator', 'auditor', 'gatekeeper']) }),
  strictSchema({ type: v.literal('custom'), name: labelSchema }),
])

/** The shape of a {@link Capability}. */
export const capabilitySchema: v.GenericSchema<unknown, Capability> = v.variant('type', [
  strictSchema({ type: v.picklist(['can_submit', 'can_execute', 'can_review', 'can_approve', 'can_cancel']) }),
  strictSchema({ type: v.literal('custom'), name: labelSchema }),
])

/** The fields of a {@link LedgerEntry}. */
const ledgerEntryEntries = {
  entryId: idSchema<LedgerEntryId>(),
  tenantId: idSchema<TenantId>(),
  ledgerKey: labelSchema,
  actorId: v.exactOptional(idSchema<ActorId>()),
  payload: base64Schema,
  atMs: naturalSchema,
}

/** Identifies a capability: its name, prefixed for custom ones. */
function capabilityKey(capability: Capability): string {
  return capability.type === 'custom' ? `custom:${capability.name}` : capability.type
}

/** Raises `empty_tenant_name`. */
function checkTenant({ name }: TenantRegistration): void {
  if (name === '') throw new TaskError('empty_tenant_name', {})
}

/** Raises `empty_role_name`. */
function checkRole(role: Role): void {
  if (role.type === 'custom' && role.name === '') throw new TaskError('empty_role_name', {})
}

/** Raises `empty_capability_name`. */
function checkCapability(capability: Capability): void {
  if (capability.type === 'custom' && capability.name === '') throw new TaskError('empty_capability_name', {})
}

/** Raises `empty_ledger_key`. */
function checkLedgerEntry({ ledgerKey }: LedgerEntry): void {
  if (ledgerKey === '') throw new TaskError('empty_ledger_key', {})
}

/**
 * Raises `no_role_assigned`, then `missing_capability`: an actor needs a role in the tenant, and a grant of the
 * capability that is not revoked (T-97). Roles imply no capabilities. The authority itself does not check permissions.
 */
export function checkPermission(
  view: Pick<TenantReads, 'role' | 'capabilityGrant'>,
  actorId: ActorId,
  capability: Capability,
  tenantId: TenantId,
): void {
  decode(capabilitySchema, capability, 'capability')
  if (view.role(actorId, tenantId) === undefined) throw new TaskError('no_role_assigned', { actorId, tenantId })
  if (!isInForce(view.capabilityGrant(actorId, capability, tenantId))) {
    throw new TaskError('missing_capability', { actorId, tenantId, capability })
  }
}

/** True for a grant that is not revoked. */
export function isInForce(grant: CapabilityGrant | undefined): boolean {
  return grant !== undefined && grant.revokedAtMs === undefined
}

/** The tables defined in this file. */
export interface TenantRows extends ActorRows {
  readonly tenants: Table<TenantId, Tenant>
  /** By {@link roleKey}. */
  readonly roles: Table<string, RoleAssignment>
  /** By {@link grantKey}. */
  readonly grants: Table<string, CapabilityGrant>
  readonly ledger: Table<LedgerEntryId, LedgerEntry>
}

/** The reads defined in this file. */
export interface TenantReads extends ActorReads {
  tenant(tenantId: TenantId): Tenant | undefined
  role(actorId: ActorId, tenantId: TenantId): RoleAssignment | undefined
  capabilityGrant(actorId: ActorId, capability: Capability, tenantId: TenantId): CapabilityGrant | undefined
  ledgerEntry(entryId: LedgerEntryId): LedgerEntry | undefined
}

/** Key of a role assignment. */
export function roleKey(actorId: ActorId, tenantId: TenantId): string {
  return `${actorId}/${tenantId}`
}

/** Key of a capability grant. */
export function grantKey(actorId: ActorId, capability: Capability, tenantId: TenantId): string {
  return `${actorId}/${tenantId}/${capabilityKey(capability)}`
}

const tenantEntries = { tenantId: idSchema<TenantId>(), name: labelSchema }
const ofRole = { ...ofActorInTenant, role: roleSchema }
const ofCapability = { ...ofActorInTenant, capability: capabilitySchema }

const defineEvent = eventDefiner<TenantRows, TenantReads>()
const defineCommand = commandDefiner<TenantReads>()
const defineRow = rowDefiner<TenantRows, TenantReads>()

/** Replaces the record. */
export const tenantCreated = defineEvent('tenant_created', {
  fields: { ...timed, ...tenantEntries },
  check: checkTenant,
  evolve: (draft, { tenantId, name, atMs }) => {
    draft.put(draft.tables.tenants, tenantId, { tenantId, name, createdAtMs: atMs })
  },
})

/** The last role wins. */
export const roleAssigned = defineEvent('role_assigned', {
  fields: ofRole,
  check: ({ role }) => checkRole(role),
  evolve: (draft, { actorId, role, tenantId, atMs }) => {
    draft.put(draft.tables.roles, roleKey(actorId, tenantId), { actorId, tenantId, role, assignedAtMs: atMs })
  },
})

/** Replaces the grant and clears an earlier revocation. */
export const capabilityGranted = defineEvent('capability_granted', {
  fields: ofCapability,
  check: ({ capability }) => checkCapability(capability),
  evolve: (draft, { actorId, capability, tenantId, atMs }) => {
    const grant = { actorId, tenantId, capability, grantedAtMs: atMs }
    draft.put(draft.tables.grants, grantKey(actorId, capability, tenantId), grant)
  },
})

/** Without a matching grant nothing changes. */
export const capabilityRevoked = defineEvent('capability_revoked', {
  fields: ofCapability,
  evolve: (draft, { actorId, capability, tenantId, atMs }) => {
    const grant = draft.view.capabilityGrant(actorId, capability, tenantId)
    if (grant === undefined) return
    draft.put(draft.tables.grants, grantKey(actorId, capability, tenantId), { ...grant, revokedAtMs: atMs })
  },
})

/** Appends an entry, which has its own time. */
export const ledgerEntryAppended = defineEvent('ledger_entry_appended', {
  fields: ledgerEntryEntries,
  check: checkLedgerEntry,
  evolve: (draft, { type: _t, version: _v, sequence: _s, ...entry }) => {
    draft.put(draft.tables.ledger, entry.entryId, entry)
  },
})

/** No checks; replaces an earlier record. */
export const tenantCreate = defineCommand('tenant_create', {
  fields: { ...timed, registration: strictSchema(tenantEntries) },
  check: ({ registration }) => checkTenant(registration),
  decide: (_view, { registration, atMs }, sequence) => ({
    event: tenantCreated.create(sequence, { ...registration, atMs }),
    applied: noOp,
  }),
})

/** Checks: actor known; tenant known. */
export const roleAssign = defineCommand('role_assign', {
  fields: ofRole,
  check: ({ role }) => checkRole(role),
  decide: (view, { actorId, role, tenantId, atMs }, sequence) => {
    knownActor(view, actorId)
    knownTenant(view, tenantId)
    return { event: roleAssigned.create(sequence, { actorId, role, tenantId, atMs }), applied: noOp }
  },
})

/** Checks: actor known; tenant known. */
export const capabilityGrant = defineCommand('capability_grant', {
  fields: ofCapability,
  check: ({ capability }) => checkCapability(capability),
  decide: (view, { actorId, capability, tenantId, atMs }, sequence) => {
    knownActor(view, actorId)
    knownTenant(view, tenantId)
    return { event: capabilityGranted.create(sequence, { actorId, capability, tenantId, atMs }), applied: noOp }
  },
})

/** Checks: actor known; tenant known. Without a matching grant nothing changes. */
export const capabilityRevoke = defineCommand('capability_revoke', {
  fields: ofCapability,
  check: ({ capability }) => checkCapability(capability),
  decide: (view, { actorId, capability, tenantId, atMs }, sequence) => {
    knownActor(view, actorId)
    knownTenant(view, tenantId)
    return { event: capabilityRevoked.create(sequence, { actorId, capability, tenantId, atMs }), applied: noOp }
  },
})

/** Checks: tenant known; actor known; id not known. The entry keeps its own time. */
export const ledgerAppend = defineCommand('ledger_append', {
  fields: { ...timed, entry: strictSchema(ledgerEntryEntries) },
  check: ({ entry }) => checkLedgerEntry(entry),
  decide: (view, { entry }, sequence) => {
    const { entryId, tenantId, actorId } = entry
    knownTenant(view, tenantId)
    if (actorId !== undefined) knownActor(view, actorId)
    if (view.ledgerEntry(entryId) !== undefined) throw new TaskError('ledger_entry_already_exists', { entryId })
    return { event: ledgerEntryAppended.create(sequence, entry), applied: noOp }
  },
})

/** The snapshot row of a tenant. */
export const tenantRow = defineRow('tenant', {
  fields: { ...tenantEntries, createdAtMs: naturalSchema },
  capture: ({ tenants }) => tenants.rows(),
  restore: (draft, tenant) => {
    checkNewRow(draft.view.tenant(tenant.tenantId), 'tenant', tenant.tenantId)
    draft.put(draft.tables.tenants, tenant.tenantId, tenant)
  },
})

/** The snapshot row of a role. */
export const roleRow = defineRow('role', {
  fields: {
    actorId: idSchema<ActorId>(),
    tenantId: idSchema<TenantId>(),
    role: roleSchema,
    assignedAtMs: naturalSchema,
  },
  capture: ({ roles }) => roles.rows(),
  restore: (draft, assignment) => {
    const { actorId, tenantId } = assignment
    const key = roleKey(actorId, tenantId)
    checkNewRow(draft.view.role(actorId, tenantId), 'role', key)
    draft.put(draft.tables.roles, key, assignment)
  },
})

/** The snapshot row of a grant. */
export const grantRow = defineRow('grant', {
  fields: {
    actorId: idSchema<ActorId>(),
    tenantId: idSchema<TenantId>(),
    capability: capabilitySchema,
    grantedAtMs: naturalSchema,
    revokedAtMs: optionalTime,
  },
  capture: ({ grants }) => grants.rows(),
  restore: (draft, grant) => {
    const { actorId, capability, tenantId } = grant
    const key = grantKey(actorId, capability, tenantId)
    checkNewRow(draft.view.capabilityGrant(actorId, capability, tenantId), 'grant', key)
    draft.put(draft.tables.grants, key, grant)
  },
})

/** The snapshot row of a ledger entry. */
export const ledgerRow = defineRow('ledger', {
  fields: ledgerEntryEntries,
  capture: ({ ledger }) => ledger.rows(),
  restore: (draft, entry) => {
    checkNewRow(draft.view.ledgerEntry(entry.entryId), 'ledger', entry.entryId)
    draft.put(draft.tables.ledger, entry.entryId, entry)
  },
})

function knownTenant(view: TenantReads, tenantId: TenantId): void {
  if (view.tenant(tenantId) === undefined) throw new TaskError('unknown_tenant', { tenantId })
}
