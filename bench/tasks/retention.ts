import { join } from 'node:path'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { heapBytesOf, type BenchOptions } from '../harness.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'
import { emptyKind } from './empty-tasks.js'

/** Tasks that end at a time; then a second passes. */
const atATime = 500

/** Opens a runtime that keeps so many ended tasks, on simulated time. */
function open(dataDir: string, clock: SimulatedClock, kept: number): Promise<Runtime> {
  return createRuntime({
    dataDir,
    clock,
    compactAfter: kept,
    tasks: { concurrency: 64, retention: { count: kept, tombstonesForMs: 10_000 } },
  })
}

/** Runs so many tasks, and lets those be forgotten that are beyond the bound. */
async function runTasks(runtime: Runtime, clock: SimulatedClock, count: number): Promise<void> {
  const { tasks } = runtime
  const registration = tasks.handle(emptyKind, () => undefined)
  for (let done = 0; done < count; done += atATime) {
    await Promise.all(Array.from({ length: atATime }, async () => (await tasks.submit(emptyKind)).outcome()))
    await passSecond(clock)
  }
  registration[Symbol.dispose]()
  for (let second = 0; second < 15; second += 1) await passSecond(clock)
}

async function passSecond(clock: SimulatedClock): Promise<void> {
  clock.advance(1000)
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
  }
}

/** Heap that an opened runtime keeps, and how long opening it takes. */
async function measureOpened(
  dataDir: string,
  clock: SimulatedClock,
  kept: number,
): Promise<{ readonly bytes: number; readonly ms: number }> {
  const times: number[] = []
  let heap = 0
  for (let round = 0; round < 3; round += 1) {
    let runtime: Runtime | undefined
    let ms = 0
    const { bytes } = await heapBytesOf(async () => {
      const begun = performance.now()
      runtime = await open(dataDir, clock, kept)
      ms = performance.now() - begun
    })
    await runtime?.close()
    times.push(ms)
    heap = bytes
  }
  return { bytes: heap, ms: median(times) }
}

/** What a history leaves behind when what has ended is forgotten: heap and opening time after ten times of it over after one. */
export async function measureRetention(directory: string, { quick, progress }: BenchOptions): Promise<Part> {
  const kept = quick ? 2_000 : 20_000
  const dataDir = join(directory, 'retention')
  const clock = new SimulatedClock()
  const grow = async (tasks: number): Promise<{ readonly bytes: number; readonly ms: number }> => {
    progress(`${tasks} tasks, ${kept} of them kept`)
    const runtime = await open(dataDir, clock, kept)
    await runTasks(runtime, clock, tasks)
    await runtime.compact()
    await runtime.close()
    return await measureOpened(dataDir, clock, kept)
  }
  const once = await grow(2 * kept)
  const tenTimes = await grow(18 * kept)
  const heapRatio = tenTimes.bytes / once.bytes
  const openingRatio = tenTimes.ms / once.ms
  return {
    rows: [
      { what: `${2 * kept} tasks, ${kept} kept`, 'heap bytes': once.bytes, 'opening ms': once.ms },
      { what: `${20 * kept} tasks, ${kept} kept`, 'heap bytes': tenTimes.bytes, 'opening ms': tenTimes.ms },
    ],
    ratios: {
      retentionFlat: Math.max(heapRatio, openingRatio),
      retentionHeap: heapRatio,
      retentionOpening: openingRatio,
    },
  }
}
