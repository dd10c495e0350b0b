import { StatewardError } from '../base/errors.js'

/** The state of a promise. */
export type ProbeState =
  | { readonly type: 'pending' }
  | { readonly type: 'resolved'; readonly value: unknown }
  | { readonly type: 'rejected'; readonly reason: unknown }

/** Observes the state of a promise without waiting for it. */
export class Probe {
  state: ProbeState = { type: 'pending' }
  /** Resolves when the promise has resolved or rejected. */
  readonly settled: Promise<void>

  constructor(promise: PromiseLike<unknown>) {
    this.settled = Promise.resolve(
      promise.then(
        (value) => void (this.state = { type: 'resolved', value }),
        (reason: unknown) => void (this.state = { type: 'rejected', reason }),
      ),
    )
  }

  /** The code of the error with which it rejected, or the reason as text. */
  get code(): string | undefined {
    const { state } = this
    return state.type === 'rejected' ? codeOf(state.reason) : undefined
  }
}

/** The code of an error; for anything without a code, its text. */
export function codeOf(reason: unknown): string {
  if (StatewardError.is(reason)) return reason.code
  const { code } = (typeof reason === 'object' && reason !== null ? reason : {}) as { readonly code?: unknown }
  return typeof code === 'string' ? code : String(reason)
}

/** Waits until all promises have settled, but at most this many milliseconds; the others are then still pending. */
export async function settledWithin(patienceMs: number, probes: readonly Probe[]): Promise<void> {
  if (probes.every(({ state }) => state.type !== 'pending')) return
  let timeout: NodeJS.Timeout | undefined
  const patience = new Promise<void>((resolve) => {
    timeout = setTimeout(resolve, patienceMs)
  })
  await Promise.race([Promise.all(probes.map(({ settled }) => settled)), patience])
  clearTimeout(timeout)
}
