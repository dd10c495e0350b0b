import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { DaemonScope } from '../../src/node/daemon-definition.js'
import { defineDaemon } from '../../src/node/daemon-runners.js'
import type { FoldEvent } from '../../src/node/fold-event.js'
import type { RuntimeNodeOptions } from '../../src/node/local-node-options.js'
import { SimulatedClock } from '../../src/testing/index.js'
import { chainId, daemonId, node, NodeWorld, settle, thisNode } from './support/node-world.js'

let directory: string
let clock: SimulatedClock
let left: NodeWorld | undefined

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'stateward-node-'))
  clock = new SimulatedClock()
})
afterEach(async () => {
  if (left?.node.isRunning === true) await left.close()
  rmSync(directory, { recursive: true, force: true })
})

/** A life of the node on the same directory; the one before is over. Its monotonic clock begins anew, as that of a process does. */
async function life(options: Partial<RuntimeNodeOptions> = {}): Promise<NodeWorld> {
  if (left !== undefined) {
    await left.close()
    const wall = clock.wallNow()
    clock = new SimulatedClock(wall)
  }
  left = await NodeWorld.open(options, {
    store: createDirectoryJournal({ directory: join(directory, 'journal') }),
    clock,
  })
  return left
}

/** Time passes while no process runs. */
function pass(milliseconds: number): void {
  clock.setWall(clock.wallNow() + milliseconds)
}

const submit = (world: NodeWorld, event: Parameters<NodeWorld['node']['submit']>[0]) => world.node.submit(event)

/** A tick, and whatever the disk has to say to what follows from it. */
async function tick(world: NodeWorld, count = 1): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await world.tick()
    await world.lane.settled()
    await settle()
    await world.lane.settled()
    await settle()
  }
}

describe('a node that starts again (14.4)', () => {
  it('[N-480] is still frozen, for what is left of the freeze', async () => {
    const one = await life()
    await submit(one, { type: 'admin_event', event: { type: 'freeze_cluster', ttlMs: 60_000 } })
    pass(20_000)
    const other = await life()
    expect(other.snapshot.freezeRemainingMs).toBe(40_000)
    await tick(other)
    expect(other.snapshot.freezeRemainingMs).toBe(39_500)
    pass(60_000)
    const third = await life()
    await tick(third)
    expect(third.snapshot.freezeRemainingMs).toBeUndefined()
  })

  it('[N-480] is not frozen when it was thawed', async () => {
    const one = await life()
    await submit(one, { type: 'admin_event', event: { type: 'freeze_cluster', ttlMs: 60_000 } })
    await submit(one, { type: 'admin_event', event: { type: 'thaw_cluster' } })
    const other = await life()
    expect(other.snapshot.freezeRemainingMs).toBeUndefined()
  })

  it('[N-481] is still in maintenance, and fails its drain at the instant that was agreed on', async () => {
    const one = await life()
    const { daemon } = defineDaemon('held', () => {})
    await one.node.publish({ type: 'daemon_lifecycle', daemon, signal: { type: 'started', at: 0 } })
    await submit(one, { type: 'admin_event', event: { type: 'enter_maintenance', node: thisNode, drainForMs: 30_000 } })
    pass(10_000)
    const other = await life()
    expect(other.snapshot.localMaintenance).toMatchObject({
      status: 'entering_maintenance',
      deadlineRemainingMs: 20_000,
    })
    await other.node.publish({ type: 'daemon_lifecycle', daemon, signal: { type: 'started', at: 0 } })
    await tick(other, 42)
    expect(other.snapshot.localMaintenance).toMatchObject({ status: 'drain_failed' })
    const third = await life()
    expect(third.snapshot.localMaintenance).toMatchObject({
      status: 'drain_failed',
      reason: expect.stringContaining('drain deadline elapsed'),
    })
    await submit(third, { type: 'admin_event', event: { type: 'exit_maintenance', node: thisNode } })
    await tick(third, 2)
    const fourth = await life({ maintenance: { recoveryRampMs: 1000 } })
    expect(fourth.snapshot.localMaintenance.status).toBe('recovery')
    await tick(fourth, 3)
    const fifth = await life()
    expect(fifth.snapshot.localMaintenance.status).toBe('active')
  })

  it('[N-482] still holds back a daemon that has crashed too often', async () => {
    const one = await life()
    const crashing = defineDaemon('crashing', () => {
      throw new Error('cannot')
    })
    await one.node.runDaemon(crashing)
    await tick(one, 30)
    expect(one.snapshot.daemons.get(crashing.daemon.id)?.restart.status).toBe('crash_looping')
    pass(60_000)
    let starts = 0
    const other = await life({ daemons: [defineDaemon('crashing', () => void (starts += 1))] })
    await tick(other, 2)
    const view = other.snapshot.daemons.get(crashing.daemon.id)
    expect(view).toMatchObject({ intent: 'run', lifecycle: 'stopped', restart: { status: 'crash_looping' } })
    expect(starts).toBe(0)
    await tick(other, 2 * 60 * 5)
    expect(starts).toBeGreaterThan(0)
  })

  it('[N-483] still wishes what was wished, and takes nothing new while it is cordoned', async () => {
    const one = await life()
    const kept = defineDaemon('kept', async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
    await one.node.runDaemon(kept)
    await tick(one)
    await submit(one, { type: 'admin_event', event: { type: 'cordon', node: thisNode } })
    await one.node.publish({ type: 'placement_intent', chain: '00000000000000c1' as never, desiredReplicas: 3 })
    await settle()
    const other = await life({ daemons: [kept] })
    await tick(other, 2)
    expect(other.snapshot.isCordoned).toBe(true)
    expect(other.snapshot.replicas.get('00000000000000c1' as never)).toMatchObject({ desiredReplicas: 3 })
    expect(other.snapshot.daemons.get(kept.daemon.id)).toMatchObject({ lifecycle: 'running' })
    await submit(other, { type: 'admin_event', event: { type: 'uncordon', node: thisNode } })
    const third = await life()
    expect(third.snapshot.isCordoned).toBe(false)
  })

  it('[N-486] still has what was forced before anybody led the chain, and nothing of it once that was acted on', async () => {
    const asked: string[] = []
    const placement = {
      requestEviction: (chain: string, victim: string) =>
        void asked.push(`${chain.slice(-1)} leaves ${victim.slice(-1)}`),
      requestPlacement: (chain: string, _exclude: readonly string[], target?: string) =>
        void asked.push(`${chain.slice(-1)} goes to ${target?.slice(-1)}`),
      invalidate: () => {},
    }
    const [first, second] = [chainId(1), chainId(2)]
    const one = await life({ placement })
    await submit(one, { type: 'admin_event', event: { type: 'force_evict_replica', chain: first, victim: node(7) } })
    await submit(one, { type: 'admin_event', event: { type: 'force_cutover', chain: second, target: node(8) } })
    await tick(one, 2)
    const other = await life({ placement })
    await other.node.publish({ type: 'replica_leader_update', chain: first, leader: thisNode })
    await tick(other, 2)
    expect(asked).toEqual(['1 leaves 7'])
    const third = await life({ placement })
    for (const chain of [first, second]) {
      await third.node.publish({ type: 'replica_leader_update', chain, leader: thisNode })
    }
    await tick(third, 2)
    expect(asked).toEqual(['1 leaves 7', '2 goes to 8'])
    const fourth = await life({ placement })
    await fourth.node.publish({ type: 'replica_leader_update', chain: second, leader: thisNode })
    await tick(fourth, 2)
    expect(asked).toHaveLength(2)
    expect(fourth.history.checkpoints()).toEqual([])
  })

  it('[N-486] restarts what it was asked to restart and has found alive, and that alone', async () => {
    const trail: string[] = []
    const start = (name: string) => (scope: DaemonScope) => {
      trail.push(`start ${name}`)
      return alive(name)(scope)
    }
    const alive =
      (name: string) =>
      ({ signal }: DaemonScope) => ({
        ended: new Promise<void>((resolve) =>
          signal.addEventListener('abort', () => {
            trail.push(`end ${name}`)
            resolve()
          }),
        ),
      })
    const adopting = (name: string, isLeft: boolean) =>
      defineDaemon(name, {
        kind: 'test',
        start: start(name),
        adopt: (scope) => Promise.resolve(isLeft ? alive(name)(scope) : undefined),
      })
    const one = await life({ daemons: [adopting('left', false), adopting('gone', false)] })
    for (const name of ['left', 'gone']) await one.node.runDaemon(adopting(name, false).daemon)
    await tick(one, 2)
    await submit(one, { type: 'admin_event', event: { type: 'restart_all_daemons', node: thisNode } })
    trail.length = 0
    const other = await life({ daemons: [adopting('left', true), adopting('gone', false)] })
    trail.length = 0
    await tick(other, 6)
    expect(trail.toSorted()).toEqual(['end left', 'start gone', 'start left'])
    trail.length = 0
    await life({ daemons: [adopting('left', true), adopting('gone', true)] })
    trail.length = 0
    if (left !== undefined) await tick(left, 6)
    expect(trail).toEqual([])
  })

  it('[N-484] begins with its start, then what is left, then what it adopted; ticks come last', async () => {
    const events: FoldEvent[] = []
    const one = await life()
    await submit(one, { type: 'admin_event', event: { type: 'freeze_cluster', ttlMs: 60_000 } })
    const start = ({ signal }: DaemonScope) => ({
      ended: new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve())),
    })
    const alive = defineDaemon('alive', { kind: 'test', start, adopt: (scope) => Promise.resolve(start(scope)) })
    const other = await life({ daemons: [alive], onFolded: (event) => events.push(event) })
    await tick(other)
    expect(events.map(({ type }) => type)).toEqual([
      'started',
      'freeze_restored',
      'daemon_lifecycle',
      'tick',
      'reconciled',
    ])
    expect(other.snapshot.daemons.get(alive.daemon.id)).toMatchObject({ lifecycle: 'running' })
    expect(other.jobs.list()).toMatchObject([{ displayName: 'alive', kind: 'test' }])
  })

  it('[N-485] forgets what concerns daemons and peers that are gone', async () => {
    const store = createMemoryJournal()
    const world = await NodeWorld.open({}, { store, clock })
    const gone = { id: daemonId(5), name: 'gone' }
    await world.node.publish({ type: 'daemon_intent_update', daemon: gone, intent: 'run' })
    await submit(world, { type: 'admin_event', event: { type: 'cordon', node: node(2) } })
    await settle()
    expect(world.history.checkpoints()).toHaveLength(2)
    await world.node.publish({ type: 'daemon_removed', daemon: gone.id })
    await world.node.publish({ type: 'peer_removed', peer: node(2) })
    await settle()
    expect(world.history.checkpoints()).toEqual([])
    await world.close()
  })
})
