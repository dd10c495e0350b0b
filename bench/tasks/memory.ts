import { heapBytesOf, type BenchOptions } from '../harness.js'
import { longestBlockOf } from '../support/longest-block.js'
import type { Part } from '../tasks.js'
import { emptyKind, openEmpty, runMany, submitMany } from './empty-tasks.js'

/** Bytes of heap that a task keeps while it waits for a handler, and after it has ended. */
async function bytesPer(count: number, fill: 'queued' | 'ended'): Promise<number> {
  await using runtime = await openEmpty({ handles: fill === 'ended' })
  // What is made once, for the first of them, is no cost of one more.
  await (fill === 'ended' ? runMany(runtime, 1_000) : submitMany(runtime, 1_000))
  const { bytes } = await heapBytesOf(() => (fill === 'ended' ? runMany(runtime, count) : submitMany(runtime, count)))
  return Math.round(bytes / count)
}

/** For how long a backlog that is worked off in memory keeps a timer from firing at once. */
async function longestBlockOfBacklog(count: number): Promise<number> {
  await using runtime = await openEmpty({ handles: false, concurrency: 32 })
  await submitMany(runtime, count)
  const { longestBlockMs } = await longestBlockOf(async () => {
    let left = count
    await new Promise<void>((resolve) => {
      runtime.tasks.handle(emptyKind, () => {
        left -= 1
        if (left === 0) resolve()
      })
    })
  })
  return longestBlockMs
}

/** What tasks keep in memory, and whether a memory runtime with many of them lets others have their turn. */
export async function measureMemory({ quick, progress }: BenchOptions): Promise<Part> {
  const count = quick ? 5_000 : 50_000
  progress(`${count} tasks in memory`)
  const ratios = {
    bytesPerQueued: await bytesPer(count, 'queued'),
    bytesPerEnded: await bytesPer(count, 'ended'),
    longestBlockBacklogMs: await longestBlockOfBacklog(quick ? 5_000 : 20_000),
  }
  return { rows: Object.entries(ratios).map(([what, each]) => ({ what, each })), ratios }
}
