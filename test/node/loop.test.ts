import { describe, expect, it } from 'vitest'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { silentLogger } from '../../src/base/logger.js'
import { Executor } from '../../src/node/executor.js'
import type { FoldEvent } from '../../src/node/fold-event.js'
import { fold } from '../../src/node/fold.js'
import { NodeHistory } from '../../src/node/history.js'
import type { EpochId, MigrationId } from '../../src/node/ids.js'
import { NodeLoop } from '../../src/node/loop.js'
import { NodeChains } from '../../src/node/node-chains.js'
import { resolveNodeOptions } from '../../src/node/options.js'
import type { NodeSnapshot } from '../../src/node/snapshot.js'
import { NodeState } from '../../src/node/state.js'
import { Lane } from '../../src/lane/lane.js'
import { SimulatedClock } from '../../src/testing/index.js'
import { chainId, node, NodeWorld, openWorld, settle, thisNode, tickMs } from './support/node-world.js'

/** A loop by itself, which nobody but its handles keeps. */
async function bareLoop(options: { readonly eventQueueCapacity?: number; readonly actionQueueCapacity?: number } = {}) {
  const clock = new SimulatedClock()
  const deadlines = new DeadlineQueue(clock)
  const history = new NodeHistory()
  history.start(await Lane.open({ streamFor: () => undefined }))
  const epoch = 'e'.repeat(16) as EpochId
  const configuration = resolveNodeOptions({ thisNode, ...options })
  const chains = new NodeChains({ history, epoch, thisNode, clock, logger: silentLogger })
  const executor = new Executor({
    capacity: configuration.actionQueueCapacity,
    maxDeferCount: 16,
    gate: { admit: () => ({ status: 'admitted' }), release: () => {}, measure: () => undefined, isAsserted: false },
    dispatcher: { dispatch: () => {} },
    recorder: { disposed: () => {}, failed: () => {} },
    clock,
    deadlines,
    logger: silentLogger,
  })
  const snapshots: NodeSnapshot[] = []
  const loop = new NodeLoop({
    configuration,
    epoch,
    clock,
    deadlines,
    logger: silentLogger,
    chains,
    history,
    executor,
    publish: (snapshot) => snapshots.push(snapshot),
  })
  return { clock, loop, snapshots, executor }
}

const added = (holder: number) =>
  ({ type: 'replica_update', change: 'added', chain: chainId(1), holder: node(holder) }) as const

describe('the loop', () => {
  it('[N-450] row 1: ends when the last handle is closed, and applies what is queued before', async () => {
    const { loop, snapshots, clock } = await bareLoop()
    const handle = loop.handle()
    const other = handle.clone()
    const ended = loop.run()
    handle.close()
    await settle()
    expect(loop.state).toBe('running')
    other.tryPublish(added(7))
    other.tryPublish(added(8))
    other.close()
    expect(await ended).toBe(0)
    expect(loop.state).toBe('stopped')
    expect(snapshots.at(-1)?.replicas.get(chainId(1))?.holders).toEqual([node(7), node(8)])
    expect(() => handle.tryPublish(added(9))).toThrowError(expect.objectContaining({ code: 'node.loop_closed' }))
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('[N-450] rows 2, 19: ends by a shutdown, and applies nothing behind it', async () => {
    const { loop, snapshots } = await bareLoop()
    const handle = loop.handle()
    handle.tryPublish(added(7))
    handle.tryPublish({ type: 'shutdown' })
    handle.tryPublish(added(8))
    expect(await loop.run()).toBe(0)
    expect(snapshots.at(-1)?.replicas.get(chainId(1))?.holders).toEqual([node(7)])
    await expect(handle.publish(added(9))).rejects.toMatchObject({ code: 'node.loop_closed' })
  })

  it('[N-451] rows 3, 18: a loop that is wedged costs its callers no more than they grant', async () => {
    const { loop, clock } = await bareLoop({ eventQueueCapacity: 1 })
    const handle = loop.handle()
    handle.tryPublish(added(1))
    expect(() => handle.tryPublish(added(2))).toThrowError(
      expect.objectContaining({ code: 'node.queue_full', data: { capacity: 1 } }),
    )
    const late = handle.publishTimeout(added(3), 50)
    const patient = handle.publish(added(4))
    clock.advance(49)
    let refusal: unknown
    late.catch((cause: unknown) => (refusal = cause))
    await settle()
    expect(refusal).toBeUndefined()
    clock.advance(1)
    await settle()
    expect(refusal).toMatchObject({ code: 'node.queue_full' })
    void loop.run()
    await patient
    loop.abort()
  })

  it('[N-452] rows 10, 20: a pass with every tick, on time from when it was due, late from when it came', async () => {
    const { loop, clock, snapshots } = await bareLoop()
    loop.handle()
    void loop.run()
    expect(snapshots.length).toBe(1)
    clock.advance(tickMs - 1)
    expect(loop.stats.passes).toBe(0)
    clock.advance(1)
    expect(loop.stats.passes).toBe(1)
    expect(loop.now).toBe(tickMs)
    clock.advance(6 * tickMs)
    expect(loop.stats.passes).toBe(7)
    loop.abort()
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('[N-452] a tick that was missed puts off those behind it and is not made up for', async () => {
    const { loop, clock } = await bareLoop()
    loop.handle()
    // A clock that jumps: its timers fire late, as those of a process that was busy.
    const jump = (milliseconds: number): void => {
      const monotonicNow = clock.monotonicNow.bind(clock)
      clock.monotonicNow = () => monotonicNow() + milliseconds
    }
    void loop.run()
    jump(1300)
    clock.advance(tickMs)
    expect(loop.stats.passes).toBe(1)
    expect(loop.now).toBe(1800)
    // Counted from when it came: neither at 2000, nor two at once.
    clock.advance(tickMs - 1)
    expect(loop.stats.passes).toBe(1)
    clock.advance(1)
    expect(loop.stats.passes).toBe(2)
    loop.abort()
  })

  it('[N-453] a tick that is published lets time pass and reconciles nothing', async () => {
    const world = await openWorld()
    world.clock.advance(100)
    const before = world.snapshot
    await world.node.publish({ type: 'tick' })
    await settle()
    expect(world.node.stats.passes).toBe(0)
    expect(world.snapshot).toBe(before)
  })

  it('[N-454] rows 9, 16: counts the actions that the executor has no room for, and asks again', async () => {
    const world = await openWorld({ actionQueueCapacity: 1, replicas: { pull: () => {}, drop: () => {} } })
    for (let chain = 1; chain <= 5; chain += 1) {
      await world.node.publish({ type: 'replica_update', change: 'added', chain: chainId(chain), holder: thisNode })
      await world.node.publish({ type: 'local_replica_intent', chain: chainId(chain), intent: 'drop' })
    }
    await settle()
    world.clock.advance(tickMs)
    expect(world.node.stats.droppedActions).toBe(4)
    expect(world.snapshot.recentlyEmitted.map(({ id }) => id)).toEqual([1])
    await settle()
    await world.tick()
    // A number that was taken is not given again.
    expect(world.snapshot.recentlyEmitted.map(({ id }) => id)).toEqual([1, 6])
    expect(world.lines.filter(({ message }) => message.startsWith('actions were dropped'))[0]).toMatchObject({
      level: 'warn',
      fields: { dropped: 4, first: 'drop_replica' },
    })
  })

  it('[N-454] row 20: the action of the latest tick has no age', async () => {
    const world = await openWorld({ replicas: { pull: () => {}, drop: () => {} } })
    await world.node.publish({ type: 'replica_update', change: 'added', chain: chainId(1), holder: thisNode })
    await world.node.publish({ type: 'local_replica_intent', chain: chainId(1), intent: 'drop' })
    await world.tick()
    expect(world.snapshot.recentlyEmitted).toEqual([{ id: 1, kind: 'drop_replica', ageMs: 0 }])
  })

  it('[N-455] rows 14, 15, 8: shows the state of the last tick to everybody who reads', async () => {
    const world = await openWorld()
    await world.node.publish(added(7))
    await settle()
    expect(world.snapshot.replicas.size).toBe(0)
    await world.tick()
    const { reader } = world.node
    expect(reader.read()).toBe(reader.read())
    expect(reader.read().replicas.get(chainId(1))?.holders).toEqual([node(7)])
    expect(Object.isFrozen(reader.read())).toBe(true)
  })

  it('[N-456] 14.13: shows what came after the last tick when it ends, and lets no more time pass', async () => {
    const world = await openWorld()
    await world.tick()
    await world.node.publish({ type: 'log_line', level: 'info', message: 'the last words' })
    await settle()
    expect(world.snapshot.logRing).toEqual([])
    await world.close()
    expect(world.snapshot.logRing).toMatchObject([{ seq: 1, message: 'the last words' }])
    expect(world.snapshot.pass).toBe(1)
    expect(world.clock.pendingTimeouts).toBe(0)
  })

  it('[N-457] what it folds, folded again, comes to the same state', async () => {
    const events: FoldEvent[] = []
    const world = await openWorld({ onFolded: (event) => events.push(structuredClone(event)) })
    world.node.probes.add('locality', { sample: () => [[node(2), 400]] })
    for (let holder = 2; holder < 6; holder += 1) await world.node.publish(added(holder))
    await world.node.publish({ type: 'placement_intent', chain: chainId(1), desiredReplicas: 2 })
    await world.node.publish({ type: 'replica_leader_update', chain: chainId(1), leader: thisNode })
    await world.tick(5)
    await world.node.submit({ type: 'admin_event', event: { type: 'freeze_cluster', ttlMs: 60_000 } })
    await world.tick(2)
    const state = new NodeState(resolveNodeOptions({ thisNode }))
    for (const event of events) fold(state, event)
    expect(events[0]).toEqual({ type: 'started', at: 0 })
    expect(Object.fromEntries(state.version().peers.entries())).toEqual(
      Object.fromEntries([...world.snapshot.peers].map(([id]) => [id, state.peer(id)])),
    )
    expect(state.now).toBe(7 * tickMs)
    expect(state.version().avoided.has(node(2))).toBe(true)
    expect(state.freeze).toMatchObject({ value: 'frozen', context: { until: 5 * tickMs + 60_000 } })
  })
})

describe('what the loop asks (6.1, 6.2)', () => {
  it('[N-420] rows 4, 11, 12, 13: asks probes with every tick, and a broken one breaks nothing', async () => {
    const world = await openWorld()
    const { probes } = world.node
    probes.add('locality', {
      name: 'broken',
      sample: () => {
        throw new Error('no network')
      },
    })
    await world.tick()
    expect(world.node.stats).toMatchObject({ passes: 1, faults: { 'locality probe broken': 1 } })
    probes.add('locality', {
      sample: () => [
        [node(2), 33],
        [node(3), 150],
      ],
    })
    probes.add('health', { sample: () => [[node(3), 'unreachable']] })
    // Nobody waits for one that answers with a promise.
    probes.add('health', { sample: () => Promise.reject(new Error('later')) as never })
    await world.tick()
    expect(world.snapshot.peers.get(node(2))).toMatchObject({ rttMs: 33 })
    expect(world.snapshot.peers.get(node(3))).toMatchObject({ rttMs: 150, health: 'unreachable' })
    expect(world.node.stats.faults).toEqual({ 'locality probe broken': 2, 'health probe': 1 })
    // Said once, counted after that.
    expect(world.lines.filter(({ message }) => message.startsWith('a component of the node'))).toHaveLength(2)
  })

  it('[N-420] row 26: clears the probes of one kind only', async () => {
    const { node: local } = await openWorld()
    const { probes } = local
    probes.add('locality', { sample: () => [] })
    probes.add('health', { sample: () => [] })
    probes.add('inventory', { sample: () => [] })
    probes.add('inventory', { sample: () => [] })
    const counts = (): number[] => Object.values(probes.counts())
    expect(counts()).toEqual([1, 1, 2])
    probes.clear('inventory')
    expect(counts()).toEqual([1, 1, 0])
    probes.clear('locality')
    expect(counts()).toEqual([0, 1, 0])
    probes.clear('health')
    expect(counts()).toEqual([0, 0, 0])
    probes.add('inventory', { sample: () => [] })
    expect(counts()).toEqual([0, 0, 1])
  })

  it('[N-424] rows 5, 6, 7: forgets a peer that no inventory probe names any more, unless one failed or none knew anything', async () => {
    const world = await openWorld()
    let answers: (() => [ReturnType<typeof node>, { cpuLoad1m: number }][])[] = []
    const inventories = () => [...world.snapshot.peers].filter(([, { inventory }]) => inventory).map(([id]) => id)
    const known = (...peers: number[]) =>
      peers.map((peer) => [node(peer), { cpuLoad1m: peer }] as [ReturnType<typeof node>, { cpuLoad1m: number }])
    for (const index of [0, 1]) world.node.probes.add('inventory', { sample: () => answers[index]?.() ?? [] })
    answers = [() => known(2, 3), () => known(4)]
    await world.tick()
    expect(inventories()).toEqual([node(2), node(3), node(4)])
    answers = [
      () => known(2, 3),
      () => {
        throw new Error('down')
      },
    ]
    await world.tick()
    expect(inventories()).toEqual([node(2), node(3), node(4)])
    answers = []
    await world.tick()
    expect(inventories()).toEqual([node(2), node(3), node(4)])
    answers = [() => known(2), () => known(4)]
    await world.tick()
    expect(inventories()).toEqual([node(2), node(4)])
  })

  it('[N-421] row 83: calls recovery handlers in every tick, one that throws never again, one that is added from the next on', async () => {
    const world = await openWorld()
    const calls: string[] = []
    const { recovery } = world.node
    recovery.add(() => {
      calls.push('bad')
      throw new Error('no')
    })
    recovery.add(() => {
      calls.push('good')
      if (calls.length === 2) {
        recovery.add(() => {
          calls.push('late')
          return [3]
        })
      }
      return [1, 2]
    })
    await world.tick(3)
    expect(calls).toEqual(['bad', 'good', 'good', 'late', 'good', 'late'])
  })

  it('[N-423] a scorer, a sink and an event log that break are counted, and the loop goes on', async () => {
    const boom = (): never => {
      throw new Error('boom')
    }
    const world = await openWorld({
      scorer: { score: boom, bestAlternative: boom },
      control: { emit: boom },
      migrations: { migrations: boom },
      onFolded: boom,
    })
    await world.node.publish(added(1))
    await world.node.publish({ type: 'replica_leader_update', chain: chainId(1), leader: thisNode })
    await world.node.submit({ type: 'admin_event', event: { type: 'enter_maintenance', node: thisNode } })
    await world.tick(2)
    expect(world.node.stats.passes).toBe(2)
    expect(Object.keys(world.node.stats.faults).toSorted()).toEqual([
      'control sink',
      'event log',
      'migration source',
      'scorer',
    ])
    expect(world.node.isRunning).toBe(true)
  })
})

describe('what the loop writes down', () => {
  it('[N-400] rows 21, 22: every line and every attempt stands in the ring and in the chain, in order', async () => {
    const world = await openWorld()
    for (const message of ['one', 'two', 'three']) {
      await world.node.publish({ type: 'log_line', level: 'info', message })
    }
    const record = await world.node.submit({ type: 'admin_event', event: { type: 'cordon', node: node(9) } })
    expect(record).toMatchObject({ seq: 1, outcome: { status: 'unverified' }, operatorIds: [] })
    await world.tick()
    expect(world.snapshot.logRing.map(({ seq, message }) => [seq, message])).toEqual([
      [1, 'one'],
      [2, 'two'],
      [3, 'three'],
    ])
    expect(world.snapshot.adminAudit).toMatchObject([{ seq: 1, chainPending: false, event: { type: 'cordon' } }])
    const { log, audit } = world.node.chains
    expect(log.rows().map(({ record: { seq, message } }) => [seq, message])).toEqual([
      [1, 'one'],
      [2, 'two'],
      [3, 'three'],
    ])
    expect(audit.rows()).toMatchObject([{ epoch: world.node.epoch, record: { seq: 1, chainPending: false } }])
  })

  it('[N-404] 14.13: cuts a message that is too long, and never a character', async () => {
    const world = await openWorld()
    await world.node.publish({ type: 'log_line', level: 'warn', message: '€'.repeat(5000) })
    await world.tick()
    const message = world.snapshot.logRing[0]?.message ?? ''
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(8192)
    expect(message).toMatch(/^€+… \(cut\)$/)
  })

  it('[N-425] rows 24, 25, 98: tells the aborter of a kill once, and of nothing else', async () => {
    const killed: MigrationId[] = []
    const world = await openWorld({ aborter: { abort: (migration) => void killed.push(migration) } })
    const migration = '00000000000000ff' as MigrationId
    await world.node.submit({ type: 'admin_event', event: { type: 'kill_migration', migration } })
    await world.node.submit({ type: 'admin_event', event: { type: 'cordon', node: thisNode } })
    await world.tick()
    expect(killed).toEqual([migration])
  })

  it('[N-405] row 97: two lives have two epochs', async () => {
    const [one, other] = [await openWorld(), await openWorld()]
    expect(one.node.epoch).toMatch(/^[0-9a-f]{16}$/)
    expect(one.node.epoch).not.toBe(other.node.epoch)
    expect(one.snapshot.epoch).toBe(one.node.epoch)
  })

  it('[N-459] H-10: ends in its time also when its queue is full and nobody takes from it', async () => {
    const world = await NodeWorld.prepare({ eventQueueCapacity: 1 })
    const handle = world.node.handle()
    handle.tryPublish(added(1))
    const ended = world.node.shutdown({ graceMs: 0 })
    await settle()
    world.clock.advance(2000)
    await settle()
    await expect(ended).resolves.toMatchObject({ passes: 0 })
    expect(() => handle.tryPublish(added(2))).toThrowError(expect.objectContaining({ code: 'node.loop_closed' }))
    expect(world.clock.pendingTimeouts).toBe(0)
  })

  it('[N-459] row 84: an executor that does not end in time is left behind, and said so', async () => {
    const world = await openWorld({
      replicas: { pull: () => new Promise(() => {}), drop: () => new Promise(() => {}) },
    })
    await world.node.publish({ type: 'replica_update', change: 'added', chain: chainId(1), holder: thisNode })
    await world.node.publish({ type: 'local_replica_intent', chain: chainId(1), intent: 'drop' })
    await settle()
    await world.tick()
    const ended = world.node.shutdown({ graceMs: 0 })
    await settle()
    world.clock.advance(2000)
    await expect(ended).rejects.toMatchObject({ code: 'node.executor_timeout', data: { timeoutMs: 2000 } })
  })

  it('[N-458] row 99: refuses what is submitted after it has ended', async () => {
    const world = await openWorld()
    await world.close()
    const attempt = world.node.submit({ type: 'admin_event', event: { type: 'cordon', node: thisNode } })
    await expect(attempt).rejects.toMatchObject({ code: 'node.loop_closed' })
  })
})
