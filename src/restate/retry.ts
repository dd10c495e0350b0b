/** How the engine retries what a worker has not answered; see {@link takeoverPolicy}. */
export interface RetryPolicy {
  readonly initialInterval: number
  readonly exponentiationFactor: number
  readonly maxInterval: number
  readonly maxAttempts: number
  readonly onMaxAttempts: 'pause'
}

/**
 * Retries quickly enough for another worker to take over within two seconds. By default the engine would wait five to
 * seven seconds. After this many failed attempts the invocation is paused, and waits for it reject with
 * `restate.paused`.
 */
export function takeoverPolicy(maxAttempts: number): RetryPolicy {
  return {
    initialInterval: 50,
    exponentiationFactor: 1.5,
    maxInterval: 500,
    maxAttempts,
    onMaxAttempts: 'pause',
  }
}
