import { describe, expect, it } from 'vitest'
import {
  createSeed,
  KeyPair,
  payloadDigest,
  payloadOf,
  signAdminCommit,
  type SignedAttempt,
} from '../../../src/node/admin/index.js'
import type { ClusterSource, ClusterView, Heartbeat, MemberIdentity } from '../../../src/node/cluster-source.js'
import type { EpochId } from '../../../src/node/ids.js'
import { chainId, daemonId, node } from './node-world.js'

/** A source of its own for one test, and how its clock gets on. */
export interface ClusterUnderTest {
  readonly source: ClusterSource
  /** Lets so many milliseconds pass on the clock of the source. */
  pass(milliseconds: number): Promise<void>
}

const one: MemberIdentity = { node: node(1), epoch: '00000000000000e1' as EpochId }
const two: MemberIdentity = { node: node(2), epoch: '00000000000000e2' as EpochId }
const daemon = { id: daemonId(7), name: 'indexer' }
const subject = `daemon:${daemon.id}` as const
const chain = chainId(5)

const leaseTtlMs = 10_000
const beat = (member: MemberIdentity, more: Partial<Heartbeat> = {}): Heartbeat => ({
  ...member,
  maintenance: 'active',
  isCordoned: false,
  leaseTtlMs,
  release: [],
  takeDaemons: [daemon.id],
  takeBeyondShare: [],
  takesChains: true,
  forgetAfterMs: 86_400_000,
  ...more,
})

const key = KeyPair.fromSeed(createSeed())
const attemptAt = (issuedAtMs: number): SignedAttempt => ({
  type: 'signed_admin_commit',
  commit: signAdminCommit(key, { type: 'cordon', node: node(1) }, issuedAtMs),
})

/** What every source of a cluster promises. */
export function clusterContract(name: string, open: () => Promise<ClusterUnderTest>): void {
  const opened = async (): Promise<ClusterUnderTest> => {
    const cluster = await open()
    await cluster.source.join(one)
    await cluster.source.join(two)
    return cluster
  }
  const view = async ({ source }: ClusterUnderTest, given: Heartbeat): Promise<ClusterView> => {
    const seen = await source.heartbeat(given)
    if (seen === undefined) throw new Error('superseded')
    return seen
  }

  describe(`a cluster source: ${name}`, () => {
    it('[N-500] shows who is there, how they stand and how long ago they said so', async () => {
      const cluster = await opened()
      await view(cluster, beat(one, { maintenance: 'maintenance', isCordoned: true, rttMs: 3 }))
      await cluster.pass(2000)
      const { members } = await view(cluster, beat(two))
      expect(members.map((member) => member.node)).toEqual([one.node, two.node])
      expect(members[0]).toMatchObject({ ...one, maintenance: 'maintenance', isCordoned: true, rttMs: 3 })
      expect(members[0]?.ageMs).toBeGreaterThanOrEqual(2000)
      expect(members[1]?.ageMs).toBeLessThan(1000)
    })

    it('[N-501] forgets who has left, and who was not heard of for long', async () => {
      const cluster = await opened()
      await cluster.source.leave(one, [])
      expect((await view(cluster, beat(two))).members.map((member) => member.node)).toEqual([two.node])
      await cluster.source.join(one)
      await cluster.pass(5000)
      const { members } = await view(cluster, beat(two, { forgetAfterMs: 4000 }))
      expect(members.map((member) => member.node)).toEqual([two.node])
      expect(await cluster.source.heartbeat(beat(one))).toBeUndefined()
    })

    it('[N-502] knows one life of a node, the latest; leases of the one before stay its own until they expire', async () => {
      const cluster = await opened()
      await cluster.source.wishDaemon({ daemon, intent: 'run' })
      expect((await view(cluster, beat(one))).held).toEqual([{ subject, fence: 1 }])
      const later = { ...one, epoch: '00000000000000e3' as EpochId }
      await cluster.source.join(later)
      expect(await cluster.source.heartbeat(beat(one))).toBeUndefined()
      expect((await view(cluster, beat(later))).held).toEqual([])
      await cluster.pass(leaseTtlMs + 1)
      expect((await view(cluster, beat(later))).held).toEqual([{ subject, fence: 2 }])
    })

    it('[N-511] gives a lease to one at a time, and to the next once it has expired, with a fence that grows', async () => {
      const cluster = await opened()
      expect((await view(cluster, beat(one))).held).toEqual([])
      await cluster.source.wishDaemon({ daemon, intent: 'run' })
      expect((await view(cluster, beat(one))).held).toEqual([{ subject, fence: 1 }])
      const seen = await view(cluster, beat(two))
      expect(seen.held).toEqual([])
      expect(seen.holders).toEqual(new Map([[subject, one.node]]))
      await cluster.pass(leaseTtlMs - 2000)
      expect((await view(cluster, beat(one))).held).toEqual([{ subject, fence: 1 }])
      await cluster.pass(leaseTtlMs - 2000)
      expect((await view(cluster, beat(two))).held).toEqual([])
      await cluster.pass(2001)
      expect((await view(cluster, beat(two))).held).toEqual([{ subject, fence: 2 }])
      // Renewed by nobody else, and never with the old fence.
      expect((await view(cluster, beat(one))).held).toEqual([])
    })

    it('[N-511] an expired lease is not renewed: whoever held it acquires it anew', async () => {
      const cluster = await opened()
      await cluster.source.wishDaemon({ daemon, intent: 'run' })
      await view(cluster, beat(one))
      await cluster.pass(leaseTtlMs + 1)
      expect((await view(cluster, beat(one))).held).toEqual([{ subject, fence: 2 }])
    })

    it('[N-512] is free at once when it is given up; only its holder can do so', async () => {
      const cluster = await opened()
      await cluster.source.wishDaemon({ daemon, intent: 'run' })
      await view(cluster, beat(one))
      expect((await view(cluster, beat(two, { release: [subject] }))).held).toEqual([])
      await view(cluster, beat(one, { release: [subject], takeDaemons: [] }))
      expect((await view(cluster, beat(two))).held).toEqual([{ subject, fence: 2 }])
      await cluster.source.leave(two, [subject])
      expect((await view(cluster, beat(one))).held).toEqual([])
    })

    it('[N-513] a daemon goes to who can run it, where it is wished for, and nowhere else', async () => {
      const cluster = await opened()
      await cluster.source.wishDaemon({ daemon, intent: 'stop' })
      expect((await view(cluster, beat(one))).held).toEqual([])
      await cluster.source.wishDaemon({ daemon, intent: 'run', node: two.node })
      expect((await view(cluster, beat(one))).held).toEqual([])
      expect((await view(cluster, beat(two, { takeDaemons: [] }))).held).toEqual([])
      const seen = await view(cluster, beat(two))
      expect(seen.held).toEqual([{ subject, fence: 1 }])
      expect(seen.daemons).toEqual([{ daemon, intent: 'run', node: two.node }])
    })

    it('[N-538] a node acquires its share at once, and what was left to it beyond that', async () => {
      const cluster = await opened()
      const wished = [1, 2, 3, 4, 5].map((name) => ({ id: daemonId(name), name: `daemon ${name}` }))
      const takeDaemons = wished.map(({ id }) => id)
      const heldBy = async (member: MemberIdentity, more: Partial<Heartbeat> = {}): Promise<readonly string[]> =>
        (await view(cluster, beat(member, { takeDaemons, ...more }))).held
          .map((lease) => lease.subject.slice(-1))
          .sort()
      await view(cluster, beat(one))
      await view(cluster, beat(two))
      for (const each of wished) await cluster.source.wishDaemon({ daemon: each, intent: 'run' })
      // Five by two, rounded up.
      expect(await heldBy(one)).toEqual(['1', '2', '3'])
      expect(await heldBy(one)).toEqual(['1', '2', '3'])
      expect(await heldBy(two, { takeDaemons: takeDaemons.slice(0, 4) })).toEqual(['4'])
      // Nobody else can run the fifth.
      expect(await heldBy(one, { takeBeyondShare: [daemonId(5)] })).toEqual(['1', '2', '3', '5'])
      // What is pinned is not shared out.
      await cluster.source.wishDaemon({ daemon: { id: daemonId(6), name: '' }, intent: 'run', node: one.node })
      expect(await heldBy(one, { takeDaemons: [...takeDaemons, daemonId(6)] })).toEqual(['1', '2', '3', '5', '6'])
    })

    it('[N-538] who takes nothing has no share, nor who was not heard of lately', async () => {
      const cluster = await opened()
      const wished = [1, 2].map((name) => ({ id: daemonId(name), name: `daemon ${name}` }))
      const takeDaemons = wished.map(({ id }) => id)
      for (const each of wished) await cluster.source.wishDaemon({ daemon: each, intent: 'run' })
      await view(cluster, beat(two, { isCordoned: true }))
      expect((await view(cluster, beat(one, { takeDaemons }))).held).toHaveLength(2)
      await cluster.pass(leaseTtlMs + 1)
      // One is heard of no more.
      expect((await view(cluster, beat(two, { takeDaemons }))).held).toHaveLength(2)
      // Silent for as long as a lease, however short that is.
      await cluster.source.leave(two, [])
      await cluster.source.join(two)
      await view(cluster, beat(one))
      await cluster.pass(1000)
      expect((await view(cluster, beat(two, { takeDaemons, leaseTtlMs: 1000 }))).held).toHaveLength(2)
    })

    it('[N-530] a chain is led by one of those that have a copy', async () => {
      const cluster = await opened()
      await cluster.source.holdReplica(two.node, chain, true)
      expect((await view(cluster, beat(one))).held).toEqual([])
      expect((await view(cluster, beat(two, { takesChains: false }))).held).toEqual([])
      const seen = await view(cluster, beat(two))
      expect(seen.held).toEqual([{ subject: `chain:${chain}`, fence: 1 }])
      expect(seen.replicas).toEqual([{ chain, node: two.node }])
      await cluster.source.holdReplica(two.node, chain, false)
      expect((await view(cluster, beat(one))).replicas).toEqual([])
    })

    it('[N-531] a copy goes to the lowest of those that are active, not cordoned, heard of and not excluded', async () => {
      const cluster = await opened()
      const intents = async (member: MemberIdentity) => (await view(cluster, beat(member))).replicaIntents
      await view(cluster, beat(one))
      await view(cluster, beat(two))
      await cluster.source.requestPlacement(chain, [])
      await cluster.source.requestPlacement(chain, [])
      expect(await intents(one)).toEqual([{ chain, intent: 'hold' }])
      expect(await intents(two)).toEqual([])
      await view(cluster, beat(one, { isCordoned: true }))
      await cluster.source.requestPlacement(chainId(6), [])
      await cluster.source.requestPlacement(chainId(7), [one.node])
      await cluster.source.requestPlacement(chainId(8), [], two.node)
      expect((await intents(two)).map((intent) => intent.chain)).toEqual([chainId(6), chainId(7), chainId(8)])
      await view(cluster, beat(two, { maintenance: 'entering_maintenance' }))
      await view(cluster, beat(one, { isCordoned: true }))
      await expect(cluster.source.requestPlacement(chain, [])).rejects.toMatchObject({ code: 'node.dispatch_failed' })
      await view(cluster, beat(one))
      await cluster.pass(6000)
      await expect(cluster.source.requestPlacement(chain, [])).rejects.toMatchObject({ code: 'node.dispatch_failed' })
    })

    it('[N-532] a copy is asked to go, and what a node should hold can be forgotten', async () => {
      const cluster = await opened()
      await view(cluster, beat(one))
      await cluster.source.requestPlacement(chain, [])
      await cluster.source.requestEviction(chain, one.node)
      expect((await view(cluster, beat(one))).replicaIntents).toEqual([{ chain, intent: 'drop' }])
      await cluster.source.forgetReplicaIntents(one.node)
      expect((await view(cluster, beat(one))).replicaIntents).toEqual([])
      await cluster.source.wishReplicas(chain, 3)
      expect((await view(cluster, beat(one))).chains).toEqual([{ chain, desiredReplicas: 3 }])
    })

    it('[N-520] commits have numbers without a hole, one for each payload, and the instant at which they came', async () => {
      const cluster = await opened()
      const attempts = Array.from({ length: 8 }, (_, index) => attemptAt(1000 + index))
      const share = (attempt: SignedAttempt) =>
        cluster.source.shareCommit(one.node, attempt, payloadDigest(payloadOf(attempt)))
      const shared = await Promise.all([...attempts, ...attempts].map(share))
      expect(shared.slice(0, 8)).toEqual(shared.slice(8))
      expect(shared.slice(0, 8).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
      await cluster.pass(1000)
      const read = await cluster.source.commitsAfter(6, 10)
      expect(read.map(({ sequence }) => sequence)).toEqual([7, 8])
      const [seventh] = read
      expect(seventh?.attempt).toEqual(attempts[shared.indexOf(7)])
      const ageMs = (seventh?.readAtMs ?? 0) - (seventh?.sharedAtMs ?? 0)
      expect(ageMs).toBeGreaterThanOrEqual(1000)
      expect(ageMs).toBeLessThan(10_000)
      expect((await cluster.source.commitsAfter(0, 3)).map(({ sequence }) => sequence)).toEqual([1, 2, 3])
      expect((await view(cluster, beat(one))).lastSequence).toBe(8)
    })
  })
}
