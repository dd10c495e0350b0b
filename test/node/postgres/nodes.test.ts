import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import {
  AdminVerifier,
  createSeed,
  KeyPair,
  OperatorRegistry,
  proposeIceCommit,
  signAdminCommit,
  signIceCommit,
} from '../../../src/node/admin/index.js'
import { defineDaemon } from '../../../src/node/daemon-runners.js'
import { parseNodeId } from '../../../src/node/ids.js'
import type { NodeSnapshot } from '../../../src/node/snapshot.js'
import { PostgresCluster } from '../../../src/node/postgres/public.js'
import { PostgresDatabase, sql } from '../../../src/postgres/index.js'
import { createRuntime, type Runtime } from '../../../src/runtime.js'
import { isOtherServer, startPostgres, usePostgres, type PostgresServer } from '../../support/postgres-server.js'
import { CutOff } from './support/cut-off.js'
import { clusterTiming } from './support/timing.js'

const key = KeyPair.fromSeed(createSeed())
const verifier = new AdminVerifier({ operators: new OperatorRegistry([{ publicKey: key.publicKey }]) })
const names = [parseNodeId('00000000000000a1'), parseNodeId('00000000000000a2')] as const

let server: Awaited<ReturnType<typeof usePostgres>>
/** Past whatever lies between a node and the server. */
let direct: PostgresDatabase
let schema: string
let schemas = 0
/** What copies of the daemon have done, in this order. */
let trail: { readonly what: 'start' | 'end'; readonly node: number; readonly fence: number; readonly at: number }[]
let moved: (() => void) | undefined

beforeAll(async () => {
  server = isOtherServer ? await usePostgres() : await startPostgres()
  direct = await PostgresDatabase.open({ url: server.url })
}, 60_000)
afterAll(async () => {
  await direct.close()
  await server[Symbol.asyncDispose]()
})
beforeEach(() => {
  schemas += 1
  schema = `nodes_${process.pid}_${schemas}`
  trail = []
  onTestFinished(async () => {
    await direct.write(sql(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`))
  })
})

function note(what: 'start' | 'end', node: number, fence: number | undefined): void {
  trail.push({ what, node, fence: fence ?? 0, at: performance.now() })
  moved?.()
}

/** Waits until the daemon has done so much. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise<void>((resolve) => (moved = resolve))
}

/** Looked at with every tick, for as long as there are any. */
function shows(runtime: Runtime, isSo: (snapshot: NodeSnapshot) => boolean): Promise<void> {
  return ticks(runtime, () => isSo(runtime.node.reader.read()))
}

async function ticks({ node }: Runtime, isSo: () => boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    const following = node.onSnapshot(() => {
      if (!isSo()) return
      following[Symbol.dispose]()
      resolve()
    })
  })
}

const worker = (node: number) =>
  defineDaemon('worker', async ({ signal, fence }) => {
    note('start', node, fence)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    note('end', node, fence)
  })
const { daemon } = worker(0)

async function open(index: 0 | 1, url = server.url, notify = false, timing = {}): Promise<Runtime> {
  const database = await PostgresDatabase.open({ url, retryMs: 100, connectTimeoutMs: 300, statementTimeoutMs: 300 })
  const source = await PostgresCluster.open({ database, schema, notify })
  const runtime = await createRuntime({
    node: {
      thisNode: names[index],
      tickIntervalMs: 25,
      daemons: [worker(index)],
      verifier,
      cluster: { source, ...clusterTiming, ...timing },
    },
  })
  onTestFinished(async () => {
    await runtime.close()
    await database.close()
  })
  return runtime
}

const trailOf = (): string[] => trail.map(({ what, node, fence }) => `${what} ${node} ${fence}`)

describe('two nodes on one PostgreSQL', () => {
  it('[N-527] one that is cut off ends its daemon by itself; not before that does the other start it', {
    timeout: 30_000,
  }, async () => {
    await using way = await CutOff.open(server.url)
    const one = await open(0, way.url)
    await one.node.runDaemon(daemon)
    await until(() => trail.length === 1)
    const two = await open(1)
    await shows(two, ({ peers }) => peers.get(names[0])?.health === 'healthy')
    await shows(one, ({ peers }) => peers.get(names[1])?.health === 'healthy')
    way.cut()
    await until(() => trail.length >= 3)
    expect(trailOf()).toEqual(['start 0 1', 'end 0 1', 'start 1 2'])
    const [, ended, started] = trail
    expect(ended?.at).toBeLessThan(started?.at as number)
    await shows(two, ({ peers }) => peers.get(names[0])?.health === 'unreachable')
    await shows(one, ({ peers }) => peers.get(names[1])?.health === 'unreachable')
    way.restore()
    await shows(one, ({ peers }) => peers.get(names[1])?.health === 'healthy')
    expect(trail).toHaveLength(3)
  })

  it('[N-528] connections that the server ends and a server that is started again cost no daemon its lease', {
    timeout: 30_000,
  }, async () => {
    const one = await open(0)
    const two = await open(1)
    await one.node.runDaemon(daemon, names[0])
    await until(() => trail.length === 1)
    await shows(two, ({ peers }) => peers.get(names[0])?.health === 'healthy')
    const terminate = sql(
      'SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
    )
    await direct.read(terminate)
    const beats = (): number => one.node.cluster.view?.nowMs ?? 0
    const before = beats()
    await ticks(one, () => beats() >= before + 200)
    expect(trailOf()).toEqual(['start 0 1'])
    if (isOtherServer) return
    await (server as PostgresServer).stop()
    await (server as PostgresServer).start()
    // Whether it was down for longer than a lease or not: one copy, and both are there again.
    const up = beats()
    await ticks(one, () => beats() > up)
    await shows(one, ({ peers }) => peers.get(names[1])?.health === 'healthy')
    await shows(two, ({ peers }) => peers.get(names[0])?.health === 'healthy')
    await until(() => trail.at(-1)?.what === 'start')
    trail.forEach(({ what }, index) => expect(what).toBe(index % 2 === 0 ? 'start' : 'end'))
  })

  it('[N-529] one signed command freezes both, and each has it in its audit once', { timeout: 30_000 }, async () => {
    const one = await open(0)
    const two = await open(1)
    // Each knows of the other: whoever does not would sign for less than the other sees.
    await shows(one, ({ peers }) => peers.get(names[1])?.health === 'healthy')
    await shows(two, ({ peers }) => peers.get(names[0])?.health === 'healthy')
    const proposed = proposeIceCommit(two.node.reader.read(), { type: 'freeze_cluster', ttlMs: 60_000 }, Date.now())
    const commit = signIceCommit(key, proposed)
    const { outcome } = await two.node.submit({ type: 'signed_ice_commit', commit })
    expect(outcome).toEqual({ status: 'accepted' })
    for (const runtime of [one, two]) {
      await shows(runtime, ({ freezeRemainingMs }) => freezeRemainingMs !== undefined)
      const { node } = runtime
      expect(node.reader.read().adminAudit.map(({ event, outcome: { status } }) => [event.type, status])).toEqual([
        ['freeze_cluster', 'accepted'],
      ])
    }
    // Nothing is started while it lasts.
    await one.node.runDaemon(daemon)
    await shows(two, ({ daemons }) => daemons.get(daemon.id)?.intent === 'run')
    expect(trail).toEqual([])
  })

  it('[N-539] where they tell each other, nobody waits for the next heartbeat, also of one whose connections were cut', {
    timeout: 30_000,
  }, async () => {
    const slow = { heartbeatMs: 60_000, leaseTtlMs: 180_000, graceMs: 10_000 }
    const one = await open(0, server.url, true, slow)
    const two = await open(1, server.url, true, slow)
    await one.node.runDaemon(daemon, names[1])
    await until(() => trail.length === 1)
    expect(trailOf()).toEqual(['start 1 1'])
    await direct.read(
      sql(
        'SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
      ),
    )
    await one.node.stopDaemon(daemon)
    await until(() => trail.length === 2)
    const commit = signAdminCommit(key, { type: 'cordon', node: names[0] }, Date.now())
    await two.node.submit({ type: 'signed_admin_commit', commit })
    await shows(one, ({ isCordoned }) => isCordoned)
  })

  it('[N-535] what is stored as a commit and is none is told, and passed over', { timeout: 30_000 }, async () => {
    const one = await open(0)
    await direct.write(
      sql(`INSERT INTO "${schema}".cluster_commits VALUES
      (1, 'ff', '{"type":"freeze"}', 'x', 0), (2, 'fe', '<b>', 'x', 0), (3, 'fd', '{}', 'x', -1)`),
    )
    const proposed = proposeIceCommit(one.node.reader.read(), { type: 'freeze_cluster', ttlMs: 60_000 }, Date.now())
    const { outcome } = await one.node.submit({ type: 'signed_ice_commit', commit: signIceCommit(key, proposed) })
    expect(outcome).toEqual({ status: 'accepted' })
  })
})
