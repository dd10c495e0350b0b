import { abortable, createDeferred, type Deferred } from '../../base/promises.js'
import type { AwaitedAnswer } from '../../work/durable-log.js'
import type { TaskEvent } from '../catalogue.js'
import type { Asked } from '../question.js'
import type { RunId } from '../ids.js'
import { durableKey } from '../step.js'
import type { DurableWait } from '../wait.js'
import type { TaskProjection } from '../view.js'

/** Asks the waiting attempt whether it accepts an answer. */
export type CheckAnswer = (asked: Asked, value: unknown) => Promise<void> | undefined

/** Attempts that wait for their waits to end. */
export class Answers {
  readonly #projection: Pick<TaskProjection, 'wait'>
  readonly #waiting = new Map<string, Set<Deferred<DurableWait>>>()
  readonly #checks = new Map<string, NonNullable<AwaitedAnswer['check']>>()

  constructor(projection: Pick<TaskProjection, 'wait'>) {
    this.#projection = projection
  }

  /** Resolves with a wait once it is over, at once if it already is. Rejects with the signal's reason. */
  async next(runId: RunId, key: string, { signal, check }: AwaitedAnswer): Promise<DurableWait> {
    const wait = this.#projection.wait(runId, key)
    if (wait?.end !== undefined) return wait
    const id = durableKey(runId, key)
    const deferred = createDeferred<DurableWait>()
    const waiting = this.#waiting.get(id) ?? new Set()
    this.#waiting.set(id, waiting.add(deferred))
    if (check !== undefined) this.#checks.set(id, check)
    try {
      return await abortable(deferred.promise, signal)
    } finally {
      waiting.delete(deferred)
      if (waiting.size === 0) {
        this.#waiting.delete(id)
        this.#checks.delete(id)
      }
    }
  }

  /** Rejects with `invalid_input` for a value that the attempt waiting here would not accept. */
  readonly check: CheckAnswer = ({ runId, key }, value) => this.#checks.get(durableKey(runId, key))?.(value)

  /** Handles a durable event. */
  observe(event: TaskEvent): void {
    if (event.type !== 'wait_ended' && event.type !== 'question_answered') return
    const { runId, key } = event
    if (runId === undefined || key === undefined) return
    const wait = this.#projection.wait(runId, key)
    if (wait?.end === undefined) return
    for (const deferred of this.#waiting.get(durableKey(runId, key)) ?? []) deferred.resolve(wait)
  }
}
