/** What those who use a node may hand to it: it refuses, or goes on; it never ends because of them. */
import { describe, expect, it } from 'vitest'
import { createRuntime } from '../../src/index.js'
import type { DaemonRunner, DaemonScope, RunningDaemon } from '../../src/node/daemon-definition.js'
import { defineDaemon } from '../../src/node/daemon-runners.js'
import type { Probe } from '../../src/node/probes.js'
import { openWorld, settle, thisNode } from './support/node-world.js'

const rubbish = [undefined, null, 42, 'often', [], {}, Number.NaN, Symbol('odd'), { status: 'fine', more: 1 }] as const

/** Runs until it is told to end. */
const untilAborted = ({ signal }: DaemonScope): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))

describe('what a daemon says of itself', () => {
  it('[N-541] is refused as its own fault when it is none of what its type says; the loop goes on', async () => {
    const world = await openWorld()
    const refused: unknown[] = []
    const talker = defineDaemon('talker', async (scope) => {
      for (const odd of rubbish) {
        const says = [
          () => scope.reportHealth(odd as never),
          () => scope.reportSaturation(typeof odd === 'number' ? Number.NaN : (odd as never)),
          () => scope.log(odd as never, 'a line'),
          ...(typeof odd === 'string' ? [] : [() => scope.log('info', odd as never)]),
        ]
        for (const say of says) {
          try {
            say()
            refused.push('taken')
          } catch (refusal) {
            refused.push((refusal as { code?: unknown }).code)
          }
        }
      }
      await untilAborted(scope)
    })
    await world.node.runDaemon(talker)
    await world.tick(3)
    expect(new Set(refused)).toEqual(new Set(['invalid_input']))
    expect(refused).toHaveLength(35)
    expect(world.node.isRunning).toBe(true)
    expect(world.snapshot.daemons.get(talker.daemon.id)).toMatchObject({ lifecycle: 'running', saturation: 0 })
  })

  it('[N-541] of a thread is a warning in the log of its node', { timeout: 20_000 }, async () => {
    const world = await openWorld()
    const code = `import { parentPort } from 'node:worker_threads'
      const odd = [undefined, null, 42, 'often', {}, { type: 'health' }, { type: 'health', health: { status: 'fine' } },
        { type: 'saturation', saturation: 'very' }, { type: 'log', level: 'loud', message: 'x' }, { type: 'log', level: 'info' }]
      for (const message of odd) parentPort.postMessage(message)
      parentPort.postMessage({ type: 'log', level: 'info', message: 'last' })
      parentPort.on('message', ({ type }) => type === 'shutdown' && process.exit(0))`
    const worker = defineDaemon('worker', new URL(`data:text/javascript,${encodeURIComponent(code)}`))
    await world.node.runDaemon(worker)
    await world.tick(2)
    const { log } = world.node.chains
    while (log.rows().at(-1)?.record.message !== 'last') await new Promise(setImmediate)
    expect(log.rows().map(({ record: { level, message } }) => `${level} ${message.split(':')[0]}`)).toEqual([
      ...Array.from({ length: 5 }, () => 'warn a message of the thread was refused'),
      'info last',
    ])
    expect(world.node.isRunning).toBe(true)
  })
})

describe('what is handed to a node', () => {
  it('[N-542] a listener that throws harms nobody, and is told to the log', async () => {
    const world = await openWorld()
    const seen: number[] = []
    world.node.onSnapshot(() => {
      throw new Error('cannot listen')
    })
    world.node.onSnapshot(({ pass }) => void seen.push(pass))
    await world.tick(2)
    expect(world.node.isRunning).toBe(true)
    expect(seen).toEqual([1, 2])
    expect(world.lines.filter(({ level }) => level === 'error' || level === 'warn')).not.toEqual([])
  })

  it.each(rubbish)('[N-543] %o is no probe, no kind of probe, no handler, no participant, no listener', async (odd) => {
    const world = await openWorld()
    const { node } = world
    const probe: Probe<number> = { sample: () => [] }
    const refused = { code: 'invalid_input' }
    expect(() => node.probes.add('locality', odd as never)).toThrow(expect.objectContaining(refused))
    expect(() => node.probes.add(odd as unknown as 'locality', probe)).toThrow(expect.objectContaining(refused))
    expect(() => node.probes.clear(odd as never)).toThrow(expect.objectContaining(refused))
    expect(() => node.recovery.add(odd as never)).toThrow(expect.objectContaining(refused))
    expect(() => node.addParticipant(odd as never)).toThrow(expect.objectContaining(refused))
    expect(() => node.onSnapshot(odd as never)).toThrow(expect.objectContaining(refused))
    await world.tick(2)
    expect(world.snapshot.pass).toBe(2)
  })

  it.each(rubbish)('[N-544] %o is no daemon', async (odd) => {
    const world = await openWorld()
    const { node } = world
    const refused = { code: 'invalid_input' }
    expect(() => node.define(odd as never)).toThrow(expect.objectContaining(refused))
    await expect(node.runDaemon(odd as never)).rejects.toMatchObject(refused)
    await expect(node.stopDaemon(odd as never)).rejects.toMatchObject(refused)
    await expect(openWorld({ daemons: [odd as never] })).rejects.toMatchObject({
      ...refused,
      data: { field: expect.stringMatching(/^daemons/) },
    })
    await expect(node.submit({ type: 'admin_event', event: odd as never })).rejects.toMatchObject(refused)
    await expect(
      node.submit(
        { type: 'admin_event', event: { type: 'thaw_cluster' } },
        { timeoutMs: odd === undefined || odd === 42 ? -1 : (odd as never) },
      ),
    ).rejects.toMatchObject(refused)
  })

  it.each(rubbish)('[N-548] %o is no bound of a chain, which is refused before anything is opened', async (odd) => {
    if (odd === undefined) return
    for (const chain of ['action', 'failure', 'audit', 'log']) {
      const options = { thisNode, retention: { [chain]: odd } as never }
      await expect(createRuntime({ node: options })).rejects.toMatchObject({
        code: 'invalid_input',
        data: { field: expect.stringMatching(`^retention.${chain}`) },
      })
    }
  })

  it('[N-544] two daemons of one id are refused, for one of them would never run', async () => {
    const one = defineDaemon('indexer', untilAborted)
    await expect(openWorld({ daemons: [one, defineDaemon('indexer', untilAborted)] })).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field: 'daemons' },
    })
  })
})

/** A runner of what outlives its node. */
class Outliving implements DaemonRunner {
  readonly kind = 'outliving'
  readonly copies: RunningDaemon[] = []
  started = 0
  ended = 0

  start({ signal }: DaemonScope): RunningDaemon {
    this.started += 1
    return this.#copy(signal)
  }

  adopt({ signal }: DaemonScope): Promise<RunningDaemon | undefined> {
    return Promise.resolve(this.copies.length === 0 ? undefined : this.#copy(signal))
  }

  #copy(signal: AbortSignal): RunningDaemon {
    const copy = {
      ended: new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true })).then(() => {
        this.ended += 1
      }),
    }
    this.copies.push(copy)
    return copy
  }
}

describe('copies that outlive their node', () => {
  it('[N-545] one whose definition comes after the start is adopted when it is to run, and there is no second', async () => {
    const runner = new Outliving()
    runner.copies.push({ ended: new Promise(() => {}) })
    const proxy = defineDaemon('proxy', runner)
    const world = await openWorld()
    await world.node.runDaemon(proxy)
    await world.tick(2)
    expect(world.snapshot.daemons.get(proxy.daemon.id)).toMatchObject({ lifecycle: 'running' })
    expect(runner.started).toBe(0)
    // Its next copy is a new one.
    runner.copies.length = 0
    await world.node.stopDaemon(proxy)
    await world.tick(2)
    await world.node.runDaemon(proxy)
    await world.tick(2)
    expect(runner.started).toBe(1)
  })

  it('[N-545] one that cannot be looked for keeps no node from starting, and is not started before it can be', async () => {
    let isLost = true
    let started = 0
    const proxy = defineDaemon('proxy', {
      kind: 'odd',
      start: (scope) => {
        started += 1
        return { ended: untilAborted(scope) }
      },
      adopt: () => {
        if (isLost) throw new Error('cannot look')
        return undefined as never
      },
    })
    const world = await openWorld({ daemons: [proxy] })
    await world.node.runDaemon(proxy)
    await world.tick(3)
    expect(started).toBe(0)
    isLost = false
    await world.tick(3)
    expect(started).toBe(1)
    expect(world.snapshot.daemons.get(proxy.daemon.id)).toMatchObject({ lifecycle: 'running' })
  })

  it('[N-545] one that is to stop is found by its definition, and ended', async () => {
    const runner = new Outliving()
    const world = await openWorld()
    runner.copies.push({ ended: new Promise(() => {}) })
    await world.node.stopDaemon(defineDaemon('proxy', runner))
    await world.tick(3)
    expect(runner.ended).toBe(1)
    expect(world.jobs.size).toBe(0)
  })
})

it('[N-547] a daemon that is defined after its start was asked for is started by the next pass', async () => {
  const world = await openWorld()
  const indexer = defineDaemon('indexer', untilAborted)
  await world.node.runDaemon(indexer.daemon)
  await world.tick(2)
  expect(world.jobs.size).toBe(0)
  world.node.define(indexer)
  await settle()
  await world.tick(2)
  expect(world.snapshot.daemons.get(indexer.daemon.id)).toMatchObject({ lifecycle: 'running' })
})

it('[N-546] a loop that has failed ends its readers, and its daemons are waited for when the node is closed', async () => {
  const world = await openWorld()
  const order: string[] = []
  const worker = defineDaemon('worker', async (scope) => {
    await untilAborted(scope)
    await settle(2)
    order.push('daemon ended')
  })
  await world.node.runDaemon(worker)
  await world.tick(2)
  const following = (async () => {
    for await (const event of world.node.reader.ring('logRing')) void event
    order.push('reader ended')
  })()
  // Nothing that somebody can hand to it makes it fail; a part of its own that is out of order does.
  Object.defineProperty(world.node.probes, 'poll', {
    value: () => {
      throw new Error('out of order')
    },
  })
  await world.tick()
  expect(world.node.isRunning).toBe(false)
  await expect(world.node.shutdown()).rejects.toMatchObject({ code: 'node.loop_failed' })
  await following
  expect(order).toEqual(['daemon ended', 'reader ended'])
  expect(world.jobs.size).toBe(0)
  expect(thisNode).toBe(world.node.id)
})
