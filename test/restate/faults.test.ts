import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as v from 'valibot'
import { createDeferred } from '../../src/base/promises.js'
import { defineProcess } from '../../src/processes/public.js'
import { connectRestate, registerRestate, serveRestate, type RestateConnection } from '../../src/restate/index.js'
import { Resources } from './support/resources.js'
import { startRestateServer, type RestateServer } from './support/server.js'
import { changeState, stateOf } from './support/state.js'

const resources = new Resources()
let server: RestateServer
let restate: RestateConnection
/** Bytes that the engine has sent to the worker. */
let sent = 0

const go = { go: v.unknown() }
const begun = createDeferred<void>()
const connections = new Set<Socket>()
let executions = 0
/** Decides around a step, on what differs from one execution to the next. */
const wavering = defineProcess('wavering', { disposition: 'rerunnable', signals: go }, async (_: unknown, context) => {
  executions += 1
  if (executions === 1) await context.step('first', () => 1)
  else await context.step('another', () => 2)
  begun.resolve()
  await context.waitFor('go')
})
/** Decides on the same within a step. */
let attempts = 0
const steady = defineProcess('steady', { disposition: 'rerunnable' }, async (_: unknown, { step }) => {
  const way = await step('decide', () => ++attempts)
  return way === 1 ? step('first', () => 'first') : step('another', () => 'another')
})
const elsewhere = defineProcess('elsewhere', { disposition: 'rerunnable' }, () => 1)
const held = defineProcess('held', { disposition: 'rerunnable', signals: go }, (_: unknown, { waitFor }) =>
  waitFor('go'),
)
const talking = defineProcess(
  'talking',
  { disposition: 'rerunnable', events: { said: v.string() } },
  async (_: unknown, { emit }) => [await emit('said', 'a'), await emit('said', 'b')].map(({ sequence }) => sequence),
)
const definitions = [wavering, steady, held, talking]

beforeAll(async () => {
  server = resources.use(await startRestateServer())
  const { ingress, admin } = server
  const worker = resources.use(await serveRestate({ definitions, ingress, maxAttempts: 4 }))
  const counting = createServer((engine) => {
    connections.add(engine)
    const to = connect(worker.port, '127.0.0.1')
    engine.on('data', (bytes) => (sent += bytes.length))
    engine.pipe(to).pipe(engine)
    for (const [one, other] of [
      [engine, to],
      [to, engine],
    ] as const)
      one.on('error', () => other.destroy()).on('close', () => other.destroy())
  }).listen(0, '127.0.0.1')
  await once(counting, 'listening')
  resources.use({
    async [Symbol.asyncDispose]() {
      counting.close()
    },
  })
  await registerRestate({ admin, uri: `http://127.0.0.1:${(counting.address() as AddressInfo).port}` })
  restate = connectRestate({ ingress, admin, faultCheckMs: 50 })
})
afterAll(resources.close)

it('what is decided within a step is decided once, whatever is tried again (R-3)', async () => {
  const handle = await restate.processes(randomUUID()).start(steady, undefined)
  expect(await handle.result()).toBe('first')
})

it('code that no longer fits its journal is paused, and who waits for it is told (R-3, R-5)', async () => {
  const session = restate.processes(randomUUID())
  const { id } = await session.start(wavering, undefined)
  await begun.promise
  // The engine loses its worker for a moment, and starts the code again.
  for (const connection of connections) connection.destroy()
  await expect(restate.attach.awaitTerminal(id)).rejects.toMatchObject({
    code: 'restate.paused',
    data: { processId: id },
  })
})

it('retries that are used up are a fault, told to who waits and to who asks (R-5)', async () => {
  const { id, result } = await restate.processes(randomUUID()).start(elsewhere, undefined)
  await expect(result()).rejects.toMatchObject({
    code: 'restate.paused',
    data: { processId: id, failure: expect.stringContaining('no process elsewhere of this version') },
  })
  expect(await restate.faults()).toContainEqual(expect.objectContaining({ processId: id }))
})

it('a cancel reaches who waits for what no worker has, paused or not (R-8)', async () => {
  const processes = restate.processes(randomUUID())
  const paused = await processes.start(elsewhere, undefined)
  await expect(paused.result()).rejects.toMatchObject({ code: 'restate.paused' })
  const tried = await processes.start(elsewhere, undefined)
  for (const { id, output } of [paused, tried]) {
    await processes.cancel(id, 'not needed')
    await expect.poll(() => output().catch(({ code }) => code)).toEqual({ type: 'cancelled', message: 'not needed' })
  }
})

it('a call ships what it asks for, not what the session holds (R-7)', async () => {
  const session = restate.processes(randomUUID())
  const { id } = await session.start(held, undefined)
  const shippedBy = async (calls: number): Promise<number> => {
    const before = sent
    for (let call = 0; call < calls; call += 1) await session.progress(id, 0)
    return (sent - before) / calls
  }
  const few = await shippedBy(20)
  // As 600 signals of a name of their own each leave it.
  const row = JSON.stringify({ value: 'x'.repeat(40) })
  const signals = Array.from({ length: 600 }, (_, index) => `signal/${id}/n${index}`)
  const rows = Object.fromEntries(signals.flatMap((name) => [name, `${name}/1`].map((key) => [key, row])))
  const place = { service: 'stateward_processes', key: session.id }
  await changeState(server.admin, place, (state) => ({ ...state, ...rows }))
  await expect.poll(async () => Object.keys(await stateOf(server.admin, place)).length).toBeGreaterThan(1200)
  const many = await shippedBy(20)
  expect(few).toBeGreaterThan(100)
  expect(many).toBeLessThan(1.3 * few)
  await session.cancel(id)
})

it('an event is written once, in order', async () => {
  const handle = await restate.processes(randomUUID()).start(talking, undefined)
  expect(await handle.result()).toEqual([1, 2])
})
