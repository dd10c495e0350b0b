import { abortable, createDeferred, type Deferred } from '../../../src/base/promises.js'
import { DeadlineQueue } from '../../../src/base/deadline-queue.js'
import type { JsonValue } from '../../../src/base/json.js'
import type { DurableFixture } from '../../../src/testing/durable-conformance.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { DurableContext } from '../../../src/work/durable-context.js'
import type {
  DurableAnswer,
  DurableLog,
  DurableWait,
  RecordedStep,
  RecordedWait,
} from '../../../src/work/durable-log.js'
import { Job } from '../../../src/work/job.js'
import { JobList } from '../../../src/work/job-list.js'
import { Slots } from '../../../src/work/slots.js'
import { decodeValue, encodeValue } from '../../../src/work/values.js'

interface MemoryWait extends RecordedWait {
  readonly wait: DurableWait
}

/** What survives a crash: steps and waits by key, and answers that nobody has asked for yet. */
class Memory {
  readonly steps = new Map<string, RecordedStep>()
  readonly waits = new Map<string, MemoryWait>()
  readonly early = new Map<string, JsonValue | undefined>()
  readonly #waiters = new Map<string, Deferred<DurableAnswer>>()

  settle(key: string, answer: DurableAnswer): void {
    const { wait } = this.waits.get(key) as MemoryWait
    this.waits.set(key, { wait, answer })
    this.#waiters.get(key)?.resolve(answer)
  }

  /** The oldest wait without an answer that fits. */
  open(fits: (wait: DurableWait) => boolean): [string, MemoryWait] | undefined {
    for (const [key, recorded] of this.waits) {
      if (recorded.answer === undefined && fits(recorded.wait)) return [key, recorded]
    }
    return undefined
  }

  answerTo(key: string): Promise<DurableAnswer> {
    const { answer } = this.waits.get(key) as RecordedWait
    if (answer !== undefined) return Promise.resolve(answer)
    const waiter = this.#waiters.get(key) ?? createDeferred<DurableAnswer>()
    this.#waiters.set(key, waiter)
    return waiter.promise
  }
}

/** The log of one execution; one that has crashed is heard of no more. */
class MemoryLog implements DurableLog {
  isDead = false
  readonly #memory: Memory

  constructor(memory: Memory) {
    this.#memory = memory
  }

  stepOf(key: string): RecordedStep | undefined {
    return this.#memory.steps.get(key)
  }

  waitOf(key: string): RecordedWait | undefined {
    return this.#memory.waits.get(key)
  }

  keys(): Iterable<string> {
    return [...this.#memory.steps.keys(), ...this.#memory.waits.keys()]
  }

  async recordStep(key: string, output: JsonValue | undefined): Promise<void> {
    await this.#alive()
    this.#memory.steps.set(key, { output })
  }

  async recordWait(key: string, wait: DurableWait): Promise<void> {
    await this.#alive()
    this.#memory.waits.set(key, { wait })
    const name = wait.type === 'answer' ? wait.name : undefined
    if (name === undefined || !this.#memory.early.has(name)) return
    this.#memory.settle(key, { type: 'answered', value: this.#memory.early.get(name) })
    this.#memory.early.delete(name)
  }

  async answerTo(key: string, { signal }: { readonly signal: AbortSignal }): Promise<DurableAnswer> {
    const answer = await abortable(this.#memory.answerTo(key), signal)
    await this.#alive()
    return answer
  }

  #alive(): Promise<void> {
    return this.isDead ? new Promise(() => {}) : Promise.resolve()
  }
}

/** Durable work whose room is a map, at concurrency 1. */
export function createMemoryDurable(): DurableFixture & { readonly slots: Slots } {
  const clock = new SimulatedClock()
  const deadlines = new DeadlineQueue(clock)
  const memory = new Memory()
  const jobs = new JobList()
  let slots = new Slots({ limit: 1, clock, deadlines })
  let current: { log: MemoryLog; job: Job } | undefined
  let unused: readonly string[] = []

  const due = (): void => {
    const now = clock.wallNow()
    for (;;) {
      const next = memory.open((wait) => wait.type !== 'call' && wait.untilMs !== undefined && wait.untilMs <= now)
      if (next === undefined) return
      const [key, { wait }] = next
      memory.settle(key, wait.type === 'time' ? { type: 'answered', value: undefined } : { type: 'timed_out' })
    }
  }
  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  }

  return {
    get slots() {
      return slots
    },
    async run(handler) {
      const slot = await slots.take({ kind: 'work' })
      const log = new MemoryLog(memory)
      const reasonOf = (cause: string): unknown => cause
      const job = new Job({
        id: 'work',
        room: 'memory',
        kind: 'work',
        displayName: 'work',
        clock,
        deadlines,
        jobs,
        slot,
        reasonOf,
      })
      current = { log, job }
      const context = new DurableContext({ job, log, clock })
      const { answer } = await job.run(() => handler(context))
      if (log.isDead) return new Promise(() => {})
      unused = context.unused()
      slot.release()
      if (answer.type === 'threw') throw answer.thrown
      return answer.type === 'returned' ? answer.value : undefined
    },
    async crash() {
      if (current !== undefined) current.log.isDead = true
      current = undefined
      slots = new Slots({ limit: 1, clock, deadlines })
    },
    async answer(name, value) {
      const encoded = encodeValue(value, 'answer')
      const open = memory.open((wait) => wait.type === 'answer' && wait.name === name)
      if (open === undefined) memory.early.set(name, encoded)
      else memory.settle(open[0], { type: 'answered', value: encoded })
      await settled()
    },
    async advance(milliseconds) {
      clock.advance(milliseconds)
      due()
      await settled()
    },
    async endCall(end) {
      const open = memory.open(({ type }) => type === 'call')
      if (open === undefined) throw new Error('nothing is called')
      const [key, { wait }] = open
      const answer: DurableAnswer =
        'reason' in end
          ? { type: 'failed', reason: end.reason, message: end.reason }
          : { type: 'answered', value: encodeValue(end.value, 'result') }
      memory.settle(key, answer)
      await settled()
      return { kind: (wait as { kind: string }).kind, input: decodeValue((wait as { input?: JsonValue }).input) }
    },
    unused: () => unused,
    async waiting() {
      for (let turn = 0; turn < 100 && current?.job.state !== 'waiting'; turn++) await settled()
      if (current?.job.state !== 'waiting' || slots.taken !== 0) throw new Error('the work does not wait')
    },
  }
}
