import { describe, expect, it } from 'vitest'
import { createMachine, setup } from 'xstate'
import type { DaemonControl } from '../../src/node/control-event.js'
import { defineDaemon } from '../../src/node/daemon-runners.js'
import type { DaemonDefinition } from '../../src/node/daemon-definition.js'
import { DaemonSource, ReplicaSource } from '../../src/node/sources.js'
import { chainId, daemonId, type NodeWorld, openWorld, settle, thisNode } from './support/node-world.js'

const viewOf = (world: NodeWorld, { daemon }: DaemonDefinition) => world.snapshot.daemons.get(daemon.id)

/** A daemon that ends when it is told to, and says how often it was started. */
function patient(name: string) {
  const seen = { starts: 0, running: 0, most: 0 }
  const definition = defineDaemon(name, async ({ signal }) => {
    seen.starts += 1
    seen.running += 1
    seen.most = Math.max(seen.most, seen.running)
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    seen.running -= 1
  })
  return { definition, seen }
}

describe('daemons of a node', () => {
  it('[N-431] rows 46, 66, 86: starts a daemon that crashes later and later, and not for a while when it crashes too often', async () => {
    const world = await openWorld()
    const startedAt: number[] = []
    const crashing = defineDaemon('crashing', () => {
      startedAt.push(world.clock.monotonicNow())
      throw new Error('cannot')
    })
    await world.node.runDaemon(crashing)
    await world.tick(60)
    const gaps = startedAt.slice(1).map((at, index) => at - (startedAt[index] as number))
    // 0.5 s, 1 s, 2 s and 4 s, each seen with the tick after it; then the loop is broken for five minutes.
    expect(startedAt).toHaveLength(5)
    expect(gaps).toEqual([500, 1000, 2000, 4000].map((gap) => expect.closeTo(gap + 0, -3)))
    expect(viewOf(world, crashing)).toMatchObject({ lifecycle: 'stopped', restart: { status: 'crash_looping' } })
    expect(world.jobs.size).toBe(0)
    // An operator lets it try again at once.
    await world.node.submit({ type: 'admin_event', event: { type: 'force_restart_daemon', daemon: crashing.daemon } })
    await world.tick(2)
    expect(startedAt.length).toBeGreaterThanOrEqual(6)
  })

  it('[N-430] never has two copies of a daemon, not even of one that does not end when it is told to', async () => {
    const world = await openWorld({ supervision: { stopGraceMs: 1000 } })
    let copies = 0
    let most = 0
    let finish = (): void => {}
    const deaf = defineDaemon('deaf', async () => {
      copies += 1
      most = Math.max(most, copies)
      await new Promise<void>((resolve) => (finish = resolve))
      copies -= 1
    })
    await world.node.runDaemon(deaf)
    await world.tick(2)
    await world.node.stopDaemon(deaf)
    await world.tick(4)
    // Its time is over: the node has given up on it, and the list of jobs shows that its code still runs.
    expect(viewOf(world, deaf)).toMatchObject({ lifecycle: 'stopped' })
    expect(world.jobs.list()).toMatchObject([{ displayName: 'deaf', state: 'left_behind' }])
    await world.node.runDaemon(deaf)
    await world.tick(6)
    expect(copies).toBe(1)
    finish()
    await world.tick(4)
    expect({ copies, most }).toEqual({ copies: 1, most: 1 })
    finish()
  })

  it('[N-432] runs a machine: controls are its events, and it has ended when it is done', async () => {
    const world = await openWorld()
    const events: string[] = []
    const machine = setup({
      types: { events: {} as DaemonControl },
      actions: { note: ({ event }) => void events.push(event.type) },
    }).createMachine({
      initial: 'working',
      on: { drain_start: { actions: 'note' } },
      states: { working: { on: { shutdown: { target: 'over', actions: 'note' } } }, over: { type: 'final' } },
    })
    const counter = defineDaemon('counter', machine)
    await world.node.runDaemon(counter)
    await world.tick(2)
    expect(world.jobs.list()).toMatchObject([{ kind: 'machine', displayName: 'counter' }])
    await world.node.submit({ type: 'admin_event', event: { type: 'drain', node: thisNode, drainForMs: 60_000 } })
    await world.tick(3)
    expect(events).toEqual(['drain_start', 'shutdown'])
    const broken = defineDaemon(
      'broken',
      createMachine({
        entry: () => {
          throw new Error('no')
        },
      }),
    )
    await world.tick(20)
    await world.node.runDaemon(broken)
    await world.tick(2)
    expect(world.lines.filter(({ message }) => message === 'a daemon has ended').at(-1)?.fields).toMatchObject({
      daemon: 'broken',
      error: 'no',
    })
  })

  it('[N-433] runs a worker thread, and ends it by force when it does not end', { timeout: 20_000 }, async () => {
    const world = await openWorld({ supervision: { stopGraceMs: 1000 } })
    const source = `
      const { parentPort, workerData } = require('node:worker_threads')
      parentPort.postMessage({ type: 'log', level: 'info', message: 'hello ' + workerData.input.who })
      parentPort.on('message', () => {})
      setInterval(() => {}, 1000)
    `
    const worker = defineDaemon(
      'worker',
      new URL(`data:text/javascript,${encodeURIComponent(source.replaceAll('require(', 'await import('))}`),
      {
        input: { who: 'you' },
      },
    )
    await world.node.runDaemon(worker)
    await world.tick()
    while (world.node.chains.log.size === 0) await new Promise(setImmediate)
    expect(world.node.chains.log.rows()).toMatchObject([
      { record: { message: 'hello you', daemonId: worker.daemon.id } },
    ])
    await world.node.stopDaemon(worker)
    await world.tick(4)
    while (world.jobs.size > 0) await new Promise(setImmediate)
    expect(viewOf(world, worker)).toMatchObject({ lifecycle: 'stopped' })
  })

  it('[N-434] row 87: tells daemons of a drain; one that does not read loses the newest, which is counted', async () => {
    const world = await openWorld()
    const heard: DaemonControl[] = []
    const listening = defineDaemon('listening', async ({ controls, signal }) => {
      for (;;) {
        const control = await controls.next({ signal })
        if (control === undefined) return
        heard.push(control)
      }
    })
    const { definition: silent } = patient('silent')
    await world.node.runDaemon(listening)
    await world.node.runDaemon(silent)
    await world.tick(2)
    for (let round = 0; round < 10; round += 1) {
      await world.node.submit({
        type: 'admin_event',
        event: { type: 'enter_maintenance', node: thisNode, drainForMs: 60_000 },
      })
      await world.node.publish({
        type: 'maintenance_transition_observed',
        node: thisNode,
        state: { status: 'maintenance', since: 0 },
      })
    }
    await settle()
    expect(heard[0]).toEqual({ type: 'drain_start', gracePeriodMs: 60_000 })
    expect(heard.map(({ type }) => type)).toEqual(
      Array.from({ length: 10 }, () => ['drain_start', 'drain_finish']).flat(),
    )
    expect(world.node.stats.droppedByDaemons).toBe(20 - 8)
  })

  it('[N-435] restarts all daemons one at a time when an operator asks for it', async () => {
    const world = await openWorld()
    const daemons = ['a', 'b', 'c'].map(patient)
    for (const { definition } of daemons) await world.node.runDaemon(definition)
    await world.tick(2)
    let fewest = 3
    await world.node.submit({ type: 'admin_event', event: { type: 'restart_all_daemons', node: thisNode } })
    for (let turn = 0; turn < 20; turn += 1) {
      await world.tick()
      fewest = Math.min(
        fewest,
        daemons.reduce((sum, { seen }) => sum + seen.running, 0),
      )
    }
    expect(daemons.map(({ seen }) => seen.starts)).toEqual([2, 2, 2])
    expect(daemons.map(({ seen }) => seen.most)).toEqual([1, 1, 1])
    expect(fewest).toBeGreaterThanOrEqual(2)
  })

  it('[N-436] drains: stops its daemons, and starts them again when it goes back to work', async () => {
    const world = await openWorld({ maintenance: { recoveryRampMs: 1000 } })
    const { definition, seen } = patient('worker')
    await world.node.runDaemon(definition)
    await world.tick(2)
    await world.node.submit({ type: 'admin_event', event: { type: 'enter_maintenance', node: thisNode } })
    await world.tick(3)
    expect(world.snapshot.localMaintenance.status).toBe('maintenance')
    expect(seen.running).toBe(0)
    await world.tick(5)
    expect(seen.starts).toBe(1)
    await world.node.submit({ type: 'admin_event', event: { type: 'exit_maintenance', node: thisNode } })
    await world.tick(8)
    expect(world.snapshot.localMaintenance.status).toBe('active')
    expect(seen.running).toBe(1)
  })

  it('[N-430] says that what is not defined here cannot be started', async () => {
    const world = await openWorld()
    await world.node.runDaemon({ id: daemonId(9), name: 'unknown' })
    await world.tick(2)
    expect(world.snapshot.recentFailures[0]?.reason).toContain('starting daemon unknown')
  })

  it('[N-437] ends every daemon when the node is shut down, and leaves no timer behind', async () => {
    const world = await openWorld()
    const daemons = ['a', 'b'].map(patient)
    for (const { definition } of daemons) await world.node.runDaemon(definition)
    await world.tick(2)
    const report = await world.node.shutdown()
    expect(report).toMatchObject({ passes: 2, droppedActions: 0, executor: { dispatched: 2 } })
    expect(daemons.map(({ seen }) => seen.running)).toEqual([0, 0])
    expect(world.jobs.size).toBe(0)
    expect(world.clock.pendingTimeouts).toBe(0)
  })
})

describe('push sources (6.6)', () => {
  it('[N-426] row 82: tell in one event what happens in one step, and count what is lost', async () => {
    const world = await openWorld({ eventQueueCapacity: 2 })
    const replicas = new ReplicaSource(world.node.handle(), thisNode)
    replicas.becameHolderAndLeader(chainId(1))
    await settle()
    await world.tick()
    expect(world.snapshot.replicas.get(chainId(1))).toMatchObject({ holders: [thisNode], leader: thisNode })
    replicas.lostLeadershipAndIdled(chainId(1))
    await settle()
    await world.tick()
    expect(world.snapshot.replicas.get(chainId(1))?.leader).toBeUndefined()
    for (let chain = 2; chain < 6; chain += 1) replicas.becameHolder(chainId(chain))
    expect(replicas.dropped).toBe(2)
    await settle()
    const daemons = new DaemonSource(world.node.handle(), world.clock)
    daemons.replaced({ id: daemonId(1), name: 'one' }, { id: daemonId(2), name: 'two' })
    await settle()
    await world.tick()
    expect([...world.snapshot.daemons.values()].map(({ name, lifecycle }) => [name, lifecycle])).toEqual([
      ['one', 'stopped'],
      ['two', 'running'],
    ])
    await world.close()
    replicas.idled(chainId(2))
    expect(replicas.dropped).toBe(3)
  })
})
