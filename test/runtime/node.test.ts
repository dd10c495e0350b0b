import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { createRuntime, defineProcess } from '../../src/index.js'
import type { NodeId } from '../../src/node/ids.js'
import { SimulatedClock } from '../../src/testing/index.js'

const directories: string[] = []
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

const thisNode = '00000000000000a1' as NodeId

async function settle(turns = 12): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate)
}

it('[N-460] takes tasks, operations and processes out of service with the node, and back', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'stateward-node-'))
  directories.push(directory)
  const clock = new SimulatedClock()
  const open = () =>
    createRuntime({
      dataDir: join(directory, 'data'),
      clock,
      node: { thisNode, maintenance: { recoveryRampMs: 1000 } },
    })
  let runtime = await open()
  const tick = async (count = 1): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      clock.advance(500)
      await runtime.flush()
      await settle()
      await runtime.flush()
      await settle()
    }
  }
  const status = () => runtime.node.reader.read().localMaintenance.status
  const session = runtime.session('work')
  let finish = (): void => {}
  const work = session.run('long', () => new Promise<void>((resolve) => (finish = resolve)))
  await settle()
  await runtime.node.submit({ type: 'admin_event', event: { type: 'enter_maintenance', node: thisNode } })
  await tick(2)
  // It waits for what runs, and takes nothing new meanwhile.
  expect(status()).toBe('entering_maintenance')
  expect(runtime.node.reader.read().participants).toEqual({ operations: false, tasks: true, processes: true })
  expect(runtime.tasks.projection.engine.paused).toBe(true)
  await expect(session.run('more', () => 1).result()).rejects.toMatchObject({ code: 'node_draining' })
  finish()
  await work.result()
  await tick(3)
  expect(status()).toBe('maintenance')

  // Another process goes on where this one stood.
  await runtime.close()
  runtime = await open()
  await tick()
  expect(status()).toBe('maintenance')
  expect(runtime.tasks.projection.engine.paused).toBe(true)
  await runtime.node.submit({ type: 'admin_event', event: { type: 'exit_maintenance', node: thisNode } })
  await tick(3)
  expect(runtime.tasks.projection.engine.paused).toBe(false)
  await expect(
    runtime
      .session('work')
      .run('more', () => 1)
      .result(),
  ).resolves.toBe(1)
  await tick(4)
  expect(status()).toBe('active')
  await runtime.close()
  expect(clock.pendingTimeouts).toBe(0)
})

it('[N-460] leaves tasks paused that somebody else has paused', async () => {
  const clock = new SimulatedClock()
  const runtime = await createRuntime({ clock, node: { thisNode, maintenance: { recoveryRampMs: 1000 } } })
  const tick = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      clock.advance(500)
      await settle()
    }
  }
  await runtime.tasks.pauseEngine()
  await runtime.node.submit({ type: 'admin_event', event: { type: 'enter_maintenance', node: thisNode } })
  await tick(3)
  expect(runtime.node.reader.read().localMaintenance.status).toBe('maintenance')
  await runtime.node.submit({ type: 'admin_event', event: { type: 'exit_maintenance', node: thisNode } })
  await tick(6)
  expect(runtime.node.reader.read().localMaintenance.status).toBe('active')
  expect(runtime.tasks.projection.engine.paused).toBe(true)
  await runtime.close()
})

it('[N-460] hands processes over while it drains, and runs them again when it is back', async () => {
  const clock = new SimulatedClock()
  let starts = 0
  let finish = (): void => {}
  const book = defineProcess('book', { disposition: 'rerunnable' }, async (_, { signal }) => {
    starts += 1
    await new Promise<void>((resolve, reject) => {
      finish = resolve
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
  })
  const runtime = await createRuntime({
    clock,
    node: { thisNode, maintenance: { recoveryRampMs: 1000 } },
    processes: { define: [book] },
  })
  const tick = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      clock.advance(500)
      await settle(30)
    }
  }
  const handle = await runtime.processes.start(book, undefined)
  await settle()
  expect(starts).toBe(1)
  await runtime.node.submit({ type: 'admin_event', event: { type: 'enter_maintenance', node: thisNode } })
  await tick(4)
  expect(runtime.node.reader.read().localMaintenance.status).toBe('maintenance')
  expect(runtime.jobs.size).toBe(0)
  // It has not ended, and nobody works on it here.
  expect((await handle.status()).status).toBe('running')
  await tick(4)
  expect(starts).toBe(1)
  await runtime.node.submit({ type: 'admin_event', event: { type: 'exit_maintenance', node: thisNode } })
  await tick(4)
  expect(starts).toBe(2)
  finish()
  await handle.result()
  await runtime.close()
})
