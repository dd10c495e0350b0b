import { cp, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { heapBytesOf, interleave, type BenchOptions } from '../harness.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { emptyKind } from './empty-tasks.js'

/** Tasks that end at a time; then a second passes. */
const atATime = 1000

/**
 * Opens a runtime that keeps so many ended tasks, on simulated time. Its feed keeps half as many ends, so that it is full
 * after the first of the histories already, and so are its segments.
 */
function open(directory: string, clock: SimulatedClock, kept: number): Promise<Runtime> {
  return createRuntime({
    store: createDirectoryJournal({ directory, segmentBytes: 2 ** 20 }),
    clock,
    compactAfter: kept,
    tasks: { concurrency: atATime, feedCapacity: kept / 2, retention: { count: kept, tombstonesForMs: 10_000 } },
  })
}

/** Runs so many tasks, and waits until those are forgotten that are beyond the bound, and their tombstones. */
async function runTasks(runtime: Runtime, clock: SimulatedClock, count: number, kept: number): Promise<void> {
  const { tasks } = runtime
  const { projection } = tasks
  const registration = tasks.handle(emptyKind, () => undefined)
  for (let done = 0; done < count; done += atATime) {
    await Promise.all(Array.from({ length: atATime }, async () => (await tasks.submit(emptyKind)).outcome()))
    await passSecond(clock)
  }
  registration[Symbol.dispose]()
  while (projection.taskCount > kept || projection.tombstoneCount > 0) await passSecond(clock)
}

async function passSecond(clock: SimulatedClock): Promise<void> {
  clock.advance(1000)
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
  }
}

/** How long opening takes, and what the runtime keeps then. */
async function measureOpened(
  directory: string,
  clock: SimulatedClock,
  kept: number,
): Promise<{ readonly heapBytes: number; readonly ms: number }> {
  let runtime: Runtime | undefined
  let ms = 0
  const { bytes } = await heapBytesOf(async () => {
    const begun = performance.now()
    runtime = await open(directory, clock, kept)
    ms = performance.now() - begun
  })
  await runtime?.close()
  return { heapBytes: bytes, ms }
}

async function bytesIn(directory: string): Promise<number> {
  const sizes = (await readdir(directory)).map(async (name) => (await stat(join(directory, name))).size)
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

/**
 * What a history leaves behind when what has ended is forgotten: heap, directory and opening time, after ten times as many
 * tasks as are kept over those after as many.
 */
export async function measureRetention(directory: string, { quick, progress }: BenchOptions): Promise<Part> {
  const kept = quick ? 2_000 : 20_000
  const clock = new SimulatedClock()
  const directories = { once: join(directory, 'retention-once'), tenTimes: join(directory, 'retention') }
  const grow = async (tasks: number): Promise<void> => {
    progress(`${tasks} tasks, ${kept} of them kept`)
    const runtime = await open(directories.tenTimes, clock, kept)
    await runTasks(runtime, clock, tasks, kept)
    // One that is under way has not seen everything.
    await runtime.compact()
    await runtime.compact()
    await runtime.close()
  }
  await grow(kept)
  await cp(directories.tenTimes, directories.once, { recursive: true })
  await grow(9 * kept)
  progress('opening both')
  const opened = await interleave(
    {
      once: () => measureOpened(directories.once, clock, kept),
      tenTimes: () => measureOpened(directories.tenTimes, clock, kept),
    },
    { rounds: 7 },
  )
  const left = async (name: keyof typeof directories) => ({
    heapBytes: median(opened[name].map(({ heapBytes }) => heapBytes)),
    directoryBytes: await bytesIn(directories[name]),
    // The machine may do something else meanwhile, and never less.
    openingMs: Math.min(...opened[name].map(({ ms }) => ms)),
  })
  const [once, tenTimes] = [await left('once'), await left('tenTimes')]
  const row = (tasks: number, { heapBytes, directoryBytes, openingMs }: typeof once): Part['rows'][number] => ({
    what: `${tasks} tasks, ${kept} kept`,
    'heap bytes': heapBytes,
    'directory bytes': directoryBytes,
    'opening ms': openingMs,
  })
  const ratios = {
    retentionHeap: tenTimes.heapBytes / once.heapBytes,
    retentionDirectory: tenTimes.directoryBytes / once.directoryBytes,
    retentionOpening: tenTimes.openingMs / once.openingMs,
  }
  return {
    rows: [row(kept, once), row(10 * kept, tenTimes)],
    ratios: { retentionFlat: Math.max(...Object.values(ratios)), ...ratios },
  }
}
