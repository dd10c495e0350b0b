import { join } from 'node:path'
import { createUuidSource } from '../src/base/ids.js'
import { createRuntime } from '../src/runtime.js'
import type { OperationId } from '../machines/operation-vocabulary.js'
import { elapsed, heapBytesOf, interleave, liveHeapBytes, type Bench, type Cell } from './harness.js'
import { inTemporaryDirectory } from './journal/contenders.js'
import { median } from './statistics.js'
import { callsPer, promisesPer } from './support/counts.js'
import { effectFibers } from './operations/effect-fibers.js'
import { plainMap } from './operations/plain-map.js'
import { plainXState } from './operations/plain-xstate.js'
import { statewardRegistry } from './operations/stateward-registry.js'

/**
 * A way to hold N live operations. The unit of work: register, start, one progress, complete, with one
 * watcher resolved and one completion-feed row written.
 */
export interface Arrangement {
  /** Registers and watches one operation. */
  register(id: OperationId): void
  /** Starts it, reports once, and completes it. */
  finish(id: OperationId): void
  /** Resolves once every watcher has been told. */
  settled(): Promise<void>
}

const arrangements = { stateward: statewardRegistry, map: plainMap, xstate: plainXState, effect: effectFibers } as const
type Name = keyof typeof arrangements
const names = Object.keys(arrangements) as Name[]

interface Size {
  readonly live: number
  readonly rounds: number
}

const sizes: readonly Size[] = [
  { live: 1_000, rounds: 15 },
  { live: 10_000, rounds: 7 },
  { live: 100_000, rounds: 3 },
  { live: 1_000_000, rounds: 1 },
]
const quickSizes: readonly Size[] = [
  { live: 1_000, rounds: 3 },
  { live: 10_000, rounds: 1 },
]

const ids = createUuidSource({ now: () => Date.now() })

function freshIds(count: number): OperationId[] {
  return Array.from({ length: count }, () => ids.uuid() as OperationId)
}

/** Microseconds for one unit of work at `live` operations. */
async function unitCost(make: () => Arrangement, live: number): Promise<number> {
  const batch = freshIds(live)
  await liveHeapBytes()
  const milliseconds = await elapsed(async () => {
    const arrangement = make()
    for (const id of batch) arrangement.register(id)
    for (const id of batch) arrangement.finish(id)
    await arrangement.settled()
  })
  return (milliseconds * 1000) / live
}

async function bytesPerLive(make: () => Arrangement, live: number): Promise<number> {
  const batch = freshIds(live)
  const { bytes, value } = await heapBytesOf(() => {
    const arrangement = make()
    for (const id of batch) arrangement.register(id)
    return arrangement
  })
  for (const id of batch) value.finish(id)
  await value.settled()
  return Math.round(bytes / live)
}

/** What `session.run` costs from call to a durable outcome in things that can be counted: the same on every machine. */
async function measureCounts(times: number): Promise<Record<string, number>> {
  return inTemporaryDirectory(async (directory) => {
    await using runtime = await createRuntime({ dataDir: join(directory, 'counts') })
    const session = runtime.session('bench')
    const once = (): Promise<unknown> =>
      session.run({ kind: 'background_tool_op', displayName: 'bench' }, () => 'done').outcome
    return {
      promisesPerOperation: await promisesPer(times, once),
      callsPerOperation: await callsPer(times, once),
    }
  })
}

const bench: Bench = {
  name: 'operations',
  async run({ quick, progress }) {
    const cost = new Map<string, number>()
    const rows: Record<string, Cell>[] = []
    const wanted = quick ? quickSizes : sizes
    for (const { live, rounds } of wanted) {
      progress(`${live} live operations, ${rounds} rounds`)
      const samples = await interleave(
        Object.fromEntries(names.map((name) => [name, () => unitCost(arrangements[name], live)])) as Record<
          Name,
          () => Promise<number>
        >,
        { rounds, warmups: live > 100_000 ? 0 : 1 },
      )
      const row: Record<string, Cell> = { live }
      for (const name of names) {
        const microseconds = median(samples[name])
        cost.set(`${name} ${live}`, microseconds)
        row[`${name} us`] = Number(microseconds.toFixed(2))
      }
      rows.push(row)
    }
    const heapAt = quick ? 10_000 : 100_000
    const heap: Record<string, Cell> = { live: `bytes each at ${heapAt}` }
    for (const name of names) heap[`${name} us`] = await bytesPerLive(arrangements[name], heapAt)
    rows.push(heap)

    const at = (name: Name, live: number): number => cost.get(`${name} ${live}`) ?? Number.NaN
    const smallest = wanted[0]?.live ?? 0
    const middle = quick ? 10_000 : 100_000
    const largest = wanted.at(-1)?.live ?? 0
    const grown = (name: Name, live: number): number => at(name, live) / at(name, smallest)
    return {
      name: 'operations',
      configuration: { unit: 'register, start, progress, complete; one watcher, one feed row', smallest, largest },
      rows,
      ratios: {
        growth: grown('stateward', middle),
        growthVsMap: grown('stateward', largest) / grown('map', largest),
        vsPlainXState: at('xstate', 10_000) / at('stateward', 10_000),
        vsEffect: at('effect', 10_000) / at('stateward', 10_000),
        bytesPerLive: heap['stateward us'] as number,
        ...(await measureCounts(quick ? 100 : 500)),
      },
      aims: {
        growth: { atMost: 1.5 },
        growthVsMap: { atMost: 1 },
        vsPlainXState: { atLeast: 2.5 },
        vsEffect: { atLeast: 1.2 },
        bytesPerLive: { atMost: 900 },
        promisesPerOperation: { atMost: 12 },
      },
    }
  },
}

export default bench
