import { describe, expect, it } from 'vitest'
import { departmentId, encodeBytes, type CommandOf, type LedgerEntry } from '../../src/tasks/index.js'
import { actorId, entryId, tenantId } from './support/ids.js'
import { given } from './support/specification.js'

const [actor, tenant] = [actorId(1), tenantId(1)]
const canReview = { type: 'can_review' } as const
const registration = { actorId: actor, identity: 'alpha', capabilities: ['gpu'], heartbeatIntervalMs: 30 }
const register: CommandOf<'actor_register'> = { type: 'actor_register', registration, atMs: 10 }
const create: CommandOf<'tenant_create'> = {
  type: 'tenant_create',
  registration: { tenantId: tenant, name: 'north' },
  atMs: 11,
}
const both = [register, create]
const beat = (atMs: number): CommandOf<'actor_heartbeat'> => ({
  type: 'actor_heartbeat',
  actorId: actor,
  atMs,
})
const deregister: CommandOf<'actor_deregister'> = { type: 'actor_deregister', actorId: actor, atMs: 50 }
const noOp = { type: 'no_op' }

describe('actors', () => {
  it('[T-96] register with all they offer', () =>
    given()
      .when({ ...register, registration: { ...registration, department: departmentId('ops'), tenantId: tenant } })
      .accepts({
        event: { type: 'actor_registered', ...registration, department: 'ops', tenantId: tenant, atMs: 10 },
        applied: noOp,
        then: (projection) => {
          expect(projection.actor(actor)).toEqual({
            ...registration,
            department: 'ops',
            tenantId: tenant,
            registeredAtMs: 10,
          })
          expect(projection.isActorActive(actor)).toBe(true)
        },
      }))

  it('[T-138] are replaced by a second registration', () =>
    given(register, beat(20), deregister)
      .when({ ...register, atMs: 60 })
      .accepts({
        then: (projection) => expect(projection.actor(actor)).toEqual({ ...registration, registeredAtMs: 60 }),
      }))

  it('[T-138] give signs of life, even after they were deregistered', async () => {
    await given(register)
      .when(beat(20))
      .accepts({
        event: { type: 'actor_heartbeat', actorId: actor, atMs: 20 },
        applied: noOp,
        then: (projection) => expect(projection.actor(actor)?.lastHeartbeatAtMs).toBe(20),
      })
    await given(register, deregister)
      .when(beat(55))
      .accepts({
        then: (projection) => {
          expect(projection.actor(actor)).toMatchObject({ lastHeartbeatAtMs: 55, deregisteredAtMs: 50 })
          expect(projection.isActorActive(actor)).toBe(false)
        },
      })
  })

  it('[T-138] are unknown until they register', async () => {
    await given().when(beat(20)).refuses('unknown_actor', { actorId: actor })
    await given().when(deregister).refuses('unknown_actor', { actorId: actor })
    await given(register)
      .when(deregister)
      .accepts({ event: { type: 'actor_deregistered', actorId: actor, atMs: 50 }, applied: noOp })
  })

  it('[T-96] need an identity, capabilities, a heartbeat and a short department', async () => {
    const when = (change: object) => given().when({ ...register, registration: { ...registration, ...change } })
    await when({ identity: '' }).refuses('empty_identity', {})
    await when({ capabilities: [] }).refuses('empty_capabilities', {})
    await when({ capabilities: ['a', ''] }).refuses('empty_capability_entry', {})
    await when({ heartbeatIntervalMs: 0 }).refuses('zero_heartbeat_interval', {})
    await when({ department: 'ü'.repeat(65) }).refuses('department_id_too_long', { length: 130 })
    await when({ heartbeatIntervalMs: 1.5 }).isInvalid('registration.heartbeatIntervalMs')
  })
})

describe('tenants, roles and capabilities', () => {
  it('[T-139] create a tenant with a name', async () => {
    await given()
      .when(create)
      .accepts({
        event: { type: 'tenant_created', tenantId: tenant, name: 'north', atMs: 11 },
        applied: noOp,
        then: (projection) =>
          expect(projection.tenant(tenant)).toEqual({ tenantId: tenant, name: 'north', createdAtMs: 11 }),
      })
    await given()
      .when({ ...create, registration: { tenantId: tenant, name: '' } })
      .refuses('empty_tenant_name', {})
  })

  it('[T-139] keep one role per actor and tenant, the last one', () =>
    given(both, { type: 'role_assign', actorId: actor, tenantId: tenant, role: { type: 'auditor' }, atMs: 12 })
      .when({
        type: 'role_assign',
        actorId: actor,
        tenantId: tenant,
        role: { type: 'custom', name: 'chief' },
        atMs: 13,
      })
      .accepts({
        event: {
          type: 'role_assigned',
          actorId: actor,
          tenantId: tenant,
          role: { type: 'custom', name: 'chief' },
          atMs: 13,
        },
        applied: noOp,
        then: (projection) =>
          expect(projection.role(actor, tenant)).toMatchObject({
            role: { type: 'custom', name: 'chief' },
            assignedAtMs: 13,
          }),
      }))

  it('[T-139] grant, revoke and grant again', async () => {
    const grant: CommandOf<'capability_grant'> = {
      type: 'capability_grant',
      actorId: actor,
      tenantId: tenant,
      capability: canReview,
      atMs: 14,
    }
    const revoke = { ...grant, type: 'capability_revoke', atMs: 15 } as const
    await given(both)
      .when(grant)
      .accepts({
        event: { ...grant, type: 'capability_granted' },
        applied: noOp,
        then: (projection) => expect(projection.hasCapability(actor, canReview, tenant)).toBe(true),
      })
    await given(both, grant)
      .when(revoke)
      .accepts({
        event: { ...revoke, type: 'capability_revoked' },
        applied: noOp,
        then: (projection) => {
          expect(projection.hasCapability(actor, canReview, tenant)).toBe(false)
          expect(projection.capabilityGrant(actor, canReview, tenant)?.revokedAtMs).toBe(15)
        },
      })
    await given(both, grant, revoke)
      .when(grant)
      .accepts({ then: (projection) => expect(projection.hasCapability(actor, canReview, tenant)).toBe(true) })
    await given(both)
      .when(revoke)
      .accepts({ then: (projection) => expect(projection.capabilityGrant(actor, canReview, tenant)).toBeUndefined() })
  })

  it('[T-116] keep custom names apart from the built-in ones', () => {
    const named = { type: 'custom', name: 'can_review' } as const
    return given(both, {
      type: 'capability_grant',
      actorId: actor,
      tenantId: tenant,
      capability: canReview,
      atMs: 14,
    })
      .when({ type: 'capability_revoke', actorId: actor, tenantId: tenant, capability: named, atMs: 15 })
      .accepts({ then: (projection) => expect(projection.hasCapability(actor, canReview, tenant)).toBe(true) })
  })

  it('[T-139] ask for a known actor, then a known tenant', async () => {
    const commands = [
      { type: 'role_assign', actorId: actor, tenantId: tenant, role: { type: 'operator' }, atMs: 1 },
      { type: 'capability_grant', actorId: actor, tenantId: tenant, capability: canReview, atMs: 1 },
      { type: 'capability_revoke', actorId: actor, tenantId: tenant, capability: canReview, atMs: 1 },
    ] as const
    for (const command of commands) {
      await given(create).when(command).refuses('unknown_actor', { actorId: actor })
      await given(register).when(command).refuses('unknown_tenant', { tenantId: tenant })
    }
  })

  it('[T-116] need names', async () => {
    const custom = { type: 'custom', name: '' } as const
    const subject = { actorId: actor, tenantId: tenant, atMs: 1 }
    await given(both)
      .when({ type: 'role_assign', ...subject, role: custom })
      .refuses('empty_role_name', {})
    await given(both)
      .when({ type: 'capability_grant', ...subject, capability: custom })
      .refuses('empty_capability_name', {})
    await given(both)
      .when({ type: 'capability_revoke', ...subject, capability: custom })
      .refuses('empty_capability_name', {})
  })
})

describe('ledger_append', () => {
  const entry: LedgerEntry = {
    entryId: entryId(1),
    tenantId: tenant,
    ledgerKey: 'invoices',
    actorId: actor,
    payload: encodeBytes(new Uint8Array([0, 1, 254, 255])),
    atMs: 33,
  }
  const append = (change: Partial<LedgerEntry> = {}): CommandOf<'ledger_append'> => ({
    type: 'ledger_append',
    entry: { ...entry, ...change },
    atMs: 99,
  })

  it('[T-98] keeps the time and the bytes of the entry', () =>
    given(both)
      .when(append())
      .accepts({
        event: { type: 'ledger_entry_appended', ...entry },
        applied: noOp,
        then: (projection) => {
          expect([...projection.ledger()]).toEqual([entry])
          expect([...projection.ledger(tenant)]).toEqual([entry])
          expect([...projection.ledgerByKey('invoices')]).toEqual([entry])
          expect([...projection.ledger(tenantId(2))]).toEqual([])
        },
      }))

  it('[T-98] keeps the order of appending', () =>
    given(both, append({ entryId: entryId(9) }))
      .when(append({ entryId: entryId(2) }))
      .accepts({
        then: (projection) =>
          expect([...projection.ledger()].map((row) => row.entryId)).toEqual([entryId(9), entryId(2)]),
      }))

  it('[T-140] refuses unknown tenants and actors, a known id and an empty key', async () => {
    await given(register).when(append()).refuses('unknown_tenant', { tenantId: tenant })
    await given(create).when(append()).refuses('unknown_actor', { actorId: actor })
    await given(both, append())
      .when(append())
      .refuses('ledger_entry_already_exists', { entryId: entryId(1) })
    await given(both)
      .when(append({ ledgerKey: '' }))
      .refuses('empty_ledger_key', {})
  })
})
