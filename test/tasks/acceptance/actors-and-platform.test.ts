import { describe, expect, it } from 'vitest'
import {
  checkPermission,
  decodeBytes,
  encodeBytes,
  TaskError,
  type ActorId,
  type Capability,
  type LedgerEntryId,
  type TenantId,
} from '../../../src/tasks/index.js'
import { actorId, entryId, tenantId } from '../support/ids.js'
import { openService, start, type Service } from './support.js'

const [one, other] = [actorId(1), actorId(2)]
const [here, there] = [tenantId(1), tenantId(2)]

async function register({ tasks }: Service, id: ActorId, heartbeatIntervalMs = 10_000): Promise<void> {
  const registration = { actorId: id, identity: `worker ${id}`, capabilities: ['gpu'], heartbeatIntervalMs }
  await tasks.authority.submit({ type: 'actor_register', registration, atMs: start })
}

const beat = ({ tasks }: Service, id: ActorId, atMs: number) =>
  tasks.authority.submit({ type: 'actor_heartbeat', actorId: id, atMs })

describe('an actor', () => {
  it('[T-96] that is silent for three intervals is deregistered; the others stay', async () => {
    const service = await openService()
    await service.tasks.start()
    await register(service, one)
    await register(service, other)
    await service.pass(20)
    await beat(service, other, start + 20_000)
    await service.pass(9)
    expect(service.projection.isActorActive(one)).toBe(true)
    await service.pass(1)
    expect(service.projection.isActorActive(one)).toBe(false)
    expect(service.projection.actor(one)?.deregisteredAtMs).toBe(start + 30_000)
    expect(service.projection.isActorActive(other)).toBe(true)
  })

  it('[T-96] counts its silence from the latest heartbeat', async () => {
    const service = await openService()
    await service.tasks.start()
    await register(service, one)
    for (let second = 29; second <= 145; second += 29) {
      await service.pass(29)
      await beat(service, one, start + 1000 * second)
    }
    await service.pass(29)
    expect(service.projection.isActorActive(one)).toBe(true)
    await service.pass(1)
    expect(service.projection.isActorActive(one)).toBe(false)
  })

  it('[T-96] is watched by its own interval', async () => {
    const service = await openService()
    await service.tasks.start()
    await register(service, one, 1000)
    await register(service, other, 100_000)
    await service.pass(3)
    expect(service.projection.isActorActive(one)).toBe(false)
    await service.jump(296)
    expect(service.projection.isActorActive(other)).toBe(true)
    await service.pass(1)
    expect(service.projection.isActorActive(other)).toBe(false)
  })

  it('[T-96] does not lose its heartbeat to a restart', async () => {
    const before = await openService()
    await register(before, one)
    await before.pass(20)
    await beat(before, one, start + 20_000)
    await before.runtime.compact()
    const service = await before.crash()
    await service.tasks.start()
    await service.pass(29)
    expect(service.projection.isActorActive(one)).toBe(true)
    await service.pass(1)
    expect(service.projection.isActorActive(one)).toBe(false)
  })

  it('[T-96] that fell silent while nothing ran is deregistered at the next start', async () => {
    const before = await openService()
    await register(before, one)
    const service = await before.crash({ seconds: 300 })
    await service.tasks.start()
    await service.pass(1)
    expect(service.projection.isActorActive(one)).toBe(false)
  })

  it('[T-96] may register again', async () => {
    const service = await openService()
    await service.tasks.start()
    await register(service, one)
    await service.pass(30)
    expect(service.projection.isActorActive(one)).toBe(false)
    const registration = { actorId: one, identity: 'back', capabilities: ['gpu'], heartbeatIntervalMs: 10_000 }
    await service.tasks.authority.submit({ type: 'actor_register', registration, atMs: start + 30_000 })
    await service.pass(29)
    expect(service.projection.isActorActive(one)).toBe(true)
  })
})

describe('a permission', () => {
  const canSubmit: Capability = { type: 'can_submit' }

  async function openWithTenants(): Promise<Service> {
    const service = await openService()
    await register(service, one)
    const tenants = [
      { tenantId: here, name: 'here' },
      { tenantId: there, name: 'there' },
    ]
    for (const registration of tenants) {
      await service.tasks.authority.submit({ type: 'tenant_create', registration, atMs: start })
    }
    return service
  }

  function verdict({ projection }: Service, tenant: TenantId, capability = canSubmit): string {
    try {
      checkPermission(projection, one, capability, tenant)
    } catch (error) {
      if (error instanceof TaskError) return error.code
      throw error
    }
    return 'granted'
  }

  const assign = (service: Service) =>
    service.tasks.authority.submit({
      type: 'role_assign',
      actorId: one,
      role: { type: 'operator' },
      tenantId: here,
      atMs: start,
    })
  const change = (service: Service, type: 'capability_grant' | 'capability_revoke', atMs = start) =>
    service.tasks.authority.submit({ type, actorId: one, capability: canSubmit, tenantId: here, atMs })

  it('[T-97] needs a role, and then the capability', async () => {
    const service = await openWithTenants()
    await change(service, 'capability_grant')
    expect(verdict(service, here)).toBe('no_role_assigned')
    await assign(service)
    expect(verdict(service, here)).toBe('granted')
    expect(verdict(service, here, { type: 'can_approve' })).toBe('missing_capability')
    expect(verdict(service, there)).toBe('no_role_assigned')
  })

  it('[T-97] is not implied by a role', async () => {
    const service = await openWithTenants()
    await assign(service)
    expect(verdict(service, here)).toBe('missing_capability')
  })

  it('[T-97] ends when it is revoked, also after a restart, and can be granted again', async () => {
    const before = await openWithTenants()
    await assign(before)
    await change(before, 'capability_grant')
    await change(before, 'capability_revoke', start + 1000)
    expect(verdict(before, here)).toBe('missing_capability')
    const service = await before.crash()
    expect(verdict(service, here)).toBe('missing_capability')
    await change(service, 'capability_grant', start + 2000)
    expect(verdict(service, here)).toBe('granted')
  })

  it('[T-168] what a task requires is left to a process that has it', async () => {
    const before = await openService()
    const ran: string[] = []
    const constraints = { requiredCapabilities: ['gpu'] }
    const taskId = await before.tasks.submit({ kind: 'work', constraints })
    before.tasks.handle('work', () => void ran.push('without'))
    await before.pass(2)
    expect(before.statesOf(taskId)).toEqual(['ready'])
    const service = await before.crash({ dispatch: { capabilities: ['gpu', 'more'] } })
    service.tasks.handle('work', () => void ran.push('with'))
    await service.settle()
    expect(ran).toEqual(['with'])
  })
})

describe('the ledger', () => {
  const append = ({ tasks }: Service, id: LedgerEntryId, tenant: TenantId, ledgerKey: string, bytes: Uint8Array) => {
    const atMs = start + Number.parseInt(id.slice(-4), 16)
    const entry = { entryId: id, tenantId: tenant, ledgerKey, payload: encodeBytes(bytes), atMs }
    return tasks.authority.submit({ type: 'ledger_append', entry, atMs: start })
  }
  const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte)

  it.each(['its log', 'a snapshot'])(
    '[T-98] keeps entries with their bytes and in their order when it comes back from %s',
    async (source) => {
      const before = await openService()
      for (const registration of [
        { tenantId: here, name: 'here' },
        { tenantId: there, name: 'there' },
      ]) {
        await before.tasks.authority.submit({ type: 'tenant_create', registration, atMs: start })
      }
      await append(before, entryId(9), here, 'audit', everyByte)
      await append(before, entryId(3), there, 'audit', Uint8Array.of(0, 255, 0))
      await append(before, entryId(5), here, 'cost', Uint8Array.of())
      await append(before, entryId(1), here, 'audit', Uint8Array.of(10, 13))
      if (source === 'a snapshot') await before.runtime.compact()

      const { projection } = await before.crash()
      const mine = [...projection.ledger(here)]
      expect(mine.map((entry) => entry.entryId)).toEqual([entryId(9), entryId(5), entryId(1)])
      expect(mine.map(({ atMs }) => atMs - start)).toEqual([9, 5, 1])
      expect(mine.map(({ payload }) => [...decodeBytes(payload)])).toEqual([[...everyByte], [], [10, 13]])
      expect(Array.from(projection.ledger(there), (entry) => entry.entryId)).toEqual([entryId(3)])
      const audit = [...projection.ledgerByKey('audit')]
      expect(audit.map((entry) => entry.entryId)).toEqual([entryId(9), entryId(3), entryId(1)])
    },
  )

  it('[T-98] refuses an entry that is there, and a tenant that is not', async () => {
    const service = await openService()
    const registration = { tenantId: here, name: 'here' }
    await service.tasks.authority.submit({ type: 'tenant_create', registration, atMs: start })
    await append(service, entryId(1), here, 'audit', everyByte)
    await expect(append(service, entryId(1), here, 'audit', everyByte)).rejects.toMatchObject({
      code: 'ledger_entry_already_exists',
    })
    await expect(append(service, entryId(2), there, 'audit', everyByte)).rejects.toMatchObject({
      code: 'unknown_tenant',
    })
    expect([...service.projection.ledger()]).toHaveLength(1)
  })
})
