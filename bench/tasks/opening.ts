import { join } from 'node:path'
import { readDirectoryJournal } from '../../src/journal/reading.js'
import type { BenchOptions, Cell } from '../harness.js'
import { longestBlockOf, longestBlockOfMachine, type Block } from '../support/longest-block.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { openEmpty, runMany } from './empty-tasks.js'

/** What a directory holds: facts behind the snapshot, and rows in it. */
async function contentOf(directory: string): Promise<{ readonly facts: number; readonly rows: number }> {
  await using reading = await readDirectoryJournal({ directory })
  const { snapshot } = reading.recovery
  let rows = 0
  for (const _ of snapshot?.rows ?? []) rows += 1
  return { facts: reading.nextSequence - 1 - (snapshot?.through ?? 0), rows }
}

/** Runs so many tasks, and says how much the directory holds then. */
async function runIn(directory: string, tasks: number): Promise<{ readonly facts: number; readonly rows: number }> {
  await using runtime = await openEmpty({ directory })
  await runMany(runtime, tasks)
  await runtime.flush()
  return await contentOf(directory)
}

/** Runs tasks until the journal holds so many facts: a few show how many there are in one task. */
async function writeFacts(
  directory: string,
  wanted: number,
): Promise<{ readonly tasks: number; readonly facts: number }> {
  const few = Math.ceil(wanted / 100)
  const { facts: ofFew } = await runIn(directory, few)
  const others = Math.ceil((few * (wanted - ofFew)) / ofFew)
  const { facts } = await runIn(directory, others)
  return { tasks: few + others, facts }
}

async function measureOpening(directory: string): Promise<Block> {
  const { value, ...opening } = await longestBlockOf(() => openEmpty({ directory, handles: false }))
  await value.close()
  return opening
}

async function measureCompacting(directory: string): Promise<Block> {
  await using runtime = await openEmpty({ directory, handles: false })
  // Not without waiting: a runtime that is closed writes no snapshot any more.
  return await longestBlockOf(() => runtime.compact())
}

/**
 * A whole runtime that is opened on tasks which have ended, and a snapshot of them: how long each takes, and for how long
 * at once nobody else has a turn. The tasks come in two sizes: 200,000 facts to open, 200,000 rows to write.
 */
export async function measureOpenings(directory: string, { quick, progress }: BenchOptions): Promise<Part> {
  const size = quick ? 20_000 : 200_000
  const rounds = quick ? 1 : 3
  const dataDir = join(directory, 'opening')
  progress(`writing ${size} facts`)
  const { tasks, facts } = await writeFacts(dataDir, size)
  progress(`opening ${size} facts`)
  const opening: Block[] = []
  for (let round = 0; round < rounds; round += 1) opening.push(await measureOpening(dataDir))
  progress(`compacting ${size} rows`)
  let compacting = await measureCompacting(dataDir)
  let { rows } = await contentOf(dataDir)
  if (rows === 0) throw new Error('no snapshot was written')
  let held = tasks
  if (rows < size) {
    const others = Math.ceil((held * (size - rows)) / rows)
    await runIn(dataDir, others)
    held += others
    compacting = await measureCompacting(dataDir)
    rows = (await contentOf(dataDir)).rows
  }
  const fromSnapshot: Block[] = []
  for (let round = 0; round < rounds; round += 1) fromSnapshot.push(await measureOpening(dataDir))
  const row = (what: string, of: readonly Block[]): Record<string, Cell> => ({
    what,
    'longest block ms': median(of.map(({ longestBlockMs }) => longestBlockMs)),
    'of which busy ms': median(of.map(({ longestBusyMs }) => longestBusyMs)),
    ms: median(of.map(({ milliseconds }) => milliseconds)),
  })
  const table = [
    row(`opening ${facts} facts, ${tasks} ended tasks`, opening),
    row(`compacting ${rows} rows`, [compacting]),
    row(`opening ${rows} rows, ${held} ended tasks`, fromSnapshot),
  ]
  const ofMachine = await longestBlockOfMachine(median(opening.map(({ milliseconds }) => milliseconds)))
  const [blockOpening, blockCompacting, blockOfRows] = table.map((cells) => cells['longest block ms'] as number)
  const [busyOpening = Number.NaN, busyCompacting = Number.NaN] = table.map(
    (cells) => cells['of which busy ms'] as number,
  )
  const perSecond = (count: number, of: readonly Block[]): number =>
    (count * 1000) / median(of.map(({ milliseconds }) => milliseconds))
  return {
    rows: table,
    ratios: {
      longestBlockMs: Math.max(blockOpening ?? Number.NaN, blockCompacting ?? Number.NaN),
      longestBlockOpeningMs: blockOpening ?? Number.NaN,
      longestBlockCompactingMs: blockCompacting ?? Number.NaN,
      longestBusyMs: Math.max(busyOpening, busyCompacting),
      longestBlockOfMachineMs: ofMachine,
      longestBlockOpeningRowsMs: blockOfRows ?? Number.NaN,
      tasksOpenedPerSecond: perSecond(tasks, opening),
      tasksOpenedFromSnapshotPerSecond: perSecond(held, fromSnapshot),
    },
  }
}
