import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import {
  AdminVerifier,
  createSeed,
  KeyPair,
  OperatorRegistry,
  proposeIceCommit,
  signAdminCommit,
  signIceCommit,
  type SignedAttempt,
} from '../../src/node/admin/index.js'
import type { AdminEvent, IceProposal } from '../../src/node/admin-event.js'
import { ClusterLeases } from '../../src/node/cluster-leases.js'
import { ClusterPicture } from '../../src/node/cluster-picture.js'
import type { NodeClusterOptions } from '../../src/node/cluster-options.js'
import type { ClusterSource, ClusterView } from '../../src/node/cluster-source.js'
import type { DaemonScope } from '../../src/node/daemon-definition.js'
import { defineDaemon } from '../../src/node/daemon-runners.js'
import type { RuntimeNodeOptions } from '../../src/node/local-node-options.js'
import { NodeError } from '../../src/node/errors.js'
import { MemoryCluster } from '../../src/node/memory-cluster.js'
import { StoreError } from '../../src/postgres/index.js'
import { SimulatedClock } from '../../src/testing/index.js'
import { chainId, node, NodeWorld, settle } from './support/node-world.js'

const key = KeyPair.fromSeed(createSeed())
const verifier = new AdminVerifier({ operators: new OperatorRegistry([{ publicKey: key.publicKey, name: 'Ada' }]) })
const timing = { heartbeatMs: 500, leaseTtlMs: 6000, graceMs: 2000 }

let clock: SimulatedClock
let shared: ForgetfulCluster
let worlds: NodeWorld[]
/** What copies of the daemon have done: `start 1`, `end 1`, by node, with the instant. */
let trail: { readonly what: string; readonly at: number; readonly fence: number | undefined }[]
/** Nodes that cannot reach their source. */
let cutOff: Set<number>

beforeEach(() => {
  clock = new SimulatedClock()
  shared = new ForgetfulCluster(clock)
  worlds = []
  trail = []
  cutOff = new Set()
})
afterEach(async () => {
  cutOff.clear()
  await Promise.all(worlds.filter((world) => world.node.isRunning).map((world) => world.close()))
})

/** One whose log may lose its end. */
class ForgetfulCluster extends MemoryCluster {
  readonly #lost = new Set<number>()
  /** By which the numbers of later commits are lower than they were. */
  #gap = 0

  forgetCommitsAfter(sequence: number): void {
    for (let lost = sequence + 1; lost <= this.#last; lost += 1) this.#lost.add(lost)
    this.#gap = this.#last - sequence
  }

  #last = 0
  /** What becomes of views on their way to the nodes. */
  spoil: (view: ClusterView) => ClusterView = (view) => view

  override async heartbeat(beat: Parameters<MemoryCluster['heartbeat']>[0]) {
    const view = await super.heartbeat(beat)
    this.#last = view?.lastSequence ?? this.#last
    return view && this.spoil({ ...view, lastSequence: this.#last - this.#gap })
  }

  override async shareCommit(...values: Parameters<MemoryCluster['shareCommit']>): Promise<number> {
    return (await super.shareCommit(...values)) - this.#gap
  }

  override async commitsAfter(after: number, limit: number) {
    const commits = (await super.commitsAfter(0, 1000)).filter(({ sequence }) => !this.#lost.has(sequence))
    return commits.map((commit, index) => ({ ...commit, sequence: index + 1 })).slice(after, after + limit)
  }
}

/** The shared source as one node has it: it may be cut off. */
function sourceOf(index: number): ClusterSource {
  return new Proxy(shared, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return async (...values: unknown[]) => {
        if (cutOff.has(index)) {
          throw new StoreError('store.unavailable', { store: 'postgres', reason: 'cut off', outcome: 'not_applied' })
        }
        return value.apply(target, values) as unknown
      }
    },
  })
}

const indexer = (index: number, endsAfterMs = 0) =>
  defineDaemon('indexer', async ({ signal, fence }: DaemonScope) => {
    trail.push({ what: `start ${index}`, at: clock.monotonicNow(), fence })
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    if (endsAfterMs > 0) await new Promise<void>((resolve) => void clock.setTimeout(resolve, endsAfterMs))
    trail.push({ what: `end ${index}`, at: clock.monotonicNow(), fence })
  })
const { daemon } = indexer(0)

async function open(
  index: number,
  options: Partial<RuntimeNodeOptions> = {},
  store = createMemoryJournal(),
  cluster: Partial<NodeClusterOptions> = {},
): Promise<NodeWorld> {
  const world = await NodeWorld.open(
    {
      thisNode: node(index),
      daemons: [indexer(index)],
      verifier,
      cluster: { source: sourceOf(index), ...timing, ...cluster },
      ...options,
    },
    { store, clock },
  )
  worlds.push(world)
  return world
}

async function pass(milliseconds: number): Promise<void> {
  for (let left = milliseconds; left > 0; left -= 250) {
    clock.advance(Math.min(250, left))
    await settle()
    for (const { lane } of worlds) await lane.settled()
    await settle()
  }
}

const signed = (event: AdminEvent): SignedAttempt => ({
  type: 'signed_admin_commit',
  commit: signAdminCommit(key, event, Math.trunc(clock.wallNow())),
})
const iced = (world: NodeWorld, proposal: IceProposal): SignedAttempt => ({
  type: 'signed_ice_commit',
  commit: signIceCommit(key, proposeIceCommit(world.snapshot, proposal, Math.trunc(clock.wallNow()))),
})
const whats = (): string[] => trail.map(({ what }) => what)
const audited = ({ snapshot }: NodeWorld): string[] =>
  snapshot.adminAudit.map(({ event, outcome }) => `${event.type} ${outcome.status}`)

describe('nodes of one cluster', () => {
  it('[N-503] know each other, how they are and by what way they reach each other', async () => {
    const one = await open(1)
    const two = await open(2)
    await pass(2000)
    expect(one.snapshot.peers.get(node(2))).toMatchObject({ health: 'healthy', maintenance: 'active' })
    expect(one.snapshot.peers.get(node(2))?.rttMs).toBeGreaterThanOrEqual(0)
    expect(one.snapshot.peers.get(node(1))?.health).toBeUndefined()
    await two.close()
    await pass(1000)
    expect(one.snapshot.peers.get(node(2))).toBeUndefined()
  })

  it('[N-504] are degraded and then unreachable by silence, and the other way round', async () => {
    const one = await open(1)
    const two = await open(2)
    await pass(2000)
    cutOff.add(2)
    await pass(4000)
    expect(one.snapshot.peers.get(node(2))?.health).toBe('degraded')
    await pass(8000)
    expect(one.snapshot.peers.get(node(2))?.health).toBe('unreachable')
    expect(two.snapshot.peers.get(node(1))?.health).toBe('unreachable')
    expect(two.lines.filter(({ message }) => message.includes('could not reach its cluster'))).toHaveLength(1)
    cutOff.clear()
    await pass(2000)
    expect(one.snapshot.peers.get(node(2))?.health).toBe('healthy')
    expect(two.snapshot.peers.get(node(1))?.health).toBe('healthy')
  })

  it('[N-505] are told what is other than before, and again what found no room', async () => {
    const picture = new ClusterPicture({
      thisNode: node(1),
      degradedMs: 3000,
      unreachableMs: 10_000,
      isHeldHere: () => false,
    })
    const joined = { node: node(2), epoch: '00000000000000e2' as never }
    await shared.join(joined)
    await shared.wishDaemon({ daemon, intent: 'run' })
    const beat = { ...joined, maintenance: 'active', isCordoned: false, leaseTtlMs: 1000, release: [] } as const
    const view = await shared.heartbeat({
      ...beat,
      takeDaemons: [],
      takeBeyondShare: [],
      takesChains: false,
      forgetAfterMs: 1000,
    })
    if (view === undefined) throw new Error('superseded')
    const told: string[] = []
    const taking = (isTaken: boolean) => (event: { readonly type: string }) => {
      told.push(event.type)
      return isTaken
    }
    const everything = ['node_health', 'maintenance_transition_observed', 'daemon_intent_update']
    picture.show(view, 0, taking(false))
    picture.show(view, 0, taking(true))
    expect(told).toEqual([...everything, ...everything])
    picture.show(view, 500, taking(true))
    expect(told).toHaveLength(6)
    picture.show({ ...view, members: [] }, 500, taking(false))
    picture.show({ ...view, members: [] }, 500, taking(true))
    expect(told.slice(6)).toEqual(['peer_removed', 'peer_removed'])
  })

  it('[N-900] go on without a row that cannot be read, and keep what they knew of its subject', async () => {
    const one = await open(1)
    const two = await open(2)
    const chain = chainId(9)
    await one.node.runDaemon(daemon)
    await one.node.cluster.becameHolder(chain)
    await pass(2000)
    expect([one.snapshot.replicas.get(chain)?.leader, whats()]).toEqual([node(1), ['start 1']])
    const error = new NodeError('node.stored_invalid', { field: 'cluster_daemons.intent', reason: 'none' })
    const unreadable = [{ error }, { error, node: node(2) }, { error, chain }]
    shared.spoil = (view) => ({
      ...view,
      daemons: [],
      members: view.members.filter((member) => member.node !== node(2)),
      lastSequence: undefined,
      unreadable,
    })
    await pass(15_000)
    // Leases were renewed meanwhile; nobody was told to stop anything.
    expect(whats()).toEqual(['start 1'])
    expect(one.snapshot.daemons.get(daemon.id)).toMatchObject({ intent: 'run', lifecycle: 'running' })
    expect(one.snapshot.peers.get(node(2))).toMatchObject({ health: 'unreachable', maintenance: 'active' })
    expect(two.snapshot.peers.get(node(1))?.health).toBe('healthy')
    expect(one.snapshot.replicas.get(chain)).toMatchObject({ holders: [node(1)] })
    expect(one.snapshot.replicas.get(chain)?.leader).toBeUndefined()
    expect(one.lines.filter(({ fields }) => fields['field'] === 'cluster_daemons.intent')).toHaveLength(1)
    shared.spoil = (view) => view
    await pass(2000)
    expect(one.snapshot.replicas.get(chain)?.leader).toBe(node(1))
    expect(one.snapshot.peers.get(node(2))?.health).toBe('healthy')
    expect(whats()).toEqual(['start 1'])
  })

  it('[N-510] run one copy of a daemon: on the node that holds its lease', async () => {
    const one = await open(1)
    const two = await open(2)
    await one.node.runDaemon(daemon)
    await pass(2000)
    expect(trail).toEqual([{ what: 'start 1', at: expect.any(Number), fence: 1 }])
    expect(two.snapshot.daemons.get(daemon.id)).toMatchObject({ intent: 'run', lifecycle: 'stopped' })
    await two.node.stopDaemon(daemon)
    await pass(2000)
    expect(whats()).toEqual(['start 1', 'end 1'])
    await two.node.runDaemon(daemon, node(2))
    await pass(2000)
    expect(whats()).toEqual(['start 1', 'end 1', 'start 2'])
  })

  it('[N-514] one that is cut off ends its daemon a grace period before another starts it', async () => {
    const one = await open(1, { daemons: [indexer(1, 1500)] })
    await open(2)
    await one.node.runDaemon(daemon)
    await pass(2000)
    expect(whats()).toEqual(['start 1'])
    cutOff.add(1)
    const cutOffAt = clock.monotonicNow()
    await pass(10_000)
    expect(whats()).toEqual(['start 1', 'end 1', 'start 2'])
    const [first, ended, taken] = trail
    expect(ended?.at).toBeLessThanOrEqual(cutOffAt + timing.leaseTtlMs - timing.graceMs + 1500)
    expect(taken?.at).toBeGreaterThan(ended?.at as number)
    expect([first?.fence, taken?.fence]).toEqual([1, 2])
    // Back again it finds its daemon elsewhere.
    cutOff.clear()
    await pass(4000)
    expect(whats()).toEqual(['start 1', 'end 1', 'start 2'])
  })

  it('[N-515] an answer that came too late is no lease', async () => {
    let hold: Promise<void> | undefined
    const slow = new Proxy(shared, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        return async (...values: unknown[]) => {
          const answer: unknown = await value.apply(target, values)
          if (name === 'heartbeat') await hold
          return answer
        }
      },
    })
    const one = await open(1, {}, createMemoryJournal(), { source: slow })
    await one.node.runDaemon(daemon)
    let release = (): void => {}
    hold = new Promise((resolve) => (release = resolve))
    await pass(2000)
    // Acquired, and renewed until then by nobody: what was asked for 7 seconds ago says nothing now.
    await pass(5000)
    hold = undefined
    release()
    await settle()
    expect(whats().filter((what) => what === 'start 1').length).toBeLessThanOrEqual(1)
    const before = trail.length
    await pass(250)
    expect(trail.slice(before).filter(({ fence }) => fence === 1)).toEqual([])
    await pass(7000)
    expect(trail.at(-1)).toMatchObject({ what: 'start 1', fence: expect.any(Number) })
  })

  it('[N-516] a node that drains hands its daemons over once they have ended; one that is cordoned keeps what it has', async () => {
    const one = await open(1)
    const two = await open(2)
    await one.node.runDaemon(daemon)
    await pass(1000)
    await one.node.submit(signed({ type: 'cordon', node: node(1) }))
    await pass(8000)
    expect(whats()).toEqual(['start 1'])
    await two.node.submit(signed({ type: 'drain', node: node(1), drainForMs: 60_000 }))
    await pass(3000)
    expect(whats()).toEqual(['start 1', 'end 1', 'start 2'])
    await two.close()
    await pass(8000)
    // Nobody is left that takes anything new.
    expect(whats()).toEqual(['start 1', 'end 1', 'start 2', 'end 2'])
    await one.node.submit(signed({ type: 'uncordon', node: node(1) }))
    await pass(3000)
    expect(whats().at(-1)).toBe('start 1')
  })

  it('[N-517] a node that ends gives its daemons up at once', async () => {
    const one = await open(1)
    await open(2)
    await one.node.runDaemon(daemon)
    await pass(1000)
    await one.close()
    await pass(1000)
    expect(whats()).toEqual(['start 1', 'end 1', 'start 2'])
  })

  it('[N-518] placement that is invalidated is decided anew: another node runs the daemon', async () => {
    const one = await open(1)
    await open(2)
    await one.node.runDaemon(daemon)
    await pass(1000)
    await one.node.submit(signed({ type: 'invalidate_placement', node: node(1) }))
    await pass(3000)
    expect(whats()).toEqual(['start 1', 'end 1', 'start 2'])
  })

  it('[N-538] share daemons out evenly, and what others cannot run stays with who can', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const daemonsOf = (index: number, some: readonly string[]) =>
      some.map((name) =>
        defineDaemon(name, async ({ signal }) => {
          trail.push({ what: `start ${index}`, at: clock.monotonicNow(), fence: undefined })
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
          trail.push({ what: `end ${index}`, at: clock.monotonicNow(), fence: undefined })
        }),
      )
    const one = await open(1, { daemons: daemonsOf(1, names) })
    await open(2, { daemons: daemonsOf(2, names) })
    const three = await open(3, { daemons: daemonsOf(3, names) })
    await pass(1000)
    for (const name of names) await one.node.runDaemon(defineDaemon(name, () => {}).daemon)
    await pass(2000)
    expect(whats().toSorted()).toEqual(['start 1', 'start 1', 'start 2', 'start 2', 'start 3', 'start 3'])
    // One that ends leaves an equal part to each of the others.
    trail.length = 0
    await three.close()
    await pass(2000)
    expect(
      whats()
        .filter((what) => what.startsWith('start'))
        .toSorted(),
    ).toEqual(['start 1', 'start 2'])
    // A node that can run none of them has a share that nobody takes: whoever can takes it after two heartbeats.
    await open(4, { daemons: [] })
    await pass(1000)
    trail.length = 0
    const [only] = daemonsOf(1, ['only here'])
    if (only === undefined) throw new Error('nothing is defined')
    await one.node.runDaemon(only)
    await pass(3000)
    expect(whats()).toEqual(['start 1'])
  })

  it('[N-519] a node for which another process speaks ends what it runs', async () => {
    const one = await open(1)
    await one.node.runDaemon(daemon)
    await pass(1000)
    await shared.join({ node: node(1), epoch: '00000000000000ff' as never })
    await pass(1000)
    expect(whats()).toEqual(['start 1', 'end 1'])
    expect(one.lines.some(({ level, message }) => level === 'error' && message.includes('another process'))).toBe(true)
  })

  it('[N-519] and does not know any more how the others are, nor waits for what it has shared', async () => {
    const one = await open(1)
    await open(2)
    await pass(1000)
    expect(one.snapshot.peers.get(node(2))?.health).toBe('healthy')
    await shared.join({ node: node(1), epoch: '00000000000000ff' as never })
    const waiting = one.node.submit(signed({ type: 'cordon', node: node(3) }))
    waiting.catch(() => {})
    await pass(1000)
    expect(one.snapshot.peers.get(node(2))?.health).toBe('unreachable')
    await expect(waiting).rejects.toMatchObject({ code: 'node.loop_closed' })
  })

  it('[N-514] starts nothing under a lease whose grace period has begun, however late it notices', async () => {
    const lost: string[] = []
    const deadlines = new DeadlineQueue(clock)
    let now = 0
    const leases = new ClusterLeases({
      deadlines,
      graceMs: 2000,
      now: () => now,
      onAcquired: () => {},
      onLost: ({ subject }) => lost.push(subject),
    })
    const subject = `daemon:${daemon.id}` as const
    leases.replace([{ subject, fence: 3 }], 6000)
    now = 3999
    expect(leases.fenceOf(subject)).toBe(3)
    now = 4000
    expect(leases.fenceOf(subject)).toBeUndefined()
    expect(lost).toEqual([])
    deadlines[Symbol.dispose]()
  })
})

describe('what operators ask of a cluster (14.1)', () => {
  it('[N-521] is taken by every node, whichever it was submitted to, and audited once by each', async () => {
    const one = await open(1)
    const two = await open(2)
    await pass(1000)
    const { outcome } = await one.node.submit(iced(one, { type: 'freeze_cluster', ttlMs: 60_000 }))
    expect(outcome).toEqual({ status: 'accepted' })
    await pass(1000)
    for (const world of [one, two]) {
      expect(world.snapshot.freezeRemainingMs).toBeGreaterThan(50_000)
      expect(audited(world)).toEqual(['freeze_cluster accepted'])
    }
    // What is addressed to one node all of them fold, and that one acts on it.
    await two.node.submit(iced(two, { type: 'thaw_cluster' }))
    await pass(1000)
    await one.node.submit(signed({ type: 'cordon', node: node(2) }))
    await pass(2000)
    expect(two.snapshot.isCordoned).toBe(true)
    expect(one.snapshot.isCordoned).toBe(false)
    expect(one.snapshot.peers.get(node(2))?.isCordoned).toBe(true)
  })

  it('[N-521] is refused by the node that it was submitted to, and by no other', async () => {
    const one = await open(1)
    const two = await open(2)
    await pass(1000)
    const stranger = KeyPair.fromSeed(createSeed())
    const event = { type: 'cordon', node: node(2) } as const
    const commit = signAdminCommit(stranger, event, Math.trunc(clock.wallNow()))
    const { outcome } = await one.node.submit({ type: 'signed_admin_commit', commit })
    expect(outcome).toMatchObject({ status: 'rejected', kind: 'not_authorized' })
    await pass(1000)
    expect(audited(one)).toEqual(['cordon rejected'])
    expect(audited(two)).toEqual([])
  })

  it('[N-523] is one commit, however often and wherever it is handed in', async () => {
    const one = await open(1)
    const two = await open(2)
    await pass(1000)
    const attempt = signed({ type: 'cordon', node: node(2) })
    const [first, second] = await Promise.all([one.node.submit(attempt), two.node.submit(attempt)])
    expect([first.outcome.status, second.outcome.status]).toEqual(['accepted', 'accepted'])
    await pass(1000)
    const again = await two.node.submit(attempt)
    expect(again.outcome).toMatchObject({ status: 'rejected', kind: 'replayed' })
    await pass(1000)
    expect(audited(one)).toEqual(['cordon accepted'])
    expect(audited(two)).toEqual(['cordon accepted', 'cordon rejected'])
  })

  it('[N-522] reaches a node that was away, in order and once; what lasts for a while lasts for what is left of it', async () => {
    const one = await open(1)
    const store = createMemoryJournal()
    const two = await open(2, {}, store)
    await pass(1000)
    await one.node.submit(signed({ type: 'cordon', node: node(3) }))
    await pass(1000)
    expect(audited(two)).toEqual(['cordon accepted'])
    await two.close()
    await one.node.submit(signed({ type: 'cordon', node: node(2) }))
    await one.node.submit(iced(one, { type: 'freeze_cluster', ttlMs: 1_800_000 }))
    // Longer than commits are fresh: it counts when they were shared.
    await pass(600_000)
    const back = await open(2, {}, store)
    await pass(2000)
    expect(back.snapshot.isCordoned).toBe(true)
    expect(back.snapshot.freezeRemainingMs).toBeLessThan(1_200_000)
    expect(back.snapshot.freezeRemainingMs).toBeGreaterThan(1_190_000)
    expect(audited(back)).toEqual(['cordon accepted', 'freeze_cluster accepted'])
    await back.close()
    const again = await open(2, {}, store)
    await pass(2000)
    expect(audited(again)).toEqual([])
    expect(again.node.chains.audit.rows().map(({ record }) => record.event.type)).toEqual([
      'cordon',
      'cordon',
      'freeze_cluster',
    ])
  })

  it('[N-536] is read from the beginning where the log has lost what was read of it, and nothing is obeyed twice', async () => {
    const store = createMemoryJournal()
    const one = await open(1, {}, store)
    await pass(1000)
    const cordon = signed({ type: 'cordon', node: node(1) })
    await one.node.submit(cordon)
    await one.node.submit(signed({ type: 'uncordon', node: node(1) }))
    await one.node.submit(signed({ type: 'cordon', node: node(7) }))
    await pass(1000)
    // A backup is put back: the first commit is there, what followed is not, and its numbers are given to others.
    shared.forgetCommitsAfter(1)
    const { outcome } = await one.node.submit(signed({ type: 'cordon', node: node(8) }))
    expect(outcome).toEqual({ status: 'accepted' })
    await pass(1000)
    expect(one.snapshot.isCordoned).toBe(false)
    expect(one.snapshot.peers.get(node(8))?.isCordoned).toBe(true)
    expect(audited(one)).toEqual([
      'cordon accepted',
      'uncordon accepted',
      'cordon accepted',
      'cordon rejected',
      'cordon accepted',
    ])
    expect(one.lines.filter(({ message }) => message.includes('is shorter than'))).toHaveLength(1)
  })

  it('[N-524] waits for its source, and is told when that cannot be reached', async () => {
    const one = await open(1)
    await pass(1000)
    cutOff.add(1)
    await expect(one.node.submit(signed({ type: 'cordon', node: node(2) }))).rejects.toMatchObject({
      code: 'store.unavailable',
    })
    expect(audited(one)).toEqual([])
  })
})

describe('copies of chains', () => {
  const chain = chainId(9)

  it('[N-533] are known to every node, and so is who leads', async () => {
    const one = await open(1)
    const two = await open(2)
    await pass(1000)
    await one.node.cluster.becameHolder(chain)
    await pass(1000)
    await two.node.cluster.becameHolder(chain)
    await pass(1000)
    for (const world of [one, two]) {
      expect(world.snapshot.replicas.get(chain)).toMatchObject({ holders: [node(1), node(2)], leader: node(1) })
    }
    await one.node.cluster.idled(chain)
    await pass(1500)
    for (const world of [one, two]) {
      expect(world.snapshot.replicas.get(chain)).toMatchObject({ holders: [node(2)], leader: node(2) })
    }
  })

  it('[N-534] are placed and evicted by the source, and by their nodes alone', async () => {
    const pulled: string[] = []
    const replicas = (index: number) => ({
      pull: (id: typeof chain) => {
        pulled.push(`${index} pulls`)
        return worlds[index - 1]?.node.cluster.becameHolder(id)
      },
      drop: (id: typeof chain) => {
        pulled.push(`${index} drops`)
        return worlds[index - 1]?.node.cluster.idled(id)
      },
    })
    const one = await open(1, { replicas: replicas(1) })
    await open(2, { replicas: replicas(2) })
    await pass(1000)
    await one.node.cluster.becameHolder(chain)
    await one.node.cluster.wishReplicas(chain, 2)
    await pass(4000)
    expect(pulled).toEqual(['2 pulls'])
    await one.node.cluster.wishReplicas(chain, 1)
    await pass(4000)
    // The leader asks for the lowest to go, which is itself.
    expect(pulled).toEqual(['2 pulls', '1 drops'])
  })
})

describe('options of a cluster', () => {
  it.each([
    [{ source: {} }, 'source'],
    [{ heartbeatMs: 0 }, 'cluster.heartbeatMs'],
    [{ heartbeatMs: 3000, graceMs: 1000, leaseTtlMs: 7000 }, 'cluster.leaseTtlMs'],
    [{ degradedMs: 20_000 }, 'cluster.degradedMs'],
    [{ unreachableMs: 90_000_000 }, 'cluster.forgetAfterMs'],
    [{ leaseMs: 1 }, 'leaseMs'],
  ])('[N-525] refuses %j', async (wrong, field) => {
    const cluster = { source: shared, ...wrong } as NodeClusterOptions
    await expect(NodeWorld.open({ thisNode: node(1), cluster })).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field },
    })
  })

  it('[N-525] has no cluster where none is named', async () => {
    const world = await NodeWorld.open({ thisNode: node(1) }, { clock })
    worlds.push(world)
    expect(() => world.node.cluster).toThrow(expect.objectContaining({ code: 'invalid_input' }))
  })
})
