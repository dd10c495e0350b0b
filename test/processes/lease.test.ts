import { describe, expect, it } from 'vitest'
import {
  checkLeaseTimings,
  decideLease,
  defaultLeaseTimings,
  isHeldBy,
  leaseOf,
  leaseTimingsFromTtl,
  neverDead,
  type ProcessLease,
  type StoredLease,
} from '../../src/processes/lease.js'

const [x, y] = ['x', 'y'].map((ownerId) => ({ ownerId, incarnationId: '1' })) as [
  ProcessLease['owner'],
  ProcessLease['owner'],
]
const held: StoredLease = {
  fencingToken: 7,
  holder: { owner: x, leaseToken: 't', claimedAtMs: 0, expiresAtMs: 100 },
}
const lease = leaseOf('p', held) as ProcessLease
const at = (nowMs: number) => ({ nowMs, ttlMs: 10 })

describe('the decision about a lease (P-40, P-44)', () => {
  it.each([
    ['never leased', undefined, 1],
    ['released', { fencingToken: 7 }, 8],
    ['expired just now', held, 8],
  ] as const)('what was %s is acquired', (_, stored, fencingToken) => {
    const acquired = { type: 'acquire', fencingToken, expiresAtMs: 110 }
    expect(decideLease('p', stored, { type: 'claim', owner: y }, at(100))).toEqual(acquired)
    const reclaim = { type: 'reclaim', owner: y, observed: lease, isDead: neverDead } as const
    expect(decideLease('p', stored, reclaim, at(100))).toEqual(acquired)
  })

  it('what is held is extended by its own incarnation, and busy to others', () => {
    const busy = { type: 'busy', holder: lease }
    expect(decideLease('p', held, { type: 'claim', owner: x }, at(99))).toEqual({ type: 'extend', expiresAtMs: 109 })
    expect(decideLease('p', held, { type: 'claim', owner: y }, at(99))).toEqual(busy)
    expect(decideLease('p', held, { type: 'claim', owner: { ...x, incarnationId: '2' } }, at(99))).toEqual(busy)
    for (const isDead of [neverDead, () => true]) {
      const reclaim = { type: 'reclaim', owner: y, observed: { ...lease, fencingToken: 6 }, isDead } as const
      expect(decideLease('p', held, reclaim, at(99))).toEqual(busy)
    }
    const dead = { type: 'reclaim', owner: y, observed: lease, isDead: () => true } as const
    expect(decideLease('p', held, dead, at(99))).toEqual({ type: 'acquire', fencingToken: 8, expiresAtMs: 109 })
    expect(decideLease('p', held, { ...dead, isDead: neverDead }, at(99))).toEqual(busy)
  })

  it('there is no fencing token beyond the largest integer', () => {
    const last = { fencingToken: Number.MAX_SAFE_INTEGER }
    const claim = { type: 'claim', owner: x } as const
    expect(() => decideLease('p', last, claim, at(0))).toThrow(
      expect.objectContaining({ code: 'process.fencing_overflow' }),
    )
  })
})

it('a lease holds its process by all of its parts (P-41)', () => {
  expect(isHeldBy('p', held, lease, 99)).toBe(true)
  expect(isHeldBy('p', held, lease, 100)).toBe(false)
  expect(isHeldBy('p', undefined, lease, 0)).toBe(false)
  expect(isHeldBy('p', { fencingToken: 7 }, lease, 0)).toBe(false)
  const others = [
    { ...lease, processId: 'q' },
    { ...lease, leaseToken: 'u' },
    { ...lease, fencingToken: 8 },
    { ...lease, owner: y },
  ]
  for (const other of others) expect(isHeldBy('p', held, other, 0)).toBe(false)
})

it('a lease outlives two renewals that fail (P-49)', () => {
  expect(defaultLeaseTimings).toEqual({ ttlMs: 30_000, renewIntervalMs: 10_000 })
  expect(leaseTimingsFromTtl(60_000)).toEqual({ ttlMs: 60_000, renewIntervalMs: 20_000 })
  const wrong = [
    [29_000, 10_000, 'ttlMs'],
    [0, 1, 'ttlMs'],
    [3, 0, 'renewIntervalMs'],
    [3, 0.5, 'renewIntervalMs'],
  ] as const
  for (const [ttlMs, renewIntervalMs, field] of wrong) {
    const refusal = { code: 'process.lease_timings_invalid', data: expect.objectContaining({ field }) as unknown }
    expect(() => checkLeaseTimings({ ttlMs, renewIntervalMs })).toThrow(expect.objectContaining(refusal))
  }
})
