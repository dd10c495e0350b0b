import type { NodeAction, PendingAction } from './action.js'
import type { ActionId, ChainId, DaemonId } from './ids.js'
import type { BackpressureOptions } from './options.js'
import type { MonotonicMs } from './vocabulary.js'

/** What the executor may do with an action now. */
export type Admission =
  | { readonly status: 'admitted' }
  | { readonly status: 'deferred'; readonly retryAfterMs: number }
  | { readonly status: 'gated'; readonly reason: string; readonly until: MonotonicMs }

const admitted: Admission = Object.freeze({ status: 'admitted' })

/** Decides which action may be dispatched now, given the actions admitted lately (N-68 to N-73). */
export class AdmissionGate {
  readonly #options: BackpressureOptions
  #lastPull: { readonly at: MonotonicMs; readonly by: ActionId } | undefined
  /** Until when a chain stabilizes after a copy of it was pulled or dropped. */
  readonly #resting = new Map<ChainId, MonotonicMs>()
  /** Until when a daemon must not be started. */
  readonly #gated = new Map<DaemonId, MonotonicMs>()

  constructor(options: BackpressureOptions) {
    this.#options = options
  }

  /** Whether an action may be dispatched now. Changes nothing; {@link AdmissionGate.reserve} records that it is. */
  admit(action: NodeAction, now: MonotonicMs): Admission {
    switch (action.type) {
      case 'pull_replica':
        return (
          deferredUntil(this.#resting.get(action.chain), now) ??
          deferredUntil(this.#lastPull && this.#lastPull.at + this.#options.pullCooldownMs, now) ??
          admitted
        )
      case 'drop_replica':
        return deferredUntil(this.#resting.get(action.chain), now) ?? admitted
      case 'start_daemon': {
        const until = this.#gated.get(action.daemon.id)
        return until !== undefined && until > now ? { status: 'gated', reason: 'daemon-backoff', until } : admitted
      }
      default:
        return admitted
    }
  }

  /** Records that an admitted action is dispatched. */
  reserve({ id, action }: PendingAction, now: MonotonicMs): void {
    switch (action.type) {
      case 'pull_replica':
        this.#lastPull = { at: now, by: id }
        this.#resting.set(action.chain, now + this.#options.replicaStabilizationMs)
        return
      case 'drop_replica':
        this.#resting.set(action.chain, now + this.#options.replicaStabilizationMs)
        return
      case 'apply_backoff':
        this.#gated.set(action.daemon.id, action.until)
        return
      default:
        return
    }
  }

  /** The dispatch failed: reverts what {@link AdmissionGate.reserve} set, unless another action has set it since. */
  release({ id, action }: PendingAction): void {
    if (this.#lastPull?.by === id) this.#lastPull = undefined
    if (action.type === 'pull_replica' || action.type === 'drop_replica') this.#resting.delete(action.chain)
  }

  /** Opens the gate of a daemon, whatever closed it. */
  openDaemon(daemon: DaemonId): void {
    this.#gated.delete(daemon)
  }

  /** Removes entries that no longer hold anything back. */
  collect(now: MonotonicMs): void {
    for (const [chain, until] of this.#resting) if (until <= now) this.#resting.delete(chain)
    for (const [daemon, until] of this.#gated) if (until <= now) this.#gated.delete(daemon)
  }
}

function deferredUntil(until: MonotonicMs | undefined, now: MonotonicMs): Admission | undefined {
  return until !== undefined && until > now ? { status: 'deferred', retryAfterMs: until - now } : undefined
}

/** The pressure on the cluster, as a fraction, at this number of waiting actions. */
export function pressureOf(depth: number, { clusterThreshold, clusterRelease }: BackpressureOptions): number {
  return Math.min(1, Math.max(0, (depth - clusterRelease) / (clusterThreshold - clusterRelease)))
}
