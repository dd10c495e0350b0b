import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { StatewardError } from '../../src/base/errors.js'
import { defineProcess, type AwaitOutput } from '../../src/processes/public.js'
import {
  connectRestate,
  registerRestate,
  type RestateConnection,
  type RestateSession,
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
    const handle = await restate.session(randomUUID()).start(work, 400)
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
    const session = restate.session(randomUUID())
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
  const session = restate.session(randomUUID())
  const { id } = await session.start(work, 60_000)
  await noted((all) => all.some((note) => note.id === id))
  await session.cancel(id, 'enough')
  const cancelled = { type: 'cancelled', message: 'enough' }
  expect(await restate.attach.awaitTerminal(id)).toEqual(cancelled)
  expect((await session.since(0)).entries.map(({ output }) => output)).toEqual([cancelled])
  await noted((all) => all.some((note) => note.id === id && note.what === 'stop'))
})

it('the server killed alone starts nothing bound to its owner a second time (R-4)', async () => {
  const session = restate.session(randomUUID())
  const { id } = await session.start(bound, 1500)
  await noted((all) => all.some((note) => note.id === id))
  const waits = restate.attach.awaitTerminal(id)
  await server.restart()
  expect(['success', 'abandoned']).toContain((await waits).type)
  expect((await notes()).filter((note) => note.id === id && note.what === 'start')).toHaveLength(1)
})

const runs = 5
const operations = 120

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

describe('workers and server killed in turn', () => {
  it.each(Array.from({ length: runs }, (_, run) => [run + 1]))(
    'run %i: nothing missing, nothing twice, every wait equal to the feed (R-1, R-4, R-8)',
    async () => {
      const sessions = Array.from({ length: 4 }, () => restate.session(randomUUID()))
      const all = Array.from({ length: operations }, (_, index) => ({
        id: randomUUID() as string,
        session: sessions[index % 4] as RestateSession,
        definition: index % 5 === 4 ? bound : work,
        ms: 50 + ((index * 37) % 200),
      }))
      const outputs = new Map<string, AwaitOutput>()
      const stop = new AbortController()
      const followed = sessions.map(async (session) => {
        const ids: string[] = []
        for await (const { processId } of session.follow({ signal: stop.signal })) {
          ids.push(processId)
          if (ids.length === operations / 4) break
        }
        return ids
      })
      // Each is killed once so many have ended: the first worker, the other one, the server.
      const killed: string[] = []
      const victims = [
        { name: 'worker 1', after: 20, kill: () => workers[0].restart() },
        { name: 'worker 2', after: 50, kill: () => workers[1].restart() },
        { name: 'server', after: 80, kill: () => server.restart() },
      ]
      let killing = Promise.resolve()
      const onEnd = (): void => {
        const victim = victims.find(({ name, after }) => outputs.size >= after && !killed.includes(name))
        if (victim === undefined) return
        killed.push(victim.name)
        killing = killing.then(victim.kill)
      }
      let next = 0
      await Promise.all(
        Array.from({ length: 24 }, async () => {
          for (let one = all[next++]; one !== undefined; one = all[next++]) {
            const { id, session, definition, ms } = one
            const handle = await insisted(() => session.start(definition, ms, { id }))
            outputs.set(id, await insisted(() => handle.output()))
            onEnd()
          }
        }),
      )
      await killing
      expect(killed).toEqual(['worker 1', 'worker 2', 'server'])
      expect(outputs.size).toBe(operations)
      const feeds = await Promise.all(sessions.map((session) => insisted(() => session.since(0, 1000))))
      for (const [index, { entries, watermark }] of feeds.entries()) {
        expect(watermark).toBe(operations / 4)
        expect(entries.map(({ seq }) => seq)).toEqual(Array.from({ length: operations / 4 }, (_, place) => place + 1))
        expect(await followed[index]).toEqual(entries.map(({ processId }) => processId))
        for (const { processId, output } of entries) expect(output).toEqual(outputs.get(processId))
      }
      expect(new Set(feeds.flatMap(({ entries }) => entries.map(({ processId }) => processId)))).toEqual(
        new Set(all.map(({ id }) => id)),
      )
      const starts = (await notes()).filter(({ what }) => what === 'start')
      const boundIds = new Set(all.filter(({ definition }) => definition === bound).map(({ id }) => id))
      const boundStarts = starts.filter(({ id }) => boundIds.has(id)).map(({ id }) => id)
      expect(boundStarts).toHaveLength(new Set(boundStarts).size)
      // What may run again has run to its end.
      for (const { id, definition } of all)
        expect([id, outputs.get(id)?.type]).toEqual([id, definition === work ? 'success' : expect.anything()])
      stop.abort()
    },
  )
})
