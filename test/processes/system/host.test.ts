import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { LeaseOwner, ProcessLease } from '../../../src/processes/lease.js'
import { isLocalOwnerDead, isSameBoot, localLiveness, thisHost } from '../../../src/processes/system/host.js'

type Local = Extract<NonNullable<LeaseOwner['liveness']>, { type: 'local_process' }>

const alive = localLiveness() as Local
const claimant: LeaseOwner = { ownerId: 'x', incarnationId: 'y' }

function heldBy(liveness: LeaseOwner['liveness']): ProcessLease {
  const owner = { ownerId: 'w', incarnationId: 'i', ...(liveness !== undefined && { liveness }) }
  return { schemaVersion: 2, processId: 'p', owner, leaseToken: 't', fencingToken: 1, claimedAtMs: 1, expiresAtMs: 2 }
}

describe('an owner on this host [P-228]', () => {
  it('is dead for certain when its process is gone, its pid another one’s, or the system was started anew', async () => {
    const child = spawn('true')
    const exited = once(child, 'exit')
    const pid = child.pid ?? 0
    await exited
    const dead: Local[] = [
      { ...alive, pid },
      { ...alive, processStart: '1' },
      { ...alive, bootId: 'another' },
    ]
    expect(dead.map((liveness) => isLocalOwnerDead(heldBy(liveness), claimant))).toEqual([true, true, true])
  })

  it('is not while it runs; of other hosts and of who does not tell nothing is known', () => {
    const others = [alive, { ...alive, hostId: 'another', bootId: 'another' }, { type: 'opaque' } as const, undefined]
    expect(others.map((liveness) => isLocalOwnerDead(heldBy(liveness), claimant))).toEqual([false, false, false, false])
  })

  it('a boot is the same when host and boot are', () => {
    const here = thisHost()
    expect(isSameBoot(here, thisHost())).toBe(true)
    expect(isSameBoot(here, { ...here, bootId: 'another' })).toBe(false)
    expect(isSameBoot(here, { ...here, hostId: 'another' })).toBe(false)
    expect(isSameBoot({ ...here, bootId: 'unknown' }, { ...here, bootId: 'unknown' })).toBe(false)
  })
})
