import { silence } from '../base/promises.js'
import type { OperationOutcome } from '../../machines/operation-vocabulary.js'

/** A waiter for the end of one operation. There may be a million, so that they share the functions that settle them. */
export class Watcher {
  readonly promise: Promise<OperationOutcome>
  #resolve!: (outcome: OperationOutcome) => void
  #reject!: (reason: unknown) => void

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  resolve(outcome: OperationOutcome): void {
    this.#resolve(outcome)
  }

  /** Nobody needs to handle the rejection. */
  reject(reason: unknown): void {
    silence(this.promise)
    this.#reject(reason)
  }
}

/** The watchers of one operation. Usually there is one, which then needs no set: there may be a million operations. */
export type Watchers = Watcher | Set<Watcher>

/** Returns the watchers with one more. */
export function withWatcher(watchers: Watchers | undefined, watcher: Watcher): Watchers {
  if (watchers === undefined) return watcher
  return watchers instanceof Set ? watchers.add(watcher) : new Set([watchers, watcher])
}

/** Returns the watchers without one of them. */
export function withoutWatcher(watchers: Watchers | undefined, watcher: Watcher): Watchers | undefined {
  if (watchers instanceof Set) watchers.delete(watcher)
  return watchers === watcher ? undefined : watchers
}

/** The number of watchers. */
export function countOf(watchers: Watchers | undefined): number {
  if (watchers === undefined) return 0
  return watchers instanceof Set ? watchers.size : 1
}

/** Calls the function with each watcher. */
export function eachWatcher(watchers: Watchers | undefined, settle: (watcher: Watcher) => void): void {
  if (watchers instanceof Set) for (const watcher of watchers) settle(watcher)
  else if (watchers !== undefined) settle(watchers)
}
