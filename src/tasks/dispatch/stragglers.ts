import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import type { Logger } from '../../base/logger.js'
import type { Run } from '../run.js'

/** What is needed to follow stragglers. */
export interface StragglersOptions {
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** How long a straggler is waited for. */
  readonly limitMs: number
}

/**
 * Handlers that go on although their attempt has ended without them. What they keep from others is released once they
 * have really ended, and at the latest when they are left behind.
 */
export class Stragglers implements Disposable {
  readonly #options: StragglersOptions
  readonly #waiting = new Set<Deadline>()

  constructor(options: StragglersOptions) {
    this.#options = options
  }

  /** Calls `release` once, when the handler of the run has ended or is left behind. `ended` must not reject. */
  follow({ id: runId, taskId }: Run, concurrencyKey: string, ended: Promise<void>, release: () => void): void {
    const { deadlines, logger, limitMs } = this.#options
    const leave = (): boolean => {
      limit[Symbol.dispose]()
      return this.#waiting.delete(limit)
    }
    const limit = deadlines.after(limitMs, () => {
      leave()
      release()
      logger.warn(
        { runId, taskId, concurrencyKey, limitMs },
        'a handler that ignores its signal was left behind: it may overlap with the next run of its concurrency key',
      )
    })
    this.#waiting.add(limit)
    const onEnded = (): void => {
      if (leave()) release()
    }
    void ended.then(onEnded)
  }

  /** Waits for nobody any more and leaves no timer behind; nothing is released. */
  [Symbol.dispose](): void {
    for (const limit of this.#waiting) limit[Symbol.dispose]()
    this.#waiting.clear()
  }
}
