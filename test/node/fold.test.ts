import { describe, expect, it } from 'vitest'
import type { AvoidScope } from '../../src/node/admin-event.js'
import { refusalOf } from '../../src/node/fold-admin.js'
import { maintenanceOf, type MaintenanceState } from '../../src/node/maintenance.js'
import { isFrozen } from '../../src/node/state.js'
import { blobId, chainId, daemon, daemonId, minute, nodeId, self, TestNode } from './support/node.js'

const other = nodeId(8)

/** A node that avoids these peers until these instants. */
function avoiding(...peers: readonly (readonly [number, number])[]): TestNode {
  const node = new TestNode()
  for (const [peer, until] of peers) {
    const action = { type: 'mark_avoid', peer: nodeId(peer), reason: 'far', ttlMs: until } as const
    node.fold({ type: 'reconciled', enqueued: [action] })
  }
  return node
}

const avoided = (node: TestNode): string[] => [...node.snapshot().avoidList.keys()]

describe('replicas', () => {
  it('are a set in order: adding twice is adding once (N-27)', () => {
    const node = new TestNode()
    node.holders(1, 12, 11, 12)
    node.fold({ type: 'replica_update', change: 'removed', chain: chainId(1), holder: nodeId(11) })
    expect(node.snapshot().replicas.get(chainId(1))?.holders).toEqual([nodeId(12)])
  })

  it.each(['removed', 'lost'] as const)('%s of a chain that nobody knows is nothing (N-101)', (change) => {
    const node = new TestNode()
    node.fold({ type: 'replica_update', change, chain: chainId(1), holder: other })
    node.leader(1, undefined)
    node.fold({ type: 'replica_leader_lost_and_removed', chain: chainId(1), holder: other })
    expect(node.snapshot().replicas.size).toBe(0)
  })

  it('follow the order of arrival, and change with their leader in one step (N-101)', () => {
    const node = new TestNode()
    const of = (holder: number) => ({ chain: chainId(1), holder: nodeId(holder) })
    node.fold({ type: 'replica_update', change: 'lost', ...of(3) })
    node.fold({ type: 'replica_update', change: 'repaired', ...of(3) })
    node.fold({ type: 'replica_became_holder_and_leader', ...of(2) })
    expect(node.snapshot().replicas.get(chainId(1))).toEqual({
      chain: chainId(1),
      holders: [nodeId(2), nodeId(3)],
      leader: nodeId(2),
    })
    node.fold({ type: 'replica_leader_lost_and_removed', ...of(3) })
    expect(node.snapshot().replicas.get(chainId(1))).toEqual({ chain: chainId(1), holders: [nodeId(2)] })
  })

  it('of chains that nobody holds, leads or wants are forgotten with a tick, once they rest no more (N-102)', () => {
    const node = new TestNode()
    node.holders(1, 7)
    node.leader(1, self)
    node.desired(1, 0)
    node.pass()
    node.fold({ type: 'replica_leader_lost_and_removed', chain: chainId(1), holder: self })
    node.desired(2, 1)
    node.tick(5 * minute - 1)
    expect([...node.snapshot().replicas.keys()]).toEqual([chainId(1), chainId(2)])
    node.tick(5 * minute)
    expect([...node.snapshot().replicas.keys()]).toEqual([chainId(2)])
    node.desired(2, 0)
    node.desired(2, 3)
    node.tick(6 * minute)
    expect([...node.snapshot().replicas.keys()]).toEqual([chainId(2)])
  })
})

describe('desired state', () => {
  it('is written by intents alone, and changes nothing that was observed (N-29)', () => {
    const node = new TestNode()
    node.holders(1, 3)
    node.desired(1, 5)
    node.fold({ type: 'local_replica_intent', chain: chainId(1), intent: 'hold' })
    expect(node.snapshot().replicas.get(chainId(1))).toEqual({
      chain: chainId(1),
      holders: [nodeId(3)],
      desiredReplicas: 5,
      localIntent: 'hold',
    })
  })

  it('remembers a pin until an intent comes without one (N-42)', () => {
    const node = new TestNode()
    node.intent(1, 'run', other)
    expect(node.snapshot().daemons.get(daemonId(1))).toMatchObject({ intent: 'run', pinnedTo: other })
    node.intent(1, 'run')
    const view = node.snapshot().daemons.get(daemonId(1))
    expect(view).toMatchObject({ intent: 'run' })
    expect(view).not.toHaveProperty('pinnedTo')
  })
})

describe('a tick', () => {
  it('drops what was avoided until then, and keeps the rest (N-28)', () => {
    const node = avoiding([2, 100], [3, 101])
    node.tick(100)
    expect(avoided(node)).toEqual([nodeId(3)])
    node.tick(101)
    expect(avoided(node)).toEqual([])
  })

  it('lets time pass, and never back (N-103)', () => {
    const node = new TestNode()
    node.fold({ type: 'started', at: 50 })
    expect(node.state.now).toBe(50)
    node.tick(70)
    node.tick(60)
    expect(node.state.now).toBe(70)
  })
})

describe('avoid lists', () => {
  it('are cleared on every node, whichever the event names (N-30)', () => {
    const node = avoiding([2, 100])
    node.admin({ type: 'clear_avoid_list', node: other })
    expect(avoided(node)).toEqual([])
  })

  it.each<[string, AvoidScope, number[]]>([
    ['locally by their own node', { type: 'local', node: self }, []],
    ['locally by no other', { type: 'local', node: other }, [2, 3]],
    ['of one peer', { type: 'on_peer', peer: nodeId(2) }, [3]],
    ['of a peer that is not there', { type: 'on_peer', peer: nodeId(9) }, [2, 3]],
    ['everywhere', { type: 'global' }, []],
  ])('are flushed %s (N-37)', (_, scope, left) => {
    const node = avoiding([2, 100], [3, 100])
    node.admin({ type: 'flush_avoid_lists', scope })
    expect(avoided(node)).toEqual(left.map(nodeId))
  })
})

describe('maintenance', () => {
  it('of a peer changes what is known of it, and nothing here (N-31)', () => {
    const node = new TestNode()
    node.admin({ type: 'enter_maintenance', node: other })
    expect(node.snapshot().peers.get(other)?.maintenance).toBe('entering_maintenance')
    node.admin({ type: 'exit_maintenance', node: other })
    expect(node.snapshot().peers.get(other)?.maintenance).toBe('exiting_maintenance')
    expect(node.snapshot().localMaintenance.status).toBe('active')
  })

  it('of this node begins at the instant of the last tick, with a deadline in any case (N-32)', () => {
    const node = new TestNode()
    node.tick(1000)
    node.admin({ type: 'enter_maintenance', node: self })
    expect(maintenanceOf(node.state.maintenance)).toEqual({
      status: 'entering_maintenance',
      since: 1000,
      deadline: 1000 + 10 * minute,
    })
    node.tick(2000)
    node.admin({ type: 'enter_maintenance', node: self, drainForMs: 5 })
    expect(maintenanceOf(node.state.maintenance)).toMatchObject({ since: 2000, deadline: 2005 })
  })

  it('goes on as it is observed, and others see it as it is (N-33)', () => {
    const node = new TestNode()
    const observe = (state: Parameters<typeof observed>[1]) => node.fold(observed(self, state))
    observe({ status: 'entering_maintenance', since: 1, deadline: 9 })
    observe({ status: 'maintenance', since: 2 })
    expect(node.snapshot().localMaintenance).toEqual({ status: 'maintenance', sinceMs: 0, isDrain: false })
    expect(node.snapshot().peers.get(self)?.maintenance).toBe('maintenance')
    observe({ status: 'maintenance', since: 3 })
    expect(maintenanceOf(node.state.maintenance)).toEqual({ status: 'maintenance', since: 3 })
  })

  it('is exited from maintenance and from a failed drain, and from nowhere else (N-34)', () => {
    const node = new TestNode()
    node.admin({ type: 'exit_maintenance', node: self })
    expect(node.snapshot().localMaintenance.status).toBe('active')
    node.admin({ type: 'enter_maintenance', node: self })
    node.admin({ type: 'exit_maintenance', node: self })
    expect(node.snapshot().localMaintenance.status).toBe('entering_maintenance')
    node.fold(observed(self, { status: 'maintenance', since: 2 }))
    node.admin({ type: 'exit_maintenance', node: self })
    expect(node.snapshot().localMaintenance.status).toBe('exiting_maintenance')
    expect(node.snapshot().peers.get(self)?.maintenance).toBe('exiting_maintenance')
  })

  it('keeps where it stands when what is observed does not follow, and says so (N-35)', () => {
    const node = new TestNode()
    node.fold({ type: 'maintenance_restored', state: { status: 'recovery', since: -5 } })
    expect(node.fold(observed(self, { status: 'maintenance', since: 2 }))).toEqual([
      { type: 'observation_refused', from: 'recovery', to: 'maintenance' },
    ])
    expect(maintenanceOf(node.state.maintenance)).toEqual({ status: 'recovery', since: -5 })
    expect(node.snapshot().peers.get(self)?.maintenance).toBe('recovery')
    expect(node.fold(observed(self, { status: 'active' }))).toEqual([])
    expect(node.snapshot().localMaintenance.status).toBe('active')
  })

  it('tells daemons when a drain begins and when it is over, once each (N-104)', () => {
    const node = new TestNode()
    const start = { type: 'control', event: { type: 'drain_start', deadline: 50 } }
    expect(node.admin({ type: 'enter_maintenance', node: self, drainForMs: 50 })).toEqual([start])
    expect(node.admin({ type: 'enter_maintenance', node: self, drainForMs: 70 })).toEqual([])
    const finish = { type: 'control', event: { type: 'drain_finish' } }
    expect(node.fold(observed(self, { status: 'drain_failed', since: 2, reason: 'late' }))).toEqual([finish])
    expect(node.admin({ type: 'exit_maintenance', node: self })).toEqual([])
    expect(node.fold(observed(self, { status: 'recovery', since: 3 }))).toEqual([])
    expect(node.admin({ type: 'enter_maintenance', node: self, drainForMs: 50 })).toEqual([start])
    expect(node.fold(observed(self, { status: 'maintenance', since: 4 }))).toEqual([finish])
  })

  it('is taken up where an earlier life had left it, before anything else has happened (N-105)', () => {
    const node = new TestNode()
    node.fold({ type: 'maintenance_restored', state: { status: 'drain_failed', since: -9, reason: 'late' } })
    node.fold({ type: 'maintenance_restored', state: { status: 'maintenance', since: -1 } })
    expect(maintenanceOf(node.state.maintenance)).toEqual({ status: 'drain_failed', since: -9, reason: 'late' })
    node.fold({ type: 'freeze_restored', until: 30 })
    expect(isFrozen(node.state)).toBe(true)
    node.fold({ type: 'gate_restored', daemon: daemon(1), until: 40, isCrashLooping: true })
    expect(node.snapshot().daemons.get(daemonId(1))?.restart).toEqual({ status: 'crash_looping', remainingMs: 40 })
  })
})

describe('a freeze', () => {
  it('lasts from the last tick for as long as it says, and ends with a tick (N-36)', () => {
    const node = new TestNode()
    node.tick(100)
    node.admin({ type: 'freeze_cluster', ttlMs: 50 })
    expect(node.snapshot().freezeRemainingMs).toBe(50)
    node.tick(149)
    expect(isFrozen(node.state)).toBe(true)
    node.tick(150)
    expect(isFrozen(node.state)).toBe(false)
    expect(node.snapshot()).not.toHaveProperty('freezeRemainingMs')
  })

  it('is never shortened by another one (N-36)', () => {
    const node = new TestNode()
    node.admin({ type: 'freeze_cluster', ttlMs: 50 })
    node.admin({ type: 'freeze_cluster', ttlMs: 20 })
    node.admin({ type: 'freeze_cluster', ttlMs: 60 })
    expect(node.snapshot().freezeRemainingMs).toBe(60)
  })

  it('is thawed, and thawing twice is nothing (N-36)', () => {
    const node = new TestNode()
    node.admin({ type: 'freeze_cluster', ttlMs: 50 })
    node.admin({ type: 'thaw_cluster' })
    node.admin({ type: 'thaw_cluster' })
    expect(isFrozen(node.state)).toBe(false)
  })

  it('is over by the instant alone, even before a tick has noticed (N-36)', () => {
    const node = new TestNode()
    node.admin({ type: 'freeze_cluster', ttlMs: 50 })
    const version = node.state.version()
    expect(isFrozen({ ...version, now: 49 })).toBe(true)
    expect(isFrozen({ ...version, now: 50 })).toBe(false)
  })

  it('refuses what does not break the glass, before anybody verifies it (N-106)', () => {
    const node = new TestNode()
    node.admin({ type: 'freeze_cluster', ttlMs: 50 })
    expect(refusalOf(node.state, { type: 'cordon', node: self })).toBe('freeze_in_effect')
    expect(refusalOf(node.state, { type: 'thaw_cluster' })).toBeUndefined()
    node.tick(50)
    expect(refusalOf(node.state, { type: 'cordon', node: self })).toBeUndefined()
  })
})

describe('what operators force', () => {
  it('waits in the order in which it came (N-38)', () => {
    const node = new TestNode()
    for (const number of [2, 1]) {
      node.admin({ type: 'force_evict_replica', chain: chainId(number), victim: nodeId(3) })
      node.admin({ type: 'force_cutover', chain: chainId(number), target: nodeId(4) })
    }
    expect(node.state.forced).toEqual({
      evictions: [2, 1].map((number) => ({ chain: chainId(number), victim: nodeId(3) })),
      placements: [2, 1].map((number) => ({ chain: chainId(number), target: nodeId(4) })),
    })
  })

  it('stays while the cluster is frozen and while nobody leads the chain, and no longer (N-107)', () => {
    const node = new TestNode()
    node.holders(1, 3)
    node.admin({ type: 'force_evict_replica', chain: chainId(1), victim: nodeId(3) })
    node.admin({ type: 'force_cutover', chain: chainId(2), target: nodeId(4) })
    expect(node.pass()).toEqual([])
    expect(node.state.forced.evictions).toHaveLength(1)
    node.leader(1, other)
    node.admin({ type: 'freeze_cluster', ttlMs: 50 })
    node.pass()
    expect(node.state.forced.evictions).toHaveLength(1)
    node.tick(50)
    expect(node.pass()).toEqual([])
    expect(node.state.forced).toEqual({ evictions: [], placements: [{ chain: chainId(2), target: nodeId(4) }] })
  })

  it('is refused when too much of it waits (N-107)', () => {
    const node = new TestNode({ forcedEntriesCapacity: 2 })
    const evict = { type: 'force_evict_replica', chain: chainId(1), victim: nodeId(3) } as const
    node.admin(evict)
    expect(refusalOf(node.state, evict)).toBeUndefined()
    node.admin({ type: 'force_cutover', chain: chainId(1), target: nodeId(3) })
    expect(refusalOf(node.state, evict)).toBe('queue_full')
    expect(refusalOf(node.state, { type: 'thaw_cluster' })).toBeUndefined()
  })

  it('opens the gate of a daemon, and makes none that is not known (N-39)', () => {
    const node = new TestNode()
    node.intent(1, 'run')
    node.signal(1, { type: 'crashed', at: 0, reason: 'boom' })
    node.pass()
    expect(node.state.daemon(daemonId(1))?.appliedUntil).toBe(500)
    expect(node.admin({ type: 'force_restart_daemon', daemon: daemon(1) })).toEqual([
      { type: 'open_daemon_gate', daemon: daemonId(1) },
    ])
    expect(node.snapshot().daemons.get(daemonId(1))?.restart).toEqual({ status: 'idle' })
    expect(node.state.daemon(daemonId(1))?.appliedUntil).toBeUndefined()
    node.admin({ type: 'force_restart_daemon', daemon: daemon(2) })
    expect([...node.snapshot().daemons.keys()]).toEqual([daemonId(1)])
  })
})

describe('what is known of peers, blobs and daemons', () => {
  it('is the latest (N-108)', () => {
    const node = new TestNode()
    node.fold({ type: 'rtt_sample', peer: other, rttMs: 5 })
    node.fold({ type: 'rtt_sample', peer: other, rttMs: 33 })
    node.fold({ type: 'node_health', peer: other, health: 'unreachable' })
    expect(node.snapshot().peers.get(other)).toEqual({
      node: other,
      rttMs: 33,
      health: 'unreachable',
      isCordoned: false,
    })
  })

  it('is forgotten with the peer, and with the daemon (N-102)', () => {
    const node = avoiding([8, 1000])
    node.fold({ type: 'rtt_sample', peer: other, rttMs: 5 })
    node.fold({ type: 'peer_removed', peer: other })
    node.intent(1, 'run')
    node.fold({ type: 'daemon_removed', daemon: daemonId(1) })
    const { peers, avoidList, daemons } = node.snapshot()
    expect([peers.size, avoidList.size, daemons.size]).toEqual([0, 0, 0])
  })

  it('keeps holders of a blob in the order in which they were announced (N-108)', () => {
    const node = new TestNode()
    const announce = (holder: number, added: boolean, sizeBytes = 10) =>
      node.fold({ type: 'blob_announcement', blob: blobId(1), holder: nodeId(holder), sizeBytes, added })
    announce(3, false)
    expect(node.snapshot().blobs.size).toBe(0)
    announce(9, true)
    announce(3, true, 12)
    announce(9, true, 12)
    expect(node.snapshot().blobs.get(blobId(1))).toEqual({
      blob: blobId(1),
      sizeBytes: 12,
      holders: [nodeId(9), nodeId(3)],
    })
    announce(9, false)
    announce(3, false)
    expect(node.snapshot().blobs.size).toBe(0)
  })

  it('puts the inventory of one tick together, and forgets who was not named, if everybody was asked (N-109)', () => {
    const node = new TestNode()
    const sample = (peer: number, inventory: object) => ({ peer: nodeId(peer), inventory })
    const poll = (isComplete: boolean, ...samples: ReturnType<typeof sample>[]) =>
      node.fold({ type: 'inventory_polled', samples, isComplete })
    poll(true, sample(2, { cpuLoad1m: 1 }), sample(3, { cpuLoad1m: 2 }), sample(2, { memUsedBytes: 5 }))
    expect(node.snapshot().peers.get(nodeId(2))?.inventory).toEqual({ cpuLoad1m: 1, memUsedBytes: 5 })
    poll(false, sample(2, { cpuLoad1m: 3 }))
    expect([...node.snapshot().peers.keys()]).toEqual([nodeId(2), nodeId(3)])
    poll(true, sample(2, { cpuLoad1m: 4 }))
    expect([...node.snapshot().peers.keys()]).toEqual([nodeId(2)])
    expect(node.snapshot().peers.get(nodeId(2))?.inventory).toEqual({ cpuLoad1m: 4 })
  })

  it('keeps the name of a daemon that somebody names without one (N-110)', () => {
    const node = new TestNode()
    node.signal(1, { type: 'started', at: 1 })
    node.fold({
      type: 'daemon_lifecycle',
      daemon: { id: daemonId(1), name: '' },
      signal: { type: 'exited_cleanly', at: 2 },
    })
    expect([...node.snapshot().daemons.values()]).toMatchObject([{ name: 'daemon 1', lifecycle: 'stopped' }])
  })
})

function observed(node: typeof self, state: MaintenanceState) {
  return { type: 'maintenance_transition_observed', node, state } as const
}
