import type { Deferred } from '../base/promises.js'
import type { OperationOutcome } from '../../machines/operation-vocabulary.js'

/** Somebody who waits for the end of one operation. */
export type Watcher = Deferred<OperationOutcome>

/** Those who wait for one operation. Mostly there is one, who needs no set: there may be a million operations. */
export type Watchers = Watcher | Set<Watcher>

/** The watchers with one more. */
export function withWatcher(watchers: Watchers | undefined, watcher: Watcher): Watchers {
  if (watchers === undefined) return watcher
  return watchers instanceof Set ? watchers.add(watcher) : new Set([watchers, watcher])
}

/** The watchers without one of them. */
export function withoutWatcher(watchers: Watchers | undefined, watcher: Watcher): Watchers | undefined {
  if (watchers instanceof Set) watchers.delete(watcher)
  return watchers === watcher ? undefined : watchers
}

/** How many wait. */
export function countOf(watchers: Watchers | undefined): number {
  if (watchers === undefined) return 0
  return watchers instanceof Set ? watchers.size : 1
}

/** Does something with each. */
export function eachWatcher(watchers: Watchers | undefined, settle: (watcher: Watcher) => void): void {
  if (watchers instanceof Set) for (const watcher of watchers) settle(watcher)
  else if (watchers !== undefined) settle(watchers)
}
