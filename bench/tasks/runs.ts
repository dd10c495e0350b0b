import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { elapsed, interleave, type BenchOptions, type Cell } from '../harness.js'
import { RawFloor } from '../journal/contenders.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { openEmpty, runMany } from './empty-tasks.js'
import { openSqliteLoop } from './sqlite-loop.js'

/** Tasks per round at each number of them at a time. */
const tasksPerRound: Readonly<Record<number, number>> = { 1: 2_000, 32: 10_240, 256: 20_480 }
const quickTasksPerRound: Readonly<Record<number, number>> = { 1: 500, 32: 2_560, 256: 5_120 }

const names = ['durable', 'inMemory', 'sqliteLoop', 'poolSyncPerStep'] as const
type Name = (typeof names)[number]

/** What a pool of its own would at least write down of a run, a synced record each. */
const steps = ['submitted', 'started', 'completed']

/** So many loops, each of which runs one thing after another until all are done; milliseconds for all. */
function measurePool(width: number, runs: number, runOne: () => Promise<void>): Promise<number> {
  let begun = 0
  const loop = async (): Promise<void> => {
    while (begun < runs) {
      begun += 1
      await runOne()
    }
  }
  return elapsed(() => Promise.all(Array.from({ length: width }, loop)))
}

async function measureRuntime(directory: string | undefined, width: number, runs: number): Promise<number> {
  await using runtime = await openEmpty({ concurrency: width, ...(directory !== undefined && { directory }) })
  return await elapsed(() => runMany(runtime, runs, width))
}

async function measureSqliteLoop(directory: string, width: number, runs: number): Promise<number> {
  const loop = openSqliteLoop(directory, () => undefined)
  try {
    return await measurePool(width, runs, () => loop.runOnce())
  } finally {
    loop.close()
  }
}

async function measureSyncPerStep(directory: string, width: number, runs: number): Promise<number> {
  const floor = new RawFloor(directory)
  let number = 0
  let last: Promise<unknown> = Promise.resolve()
  const write = (step: string): Promise<unknown> => {
    const bytes = Buffer.from(JSON.stringify({ run: (number += 1), step, at: Date.now() }))
    // One write after another: records of different runs do not share a sync.
    last = last.then(() => floor.append(bytes))
    return last
  }
  try {
    return await measurePool(width, runs, async () => {
      for (const step of steps) await write(step)
    })
  } finally {
    floor.close()
  }
}

/** Whole tasks with an empty handler through a runtime, from submit to a durable end, beside loops that promise less. */
export async function measureRuns(directory: string, { quick, progress }: BenchOptions): Promise<Part> {
  const rows: Record<string, Cell>[] = []
  const ratios: Record<string, number> = {}
  const folder = (): Promise<string> => mkdtemp(join(directory, 'runs-'))
  for (const width of [1, 32, 256]) {
    progress(`whole tasks, ${width} at a time`)
    const runs = (quick ? quickTasksPerRound : tasksPerRound)[width] ?? 0
    const runsOf = (name: Name): number => (name === 'poolSyncPerStep' ? Math.min(runs, 4_000) : runs)
    const samples = await interleave<Name, number>(
      {
        durable: async () => measureRuntime(await folder(), width, runs),
        inMemory: () => measureRuntime(undefined, width, runs),
        sqliteLoop: async () => measureSqliteLoop(await folder(), width, runs),
        poolSyncPerStep: async () => measureSyncPerStep(await folder(), width, runsOf('poolSyncPerStep')),
      },
      { rounds: quick ? 1 : 3 },
    )
    const perSecond = (name: Name): number => (runsOf(name) / median(samples[name])) * 1000
    for (const name of names) {
      rows.push({ what: `whole task, ${name}`, 'at a time': width, 'per second': perSecond(name) })
    }
    ratios[`ofSqliteLoop${width}`] = perSecond('durable') / perSecond('sqliteLoop')
    ratios[`runsVsSyncPerStep${width}`] = perSecond('durable') / perSecond('poolSyncPerStep')
    ratios[`runsOfMemory${width}`] = perSecond('durable') / perSecond('inMemory')
  }
  return { rows, ratios }
}
