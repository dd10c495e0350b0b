import type { DeadlineQueue } from '../base/deadline-queue.js'
import { StatewardError } from '../base/errors.js'
import { abortable, createDeferred } from '../base/promises.js'
import { isPassingFailure } from './store-failure.js'

/**
 * Repeats an idempotent request to the store until it is answered. Rejects with any error that is not a passing failure
 * of the store, and with the reason of the signal (by default the one given to {@link patienceOf}).
 */
export type Patiently = <Result>(ask: () => Promise<Result>, signal?: AbortSignal) => Promise<Result>

/** Milliseconds before a request is repeated. */
const pauseMs = 1000

/**
 * Makes requests survive a store that is unavailable for a while, so that a run need not start again. Requests are
 * repeated until the signal aborts; that of a run aborts when its lease would expire.
 */
export function patienceOf(deadlines: DeadlineQueue, lasting: AbortSignal): Patiently {
  return async (ask, signal = lasting) => {
    for (;;) {
      try {
        return await ask()
      } catch (failure) {
        if (!isPassingFailure(failure) || StatewardError.is(failure, 'store.closed') || signal.aborted) throw failure
      }
      const over = createDeferred<void>()
      using _ = deadlines.after(pauseMs, () => over.resolve())
      await abortable(over.promise, signal)
    }
  }
}
