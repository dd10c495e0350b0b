import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { emptyAdminMemory, remember } from '../../../src/node/admin/admin-memory.js'
import { admitCommit, type AdmissionCircumstances } from '../../../src/node/admin/admission.js'
import { proposeIceCommit, signAdminCommit, signIceCommit } from '../../../src/node/admin/signing.js'
import { isIce, type AdminEvent, type IceProposal } from '../../../src/node/admin-event.js'
import type { OperatorEvent } from '../../../src/node/event.js'
import { anna, ben, chain, circumstances, idOf, node, now, stranger, verifierWith, view } from './support/operators.js'

const cordon: AdminEvent = { type: 'cordon', node: node(2) }
const freeze: IceProposal = { type: 'freeze_cluster', ttlMs: 60_000 }
const evict: IceProposal = { type: 'force_evict_replica', chain: chain(16), victim: node(2) }

const verifier = verifierWith({ iceThreshold: 2 })

function judge(attempt: OperatorEvent, changes: Partial<AdmissionCircumstances> = {}) {
  const room = { count: 0, capacity: 1024 }
  return admitCommit(attempt, { ...circumstances(), verifier, isFrozen: false, forcedEntries: room, ...changes })
}

/** Without a verifier. */
function judgeUnverified(attempt: OperatorEvent, changes: Partial<AdmissionCircumstances> = {}) {
  const room = { count: 0, capacity: 1024 }
  return admitCommit(attempt, { ...circumstances(), isFrozen: false, forcedEntries: room, ...changes })
}

const unsigned = (event: AdminEvent): OperatorEvent => ({ type: 'admin_event', event })
const ordinary = (event: AdminEvent, key = anna): OperatorEvent => ({
  type: 'signed_admin_commit',
  commit: signAdminCommit(key, event, now),
})
const bundle = (proposal: IceProposal, keys = [anna, ben]): OperatorEvent => ({
  type: 'signed_ice_commit',
  commit: keys.reduce((commit, key) => signIceCommit(key, commit), proposeIceCommit(view, proposal, now)),
})

describe('an attempt', () => {
  it('[N-330] that is accepted is folded, audited and remembered', () => {
    expect(judge(ordinary(cordon))).toEqual({
      event: cordon,
      audit: { event: cordon, operatorIds: [idOf(anna)], outcome: { status: 'accepted' } },
      accepted: expect.objectContaining({ issuedAtMs: now, acceptedAtMs: now }),
    })
    expect(judge(bundle(evict))).toEqual({
      event: evict,
      audit: { event: evict, operatorIds: [idOf(anna), idOf(ben)], outcome: { status: 'accepted' } },
      accepted: expect.objectContaining({ cooldown: { target: node(2), expiresAtMs: now + 300_000 } }),
    })
  })

  it('[N-331] that is refused is folded by nobody, and audited with those it claims to be from', () => {
    const tampered: OperatorEvent = {
      type: 'signed_admin_commit',
      commit: { ...signAdminCommit(anna, cordon, now), event: { type: 'uncordon', node: node(2) } },
    }
    expect(judge(tampered)).toEqual({
      audit: {
        event: { type: 'uncordon', node: node(2) },
        operatorIds: [idOf(anna)],
        outcome: {
          status: 'rejected',
          kind: 'signature_invalid',
          message: `the signature of ${idOf(anna)} is invalid`,
        },
      },
    })
    expect(judge(bundle(freeze, [stranger, anna])).audit).toMatchObject({
      operatorIds: [idOf(stranger), idOf(anna)],
      outcome: { status: 'rejected', kind: 'not_authorized' },
    })
  })

  it('[N-332] that nobody has signed is refused once there is a verifier, whatever it asks for', () => {
    for (const event of [cordon, freeze, evict]) {
      expect(judge(unsigned(event))).toEqual({
        audit: {
          event,
          operatorIds: [],
          outcome: { status: 'rejected', kind: 'unsigned', message: `${event.type} is not signed` },
        },
      })
    }
  })

  it('[N-332] to break the glass by the way of ordinary commits is refused, in a freeze too', () => {
    for (const isFrozen of [false, true]) {
      expect(judge(ordinary({ type: 'thaw_cluster' }), { isFrozen })).toMatchObject({
        audit: { operatorIds: [idOf(anna)], outcome: { status: 'rejected', kind: 'ice_requires_bundle' } },
      })
    }
  })

  it('[N-333] without a verifier is folded, and its record says so', () => {
    for (const attempt of [
      unsigned(cordon),
      unsigned(freeze),
      ordinary(cordon, stranger),
      ordinary(freeze),
      bundle(freeze, []),
    ]) {
      const { event, audit, accepted } = judgeUnverified(attempt)
      expect(event).toEqual(audit.event)
      expect(audit.outcome).toEqual({ status: 'unverified' })
      expect(accepted).toBeUndefined()
    }
    expect(judgeUnverified(ordinary(cordon, stranger)).audit.operatorIds).toEqual([idOf(stranger)])
  })

  it('[N-334] that does not break the glass is refused in a freeze before anything else is asked', () => {
    const forged = {
      ...signAdminCommit(anna, cordon, now),
      signature: { operator: idOf(anna), signature: '00'.repeat(64) },
    }
    expect(judge({ type: 'signed_admin_commit', commit: forged }, { isFrozen: true }).audit).toEqual({
      event: cordon,
      operatorIds: [idOf(anna)],
      outcome: { status: 'rejected', kind: 'freeze_in_effect', message: 'the cluster is frozen: cordon is refused' },
    })
    expect(judgeUnverified(unsigned(cordon), { isFrozen: true }).audit).toMatchObject({
      operatorIds: [],
      outcome: { status: 'rejected', kind: 'freeze_in_effect' },
    })
    expect(judge(bundle({ type: 'thaw_cluster' }), { isFrozen: true }).event).toEqual({ type: 'thaw_cluster' })
    expect(judgeUnverified(unsigned(freeze), { isFrozen: true }).event).toEqual(freeze)
  })

  it('[N-335] to force what finds no room is refused, and forgotten: it can be handed in again', () => {
    const full = { forcedEntries: { count: 1024, capacity: 1024 } }
    expect(judge(bundle(evict), full)).toMatchObject({ audit: { outcome: { status: 'rejected', kind: 'queue_full' } } })
    expect(judge(bundle(evict), full)).not.toHaveProperty('accepted')
    expect(judge(bundle({ type: 'force_cutover', chain: chain(16), target: node(1) }), full).event).toBeUndefined()
    expect(judgeUnverified(unsigned(evict), full).event).toBeUndefined()
    // What forces no copy needs no room.
    expect(judge(bundle(freeze), full).event).toEqual(freeze)
  })

  it('[N-331] of a crowd is audited with no more operators than a bundle may have', () => {
    const commit = proposeIceCommit(view, freeze, now)
    const signatures = Array.from({ length: 1000 }, (_, index) => ({
      operator: node(index) as string as ReturnType<typeof idOf>,
      signature: '',
    }))
    const { audit } = judge({ type: 'signed_ice_commit', commit: { ...commit, signatures } })
    expect(audit.operatorIds).toHaveLength(64)
    expect(audit.outcome).toMatchObject({ kind: 'insufficient_signatures' })
  })
})

describe('any list of attempts', () => {
  const eventOf = fc.constantFrom<AdminEvent>(
    cordon,
    { type: 'uncordon', node: node(2) },
    freeze,
    { type: 'thaw_cluster' },
    evict,
  )
  const attemptOf = fc.record({
    event: eventOf,
    way: fc.constantFrom('unsigned', 'ordinary', 'bundle'),
    signers: fc.subarray([anna, ben, stranger]),
    ageMs: fc.integer({ min: -40_000, max: 310_000 }),
    isFrozen: fc.boolean(),
    isTampered: fc.boolean(),
  })

  it('[N-330] has one outcome each, and folds only what registered operators have signed in the right way, once', () => {
    fc.assert(
      fc.property(fc.array(attemptOf, { maxLength: 12 }), (attempts) => {
        let memory = emptyAdminMemory
        const folded = new Set<string>()
        for (const { event, way, signers, ageMs, isFrozen, isTampered } of attempts) {
          const issuedAtMs = now - ageMs
          const attempt = ((): OperatorEvent => {
            if (way === 'unsigned') return unsigned(event)
            const [first = stranger] = signers
            if (way === 'bundle' && isIce(event)) {
              const signed = signers.reduce(
                (commit, key) => signIceCommit(key, commit),
                proposeIceCommit(view, event, issuedAtMs),
              )
              return {
                type: 'signed_ice_commit',
                commit: isTampered ? { ...signed, issuedAtMs: issuedAtMs + 1 } : signed,
              }
            }
            const signed = signAdminCommit(first, event, issuedAtMs)
            return {
              type: 'signed_admin_commit',
              commit: isTampered ? { ...signed, issuedAtMs: issuedAtMs + 1 } : signed,
            }
          })()
          const { event: toFold, audit, accepted } = judge(attempt, { memory, isFrozen })
          expect(audit.event).toEqual(event)
          expect(toFold !== undefined).toBe(audit.outcome.status === 'accepted')
          expect(accepted !== undefined).toBe(audit.outcome.status === 'accepted')
          if (toFold === undefined || accepted === undefined) continue
          expect(attempt.type).toBe(isIce(event) ? 'signed_ice_commit' : 'signed_admin_commit')
          expect(isTampered).toBe(false)
          expect(audit.operatorIds).not.toContain(idOf(stranger))
          expect(audit.operatorIds.length).toBeGreaterThanOrEqual(isIce(event) ? 2 : 1)
          expect(isFrozen && !isIce(event)).toBe(false)
          expect(folded.has(accepted.digest)).toBe(false)
          folded.add(accepted.digest)
          memory = remember(memory, accepted)
        }
      }),
      { numRuns: 60 },
    )
  })
})
