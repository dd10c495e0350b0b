import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { elapsed, interleave, type BenchOptions, type Cell } from '../harness.js'
import { RawFloor } from '../journal/contenders.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { openDispatcher } from './open-dispatcher.js'

/** Runs per round at each number of them at a time. */
const runsPerRound: Readonly<Record<number, number>> = { 1: 2_000, 256: 20_480 }
const quickRunsPerRound: Readonly<Record<number, number>> = { 1: 500, 256: 5_120 }

const names = ['dispatcher', 'inMemory', 'poolSyncPerStep', 'poolNotDurable'] as const
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

async function measureDispatcher(directory: string | undefined, width: number, runs: number): Promise<number> {
  await using opened = await openDispatcher({ concurrency: width, ...(directory !== undefined && { directory }) })
  return await measurePool(width, runs, () => opened.runOnce())
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

/** Whole runs of tasks with an empty handler, from submit to a durable end, beside loops that promise less. */
export async function measureRuns(directory: string, { quick, progress }: BenchOptions): Promise<Part> {
  const rows: Record<string, Cell>[] = []
  const ratios: Record<string, number> = {}
  const folder = (): Promise<string> => mkdtemp(join(directory, 'runs-'))
  for (const width of [1, 256]) {
    progress(`whole runs, ${width} at a time`)
    const runs = (quick ? quickRunsPerRound : runsPerRound)[width] ?? 0
    const samples = await interleave<Name, number>(
      {
        dispatcher: async () => measureDispatcher(await folder(), width, runs),
        inMemory: () => measureDispatcher(undefined, width, runs),
        poolSyncPerStep: async () => measureSyncPerStep(await folder(), width, Math.min(runs, 4_000)),
        poolNotDurable: () => measurePool(width, runs, () => Promise.resolve()),
      },
      { rounds: quick ? 1 : 3 },
    )
    const runsOf = (name: Name): number => (name === 'poolSyncPerStep' ? Math.min(runs, 4_000) : runs)
    const perSecond = (name: Name): number => (runsOf(name) / median(samples[name])) * 1000
    for (const name of names) {
      rows.push({ what: `once run, ${name}`, 'at a time': width, 'per second': perSecond(name) })
    }
    ratios[`runsVsSyncPerStep${width}`] = perSecond('dispatcher') / perSecond('poolSyncPerStep')
    ratios[`runsOfMemory${width}`] = perSecond('dispatcher') / perSecond('inMemory')
  }
  return { rows, ratios }
}
