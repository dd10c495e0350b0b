import { createUuidSource, type IdSource } from '../../../src/base/ids.js'
import type { Logger } from '../../../src/base/logger.js'
import { createMemoryJournal, type MemoryJournalStore } from '../../../src/journal/memory-journal.js'
import { createRuntime, type Runtime } from '../../../src/runtime.js'
import {
  isTerminalRunState,
  type DispatchOptions,
  type Handler,
  type HandlerContext,
  type Run,
  type RunState,
  type TaskId,
  type TaskProjection,
  type Tasks,
} from '../../../src/tasks/index.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'

/** Epoch milliseconds at which simulated time begins. */
export const start = 1_000_000_000

/** A service as its user builds it, on simulated time and a journal in memory. */
export interface Service {
  readonly runtime: Runtime
  readonly tasks: Tasks
  readonly projection: TaskProjection
  readonly clock: SimulatedClock
  readonly store: MemoryJournalStore
  /** Lets everything happen that needs no time to pass. */
  settle(): Promise<void>
  /** Lets seconds pass one by one, and everything happen in each. */
  pass(seconds: number): Promise<void>
  /** Lets seconds pass at once, as a clock does while a machine sleeps. */
  jump(seconds: number): Promise<void>
  /** A power cut; the next process starts `seconds` later on what was durable. */
  crash(options?: ServiceOptions & { readonly seconds?: number }): Promise<Service>
  /** The only run of a task. */
  run(taskId: TaskId): Run
  statesOf(taskId: TaskId): readonly RunState[]
}

export interface ServiceOptions {
  readonly dispatch?: DispatchOptions
  readonly random?: () => number
  readonly logger?: Logger
}

interface World {
  readonly store: MemoryJournalStore
  readonly entropy: (bytes: Uint8Array) => void
}

/** Opens a runtime on an empty journal. Nothing is dispatched before a handler is registered. */
export function openService(options: ServiceOptions = {}): Promise<Service> {
  return openIn({ store: createMemoryJournal(), entropy: createEntropy() }, start, options)
}

async function openIn(world: World, wall: number, options: ServiceOptions): Promise<Service> {
  const { store, entropy } = world
  const clock = new SimulatedClock(wall)
  const ids: IdSource = createUuidSource({ now: () => clock.wallNow(), random: entropy })
  const { dispatch, random = () => 0, logger } = options
  const runtime = await createRuntime({
    store,
    clock,
    ids,
    random,
    ...(dispatch !== undefined && { tasks: dispatch }),
    ...(logger !== undefined && { logger }),
  })
  const { tasks } = runtime
  const { projection } = tasks
  const settle = async (): Promise<void> => {
    for (let quiet = 0; quiet < 3; quiet += 1) {
      const before = projection.latestSequence
      await runtime.flush()
      await turn()
      if (projection.latestSequence !== before) quiet = -1
    }
  }
  return {
    runtime,
    tasks,
    projection,
    clock,
    store,
    settle,
    async pass(seconds) {
      await settle()
      for (let second = 0; second < seconds; second += 1) {
        clock.advance(1000)
        await settle()
      }
    },
    async jump(seconds) {
      await settle()
      clock.advance(seconds * 1000)
      await settle()
    },
    async crash({ seconds = 0, ...changed } = {}) {
      store.crash()
      // What is left of the old process never sees time pass again.
      return openIn(world, clock.wallNow() + seconds * 1000, { ...options, ...changed })
    },
    run(taskId) {
      const [run, ...others] = projection.runsOf(taskId)
      if (run === undefined || others.length > 0) throw new Error(`task ${taskId} has not exactly one run`)
      return run
    },
    statesOf: (taskId) => projection.runsOf(taskId).map(({ state }) => state),
  }
}

/** One call of a handler that a test answers. */
export interface Call {
  readonly context: HandlerContext
  answer(value?: unknown): void
  fail(reason: unknown): void
}

/** A handler whose calls a test answers one by one, in the order they came. */
export class Bench {
  readonly calls: Call[] = []
  /** Calls that run now, and the most there ever were. */
  running = 0
  mostRunning = 0

  readonly handler: Handler = (context) => {
    this.running += 1
    this.mostRunning = Math.max(this.mostRunning, this.running)
    return new Promise((resolve, reject) => {
      this.calls.push({ context, answer: resolve, fail: reject })
    }).finally(() => {
      this.running -= 1
    })
  }

  /** The call of this number, from 0; it must have come. */
  call(index: number): Call {
    const call = this.calls[index]
    if (call === undefined) throw new Error(`there were only ${this.calls.length} calls`)
    return call
  }

  /** The latest call. */
  get last(): Call {
    return this.call(this.calls.length - 1)
  }
}

/** A service whose tasks of the kind `work` a test answers. */
export async function openWithBench(
  options?: ServiceOptions,
): Promise<{ readonly service: Service; readonly bench: Bench }> {
  const service = await openService(options)
  const bench = new Bench()
  service.tasks.handle('work', bench.handler)
  return { service, bench }
}

/** Text of an output; empty without one. */
export function textOf(output: Uint8Array | undefined): string {
  return Buffer.from(output ?? []).toString()
}

/** What may not be left when nothing runs any more: open runs, leases, reservations. */
export function leftovers({ projection }: Pick<Service, 'projection'>): object {
  const runs = [...projection.tasks()].flatMap(({ spec }) => projection.runsOf(spec.id))
  return {
    open: runs.filter(({ state }) => !isTerminalRunState(state)).length,
    leases: [...projection.leased()].length,
    reservations: [...projection.reservations()].length,
  }
}

export const nothingLeft = { open: 0, leases: 0, reservations: 0 }

/** The code of what a promise rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return (error as { readonly code: string }).code
  }
  return 'no rejection'
}

/** Numbers from 0 up to, not including, 1; the same for one seed. */
export function createRandom(seed: number): () => number {
  let state = seed * 2_654_435_761 + 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

function createEntropy(): (bytes: Uint8Array) => void {
  const random = createRandom(7)
  return (bytes) => {
    for (let place = 0; place < bytes.length; place += 1) bytes[place] = Math.floor(random() * 256)
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve)
  })
}
