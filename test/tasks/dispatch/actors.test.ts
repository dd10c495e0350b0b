import { describe, expect, it } from 'vitest'
import { canRun, checkPermission, defaultConstraints, encodeBytes, type Role } from '../../../src/tasks/index.js'
import { actorId, entryId, tenantId } from '../support/ids.js'
import { openRoom, start, type Room } from './support/room.js'

const register = (number: number, heartbeatIntervalMs = 10_000) =>
  ({
    type: 'actor_register',
    registration: {
      actorId: actorId(number),
      identity: `worker-${number}`,
      capabilities: ['cpu'],
      heartbeatIntervalMs,
    },
    atMs: start,
  }) as const

describe('liveness of actors', () => {
  it('[T-96] an actor silent for three intervals is deregistered, a heartbeat resets the deadline', async () => {
    const room = await openRoom()
    await room.tasks.start()
    await room.authority.submitBatch([register(1), register(2)])
    await room.pass(20)
    await room.authority.submit({ type: 'actor_heartbeat', actorId: actorId(2), atMs: start + 20_000 })
    const active = (): boolean[] => [1, 2].map((number) => room.authority.projection.isActorActive(actorId(number)))
    await room.pass(9)
    expect(active()).toEqual([true, true])
    await room.pass(1)
    expect(active()).toEqual([false, true])
    await room.pass(19)
    expect(active()).toEqual([false, true])
    await room.pass(1)
    expect(active()).toEqual([false, false])
  })

  it('[T-96] silence is noticed by the process that comes after a crash', async () => {
    const room = await openRoom()
    await room.authority.submit(register(1))
    const later = await room.crash(25)
    await later.tasks.start()
    await later.pass(4)
    expect(later.authority.projection.isActorActive(actorId(1))).toBe(true)
    await later.pass(1)
    expect(later.authority.projection.isActorActive(actorId(1))).toBe(false)
  })

  it('[T-168] an actor can run what requires no more than it has', () => {
    const actor = { capabilities: ['cpu', 'disk'] }
    expect(canRun(actor, defaultConstraints)).toBe(true)
    expect(canRun(actor, { ...defaultConstraints, requiredCapabilities: ['disk'] })).toBe(true)
    expect(canRun(actor, { ...defaultConstraints, requiredCapabilities: ['disk', 'gpu'] })).toBe(false)
  })
})

describe('permissions', () => {
  const canSubmit = { type: 'can_submit' } as const

  async function withRole(room: Room, role: Role = { type: 'operator' }): Promise<void> {
    await room.authority.submitBatch([
      register(1),
      ...[1, 2].map(
        (number) =>
          ({
            type: 'tenant_create',
            registration: { tenantId: tenantId(number), name: `t${number}` },
            atMs: start,
          }) as const,
      ),
      { type: 'role_assign', actorId: actorId(1), role, tenantId: tenantId(1), atMs: start },
    ])
  }

  it('[T-97] needs a role in the tenant, then the capability, and a revocation takes effect', async () => {
    const room = await openRoom()
    await withRole(room)
    const check = (tenant: number): void =>
      checkPermission(room.authority.projection, actorId(1), canSubmit, tenantId(tenant))
    expect(() => check(2)).toThrow(expect.objectContaining({ code: 'no_role_assigned' }))
    expect(() => check(1)).toThrow(expect.objectContaining({ code: 'missing_capability' }))
    const target = { actorId: actorId(1), capability: canSubmit, tenantId: tenantId(1), atMs: start }
    await room.authority.submit({ type: 'capability_grant', ...target })
    check(1)
    await room.authority.submit({ type: 'capability_revoke', ...target })
    expect(() => check(1)).toThrow(expect.objectContaining({ code: 'missing_capability' }))
  })

  it('[T-98] ledger entries with binary payload survive a restart in order, and tenants stay apart', async () => {
    const room = await openRoom()
    await withRole(room)
    const payload = encodeBytes(Uint8Array.from({ length: 256 }, (_, byte) => byte))
    for (const [number, tenant] of [
      [1, 1],
      [2, 2],
      [3, 1],
    ] as const) {
      const entry = {
        entryId: entryId(number),
        tenantId: tenantId(tenant),
        ledgerKey: 'audit',
        payload,
        atMs: start + 1000 * number,
      }
      await room.authority.submit({ type: 'ledger_append', entry, atMs: start + 99_000 })
    }
    const later = await room.crash()
    const entries = (tenant: number): unknown[] =>
      Array.from(later.authority.projection.ledger(tenantId(tenant)), (entry) => [entry.entryId, entry.atMs])
    expect(entries(1)).toEqual([
      [entryId(1), start + 1000],
      [entryId(3), start + 3000],
    ])
    expect(entries(2)).toEqual([[entryId(2), start + 2000]])
    expect([...later.authority.projection.ledger()].map((entry) => entry.payload)).toEqual([payload, payload, payload])
  })
})
