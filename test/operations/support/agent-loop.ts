import { createDeferred, type Deferred } from '../../../src/base/promises.js'
import {
  TurnBoundary,
  type ContinuationInput,
  type IdleWake,
  type IdleWakeHost,
} from '../../../src/operations/index.js'
import type { Session } from '../../../src/operations/session.js'

/** What the loop runs: a prompt of a user, or a continuation. */
type Input = string | ContinuationInput

/** A run of the loop as a test sees it. */
interface Run {
  readonly input: Input
  /** Names of the completions that were shown to it. */
  readonly shown: readonly string[]
}

/**
 * A small agent service: a queue of inputs worked off one at a time, and an idle-wake loop beside it.
 * A run ends at once unless the test holds it.
 */
export class AgentLoop implements IdleWakeHost, Disposable {
  readonly runs: Run[] = []
  readonly wake: IdleWake
  readonly #queue: Input[] = []
  readonly #boundary: TurnBoundary | undefined
  #isRunning = false
  #hold: Deferred<void> | undefined
  #shown: string[] = []

  constructor(session: Session, { showsCompletions = false } = {}) {
    if (showsCompletions) {
      const edit = (notices: readonly { displayName: string }[]): void => {
        this.#shown = notices.map(({ displayName }) => displayName)
      }
      this.#boundary = new TurnBoundary({ operations: session.operations, edit })
    }
    this.wake = session.wakeWhenIdle(this)
  }

  /** Keeps every run from ending until the returned function is called. */
  holdRuns(): () => void {
    const hold = createDeferred<void>()
    this.#hold = hold
    return () => {
      this.#hold = undefined
      hold.resolve()
    }
  }

  /** Takes an ordinary input. */
  async submit(prompt: string): Promise<void> {
    this.#queue.push(prompt)
    await this.processQueue()
    this.wake.queueDrained()
  }

  isQuiescent(): boolean {
    return !this.#isRunning && this.#queue.length === 0
  }

  inject(input: ContinuationInput): boolean {
    this.#queue.push(input)
    return true
  }

  async processQueue(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    for (let input = this.#queue.shift(); input !== undefined; input = this.#queue.shift()) await this.#run(input)
    this.#isRunning = false
  }

  [Symbol.dispose](): void {
    this.wake[Symbol.dispose]()
  }

  async #run(input: Input): Promise<void> {
    this.#shown = []
    const run = { input, shown: [] as readonly string[] }
    this.runs.push(run)
    await this.#hold?.promise
    await this.#boundary?.deliver()
    run.shown = this.#shown
  }
}
