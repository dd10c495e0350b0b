import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { emptyAdminMemory, remember } from '../../../src/node/admin/admin-memory.js'
import { admitCommit } from '../../../src/node/admin/admission.js'
import { decodeCommit, encodeCommit, type SignedAttempt } from '../../../src/node/admin/commit-document.js'
import { adminPayload, icePayload } from '../../../src/node/admin/signing-payload.js'
import { proposeIceCommit, signAdminCommit, signIceCommit } from '../../../src/node/admin/signing.js'
import type { IceVerificationCircumstances } from '../../../src/node/admin/verifier.js'
import type { AdminEvent, IceProposal } from '../../../src/node/admin-event.js'
import {
  anna,
  ben,
  chain,
  circumstances,
  cleo,
  daemon,
  idOf,
  keyOf,
  node,
  now,
  verifierWith,
  view,
} from './support/operators.js'

const verifier = verifierWith({ iceThreshold: 2 })

/** The kind of the refusal, or `accepted`. */
function judge(attempt: SignedAttempt, changes: Partial<IceVerificationCircumstances> = {}): string {
  const { audit } = admitCommit(attempt, {
    ...circumstances(changes),
    verifier,
    isFrozen: false,
    forcedEntries: { count: 0, capacity: 1 },
  })
  return audit.outcome.status === 'rejected' ? audit.outcome.kind : audit.outcome.status
}

const restart: IceProposal = { type: 'force_restart_daemon', daemon: { id: daemon(32), name: 'indexer' } }
const ordinary = (event: AdminEvent, issuedAtMs = now, key = anna): SignedAttempt => ({
  type: 'signed_admin_commit',
  commit: signAdminCommit(key, event, issuedAtMs),
})
const bundle = (proposal: IceProposal, issuedAtMs = now, keys = [anna, ben]): SignedAttempt => ({
  type: 'signed_ice_commit',
  commit: keys.reduce((commit, key) => signIceCommit(key, commit), proposeIceCommit(view, proposal, issuedAtMs)),
})

const envelopes: readonly SignedAttempt[] = [
  ordinary({ type: 'enter_maintenance', node: node(2), drainForMs: 600_000 }),
  ordinary({ type: 'drop_replicas', node: node(2), chains: [chain(16), chain(17)] }),
  bundle(restart),
  bundle({ type: 'force_evict_replica', chain: chain(17), victim: node(3) }),
  bundle({ type: 'flush_avoid_lists', scope: { type: 'on_peer', peer: node(3) } }),
]

describe('an envelope', () => {
  it('[N-308] is the same after its way through a file', () => {
    for (const envelope of envelopes) {
      expect(decodeCommit(JSON.parse(JSON.stringify(encodeCommit(envelope))))).toEqual(envelope)
      expect(judge(envelope)).toBe('accepted')
    }
  })

  it.each(
    envelopes.map(
      (envelope) =>
        [
          envelope.type === 'signed_ice_commit' ? envelope.commit.proposal.type : envelope.commit.event.type,
          envelope,
        ] as const,
    ),
  )('[N-309] of which any byte was changed is refused: %s', (_type, envelope) => {
    const text = Buffer.from(JSON.stringify(encodeCommit(envelope)))
    let survivors = 0
    const judgeBytes = (bytes: Buffer): string => {
      let attempt: SignedAttempt
      try {
        attempt = decodeCommit(JSON.parse(bytes.toString('utf8')))
      } catch (error) {
        // It is no envelope any more, and is told so by its field.
        expect(error).toBeInstanceOf(Error)
        return 'unreadable'
      }
      survivors += 1
      return judge(attempt)
    }
    expect(judgeBytes(text)).toBe('accepted')
    survivors = 0
    const masks = [0x01, 0x02, 0x04, 0x10, 0x20, 0x80]
    for (let place = 0; place < text.length; place += 1) {
      const changed = Buffer.from(text)
      changed[place] = (text[place] ?? 0) ^ (masks[place % masks.length] ?? 1)
      expect(judgeBytes(changed)).not.toBe('accepted')
    }
    // Digits that became other digits were read, and refused for what they say.
    expect(survivors).toBeGreaterThan(20)
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.integer({ min: 1, max: 255 }), (place, mask) => {
        const changed = Buffer.from(text)
        changed[place] = (text[place] ?? 0) ^ mask
        return judgeBytes(changed) !== 'accepted'
      }),
      { numRuns: 200 },
    )
  })

  it('[N-303] of one surface holds on no other', () => {
    const proposal: IceProposal = { type: 'thaw_cluster' }
    const commit = proposeIceCommit(view, proposal, now)
    const asIce = { operator: idOf(anna), signature: anna.sign(icePayload(commit)) }
    const asAdmin = { operator: idOf(anna), signature: anna.sign(adminPayload({ event: proposal, issuedAtMs: now })) }
    const lax = verifierWith()
    expect(lax.verifyIce({ ...commit, signatures: [asIce] }, circumstances()).status).toBe('accepted')
    expect(lax.verifyIce({ ...commit, signatures: [asAdmin] }, circumstances())).toMatchObject({
      kind: 'signature_invalid',
    })
    expect(lax.verifyAdmin({ event: proposal, issuedAtMs: now, signature: asIce }, circumstances())).toMatchObject({
      kind: 'signature_invalid',
    })
  })

  it('[N-309] carries no signature over to another event, instant, radius or operator', () => {
    const commit = signAdminCommit(anna, { type: 'cordon', node: node(2) }, now)
    const elsewhere = signAdminCommit(anna, { type: 'cordon', node: node(3) }, now)
    expect(judge({ type: 'signed_admin_commit', commit: { ...commit, signature: elsewhere.signature } })).toBe(
      'signature_invalid',
    )
    const wide = proposeIceCommit(view, { type: 'freeze_cluster', ttlMs: 1000 }, now)
    const narrow = proposeIceCommit({ ...view, peers: new Map() }, { type: 'freeze_cluster', ttlMs: 1000 }, now)
    const { signatures } = signIceCommit(ben, signIceCommit(anna, narrow))
    expect(judge({ type: 'signed_ice_commit', commit: { ...wide, signatures } })).toBe('signature_invalid')
  })
})

describe('whoever floods administration', () => {
  it('[N-310] without a key leaves no trace in memory', () => {
    let memory = emptyAdminMemory
    const strangers = Array.from({ length: 20 }, (_, index) => keyOf(100 + index))
    for (let attempt = 0; attempt < 200; attempt += 1) {
      const key = strangers[attempt % strangers.length] ?? anna
      const forged = signAdminCommit(key, { type: 'cordon', node: node(attempt) }, now)
      for (const operator of [idOf(key), idOf(anna)]) {
        const commit = { ...forged, signature: { ...forged.signature, operator } }
        const { event, audit, accepted } = admitCommit(
          { type: 'signed_admin_commit', commit },
          { ...circumstances({ memory }), verifier, isFrozen: false, forcedEntries: { count: 0, capacity: 1 } },
        )
        expect(event).toBeUndefined()
        expect(audit.outcome).toMatchObject({ kind: operator === idOf(key) ? 'not_authorized' : 'signature_invalid' })
        if (accepted !== undefined) memory = remember(memory, accepted)
      }
    }
    expect(memory).toBe(emptyAdminMemory)
    expect(judge(ordinary({ type: 'cordon', node: node(2) }), { memory })).toBe('accepted')
  })

  it('[N-311] with a key fills it to its bound and no further', () => {
    const small = verifierWith({ mostRemembered: 8 })
    let memory = emptyAdminMemory
    const kinds = Array.from({ length: 20 }, (_, index) => {
      const commit = signAdminCommit(cleo, { type: 'cordon', node: node(index) }, now)
      const verdict = small.verifyAdmin(commit, circumstances({ memory }))
      if (verdict.status === 'accepted') memory = remember(memory, verdict.accepted)
      return verdict.status === 'accepted' ? verdict.status : verdict.kind
    })
    expect(kinds).toEqual([...Array(8).fill('accepted'), ...Array(12).fill('queue_full')])
    expect(memory.seen).toHaveLength(8)
  })
})

describe('a clock that jumps', () => {
  it('[N-312] lets no commit be accepted twice, wherever it goes and however fresh commits must be', () => {
    const attemptOf = fc.record({
      event: fc.constantFrom<AdminEvent>({ type: 'cordon', node: node(1) }, { type: 'cordon', node: node(2) }),
      issuedAtMs: fc.integer({ min: 0, max: 5 }).map((step) => now + step * 50),
      nowMs: fc.integer({ min: -2, max: 20 }).map((step) => now + step * 25),
      freshnessMs: fc.constantFrom(60, 200),
    })
    const known = new Map<string, ReturnType<typeof signAdminCommit>>()
    fc.assert(
      fc.property(fc.array(attemptOf, { maxLength: 40 }), (attempts) => {
        let memory = emptyAdminMemory
        const accepted = new Set<string>()
        for (const { event, issuedAtMs, nowMs, freshnessMs } of attempts) {
          const name = `${JSON.stringify(event)} ${issuedAtMs}`
          const commit = known.get(name) ?? signAdminCommit(anna, event, issuedAtMs)
          known.set(name, commit)
          const strict = verifierWith({ freshnessMs, skewMs: 10 })
          const verdict = strict.verifyAdmin(commit, circumstances({ memory, nowMs }))
          if (verdict.status === 'rejected') continue
          expect(accepted.has(name)).toBe(false)
          accepted.add(name)
          memory = remember(memory, verdict.accepted)
        }
      }),
      { numRuns: 100 },
    )
  })
})
