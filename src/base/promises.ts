import { onAbort } from './abort.js'

/** A promise together with the two functions that settle it. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>
  readonly resolve: (value: Value | PromiseLike<Value>) => void
  readonly reject: (reason: unknown) => void
}

/** Makes a {@link Deferred}; an ignored rejection of it never becomes an unhandled one. */
export function createDeferred<Value>(): Deferred<Value> {
  let resolve!: Deferred<Value>['resolve']
  let reject!: Deferred<Value>['reject']
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  // Only a promise that may reject gets a handler: each one is another promise, and most never need it.
  return {
    promise,
    resolve: (value) => {
      if (isThenable(value)) silence(promise)
      resolve(value)
    },
    reject: (reason) => {
      silence(promise)
      reject(reason)
    },
  }
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value
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
export function abortable<Value>(promise: Promise<Value>, signal?: AbortSignal): Promise<Value> {
  return signal === undefined ? promise : untilAbort(promise, signal)
}

async function untilAbort<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
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
    // A page in a browser has no other way than a timer.
    if (typeof setImmediate === 'function') setImmediate(resolve)
    else setTimeout(resolve)
  })
}
