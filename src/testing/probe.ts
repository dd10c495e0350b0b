import { StatewardError } from '../base/errors.js'

/** How a promise stands. */
export type ProbeState =
  | { readonly type: 'pending' }
  | { readonly type: 'resolved'; readonly value: unknown }
  | { readonly type: 'rejected'; readonly reason: unknown }

/** Watches a promise without waiting for it. */
export class Probe {
  state: ProbeState = { type: 'pending' }
  /** Resolves when the promise has settled, either way. */
  readonly settled: Promise<void>

  constructor(promise: PromiseLike<unknown>) {
    this.settled = Promise.resolve(
      promise.then(
        (value) => void (this.state = { type: 'resolved', value }),
        (reason: unknown) => void (this.state = { type: 'rejected', reason }),
      ),
    )
  }

  /** The code of the error it was rejected with, or the reason as text. */
  get code(): string | undefined {
    const { state } = this
    return state.type === 'rejected' ? codeOf(state.reason) : undefined
  }
}

/** The code that an error carries; the text of what carries none. */
export function codeOf(reason: unknown): string {
  if (StatewardError.is(reason)) return reason.code
  const { code } = (typeof reason === 'object' && reason !== null ? reason : {}) as { readonly code?: unknown }
  return typeof code === 'string' ? code : String(reason)
}

/** Waits until all have settled, but no longer than this many milliseconds; what has not shows as pending then. */
export async function settledWithin(patienceMs: number, probes: readonly Probe[]): Promise<void> {
  if (probes.every(({ state }) => state.type !== 'pending')) return
  let timeout: NodeJS.Timeout | undefined
  const patience = new Promise<void>((resolve) => {
    timeout = setTimeout(resolve, patienceMs)
  })
  await Promise.race([Promise.all(probes.map(({ settled }) => settled)), patience])
  clearTimeout(timeout)
}
