import { describe, expect, it } from 'vitest'
import { emptyAdminMemory, remember, type AdminMemory } from '../../../src/node/admin/admin-memory.js'
import { OperatorRegistry } from '../../../src/node/admin/operators.js'
import { proposeIceCommit, signAdminCommit, signIceCommit } from '../../../src/node/admin/signing.js'
import { blastHashOf } from '../../../src/node/admin/signing-payload.js'
import { AdminVerifier, type IceVerificationCircumstances } from '../../../src/node/admin/verifier.js'
import type { AdminEvent, IceProposal } from '../../../src/node/admin-event.js'
import type { SignedIceCommit } from '../../../src/node/commit.js'
import { noDigest } from '../../../src/node/ids.js'
import { rejectionKinds } from '../../../src/node/records.js'
import {
  anna,
  ben,
  chain,
  circumstances,
  cleo,
  daemon,
  idOf,
  migration,
  node,
  now,
  operators,
  stranger,
  verifierWith,
  view,
} from './support/operators.js'

const cordon: AdminEvent = { type: 'cordon', node: node(2) }
const freeze: IceProposal = { type: 'freeze_cluster', ttlMs: 60_000 }
const thaw: IceProposal = { type: 'thaw_cluster' }
const evict: IceProposal = { type: 'force_evict_replica', chain: chain(16), victim: node(2) }

/** A bundle that these have signed. */
function bundle(proposal: IceProposal, signers = [anna, ben], issuedAtMs = now, snapshot = view): SignedIceCommit {
  return signers.reduce<SignedIceCommit>(
    (commit, key) => signIceCommit(key, commit),
    proposeIceCommit(snapshot, proposal, issuedAtMs),
  )
}

const two = verifierWith({ iceThreshold: 2 })

/** The kind of the refusal, or that there is none. */
function kindOfIce(
  commit: SignedIceCommit,
  changes: Partial<IceVerificationCircumstances> = {},
  verifier: AdminVerifier = two,
): string {
  const verdict = verifier.verifyIce(commit, circumstances(changes))
  return verdict.status === 'rejected' ? verdict.kind : verdict.status
}

function kindOfAdmin(
  commit: ReturnType<typeof signAdminCommit>,
  changes: Partial<IceVerificationCircumstances> = {},
  verifier: AdminVerifier = two,
): string {
  const verdict = verifier.verifyAdmin(commit, circumstances(changes))
  return verdict.status === 'rejected' ? verdict.kind : verdict.status
}

/** What is remembered once these were accepted, one after another. */
function after(commits: readonly SignedIceCommit[], nowMs = now, verifier = two): AdminMemory {
  return commits.reduce((memory, commit) => {
    const verdict = verifier.verifyIce(commit, circumstances({ memory, nowMs }))
    if (verdict.status === 'rejected') throw new Error(verdict.message)
    return remember(memory, verdict.accepted)
  }, emptyAdminMemory)
}

describe('an ordinary commit', () => {
  it('[N-320] needs one operator', () => {
    const verdict = two.verifyAdmin(signAdminCommit(anna, cordon, now), circumstances())
    expect(verdict).toEqual({
      status: 'accepted',
      accepted: {
        digest: expect.stringMatching(/^[0-9a-f]{64}$/),
        issuedAtMs: now,
        acceptedAtMs: now,
        forgetBeforeMs: now - 300_000,
      },
    })
  })

  it('[N-320] is refused when anything of it was altered', () => {
    const commit = signAdminCommit(anna, cordon, now)
    expect(kindOfAdmin({ ...commit, event: { type: 'cordon', node: node(3) } })).toBe('signature_invalid')
    expect(kindOfAdmin({ ...commit, event: { type: 'uncordon', node: node(2) } })).toBe('signature_invalid')
    expect(kindOfAdmin({ ...commit, issuedAtMs: now + 1 })).toBe('signature_invalid')
    expect(kindOfAdmin({ ...commit, signature: { ...commit.signature, operator: idOf(ben) } })).toBe(
      'signature_invalid',
    )
    expect(kindOfAdmin({ ...commit, signature: { ...commit.signature, signature: '00'.repeat(64) } })).toBe(
      'signature_invalid',
    )
    expect(kindOfAdmin({ ...commit, signature: { ...commit.signature, signature: '00' } })).toBe('signature_invalid')
  })

  it('[N-320] of somebody who is not registered is not authorized, and where nobody is, nobody is', () => {
    expect(kindOfAdmin(signAdminCommit(stranger, cordon, now))).toBe('not_authorized')
    const nobody = new AdminVerifier({ operators: new OperatorRegistry([]) })
    expect(kindOfAdmin(signAdminCommit(anna, cordon, now), {}, nobody)).toBe('not_authorized')
  })

  it.each([
    [300_000, 'accepted'],
    [300_001, 'envelope_expired'],
    [-30_000, 'accepted'],
    [-30_001, 'envelope_from_future'],
  ])('[N-322] that was issued %i ms ago: %s', (ageMs, expected) => {
    expect(kindOfAdmin(signAdminCommit(anna, cordon, now - ageMs))).toBe(expected)
  })

  it('[N-322] is judged by windows that can be set', () => {
    const strict = verifierWith({ freshnessMs: 60_000, skewMs: 5000 })
    expect(kindOfAdmin(signAdminCommit(anna, cordon, now - 120_000), {}, strict)).toBe('envelope_expired')
    expect(kindOfAdmin(signAdminCommit(anna, cordon, now + 60_000), {}, strict)).toBe('envelope_from_future')
  })
})

describe('a bundle', () => {
  it('[N-321] needs as many operators as the threshold says, each of them once', () => {
    expect(kindOfIce(bundle(freeze))).toBe('accepted')
    expect(kindOfIce(bundle(freeze, [anna, ben, cleo]))).toBe('accepted')
    expect(kindOfIce(bundle(freeze, [anna]))).toBe('insufficient_signatures')
    const once = bundle(freeze, [anna])
    expect(kindOfIce({ ...once, signatures: [...once.signatures, ...once.signatures] })).toBe('insufficient_signatures')
    expect(two.verifyIce(once, circumstances())).toMatchObject({ message: '1 signature, but 2 operators must sign' })
    expect(kindOfIce({ ...once, signatures: [] })).toBe('insufficient_signatures')
  })

  it('[N-321] takes a threshold of nobody for one', () => {
    const none = verifierWith({ iceThreshold: 0 })
    expect(none.iceThreshold).toBe(1)
    expect(kindOfIce(bundle(freeze, []), {}, none)).toBe('insufficient_signatures')
    expect(kindOfIce(bundle(freeze, [anna]), {}, none)).toBe('accepted')
  })

  it('[N-321] is refused whole for one signature that does not hold', () => {
    const commit = bundle(freeze, [anna, ben, cleo])
    const [first, second, third] = commit.signatures
    if (first === undefined || second === undefined || third === undefined) throw new Error('three have signed')
    const swapped = [first, second, { ...third, signature: second.signature }]
    expect(kindOfIce({ ...commit, signatures: swapped })).toBe('signature_invalid')
  })

  it('[N-321] has at most 64 signatures, or as many as the threshold', () => {
    const commit = bundle(freeze, [anna])
    const many = (count: number) => ({
      ...commit,
      signatures: Array.from({ length: count }, () => commit.signatures[0] ?? { operator: idOf(anna), signature: '' }),
    })
    expect(two.verifyIce(many(65), circumstances())).toMatchObject({
      kind: 'insufficient_signatures',
      message: '65 signatures, but 2 operators must sign',
    })
    expect(kindOfIce(many(64), {}, verifierWith())).toBe('accepted')
    expect(verifierWith({ iceThreshold: 100 }).bundleCap).toBe(100)
  })

  it('[N-321] whose signers did not sign the same is refused', () => {
    const commit = bundle(freeze, [anna])
    const later = bundle(freeze, [ben], now + 1)
    expect(kindOfIce({ ...commit, signatures: [...commit.signatures, ...later.signatures] })).toBe('signature_invalid')
  })

  it('[N-323] says what it would touch', () => {
    expect(kindOfIce({ ...bundle(freeze), blastHash: noDigest })).toBe('simulation_required')
    const other = proposeIceCommit(view, evict, now)
    expect(kindOfIce({ ...bundle(freeze), blastRadius: other.blastRadius })).toBe('simulation_mismatch')
    const swapped = { ...bundle(freeze), blastRadius: other.blastRadius, blastHash: blastHashOf(other.blastRadius) }
    expect(kindOfIce(swapped)).toBe('signature_invalid')
  })

  it('[N-324] must not touch what its signers have not seen', () => {
    const commit = bundle(freeze)
    const more = { ...view, peers: new Map([...view.peers, [node(4), {}]]) }
    expect(kindOfIce(commit, { snapshot: more })).toBe('simulation_stale')
    expect(two.verifyIce(commit, circumstances({ snapshot: more }))).toMatchObject({
      message: 'the proposal would touch more than was signed: 0000000000000004',
    })
    const fewer = { ...view, peers: new Map([[node(2), {}]]) }
    expect(kindOfIce(commit, { snapshot: fewer })).toBe('accepted')
    // Other warnings: the chain is gone by now.
    expect(kindOfIce(bundle(evict), { snapshot: { ...view, replicas: new Map() } })).toBe('accepted')
    const kill: IceProposal = { type: 'kill_migration', migration: migration(40) }
    const started = { ...view, inFlightMigrations: [{ migration: migration(40) }] }
    expect(kindOfIce(bundle(kill), { snapshot: started })).toBe('simulation_stale')
    // The same cluster seen from another node: all of them count themselves.
    const elsewhere = {
      ...view,
      node: node(2),
      peers: new Map([
        [node(1), {}],
        [node(3), {}],
      ]),
    }
    expect(kindOfIce(commit, { snapshot: elsewhere })).toBe('accepted')
  })

  it('[N-324] with a radius for another proposal is stale, whoever has signed it', () => {
    const { blastRadius } = proposeIceCommit(view, thaw, now)
    const empty = { ...proposeIceCommit(view, evict, now), blastRadius, blastHash: blastHashOf(blastRadius) }
    const signed = signIceCommit(ben, signIceCommit(anna, empty))
    expect(kindOfIce(signed)).toBe('simulation_stale')
  })

  it('[N-325] makes its target rest, and that alone', () => {
    const memory = after([bundle(evict)])
    expect(memory.cooldowns).toEqual([{ target: node(2), expiresAtMs: now + 300_000 }])
    const again = bundle({ ...evict, chain: chain(17) }, [anna, ben], now + 1)
    expect(kindOfIce(again, { memory, nowMs: now + 1 })).toBe('ice_cooldown_active')
    expect(two.verifyIce(again, circumstances({ memory, nowMs: now + 1 }))).toMatchObject({
      message: '0000000000000002 is in its cooldown for another 299999 ms',
    })
    const elsewhere = bundle({ ...evict, victim: node(3) }, [anna, ben], now + 1)
    expect(kindOfIce(elsewhere, { memory, nowMs: now + 1 })).toBe('accepted')
    expect(kindOfIce(bundle(freeze, [anna, ben], now + 1), { memory, nowMs: now + 1 })).toBe('accepted')
    const later = now + 300_000
    expect(kindOfIce(bundle(evict, [anna, ben], later), { memory, nowMs: later - 1 })).toBe('ice_cooldown_active')
    expect(kindOfIce(bundle(evict, [anna, ben], later), { memory, nowMs: later })).toBe('accepted')
  })

  it('[N-325] that thaws neither waits for a rest nor makes one', () => {
    const memory = after([bundle(freeze), bundle(thaw, [anna, ben], now + 1)])
    expect(memory.cooldowns).toEqual([{ target: 'cluster', expiresAtMs: now + 300_000 }])
    expect(kindOfIce(bundle(freeze, [anna, ben], now + 2), { memory })).toBe('ice_cooldown_active')
    expect(kindOfIce(bundle(thaw, [anna, ben], now + 2), { memory })).toBe('accepted')
  })

  it.each<[IceProposal, string]>([
    [freeze, 'cluster'],
    [{ type: 'force_restart_daemon', daemon: { id: daemon(32), name: 'indexer' } }, 'cluster'],
    [{ type: 'kill_migration', migration: migration(32) }, 'cluster'],
    [{ type: 'flush_avoid_lists', scope: { type: 'global' } }, 'cluster'],
    [{ type: 'flush_avoid_lists', scope: { type: 'local', node: node(3) } }, node(3)],
    [{ type: 'flush_avoid_lists', scope: { type: 'on_peer', peer: node(2) } }, node(2)],
    [evict, node(2)],
    [{ type: 'force_cutover', chain: chain(16), target: node(3) }, node(3)],
  ])('[N-325] %j rests under %s', (proposal, target) => {
    expect(after([bundle(proposal)]).cooldowns).toEqual([{ target, expiresAtMs: now + 300_000 }])
  })
})

describe('a commit that comes again', () => {
  const accepted = (
    commit: ReturnType<typeof signAdminCommit>,
    memory = emptyAdminMemory,
    nowMs = now,
  ): AdminMemory => {
    const verdict = two.verifyAdmin(commit, circumstances({ memory, nowMs }))
    if (verdict.status === 'rejected') throw new Error(verdict.message)
    return remember(memory, verdict.accepted)
  }

  it('[N-310] is refused for as long as it is fresh, a thaw too', () => {
    const commit = signAdminCommit(anna, cordon, now)
    const memory = accepted(commit)
    expect(kindOfAdmin(commit, { memory })).toBe('replayed')
    expect(kindOfAdmin(commit, { memory, nowMs: now + 300_000 })).toBe('replayed')
    expect(kindOfAdmin(commit, { memory, nowMs: now + 300_001 })).toBe('envelope_expired')
    expect(kindOfIce(bundle(thaw), { memory: after([bundle(thaw)]) })).toBe('replayed')
  })

  it('[N-310] is the same whoever else has signed it', () => {
    const memory = after([bundle(thaw, [anna, ben])])
    expect(kindOfIce(bundle(thaw, [ben, cleo]), { memory })).toBe('replayed')
    expect(
      kindOfAdmin(signAdminCommit(ben, cordon, now), { memory: accepted(signAdminCommit(anna, cordon, now)) }),
    ).toBe('replayed')
  })

  it('[N-310] is looked up after its signatures: who has no key learns and fills nothing', () => {
    const commit = signAdminCommit(anna, cordon, now)
    const memory = accepted(commit)
    const altered = { ...commit, signature: { ...commit.signature, signature: '11'.repeat(64) } }
    expect(kindOfAdmin(altered, { memory })).toBe('signature_invalid')
    expect(kindOfAdmin(signAdminCommit(stranger, cordon, now), { memory })).toBe('not_authorized')
  })

  it('[N-312] is refused when the clock was set back behind what is forgotten', () => {
    const first = signAdminCommit(anna, cordon, now)
    const later = signAdminCommit(anna, { type: 'uncordon', node: node(2) }, now + 400_000)
    const memory = accepted(later, accepted(first), now + 400_000)
    expect(memory.seen).toHaveLength(1)
    expect(memory.forgottenBeforeMs).toBe(now + 1)
    expect(kindOfAdmin(first, { memory, nowMs: now + 10 })).toBe('envelope_expired')
    // Another one of that time is refused with it; one that was issued later is not.
    expect(kindOfAdmin(signAdminCommit(ben, { type: 'cordon', node: node(3) }, now), { memory, nowMs: now })).toBe(
      'envelope_expired',
    )
    expect(kindOfAdmin(signAdminCommit(ben, cordon, now + 1), { memory, nowMs: now + 10 })).toBe('accepted')
  })

  it('[N-311] has a bounded memory: when that is full of fresh ones, more are refused', () => {
    const small = verifierWith({ mostRemembered: 2 })
    const commits = [1, 2, 3].map((peer) => signAdminCommit(anna, { type: 'cordon', node: node(peer) }, now + peer))
    const memory = commits.slice(0, 2).reduce((known, commit) => {
      const verdict = small.verifyAdmin(commit, circumstances({ memory: known }))
      return verdict.status === 'accepted' ? remember(known, verdict.accepted) : known
    }, emptyAdminMemory)
    const [, , third] = commits
    if (third === undefined) throw new Error('there are three')
    expect(kindOfAdmin(third, { memory }, small)).toBe('queue_full')
    // Once the first is no longer fresh there is room.
    expect(kindOfAdmin(third, { memory, nowMs: now + 300_002 }, small)).toBe('accepted')
  })
})

describe('of several faults the first decides', () => {
  /** A bundle with every fault at once; each entry mends one more. */
  const everyFault = (): SignedIceCommit => ({
    ...bundle(freeze, [stranger], now + 60_000),
    blastHash: noDigest,
  })
  const resting: AdminMemory = { ...emptyAdminMemory, cooldowns: [{ target: 'cluster', expiresAtMs: now + 1000 }] }

  it('[N-321] in the order of the checks', () => {
    const found: string[] = []
    const note = (commit: SignedIceCommit, memory = resting, snapshot = view, verifier = two): void => {
      found.push(kindOfIce(commit, { memory, snapshot }, verifier))
    }
    note(everyFault())
    note({ ...everyFault(), blastHash: 'ab'.repeat(32) as SignedIceCommit['blastHash'] })
    note(bundle(freeze, [stranger], now + 60_000))
    note(bundle(freeze, [stranger], now - 400_000))
    note(bundle(freeze, [stranger]))
    const crowd = bundle(freeze, [stranger])
    note(
      { ...crowd, signatures: Array.from({ length: 65 }, () => ({ operator: idOf(stranger), signature: '' })) },
      emptyAdminMemory,
    )
    // An unknown operator behind a signature that does not hold: all are looked up first.
    note({ ...crowd, signatures: [{ operator: idOf(anna), signature: '' }, ...crowd.signatures] }, emptyAdminMemory)
    note({ ...crowd, signatures: [{ operator: idOf(anna), signature: '' }] }, emptyAdminMemory)
    note(bundle(freeze, [anna]), emptyAdminMemory)
    const seen = { ...after([bundle(freeze)]), cooldowns: [] }
    const more = { ...view, peers: new Map([...view.peers, [node(4), {}]]) }
    note(bundle(freeze), seen, more, verifierWith({ iceThreshold: 2, mostRemembered: 1 }))
    note(bundle(freeze, [anna, ben], now + 1), seen, more, verifierWith({ iceThreshold: 2, mostRemembered: 1 }))
    note(bundle(freeze, [anna, ben], now + 1), seen, more)
    note(bundle(freeze, [anna, ben], now + 1), seen)
    expect(found).toEqual([
      'simulation_required',
      'simulation_mismatch',
      'envelope_from_future',
      'envelope_expired',
      'ice_cooldown_active',
      'insufficient_signatures',
      'not_authorized',
      'signature_invalid',
      'insufficient_signatures',
      'replayed',
      'queue_full',
      'simulation_stale',
      'accepted',
    ])
    expect(rejectionKinds).toEqual(expect.arrayContaining(found.slice(0, -1)))
  })
})

describe('what no node would read', () => {
  it.each([
    [{ type: 'cordon', node: 'a1' }, now],
    [{ type: 'cordon' }, now],
    [{ type: 'cordn', node: node(1) }, now],
    [cordon, -1],
    [cordon, 0.5],
  ])('is not signed: %j at %d', (event, issuedAtMs) => {
    expect(() => signAdminCommit(anna, event as AdminEvent, issuedAtMs)).toThrow(
      expect.objectContaining({ code: 'invalid_input' }),
    )
    expect(() => proposeIceCommit(view, event as IceProposal, issuedAtMs)).toThrow(
      expect.objectContaining({ code: 'invalid_input' }),
    )
  })
})

describe('a registry', () => {
  it.each([[null], [[null]], [[{}]], [[{ publicKey: anna.publicKey, nme: 'anna' }]], [[{ publicKey: 7 }]]])(
    'refuses %j',
    (input) => {
      expect(() => new OperatorRegistry(input as never)).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    },
  )
})

describe('a verifier', () => {
  it('answers the same whenever it is asked, and changes nothing', () => {
    const commit = bundle(evict)
    const memory = Object.freeze(after([bundle(freeze)]))
    const asked = () => two.verifyIce(commit, circumstances({ memory }))
    expect(asked()).toEqual(asked())
  })

  it.each([
    [{ iceThreshold: -1 }, 'iceThreshold'],
    [{ freshnessMs: Number.NaN }, 'freshnessMs'],
    [{ skewMs: 86_400_001 }, 'skewMs'],
    [{ mostRemembered: 0 }, 'mostRemembered'],
    [{ operators: [] as unknown as OperatorRegistry }, 'operators'],
    [{ treshold: 2 }, 'treshold'],
  ])('refuses %j', (options, field) => {
    expect(() => new AdminVerifier({ operators, ...options })).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field }) }),
    )
  })
})
