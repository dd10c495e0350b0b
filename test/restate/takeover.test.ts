import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StatewardError } from '../../src/base/errors.js'
import type { OperationId } from '../../machines/index.js'
import type { CompletionEntry } from '../../src/operations/index.js'
import { defineProcess } from '../../src/processes/public.js'
import {
  connectRestate,
  defineOperation,
  registerRestate,
  type ProcessEnd,
  type RestateConnection,
} from '../../src/restate/index.js'
import { startBalancer } from '../../examples/restate/balancer.js'
import { Resources } from './support/resources.js'
import { startRestateServer, type RestateServer } from './support/server.js'
import { startWorkerProcess, type WorkerProcess } from './support/workers.js'

const resources = new Resources()
let server: RestateServer
let workers: readonly [WorkerProcess, WorkerProcess]
let restate: RestateConnection
let effects: string

/** What the workers serve under these kinds stands in support/worker.mjs. */
const kindOf = (kind: string, disposition: 'rerunnable' | 'owner_bound') =>
  defineProcess(kind, { disposition }, (_: number) => '')
const work = kindOf('work', 'rerunnable')
const bound = kindOf('bound', 'owner_bound')
const workOperation = defineOperation('work', { disposition: 'rerunnable' }, (_: number) => '')
const boundOperation = defineOperation('bound', { disposition: 'owner_bound' }, (_: number) => '')

beforeAll(async () => {
  const home = await mkdtemp(join(tmpdir(), 'stateward-restate-effects-'))
  resources.use({ [Symbol.asyncDispose]: () => rm(home, { recursive: true, force: true }) })
  effects = join(home, 'effects')
  await writeFile(effects, '')
  server = resources.use(await startRestateServer())
  const [one, other] = await Promise.all([0, 1].map(() => startWorkerProcess(server.ingress, effects)))
  workers = [resources.use(one as WorkerProcess), resources.use(other as WorkerProcess)]
  const balancer = resources.use(await startBalancer(workers.map(({ port }) => port)))
  await registerRestate({ admin: server.admin, uri: balancer.uri })
  restate = connectRestate({ ingress: server.ingress, admin: server.admin })
})
afterAll(resources.close)

/** What the workers have noted: id, what was done, under which token, by whom. */
async function notes(): Promise<{ id: string; what: string; token: number; pid: number }[]> {
  const lines = (await readFile(effects, 'utf8')).trim().split('\n')
  return lines.map((line) => {
    const [id = '', what = '', token, pid] = line.split(' ')
    return { id, what, token: Number(token), pid: Number(pid) }
  })
}

/** Polls the file of effects: what happens in another process has no event here. */
async function noted(test: (all: Awaited<ReturnType<typeof notes>>) => boolean): Promise<void> {
  while (!test(await notes())) await new Promise((resolve) => setTimeout(resolve, 10))
}

const workerOf = async (id: string): Promise<WorkerProcess> => {
  const { pid } = (await notes()).find((note) => note.id === id && note.what === 'start') ?? { pid: 0 }
  return workers.find((worker) => worker.pid === pid) as WorkerProcess
}

describe('a worker that is killed', () => {
  it('is taken over from within two seconds, under a later token (R-4, R-5)', async () => {
    const handle = await restate.processes(randomUUID()).start(work, 400)
    await noted((all) => all.some(({ id }) => id === handle.id))
    const lost = await workerOf(handle.id)
    const killedAt = performance.now()
    await lost.kill()
    await noted((all) => all.filter(({ id, what }) => id === handle.id && what === 'start').length === 2)
    const tookMs = performance.now() - killedAt
    await lost.restart()
    await handle.result()
    expect((await notes()).filter(({ id }) => id === handle.id).map(({ what, token }) => [what, token])).toEqual([
      ['start', 1],
      ['start', 2],
      ['end', 2],
    ])
    expect(tookMs).toBeLessThan(2000)
  })

  it('leaves what was bound to it abandoned, in wait and feed alike (R-4, R-8)', async () => {
    const session = restate.processes(randomUUID())
    const { id } = await session.start(bound, 60_000)
    await noted((all) => all.some((note) => note.id === id))
    await (await workerOf(id)).restart()
    const output = await restate.attach.awaitTerminal(id)
    expect(output).toMatchObject({ type: 'abandoned', evidence: { writer: 'sweep' } })
    expect((await session.since(0)).entries.map((entry) => entry.output)).toEqual([output])
    expect((await notes()).filter((note) => note.id === id && note.what === 'start')).toHaveLength(1)
  })
})

it('a cancel in the middle of a step reaches wait, feed and the step itself (R-8)', async () => {
  const session = restate.processes(randomUUID())
  const { id } = await session.start(work, 60_000)
  await noted((all) => all.some((note) => note.id === id))
  await session.cancel(id, 'enough')
  const cancelled = { type: 'cancelled', message: 'enough' }
  expect(await restate.attach.awaitTerminal(id)).toEqual(cancelled)
  expect((await session.since(0)).entries.map(({ output }) => output)).toEqual([cancelled])
  await noted((all) => all.some((note) => note.id === id && note.what === 'stop'))
})

it('the server killed alone starts nothing bound to its owner a second time (R-4)', async () => {
  const session = restate.processes(randomUUID())
  const { id } = await session.start(bound, 1500)
  await noted((all) => all.some((note) => note.id === id))
  const waits = restate.attach.awaitTerminal(id)
  await server.restart()
  expect(['success', 'abandoned']).toContain((await waits).type)
  expect((await notes()).filter((note) => note.id === id && note.what === 'start')).toHaveLength(1)
})

const pieces = 120

/** Until the engine takes it: while it is killed, it takes nothing. */
async function insisted<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await call()
    } catch (thrown) {
      if (!StatewardError.is(thrown) || !thrown.code.startsWith('restate.')) throw thrown
      if (thrown.code === 'restate.paused') throw thrown
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

/** One end in a feed, and how it is told to who waits. */
interface End {
  readonly seq: number
  readonly id: string
  readonly end: { readonly type: string }
}

/** Where pieces of work are started, waited for and followed. */
interface Owner {
  /** Resolves with the wait for its end. */
  start(id: string, ms: number, isBound: boolean): Promise<() => Promise<End['end']>>
  follow(signal: AbortSignal): AsyncIterable<End>
  since(limit: number): Promise<{ readonly watermark: number; readonly ends: readonly End[] }>
}

function processesOf(name: string): Owner {
  const processes = restate.processes(name)
  const endOf = ({ seq, processId, output }: ProcessEnd): End => ({ seq, id: processId, end: output })
  return {
    async start(id, ms, isBound) {
      const handle = await insisted(() => processes.start(isBound ? bound : work, ms, { id }))
      return () => insisted(() => handle.output())
    },
    async *follow(signal) {
      for await (const entry of processes.follow({ signal })) yield endOf(entry)
    },
    async since(limit) {
      const { watermark, entries } = await insisted(() => processes.since(0, limit))
      return { watermark, ends: entries.map(endOf) }
    },
  }
}

/** Its calls sit out an outage by themselves, and are made once. */
function operationsOf(name: string): Owner {
  const session = restate.session(name)
  const endOf = ({ seq, operationId, outcome }: CompletionEntry): End => ({ seq, id: operationId, end: outcome })
  return {
    async start(id, ms, isBound) {
      const definition = isBound ? boundOperation : workOperation
      const handle = await session.run(definition, ms, { id: id as OperationId })
      return () => handle.outcome
    },
    async *follow(signal) {
      for await (const entry of session.feed.entries({ signal })) yield endOf(entry)
    },
    async since(limit) {
      const { watermark, entries } = await session.feed.since(0, limit)
      return { watermark, ends: entries.map(endOf) }
    },
  }
}

/** Pieces of work of each kind in one run. */
const kinds = [
  { ownerOf: operationsOf, succeeded: 'completed' },
  { ownerOf: processesOf, succeeded: 'success' },
]

describe('workers and server killed in turn, under 120 operations in 4 sessions and as many processes', () => {
  it.each([1, 2, 3, 4, 5])(
    'run %i: nothing missing, nothing twice, every wait equal to the feed (R-1, R-4, R-8)',
    async () => {
      const owners = Array.from({ length: 4 }, () =>
        kinds.map(({ ownerOf, succeeded }) => ({ ...ownerOf(randomUUID()), succeeded })),
      ).flat()
      const each = pieces / 4
      const all = Array.from({ length: each * owners.length }, (_, index) => ({
        id: randomUUID() as string,
        owner: owners[index % owners.length] as (typeof owners)[number],
        isBound: index % 5 === 4,
        ms: 50 + ((index * 37) % 200),
      }))
      const waited = new Map<string, End['end']>()
      const stop = new AbortController()
      const followed = owners.map(async (owner) => {
        const ids: string[] = []
        for await (const { id } of owner.follow(stop.signal)) {
          ids.push(id)
          if (ids.length === each) break
        }
        return ids
      })
      // Each is killed once so many have ended: the first worker, the other one, the server.
      const killed: string[] = []
      const victims = [
        { name: 'worker 1', after: 40, kill: () => workers[0].restart() },
        { name: 'worker 2', after: 100, kill: () => workers[1].restart() },
        { name: 'server', after: 160, kill: () => server.restart() },
      ]
      let killing = Promise.resolve()
      const onEnd = (): void => {
        const victim = victims.find(({ name, after }) => waited.size >= after && !killed.includes(name))
        if (victim === undefined) return
        killed.push(victim.name)
        killing = killing.then(victim.kill)
      }
      let next = 0
      await Promise.all(
        Array.from({ length: 48 }, async () => {
          for (let one = all[next++]; one !== undefined; one = all[next++]) {
            const wait = await one.owner.start(one.id, one.ms, one.isBound)
            waited.set(one.id, await wait())
            onEnd()
          }
        }),
      )
      await killing
      expect(killed).toEqual(['worker 1', 'worker 2', 'server'])
      expect(waited.size).toBe(all.length)
      const feeds = await Promise.all(owners.map((owner) => owner.since(1000)))
      for (const [index, { ends, watermark }] of feeds.entries()) {
        expect(watermark).toBe(each)
        expect(ends.map(({ seq }) => seq)).toEqual(Array.from({ length: each }, (_, place) => place + 1))
        expect(await followed[index]).toEqual(ends.map(({ id }) => id))
        for (const { id, end } of ends) expect(end).toEqual(waited.get(id))
      }
      expect(new Set(feeds.flatMap(({ ends }) => ends.map(({ id }) => id)))).toEqual(new Set(all.map(({ id }) => id)))
      const starts = (await notes()).filter(({ what }) => what === 'start')
      const boundIds = new Set(all.filter(({ isBound }) => isBound).map(({ id }) => id))
      const boundStarts = starts.filter(({ id }) => boundIds.has(id)).map(({ id }) => id)
      expect(boundStarts).toHaveLength(new Set(boundStarts).size)
      // What may run again has run to its end.
      for (const { id, isBound, owner } of all)
        expect([id, waited.get(id)?.type]).toEqual([id, isBound ? expect.anything() : owner.succeeded])
      stop.abort()
    },
  )
})
