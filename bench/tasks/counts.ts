import { join } from 'node:path'
import type { BenchOptions } from '../harness.js'
import { callsPer, combinedSignalsPer, journalSize, promisesPer } from '../support/counts.js'
import type { Part } from '../tasks.js'
import { openEmpty, runMany, runOnce } from './empty-tasks.js'

/** What one task costs in things that can be counted, and so are the same on every machine: empty payload and output. */
export async function measureCounts(directory: string, { quick, progress }: BenchOptions): Promise<Part> {
  progress('counting')
  const dataDir = join(directory, 'counts')
  const times = quick ? 100 : 500
  await using runtime = await openEmpty({ directory: dataDir })
  const once = (): Promise<void> => runOnce(runtime)
  await runMany(runtime, times)
  const before = await journalSize(dataDir)
  await runMany(runtime, times)
  await runtime.flush()
  const after = await journalSize(dataDir)
  const ratios = {
    eventsPerTask: (after.records - before.records) / times,
    journalBytesPerTask: (after.bytes - before.bytes) / times,
    promisesPerTask: await promisesPer(times, once),
    abortSignalAnyPerTask: await combinedSignalsPer(times, once),
    callsPerTask: await callsPer(times, once),
  }
  return { rows: Object.entries(ratios).map(([what, each]) => ({ what, each })), ratios }
}
