import { describe, expect, it } from 'vitest'
import type { AdminEvent } from '../../src/node/admin-event.js'
import { ScoreSampler } from '../../src/node/reconcile/score-sampler.js'
import type { MigrationCost, Scorer } from '../../src/node/scorer.js'
import { chainId, daemon, daemonId, minute, nodeId, self, TestNode } from './support/node.js'

const other = nodeId(8)

/** A node that leads a chain with these holders, of which there should be so many. */
function leading(desired: number | undefined, ...holders: readonly number[]): TestNode {
  const node = new TestNode()
  node.holders(1, ...holders)
  node.leader(1, self)
  if (desired !== undefined) node.desired(1, desired)
  return node
}

describe('a pass', () => {
  it('asks for nothing when there is nothing, or nothing is wished for (N-43)', () => {
    expect(new TestNode().actions()).toEqual([])
    const node = new TestNode()
    node.signal(1, { type: 'started', at: 1 })
    node.holders(1, 3, 7)
    node.leader(1, self)
    node.fold({ type: 'rtt_sample', peer: other, rttMs: 5 })
    expect(node.actions()).toEqual([])
  })

  it('asks for the same when it is made again, and changes nothing (N-43)', () => {
    const node = everyArm()
    const version = node.state.version()
    const actions = node.actions()
    expect(node.actions()).toEqual(actions)
    expect(node.state.version()).toEqual(version)
  })

  it('goes through its seven arms in order (N-111)', () => {
    expect(everyArm().actions({ scorer: scores({ 3: 0.1 }, 0.9) })).toEqual([
      { type: 'start_daemon', daemon: daemon(1) },
      { type: 'start_daemon', daemon: daemon(2) },
      { type: 'request_eviction', chain: chainId(3), victim: nodeId(3) },
      { type: 'request_placement', chain: chainId(3), exclude: [nodeId(3)], target: nodeId(5) },
      { type: 'pull_replica', chain: chainId(2), source: nodeId(3) },
      { type: 'request_placement', chain: chainId(1), exclude: [nodeId(3)] },
      { type: 'mark_avoid', peer: other, reason: 'rtt-degradation: 500 ms', ttlMs: 5 * minute },
      { type: 'commit_maintenance_transition', node: self, target: { status: 'active' } },
      { type: 'request_eviction', chain: chainId(1), victim: nodeId(3) },
    ])
  })

  it('asks for nothing while the cluster is frozen, and again once it is not (N-58)', () => {
    const node = leading(2, 3)
    node.admin({ type: 'freeze_cluster', ttlMs: 100 })
    node.tick(99)
    expect(node.actions()).toEqual([])
    node.tick(100)
    expect(node.actions()).toHaveLength(1)
  })
})

/** Something for every arm, in an order that is none. */
function everyArm(): TestNode {
  const node = new TestNode()
  node.fold({ type: 'maintenance_restored', state: { status: 'recovery', since: -10 * minute } })
  node.intent(2, 'run')
  node.intent(1, 'run')
  for (const chain of [3, 2, 1]) {
    node.holders(chain, 3)
    node.leader(chain, self)
  }
  node.desired(1, 2)
  node.fold({ type: 'local_replica_intent', chain: chainId(2), intent: 'hold' })
  node.fold({ type: 'rtt_sample', peer: other, rttMs: 500 })
  node.admin({ type: 'force_cutover', chain: chainId(3), target: nodeId(5) })
  node.admin({ type: 'force_evict_replica', chain: chainId(3), victim: nodeId(3) })
  node.leader(2, other)
  return node
}

describe('daemons', () => {
  it('that should run and do not are started (N-44)', () => {
    const node = new TestNode()
    node.intent(2, 'run')
    node.intent(1, 'run')
    node.signal(2, { type: 'exited_cleanly', at: 1 })
    expect(node.actions()).toEqual([
      { type: 'start_daemon', daemon: daemon(1) },
      { type: 'start_daemon', daemon: daemon(2) },
    ])
    node.signal(1, { type: 'started', at: 2 })
    node.signal(2, { type: 'started', at: 2 })
    expect(node.actions()).toEqual([])
  })

  it('that should not run and do are stopped, with time to end (N-45)', () => {
    const node = new TestNode()
    node.tick(1000)
    node.signal(1, { type: 'started', at: 2 })
    node.intent(1, 'stop')
    expect(node.actions()).toEqual([
      { type: 'stop_daemon', daemon: daemon(1), reason: 'desired-state intent: Stop', deadline: 31_000 },
    ])
    node.signal(1, { type: 'exited_cleanly', at: 3 })
    expect(node.actions()).toEqual([])
  })

  it('that have crashed wait for their gate, and the executor learns of it once (N-46, N-47)', () => {
    const node = new TestNode()
    node.intent(1, 'run')
    node.signal(1, { type: 'crashed', at: 0, reason: 'boom' })
    const backoff = { type: 'apply_backoff', daemon: daemon(1), until: 500 }
    expect(node.actions()).toEqual([backoff])
    expect(node.pass()).toEqual([backoff])
    expect(node.pass()).toEqual([])
    node.tick(499)
    expect(node.actions()).toEqual([])
    node.tick(500)
    expect(node.actions()).toEqual([{ type: 'start_daemon', daemon: daemon(1) }])
  })

  it('that crash in a loop wait longer (N-46)', () => {
    const node = new TestNode()
    node.intent(1, 'run')
    for (const at of [0, 1, 2, 3, 4]) node.signal(1, { type: 'crashed', at, reason: 'boom' })
    expect(node.pass()).toEqual([{ type: 'apply_backoff', daemon: daemon(1), until: 4 + 5 * minute }])
    node.tick(5 * minute)
    expect(node.actions()).toEqual([])
    node.tick(4 + 5 * minute)
    expect(node.actions()).toEqual([{ type: 'start_daemon', daemon: daemon(1) }])
  })

  it('are asked to be held back again when the queue had dropped it (N-112)', () => {
    const node = new TestNode()
    node.intent(1, 'run')
    node.signal(1, { type: 'crashed', at: 0, reason: 'boom' })
    expect(node.pass(undefined, 0)).toHaveLength(1)
    expect(node.pass()).toHaveLength(1)
    expect(node.pass()).toHaveLength(0)
  })

  it('are not started twice while a start is unanswered, and again when it never is (N-113)', () => {
    const node = new TestNode()
    node.intent(1, 'run')
    const start = [{ type: 'start_daemon', daemon: daemon(1) }]
    expect(node.pass()).toEqual(start)
    expect(node.pass()).toEqual([])
    node.tick(minute - 1)
    expect(node.pass()).toEqual([])
    node.tick(minute)
    expect(node.pass()).toEqual(start)
    node.signal(1, { type: 'started', at: minute + 1 })
    expect(node.pass()).toEqual([])
  })

  it('are told to stop once, and again with the same deadline when nothing comes of it (N-113)', () => {
    const node = new TestNode()
    node.signal(1, { type: 'started', at: 0 })
    node.intent(1, 'stop')
    const stop = node.pass()
    expect(stop).toMatchObject([{ type: 'stop_daemon', deadline: 30_000 }])
    expect(node.pass()).toEqual([])
    node.tick(44_999)
    expect(node.pass()).toEqual([])
    node.tick(45_000)
    expect(node.pass()).toEqual(stop)
  })

  it('run where they are pinned, and nowhere else (N-61)', () => {
    const node = new TestNode()
    node.intent(1, 'run', self)
    node.intent(2, 'run', other)
    expect(node.actions()).toEqual([{ type: 'start_daemon', daemon: daemon(1) }])
    node.signal(2, { type: 'started', at: 1 })
    expect(node.actions()).toMatchObject([
      { type: 'start_daemon', daemon: daemon(1) },
      { type: 'stop_daemon', daemon: daemon(2), reason: `pinned to ${other}` },
    ])
  })
})

describe('replicas of this node', () => {
  const local = (node: TestNode, intent: 'hold' | 'drop') =>
    node.fold({ type: 'local_replica_intent', chain: chainId(1), intent })

  it('are pulled from the smallest other holder, if there is one (N-48)', () => {
    const node = new TestNode()
    local(node, 'hold')
    expect(node.actions()).toEqual([])
    node.holders(1, 9, 5)
    expect(node.actions()).toEqual([{ type: 'pull_replica', chain: chainId(1), source: nodeId(5) }])
    node.holders(1, 7)
    expect(node.actions()).toEqual([])
  })

  it('are dropped when they should not be there (N-48)', () => {
    const node = new TestNode()
    local(node, 'drop')
    node.holders(1, 5)
    expect(node.actions()).toEqual([])
    node.holders(1, 7)
    expect(node.actions()).toEqual([{ type: 'drop_replica', chain: chainId(1) }])
  })

  it('are dropped by an operator of this node, in order, and by no other (N-52)', () => {
    const node = new TestNode()
    node.holders(1, 7)
    node.holders(2, 7)
    const chains = [chainId(2), chainId(1)]
    node.admin({ type: 'drop_replicas', node: other, chains })
    expect(node.actions()).toEqual([])
    node.admin({ type: 'drop_replicas', node: self, chains })
    expect(node.actions()).toEqual([
      { type: 'drop_replica', chain: chainId(1) },
      { type: 'drop_replica', chain: chainId(2) },
    ])
  })
})

describe('the number of copies', () => {
  it.each([
    ['too few', 3, [4, 2], [{ type: 'request_placement', chain: chainId(1), exclude: [nodeId(2), nodeId(4)] }]],
    ['too many', 1, [4, 2], [{ type: 'request_eviction', chain: chainId(1), victim: nodeId(2) }]],
    ['enough', 2, [4, 2], []],
  ] as const)('is mended by the leader: %s (N-49)', (_, desired, holders, actions) => {
    expect(leading(desired, ...holders).actions()).toEqual(actions)
  })

  it('is nothing to whoever does not lead the chain (N-50)', () => {
    const node = leading(3, 2)
    node.leader(1, other)
    expect(node.actions()).toEqual([])
    node.leader(1, undefined)
    expect(node.actions()).toEqual([])
  })

  it('does not count copies on nodes that drain, which go once there are enough others (N-114)', () => {
    const node = leading(2, 2, 3)
    node.admin({ type: 'enter_maintenance', node: nodeId(3) })
    expect(node.actions()).toEqual([{ type: 'request_placement', chain: chainId(1), exclude: [nodeId(2), nodeId(3)] }])
    node.holders(1, 4)
    expect(node.actions()).toEqual([{ type: 'request_eviction', chain: chainId(1), victim: nodeId(3) }])
    node.fold({ type: 'replica_update', change: 'removed', chain: chainId(1), holder: nodeId(3) })
    expect(node.actions()).toEqual([])
  })
})

describe('what operators force', () => {
  const evict: AdminEvent = { type: 'force_evict_replica', chain: chainId(1), victim: nodeId(9) }
  const cutover: AdminEvent = { type: 'force_cutover', chain: chainId(1), target: nodeId(3) }

  it('is done by the leader alone, whatever it would rest for, and once (N-59)', () => {
    const node = leading(undefined, 2, 3)
    node.admin(evict)
    const eviction = { type: 'request_eviction', chain: chainId(1), victim: nodeId(9) }
    expect(node.pass()).toEqual([eviction])
    expect(node.pass()).toEqual([])
    node.admin(evict)
    node.admin(evict)
    expect(node.pass()).toEqual([eviction])
    node.admin(cutover)
    expect(node.pass()).toEqual([
      { type: 'request_placement', chain: chainId(1), exclude: [nodeId(2)], target: nodeId(3) },
    ])
    node.leader(1, other)
    node.admin(evict)
    node.admin(cutover)
    expect(node.pass()).toEqual([])
  })

  it('is the only copy of its chain that goes in a pass (N-60)', () => {
    const node = leading(1, 2, 3)
    node.admin(evict)
    expect(node.pass()).toEqual([{ type: 'request_eviction', chain: chainId(1), victim: nodeId(9) }])
    expect(node.pass()).toEqual([{ type: 'request_eviction', chain: chainId(1), victim: nodeId(2) }])
  })
})

describe('peers', () => {
  it('that are too far are avoided, in order, unless they are already (N-51, N-65)', () => {
    const node = new TestNode()
    for (const [peer, rttMs] of [
      [9, 500],
      [3, 251],
      [4, 250],
      [5, 100],
    ] as const) {
      node.fold({ type: 'rtt_sample', peer: nodeId(peer), rttMs })
    }
    const marks = [
      { type: 'mark_avoid', peer: nodeId(3), reason: 'rtt-degradation: 251 ms', ttlMs: 5 * minute },
      { type: 'mark_avoid', peer: nodeId(9), reason: 'rtt-degradation: 500 ms', ttlMs: 5 * minute },
    ]
    expect(node.pass(undefined, 1)).toEqual(marks)
    expect(node.pass()).toEqual(marks.slice(1))
    expect(node.pass()).toEqual([])
    node.tick(5 * minute)
    expect(node.actions()).toEqual(marks)
  })

  it('are too far from where the options say (N-51)', () => {
    const node = new TestNode({ locality: { degradedRttMs: 10, avoidTtlMs: 7 } })
    node.fold({ type: 'rtt_sample', peer: other, rttMs: 11 })
    expect(node.actions()).toEqual([{ type: 'mark_avoid', peer: other, reason: 'rtt-degradation: 11 ms', ttlMs: 7 }])
  })
})

describe('maintenance of this node', () => {
  const step = (status: string, more = {}) => [
    { type: 'commit_maintenance_transition', node: self, target: { status, ...more } },
  ]

  function entering(drainForMs = 1000): TestNode {
    const node = new TestNode()
    node.admin({ type: 'enter_maintenance', node: self, drainForMs })
    return node
  }

  it('is reached once nothing is left here, even too late (N-53)', () => {
    const node = entering()
    node.holders(1, 7)
    node.signal(1, { type: 'started', at: 1 })
    expect(node.actions()).toEqual([])
    node.signal(1, { type: 'exited_cleanly', at: 2 })
    expect(node.actions()).toEqual([])
    node.tick(1000)
    expect(node.actions()).toEqual(step('drain_failed', { reason: 'drain deadline elapsed after 1000 ms' }))
    node.fold({ type: 'replica_update', change: 'removed', chain: chainId(1), holder: self })
    expect(node.actions()).toEqual(step('maintenance'))
    expect(node.pass()).toEqual(step('maintenance'))
    expect(node.pass()).toEqual(step('maintenance'))
  })

  it('waits until every part of the process is idle (N-115)', () => {
    const node = new TestNode()
    node.fold({ type: 'participant_report', participant: 'tasks', isIdle: false })
    node.fold({ type: 'participant_report', participant: 'operations', isIdle: true })
    node.admin({ type: 'enter_maintenance', node: self })
    expect(node.actions()).toEqual([])
    node.fold({ type: 'participant_report', participant: 'tasks', isIdle: true })
    expect(node.actions()).toEqual(step('maintenance'))
    expect(node.snapshot().participants).toEqual({ tasks: true, operations: true })
  })

  it.each(['entering_maintenance', 'maintenance', 'drain_failed'] as const)(
    'stops what runs and pulls nothing in %s (N-116)',
    (status) => {
      const node = new TestNode()
      node.fold({
        type: 'maintenance_restored',
        state:
          status === 'entering_maintenance' ? { status, since: 0, deadline: minute } : { status, since: 0, reason: '' },
      })
      node.intent(1, 'run')
      node.intent(2, 'run')
      node.signal(1, { type: 'started', at: 1 })
      node.holders(1, 3)
      node.fold({ type: 'local_replica_intent', chain: chainId(1), intent: 'hold' })
      expect(node.actions()).toEqual([
        { type: 'stop_daemon', daemon: daemon(1), reason: 'the node drains', deadline: 30_000 },
      ])
    },
  )

  it('asks for nothing while it is active, in maintenance or failed (N-54)', () => {
    expect(new TestNode().actions()).toEqual([])
    for (const state of [
      { status: 'maintenance', since: 0 },
      { status: 'drain_failed', since: 0, reason: 'late' },
    ] as const) {
      const node = new TestNode()
      node.fold({ type: 'maintenance_restored', state })
      expect(node.actions()).toEqual([])
    }
  })

  it('ends once what should run here does, and a ramp is over (N-54, N-117)', () => {
    const node = new TestNode()
    node.fold({ type: 'maintenance_restored', state: { status: 'exiting_maintenance', since: 0 } })
    node.intent(1, 'run')
    node.intent(2, 'stop')
    node.intent(3, 'run', other)
    expect(node.pass()).toEqual([{ type: 'start_daemon', daemon: daemon(1) }])
    node.signal(1, { type: 'started', at: 1 })
    node.signal(1, { type: 'health_changed', at: 2, health: { status: 'degraded', reason: 'warm up' } })
    expect(node.actions()).toEqual([])
    node.signal(1, { type: 'health_changed', at: 3, health: { status: 'healthy' } })
    expect(node.actions()).toEqual(step('recovery'))
    node.fold({
      type: 'maintenance_transition_observed',
      node: self,
      state: { status: 'recovery', since: 0 },
    })
    node.tick(minute)
    expect(node.actions()).toEqual([])
    node.tick(6 * minute)
    expect(node.actions()).toEqual(step('active'))
  })

  it('of a drain goes back to work by itself (N-118)', () => {
    const node = new TestNode()
    node.admin({ type: 'drain', node: self, drainForMs: minute })
    const observe = (status: 'maintenance' | 'exiting_maintenance') =>
      node.fold({ type: 'maintenance_transition_observed', node: self, state: { status, since: 0 } })
    expect(node.actions()).toEqual(step('maintenance'))
    observe('maintenance')
    expect(node.snapshot().localMaintenance).toEqual({ status: 'maintenance', sinceMs: 0, isDrain: true })
    expect(node.actions()).toEqual(step('exiting_maintenance'))
    observe('exiting_maintenance')
    expect(node.snapshot().localMaintenance.isDrain).toBe(false)
    expect(node.actions()).toEqual(step('recovery'))
  })
})

describe('a cordon', () => {
  it('keeps what is there, restarts included, and takes nothing new until it is lifted (N-119)', () => {
    const node = new TestNode()
    node.intent(1, 'run')
    node.signal(1, { type: 'started', at: 1 })
    node.admin({ type: 'cordon', node: self })
    expect(node.snapshot().isCordoned).toBe(true)
    expect(node.snapshot().peers.get(self)?.isCordoned).toBe(true)
    node.signal(1, { type: 'exited_cleanly', at: 2 })
    node.intent(1, 'run')
    node.intent(2, 'run')
    node.intent(2, 'run')
    node.holders(1, 3)
    node.fold({ type: 'local_replica_intent', chain: chainId(1), intent: 'hold' })
    expect(node.actions()).toEqual([{ type: 'start_daemon', daemon: daemon(1) }])
    node.admin({ type: 'uncordon', node: self })
    expect(node.actions()).toEqual([
      { type: 'start_daemon', daemon: daemon(1) },
      { type: 'start_daemon', daemon: daemon(2) },
      { type: 'pull_replica', chain: chainId(1), source: nodeId(3) },
    ])
    expect(node.snapshot().peers.size).toBe(0)
  })

  it('of another node is known here, for whoever places (N-119)', () => {
    const node = new TestNode()
    node.admin({ type: 'cordon', node: other })
    expect(node.snapshot().peers.get(other)?.isCordoned).toBe(true)
    expect(node.snapshot().isCordoned).toBe(false)
    node.admin({ type: 'uncordon', node: other })
    expect(node.snapshot().peers.has(other)).toBe(false)
  })
})

describe('operators', () => {
  it('restart every daemon that runs, one after the other (N-120)', () => {
    const node = new TestNode()
    for (const number of [2, 1, 3]) {
      node.intent(number, 'run')
      if (number !== 3) node.signal(number, { type: 'started', at: 1 })
    }
    node.pass()
    node.signal(3, { type: 'crashed', at: 2, reason: 'boom' })
    node.admin({ type: 'restart_all_daemons', node: other })
    expect(node.state.restarts).toEqual([])
    node.admin({ type: 'restart_all_daemons', node: self })
    node.admin({ type: 'restart_all_daemons', node: self })
    expect(node.state.restarts.map((restart) => restart.daemon)).toEqual([daemonId(1), daemonId(2)])
    const reason = 'an operator asked for a restart'
    const stop = (number: number) => ({ type: 'stop_daemon', daemon: daemon(number), reason, deadline: 30_000 })
    expect(node.pass().filter(({ type }) => type !== 'apply_backoff')).toEqual([stop(1)])
    expect(node.pass()).toEqual([])
    node.signal(1, { type: 'exited_cleanly', at: 3 })
    expect(node.pass()).toEqual([{ type: 'start_daemon', daemon: daemon(1) }])
    expect(node.pass()).toEqual([])
    node.signal(1, { type: 'started', at: 4 })
    expect(node.pass()).toEqual([stop(2)])
    node.intent(2, 'stop')
    expect(node.state.restarts).toEqual([])
  })

  it('have placements decided anew, and migrations killed, by whoever does that (N-121)', () => {
    const node = new TestNode()
    expect(node.admin({ type: 'invalidate_placement', node: other })).toEqual([
      { type: 'invalidate_placement', node: other },
    ])
    const migration = daemonId(1) as never
    expect(node.admin({ type: 'kill_migration', migration })).toEqual([{ type: 'kill_migration', migration }])
  })
})

describe('the scheduler', () => {
  const gone = (victim: number, chain = 1) => [
    { type: 'request_eviction', chain: chainId(chain), victim: nodeId(victim) },
  ]

  it.each<[string, Scorer | undefined, object[]]>([
    ['there is no scorer', undefined, []],
    ['every copy is good enough', scores({ 2: 0.5, 3: 0.9 }, 1), []],
    ['there is no alternative', scores({ 2: 0.3, 3: 0.9 }, undefined), []],
    ['it gains too little', scores({ 2: 0.3, 3: 0.9 }, 0.4), []],
    ['it gains no more than the gap, rounding aside', scores({ 2: 0.1, 3: 0.9 }, 0.1 + 0.2), []],
    ['it gains enough', scores({ 2: 0.3, 3: 0.9 }, 0.9), gone(2)],
    ['another is the worst', scores({ 2: 0.4, 3: 0.2 }, 0.9), gone(3)],
    ['two are the worst', scores({ 2: 0.2, 3: 0.2 }, 0.9), gone(2)],
    ['nothing is thought of one', scores({ 3: 0.2 }, 0.9), gone(3)],
    ['nothing is thought of any', scores({}, 0.9), []],
    ['one is NaN', scores({ 2: NaN, 3: 0.2 }, 0.9), gone(3)],
    ['all are NaN', scores({ 2: NaN, 3: NaN }, 0.9), []],
    ['the alternative is NaN', scores({ 2: 0.2, 3: 0.9 }, NaN), []],
  ])('moves a copy or not when %s (N-55, N-56, N-62)', (_, scorer, actions) => {
    expect(leading(undefined, 2, 3).actions(scorer && { scorer })).toEqual(actions)
  })

  it('leaves a chain alone for a while, and chains that others lead (N-55, N-56)', () => {
    const node = leading(undefined, 2, 3)
    const scoring = { scorer: scores({ 2: 0.3, 3: 0.9 }, 0.9) }
    expect(node.pass(scoring, 0)).toEqual(gone(2))
    expect(node.pass(scoring)).toEqual(gone(2))
    expect(node.pass(scoring)).toEqual([])
    node.tick(5 * minute - 1)
    expect(node.actions(scoring)).toEqual([])
    node.tick(6 * minute)
    expect(node.actions(scoring)).toEqual(gone(2))
    node.leader(1, other)
    expect(node.actions(scoring)).toEqual([])
  })

  it('goes through the chains in order (N-56)', () => {
    const node = leading(undefined, 2)
    node.holders(0, 3)
    node.leader(0, self)
    expect(node.actions({ scorer: scores({ 2: 0.1, 3: 0.1 }, 0.9) })).toEqual([...gone(3, 0), ...gone(2, 1)])
  })

  it('leaves a chain to the arm that counts (N-57)', () => {
    expect(leading(1, 2, 3).actions({ scorer: scores({ 2: 0.9, 3: 0.1 }, 0.9) })).toEqual(gone(2))
  })

  it.each([
    [5000, 1, gone(2)],
    [6000, 1, []],
    [7000, 1, []],
    [2000, 3, []],
    [5000, NaN, gone(2)],
    [5000, -1, gone(2)],
  ])('moves nothing that costs what it gains: %s ms, weighed %s (N-63)', (transferMs, reliabilityFactor, actions) => {
    const cost = { transferMs, disruptionMs: 0, reliabilityFactor }
    expect(leading(undefined, 2).actions({ scorer: scores({ 2: 0.3 }, 0.9, cost) })).toEqual(actions)
  })
})

describe('sampled scores', () => {
  it('are only a reason to look: what is moved is moved for what holds now (N-64)', () => {
    const node = leading(undefined, 2)
    const scorer = scores({ 2: 0.1 }, 0.9)
    const scoring = { scorer, sampled: () => 0.1 }
    expect(node.actions(scoring)).toHaveLength(1)
    expect(node.actions({ ...scoring, scorer: { ...scorer, liveScore: () => 0.5 } })).toEqual([])
    expect(node.actions({ ...scoring, scorer: { ...scorer, liveScore: () => undefined } })).toEqual([])
    expect(node.actions({ ...scoring, scorer: { ...scorer, liveScore: () => NaN } })).toEqual([])
  })

  it('agree with what is asked, are of one chain, and are taken anew when something has changed or is old (N-64)', () => {
    const node = leading(undefined, 2, 3)
    node.holders(2, 2)
    node.leader(2, self)
    const asked: string[] = []
    const prints = new Map([2, 3, 4].map((number) => [nodeId(number), 'a']))
    const scorer: Scorer = {
      score: (chain, holder) => {
        asked.push(`${Number(chain)}:${Number(holder)}`)
        return chain === chainId(1) && holder === nodeId(2) ? 0.1 : 0.9
      },
      bestAlternative: () => ({ node: nodeId(9), score: 1 }),
      nodeFingerprint: (holder) => prints.get(holder),
    }
    const sampler = new ScoreSampler(scorer)
    const samples = (): string[] => {
      asked.length = 0
      sampler.sample(node.state.version())
      return [...asked]
    }
    expect(node.actions(sampler.sample(node.state.version()))).toEqual(node.actions({ scorer }))
    expect(node.actions(sampler.sample(node.state.version()))).toHaveLength(1)
    expect(samples()).toEqual([])
    prints.set(nodeId(3), 'b')
    expect(samples()).toEqual(['1:2', '1:3'])
    node.holders(2, 4)
    expect(samples()).toEqual(['2:2', '2:4'])
    node.tick(29_999)
    expect(samples()).toEqual([])
    node.tick(30_000)
    expect(samples()).toEqual(['1:2', '1:3', '2:2', '2:4'])
    node.leader(1, other)
    samples()
    node.leader(1, self)
    expect(samples()).toEqual(['1:2', '1:3'])
    prints.delete(nodeId(4))
    expect(samples()).toEqual(['2:2', '2:4'])
    expect(samples()).toEqual(['2:2', '2:4'])
  })
})

/** A scorer with these scores by holder, and one alternative for all. */
function scores(by: Record<number, number>, alternative: number | undefined, cost?: MigrationCost): Scorer {
  return {
    score: (_, holder) => by[Number(holder)],
    bestAlternative: () => (alternative === undefined ? undefined : { node: nodeId(9), score: alternative }),
    migrationCost: () => cost,
  }
}
