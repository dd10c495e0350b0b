/** How the engine tries again what a worker has not answered; see {@link takeoverPolicy}. */
export interface RetryPolicy {
  readonly initialInterval: number
  readonly exponentiationFactor: number
  readonly maxInterval: number
  readonly maxAttempts: number
  readonly onMaxAttempts: 'pause'
}

/**
 * Tries again so soon that another worker takes over within two seconds: left to itself the engine waits for five to seven.
 * Once so many attempts have failed the invocation is paused, which a wait for it reports as `restate.paused`.
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
