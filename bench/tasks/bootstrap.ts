import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { elapsed, heapBytesOf, interleave, type BenchOptions, type Cell } from '../harness.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { openTasks } from './open-tasks.js'
import { commandsPerLife, liveInBatch } from './run-life.js'

const livesAtATime = 256

/** Writes the events of so many whole lives, each in one batch. */
async function writeLives(directory: string, lives: number): Promise<void> {
  await using tasks = await openTasks(directory)
  for (let written = 0; written < lives; written += livesAtATime) {
    const wanted = Math.min(livesAtATime, lives - written)
    await Promise.all(Array.from({ length: wanted }, () => tasks.authority.transact(liveInBatch)))
  }
}

/** Makes a snapshot take the place of the events. */
async function compact(directory: string): Promise<void> {
  await using tasks = await openTasks(directory)
  await tasks.lane.compact()
}

/** Milliseconds until the tasks room takes commands again. */
async function measureOpening(directory: string, events: number): Promise<number> {
  const start = performance.now()
  await using tasks = await openTasks(directory)
  const milliseconds = performance.now() - start
  const { latestSequence } = tasks.authority.projection
  if (latestSequence !== events) throw new Error(`${latestSequence} of ${events} events came back`)
  return milliseconds
}

/** Milliseconds to read, verify and parse the same files without understanding them: the floor of the journal. */
async function measureReading(directory: string): Promise<number> {
  let count = 0
  let close: () => Promise<void> = () => Promise.resolve()
  const milliseconds = await elapsed(async () => {
    const { journal, recovery } = await createDirectoryJournal({ directory }).open()
    close = () => journal.close()
    for (const _ of recovery.snapshot?.rows ?? []) count += 1
    for (const _ of recovery.records) count += 1
  })
  await close()
  if (count === 0) throw new Error('nothing came back')
  return milliseconds
}

/** How long it takes to read a million events back, from the log and from a snapshot, and what they keep in memory. */
export async function measureBootstrap(directory: string, { quick, progress }: BenchOptions): Promise<Part> {
  const events = quick ? 100_000 : 1_000_000
  const lives = events / commandsPerLife
  const fromLog = join(directory, 'bootstrap-log')
  const fromSnapshot = join(directory, 'bootstrap-snapshot')
  progress(`writing ${events} events`)
  await writeLives(fromLog, lives)
  await cp(fromLog, fromSnapshot, { recursive: true })
  await compact(fromSnapshot)
  progress(`reading ${events} events back`)
  const samples = await interleave(
    {
      log: () => measureOpening(fromLog, events),
      logRead: () => measureReading(fromLog),
      snapshot: () => measureOpening(fromSnapshot, events),
      snapshotRead: () => measureReading(fromSnapshot),
    },
    { rounds: quick ? 1 : 3, warmups: quick ? 0 : 1 },
  )
  const { bytes, value } = await heapBytesOf(() => openTasks(fromLog))
  await value[Symbol.asyncDispose]()
  const seconds = (name: keyof typeof samples): number => median(samples[name]) / 1000
  const row = (what: string, name: keyof typeof samples): Record<string, Cell> => ({
    what,
    seconds: seconds(name),
    'per second': events / seconds(name),
  })
  return {
    rows: [
      row(`bootstrap of ${events} events from the log`, 'log'),
      row('  of which reading and parsing', 'logRead'),
      row(`bootstrap of ${events} events from a snapshot`, 'snapshot'),
      row('  of which reading and parsing', 'snapshotRead'),
    ],
    ratios: {
      bootstrapPerSecond: events / seconds('log'),
      bootstrapSnapshotPerSecond: events / seconds('snapshot'),
      bootstrapVsReading: seconds('log') / seconds('logRead'),
      bytesPerCompletedLife: Math.round(bytes / lives),
    },
  }
}
