import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * What a file of this folder exports as its default; `npm run bench -- NAME` runs `bench/NAME.ts`.
 *
 * Everything that is compared is measured in the same run, in interleaved rounds: on a busy machine
 * figures of two runs differ by far more than the things compared.
 */
export interface Bench {
  readonly name: string
  run(options: BenchOptions): Promise<BenchReport>
}

/** How a bench is asked to run. */
export interface BenchOptions {
  /** Sizes and rounds cut down until the run takes seconds: shows that a bench works, not how fast anything is. */
  readonly quick: boolean
  /** Says on stderr what is being measured now. */
  readonly progress: (line: string) => void
}

/** One value of a table. */
export type Cell = string | number

/** What a bench found out. */
export interface BenchReport {
  readonly name: string
  /** What the figures depend on: sizes, rounds, versions. The harness adds the machine. */
  readonly configuration: Readonly<Record<string, Cell | boolean>>
  /** One row per arrangement and size; keys are column titles and name their unit. */
  readonly rows: readonly Readonly<Record<string, Cell>>[]
  /** The figures to judge by: quotients of two measurements of this run, or bytes per thing. */
  readonly ratios: Readonly<Record<string, number>>
  /** What each ratio should reach. */
  readonly aims?: Readonly<Record<string, Aim>>
}

/** A bound on a ratio, its own value included. */
export type Aim = { readonly atLeast: number } | { readonly atMost: number }

/**
 * Measures contenders side by side: `warmups` unrecorded rounds, then `rounds` recorded ones. The
 * contender that begins moves on with each round, so that drift of the machine falls on all alike.
 *
 * Returns the samples of every contender in the order they were taken.
 */
export async function interleave<Name extends string, Sample>(
  contenders: Readonly<Record<Name, () => Sample | Promise<Sample>>>,
  { rounds, warmups = 1 }: { readonly rounds: number; readonly warmups?: number },
): Promise<Record<Name, Sample[]>> {
  const names = Object.keys(contenders) as Name[]
  const samples = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, Sample[]>
  for (let round = -warmups; round < rounds; round += 1) {
    const first = (round + warmups) % names.length
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      const sample = await contenders[name]()
      if (round >= 0) samples[name].push(sample)
    }
  }
  return samples
}

/** Milliseconds that `work` takes. */
export async function elapsed(work: () => unknown): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** Milliseconds of processor that this process uses while `work` is done, whoever else is on the machine. */
export async function processorElapsed(work: () => unknown): Promise<number> {
  const start = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

/** Bytes of live heap after a forced collection. Raises `Error` when node runs without `--expose-gc`. */
export async function liveHeapBytes(): Promise<number> {
  const { gc } = globalThis
  if (gc === undefined) throw new Error('measuring the heap needs node --expose-gc')
  // The second collection takes what finalizers and weak references of the first have let go.
  for (let pass = 0; pass < 2; pass += 1) {
    await nextTurn()
    gc()
  }
  return process.memoryUsage().heapUsed
}

/** Bytes of heap that the value made by `build` keeps alive, and the value. */
export async function heapBytesOf<Value>(
  build: () => Value | Promise<Value>,
): Promise<{ readonly bytes: number; readonly value: Value }> {
  const before = await liveHeapBytes()
  const value = await build()
  return { bytes: (await liveHeapBytes()) - before, value }
}
