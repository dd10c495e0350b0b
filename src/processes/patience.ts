import type { DeadlineQueue } from '../base/deadline-queue.js'
import { StatewardError } from '../base/errors.js'
import { abortable, createDeferred } from '../base/promises.js'
import { isPassingFailure } from './store-failure.js'

/**
 * Asks a store for something that does the same when it is asked for twice, until there is an answer. Rejects with what is no
 * passing failure of the store, and with the reason of the signal, if it is to be another one than is waited for anyway.
 */
export type Patiently = <Result>(ask: () => Promise<Result>, signal?: AbortSignal) => Promise<Result>

/** Milliseconds before a store is asked again. */
const pauseMs = 1000

/**
 * Patience with a store that is away for a while: what only could not be read or written yet is no reason to begin anew. It lasts
 * until the signal aborts, as that of a run does when its lease would run out.
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
