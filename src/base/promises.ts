import { onAbort } from './abort.js'

/** A promise together with the two functions that settle it. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>
  readonly resolve: (value: Value) => void
  readonly reject: (reason: unknown) => void
}

/** Makes a {@link Deferred}; an ignored rejection of it never becomes an unhandled one. */
export function createDeferred<Value>(): Deferred<Value> {
  let resolve!: Deferred<Value>['resolve']
  let rejectLoudly!: Deferred<Value>['reject']
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve
    rejectLoudly = onReject
  })
  // The handler comes with the rejection: most promises never need one.
  const reject = (reason: unknown): void => {
    promise.catch(ignore)
    rejectLoudly(reason)
  }
  return { promise, resolve, reject }
}

/** Gives a promise that nobody may be watching a rejection handler, and returns it. */
export function silence<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(ignore)
  return promise
}

function ignore(): void {}

/**
 * The promise, or the abort reason if `signal` aborts first. The listener leaves with whichever
 * comes first; the work behind the promise is not touched.
 */
export async function abortable<Value>(promise: Promise<Value>, signal?: AbortSignal): Promise<Value> {
  if (signal === undefined) return promise
  silence(promise)
  signal.throwIfAborted()
  const aborted = createDeferred<never>()
  const forget = onAbort(signal, () => aborted.reject(signal.reason))
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    forget()
  }
}

/** Lets the event loop run: timers, I/O and what waits for them. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
