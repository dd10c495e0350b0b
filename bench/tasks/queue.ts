import { createRuntime } from '../../src/runtime.js'
import { elapsed, interleave, liveHeapBytes, type BenchOptions } from '../harness.js'
import { median } from '../statistics.js'
import type { Part } from '../tasks.js'

const arrangements = { direct: {}, inLine: { maxConcurrent: 8, whenFull: 'queue' } } as const
type Name = keyof typeof arrangements

/** Microseconds per operation from the first call to the last outcome, with everything at once or all but eight in line. */
async function costOf(name: Name, count: number): Promise<number> {
  await liveHeapBytes()
  await using runtime = await createRuntime()
  const session = runtime.session('bench', arrangements[name])
  const milliseconds = await elapsed(async () => {
    const handles = Array.from({ length: count }, () => session.run('operation', () => 'done'))
    for (const { outcome } of handles) await outcome
  })
  return (milliseconds * 1000) / count
}

/**
 * What waiting in line adds to an operation: 100,000 of them, beside as many without a line. In memory: with a journal eight
 * at a time share their syncs, and 100,000 at a time do.
 */
export async function measureQueue({ quick, progress }: BenchOptions): Promise<Part> {
  const count = quick ? 10_000 : 100_000
  const rounds = quick ? 3 : 7
  progress(`${count} operations in line`)
  const names = Object.keys(arrangements) as Name[]
  const { direct, inLine } = await interleave(
    { direct: () => costOf('direct', count), inLine: () => costOf('inLine', count) },
    { rounds },
  )
  const costs = { direct: median(direct), inLine: median(inLine) }
  return {
    rows: names.map((name) => ({ part: 'queue', arrangement: name, operations: count, usPerOperation: costs[name] })),
    ratios: { queueVsDirect: costs.inLine / costs.direct },
  }
}
