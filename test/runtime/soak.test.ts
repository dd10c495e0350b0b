import { getEventListeners } from 'node:events'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { temporaryDirectory } from '../journal/support/directory.js'
import { isLong, timeout } from '../journal/support/long.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const minuteMs = 60_000
/** What is kept, and what is bounded, is full after so many minutes: the feed of completions keeps 1,024 last. */
const warmUp = 40
const minutes = isLong ? 24 * 60 : 90

/** What must not grow. */
interface Reading {
  readonly heapBytes: number
  readonly directoryBytes: number
  readonly timeouts: number
  readonly timers: number
  readonly listeners: number
  readonly rows: number
}

/** A service of an agent: tasks with steps that ask and sleep, a cron task, operations in line, all for one signal. */
class Service {
  readonly clock = new SimulatedClock()
  readonly runtime: Runtime
  readonly #directory: string
  readonly #stop = new AbortController()
  readonly #session

  private constructor(runtime: Runtime, clock: SimulatedClock, directory: string) {
    this.runtime = runtime
    this.clock = clock
    this.#directory = directory
    this.#session = runtime.session('soak', { maxConcurrent: 2, maxCompleted: 20, whenFull: 'queue' })
  }

  static async open(): Promise<Service> {
    const clock = new SimulatedClock()
    const directory = await temporaryDirectory()
    const retentionMs = 10 * minuteMs
    const runtime = await createRuntime({
      store: createDirectoryJournal({ directory, segmentBytes: 64 * 1024 }),
      clock,
      compactAfter: 500,
      tasks: {
        concurrency: 4,
        feedCapacity: 50,
        retention: { endedForMs: retentionMs, tombstonesForMs: retentionMs, runs: 10 },
      },
    })
    const { tasks } = runtime
    tasks.handle('report', async ({ step, waitFor, sleep, json }) => {
      const topic = await step('topic', () => json())
      const [approved] = await Promise.all([waitFor('approval'), sleep(20_000)])
      return step('written', () => ({ topic, approved }))
    })
    tasks.handle('tick', ({ step }) => step('tick', () => 'tock'))
    await tasks.submit({ kind: 'tick', runPolicy: { type: 'cron', expression: '* * * * *' } })
    return new Service(runtime, clock, directory)
  }

  /** One minute of its life. */
  async liveMinute(minute: number): Promise<void> {
    const { tasks } = this.runtime
    const { signal } = this.#stop
    const handles = await Promise.all([0, 1].map((number) => tasks.submit('report', { minute, number })))
    const results = Promise.all(handles.map((handle) => handle.result({ signal })))
    const operations = Array.from({ length: 30 }, (_, index) =>
      this.#session.run(`fetch ${index}`, () => Promise.resolve(index), { signal, deadlineMs: 30_000 }),
    )
    await this.#session.all(operations)
    for (const { id } of handles) await tasks.answer(id, 'approval', true)
    for (let passed = 0; passed < minuteMs; passed += 10_000) {
      this.clock.advance(10_000)
      await this.#settle()
    }
    await results
  }

  /** What it takes now, once all that is under way has come to rest. */
  async read(): Promise<Reading> {
    await this.runtime.flush()
    await this.#settle()
    await this.runtime.compact()
    await this.runtime.compact()
    await this.#settle()
    for (let pass = 0; pass < 3; pass += 1) {
      collect()
      await this.#settle()
    }
    const sizes = (await readdir(this.#directory)).map(async (name) => (await stat(join(this.#directory, name))).size)
    const { taskCount, runCount, tombstoneCount } = this.runtime.tasks.projection
    return {
      heapBytes: process.memoryUsage().heapUsed,
      directoryBytes: (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0),
      timeouts: this.clock.pendingTimeouts,
      timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
      listeners: getEventListeners(this.#stop.signal, 'abort').length + process.eventNames().length,
      rows: taskCount + runCount + tombstoneCount,
    }
  }

  async #settle(): Promise<void> {
    for (let turn = 0; turn < 30; turn += 1) {
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
      await this.runtime.flush()
    }
  }
}

it(
  `[T-382] a service that lives for ${minutes} minutes takes at the end what it took in its first`,
  async () => {
    const service = await Service.open()
    await using _ = service.runtime
    for (let minute = 0; minute < warmUp; minute += 1) await service.liveMinute(minute)
    const first = await service.read()
    for (let minute = warmUp; minute < minutes; minute += 1) await service.liveMinute(minute)
    const last = await service.read()
    if (isLong) process.stdout.write(`${JSON.stringify({ first, last })}\n`)
    // It has forgotten most of what it did.
    expect(first.rows).toBeLessThan(2 * warmUp)
    expect(last.rows).toBe(first.rows)
    expect(last.timeouts).toBe(first.timeouts)
    expect(last.timers).toBeLessThanOrEqual(first.timers)
    expect(last.listeners).toBe(first.listeners)
    // For code that is compiled meanwhile. In a day there are 42,000 operations and 4,000 tasks: a row of each would be more.
    expect(last.heapBytes - first.heapBytes).toBeLessThan(isLong ? 4_000_000 : 1_500_000)
    // Snapshots take twice what is in use at most.
    expect(last.directoryBytes).toBeLessThan(2 * first.directoryBytes)
  },
  timeout,
)
