import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { base64Schema, type Base64 } from './bytes.js'
import { TaskError } from './errors.js'
import type { ActorId, LedgerEntryId, TenantId } from './ids.js'
import { idSchema, labelSchema, naturalSchema } from './scalars.js'

/** A tenant as it is created (spec mutation authority 1.13). */
export interface TenantRegistration {
  readonly tenantId: TenantId
  /** Not empty. */
  readonly name: string
}

/** A tenant as the projection holds it. */
export interface Tenant extends TenantRegistration {
  readonly createdAtMs: number
}

/** What an actor is in a tenant; roles imply no capabilities. */
export type Role =
  | { readonly type: 'operator' | 'auditor' | 'gatekeeper' }
  | { readonly type: 'custom'; readonly name: string }

/** What an actor may do in a tenant. */
export type Capability =
  | { readonly type: 'can_submit' | 'can_execute' | 'can_review' | 'can_approve' | 'can_cancel' }
  | { readonly type: 'custom'; readonly name: string }

/** One role per actor and tenant. */
export interface RoleAssignment {
  readonly actorId: ActorId
  readonly tenantId: TenantId
  readonly role: Role
  readonly assignedAtMs: number
}

/** A capability once granted; in force while `revokedAtMs` is absent. */
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
  /** The entry's own time. */
  readonly atMs: number
}

/** The shape of a {@link Role}. */
export const roleSchema: v.GenericSchema<unknown, Role> = v.variant('type', [
  strictSchema({ type: v.picklist(['operator', 'auditor', 'gatekeeper']) }),
  strictSchema({ type: v.literal('custom'), name: labelSchema }),
])

/** The shape of a {@link Capability}. */
export const capabilitySchema: v.GenericSchema<unknown, Capability> = v.variant('type', [
  strictSchema({ type: v.picklist(['can_submit', 'can_execute', 'can_review', 'can_approve', 'can_cancel']) }),
  strictSchema({ type: v.literal('custom'), name: labelSchema }),
])

/** The fields of a {@link LedgerEntry}. */
export const ledgerEntryEntries = {
  entryId: idSchema<LedgerEntryId>(),
  tenantId: idSchema<TenantId>(),
  ledgerKey: labelSchema,
  actorId: v.exactOptional(idSchema<ActorId>()),
  payload: base64Schema,
  atMs: naturalSchema,
}

/** What tells two capabilities apart: the name, prefixed for custom ones. */
export function capabilityKey(capability: Capability): string {
  return capability.type === 'custom' ? `custom:${capability.name}` : capability.type
}

/** Raises `empty_tenant_name`. */
export function checkTenant({ name }: TenantRegistration): void {
  if (name === '') throw new TaskError('empty_tenant_name', {})
}

/** Raises `empty_role_name`. */
export function checkRole(role: Role): void {
  if (role.type === 'custom' && role.name === '') throw new TaskError('empty_role_name', {})
}

/** Raises `empty_capability_name`. */
export function checkCapability(capability: Capability): void {
  if (capability.type === 'custom' && capability.name === '') throw new TaskError('empty_capability_name', {})
}

/** Raises `empty_ledger_key`. */
export function checkLedgerEntry({ ledgerKey }: LedgerEntry): void {
  if (ledgerKey === '') throw new TaskError('empty_ledger_key', {})
}
