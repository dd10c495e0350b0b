import { onAbort } from './abort.js'

/** A promise with the two functions that settle it. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>
  readonly resolve: (value: Value | PromiseLike<Value>) => void
  readonly reject: (reason: unknown) => void
}

/** Creates a {@link Deferred}. A rejection that nobody handles never becomes an unhandled one. */
export function createDeferred<Value>(): Deferred<Value> {
  let resolve!: Deferred<Value>['resolve']
  let reject!: Deferred<Value>['reject']
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  // The handler is added only on rejection: each one creates another promise, and most deferreds never reject.
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

/** Adds a rejection handler to a promise that may have none, and returns the promise. */
export function silence<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(ignore)
  return promise
}

function ignore(): void {}

/**
 * Settles like the promise, or rejects with the abort reason if `signal` aborts first. The abort listener is removed
 * in either case. The work behind the promise is not stopped.
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

/** Resolves in the next turn of the event loop, after timers and I/O have had a chance to run. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    // A browser has only timers.
    if (typeof setImmediate === 'function') setImmediate(resolve)
    else setTimeout(resolve)
  })
}
