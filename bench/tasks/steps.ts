import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { DBOS } from '@dbos-inc/dbos-sdk'
import { createRuntime } from '../../src/runtime.js'
import { usePostgres } from '../../test/support/postgres-server.js'
import { elapsed, interleave, type BenchOptions } from '../harness.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { openSqliteLoop } from './sqlite-loop.js'

const stepsPerTask = 5
const names = ['durable', 'sqliteLoop', 'dbos'] as const
type Name = (typeof names)[number]

const step = (): Promise<string> => Promise.resolve('done')

const dbosTask = DBOS.registerWorkflow(
  async () => {
    for (let number = 0; number < stepsPerTask; number += 1) await DBOS.runStep(step, { name: `step ${number}` })
  },
  { name: 'five steps' },
)

const silent = {
  info: () => {},
  debug: () => {},
  warn: () => {},
  error: (failure: unknown) => void process.stderr.write(`${String(failure)}\n`),
}

/** So many tasks, some at a time; microseconds for each. */
async function costOf(count: number, width: number, runOne: () => Promise<unknown>): Promise<number> {
  let begun = 0
  const loop = async (): Promise<void> => {
    while (begun < count) {
      begun += 1
      await runOne()
    }
  }
  return ((await elapsed(() => Promise.all(Array.from({ length: width }, loop)))) * 1000) / count
}

async function costOfRuntime(dataDir: string, count: number, width: number): Promise<number> {
  await using runtime = await createRuntime({ dataDir, tasks: { concurrency: width } })
  const { tasks } = runtime
  tasks.handle('five steps', async (context) => {
    for (let number = 0; number < stepsPerTask; number += 1) await context.step(`step ${number}`, step)
  })
  return await costOf(count, width, async () => (await tasks.submit('five steps')).result())
}

async function costOfSqlite(directory: string, count: number, width: number): Promise<number> {
  const sqlite = openSqliteLoop(directory, () => undefined)
  try {
    return await costOf(count, width, () => sqlite.runSteps(stepsPerTask))
  } finally {
    sqlite.close()
  }
}

/**
 * A task with five steps, each of which is durable before the next begins: beside DBOS on the PostgreSQL of the tests, which
 * syncs nothing, on this machine; and beside a loop over SQLite that writes five rows. From submission to durable end.
 */
export async function measureSteps(directory: string, { quick, progress }: BenchOptions): Promise<Part> {
  const width = 32
  const counts: Record<Name, number> = quick
    ? { durable: 640, sqliteLoop: 640, dbos: 128 }
    : { durable: 6_400, sqliteLoop: 6_400, dbos: 1_280 }
  progress(`tasks with ${stepsPerTask} steps, ${width} at a time`)
  await using server = await usePostgres()
  const database = new URL(server.url)
  database.pathname = '/dbos_bench'
  DBOS.setConfig({ name: 'bench', systemDatabaseUrl: database.href, systemDatabasePoolSize: width, logger: silent })
  await DBOS.launch()
  try {
    const folder = (): Promise<string> => mkdtemp(join(directory, 'steps-'))
    const samples = await interleave<Name, number>(
      {
        durable: async () => costOfRuntime(await folder(), counts.durable, width),
        sqliteLoop: async () => costOfSqlite(await folder(), counts.sqliteLoop, width),
        dbos: () => costOf(counts.dbos, width, dbosTask),
      },
      { rounds: quick ? 3 : 5 },
    )
    const costs = {
      durable: median(samples.durable),
      sqliteLoop: median(samples.sqliteLoop),
      dbos: median(samples.dbos),
    }
    return {
      rows: names.map((name) => ({
        what: `task of ${stepsPerTask} steps, ${name}`,
        'at a time': width,
        tasks: counts[name],
        'us per task': costs[name],
      })),
      ratios: { stepsVsDbos: costs.dbos / costs.durable, stepsVsSqliteLoop: costs.sqliteLoop / costs.durable },
    }
  } finally {
    await DBOS.shutdown()
  }
}
