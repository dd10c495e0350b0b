import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { defineDaemon } from '../../../src/node/daemon-runners.js'
import { parseNodeId } from '../../../src/node/ids.js'
import { PostgresCluster } from '../../../src/node/postgres/public.js'
import { PostgresDatabase, sql } from '../../../src/postgres/index.js'
import { createRuntime } from '../../../src/runtime.js'
import { buildLibrary } from '../../support/build.js'
import { usePostgres } from '../../support/postgres-server.js'

/** Long enough for a machine that is busy. */
const timing = { heartbeatMs: 100, leaseTtlMs: 3000, graceMs: 1200 }
const schema = `programs_${process.pid}`

let server: Awaited<ReturnType<typeof usePostgres>>
let database: PostgresDatabase
let directory: string
let frozen: ChildProcess | undefined

beforeAll(async () => {
  server = await usePostgres()
  database = await PostgresDatabase.open({ url: server.url })
  directory = await mkdtemp(join(tmpdir(), 'stateward-programs-'))
}, 120_000)
afterAll(async () => {
  frozen?.kill('SIGKILL')
  await database.write(sql(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`))
  await database.close()
  await server[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

/** A node that runs a program which heeds no SIGTERM, and would have a minute for its end. */
async function startNode(script: string): Promise<ChildProcess> {
  const library = await buildLibrary()
  const program = join(directory, 'node.mjs')
  const url = (path: string): string => JSON.stringify(pathToFileURL(join(library, path)).href)
  await writeFile(
    program,
    `import { createRuntime, defineDaemon, SystemDaemon } from ${url('src/index.js')}
import { PostgresCluster, PostgresDatabase } from ${url('src/postgres-stores.js')}
const database = await PostgresDatabase.open({ url: ${JSON.stringify(server.url)} })
const source = await PostgresCluster.open({ database, schema: ${JSON.stringify(schema)} })
const command = { command: 'sh', args: ['-c', ${JSON.stringify(script)}], graceMs: 60000 }
const { node } = await createRuntime({
  processes: { systemDirectory: ${JSON.stringify(join(directory, 'system'))} },
  node: {
    thisNode: '00000000000000a1',
    tickIntervalMs: 25,
    daemons: [defineDaemon('clock', new SystemDaemon(command))],
    cluster: { source, ...${JSON.stringify(timing)} },
  },
})
`,
  )
  return spawn(process.execPath, [program], { stdio: ['ignore', 'inherit', 'inherit'] })
}

it('[N-537] a program of a node that is frozen as a whole has ended before another node starts the daemon, and knew its fence', {
  timeout: 60_000,
}, async () => {
  const path = join(directory, 'trail')
  const trail = async (): Promise<string[]> =>
    (await readFile(path, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')
  const script = `trap '' TERM; while :; do echo "$STATEWARD_FENCE $(date +%s%N)" >>${path}; sleep 0.02; done`
  frozen = await startNode(script)

  let started: { readonly fence: number | undefined; readonly at: number } | undefined
  const other = defineDaemon('clock', async ({ signal, fence }) => {
    started = { fence, at: Date.now() }
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  })
  const source = await PostgresCluster.open({ database, schema })
  await using runtime = await createRuntime({
    node: { thisNode: parseNodeId('00000000000000a2'), tickIntervalMs: 25, cluster: { source, ...timing } },
  })
  await runtime.node.runDaemon(other.daemon)
  await expect.poll(trail, { timeout: 30_000 }).not.toEqual([])
  runtime.node.define(other)
  frozen.kill('SIGSTOP')
  await expect.poll(() => started, { timeout: 30_000 }).toMatchObject({ fence: 2 })
  const lines = (await trail()).map((line) => line.split(' '))
  expect(new Set(lines.map(([fence]) => fence))).toEqual(new Set(['1']))
  expect(Number(lines.at(-1)?.[1]) / 1e6).toBeLessThan(started?.at as number)
  frozen.kill('SIGCONT')
  const pass = runtime.node.reader.read().pass
  await expect.poll(() => runtime.node.reader.read().pass > pass + 20, { timeout: 10_000 }).toBe(true)
  // Awake again it starts nothing.
  expect(await trail()).toHaveLength(lines.length)
})
