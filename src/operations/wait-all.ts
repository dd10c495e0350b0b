import { onAbort } from '../base/abort.js'
import { silence } from '../base/promises.js'
import type { WaitRequestId } from '../../machines/operation-vocabulary.js'
import { WaitDisposedError } from './errors.js'
import type { WaitAllResult } from './types.js'

/**
 * A wait for several operations: await it like a promise, dispose it to give up. Losing a `Promise.race` does not give
 * it up. Ignoring a rejection never causes an unhandled one.
 */
export class WaitAll implements PromiseLike<WaitAllResult>, Disposable {
  readonly requestId: WaitRequestId
  /** Resolves with the outcomes in the order of the request, and the obligation. */
  readonly result: Promise<WaitAllResult>
  readonly #cancel: (reason: unknown) => void

  constructor(
    requestId: WaitRequestId,
    result: Promise<WaitAllResult>,
    signal: AbortSignal | undefined,
    cancel: (reason: unknown) => void,
  ) {
    this.requestId = requestId
    this.#cancel = cancel
    if (signal === undefined) {
      this.result = result
      return
    }
    const forget = onAbort(signal, () => cancel(signal.reason))
    this.result = silence(result.finally(forget))
  }

  /** Creates a wait that never became active. */
  static rejected(requestId: WaitRequestId, reason: unknown): WaitAll {
    return new WaitAll(requestId, silence(Promise.reject(reason)), undefined, () => {})
  }

  // oxlint-disable-next-line unicorn/no-thenable -- awaiting the handle is what it is for
  then<Fulfilled = WaitAllResult, Rejected = never>(
    onFulfilled?: ((result: WaitAllResult) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return this.result.then(onFulfilled, onRejected)
  }

  /** Gives up a pending wait, which then rejects with `wait_disposed`; no effect afterwards. */
  [Symbol.dispose](): void {
    this.#cancel(new WaitDisposedError('wait_disposed', { requestId: this.requestId }))
  }
}
