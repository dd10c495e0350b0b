import { createDeferred, type Deferred } from './promises.js'

/** How a wait for a change ends: something changed, or the hub is closed and nothing more will follow. */
export type Tick = 'changed' | 'closed'

/**
 * Wakes waiters when something under a key has changed. A tick carries no data; it means "read again".
 *
 * Subscribe before the first read, then read, then wait. A change before the read is seen by the read, and a change
 * after it ends the wait at once. Keys without subscribers cost nothing and are not remembered.
 */
export class ChangeHub<Key> implements Disposable {
  readonly #entries = new Map<Key, Entry>()
  readonly #listeners = new Set<(key: Key) => void>()
  #isClosed = false

  /** Number of keys that have subscribers. */
  get size(): number {
    return this.#entries.size
  }

  /** Follows a key from now on. Dispose the subscription when you no longer wait. */
  subscribe(key: Key): HubSubscription {
    if (this.#isClosed) return new HubSubscription(closedEntry, () => {})
    let entry = this.#entries.get(key)
    if (entry === undefined) this.#entries.set(key, (entry = new Entry()))
    const followed = entry
    followed.subscribers += 1
    return new HubSubscription(followed, () => {
      followed.subscribers -= 1
      if (followed.subscribers === 0 && this.#entries.get(key) === followed) this.#entries.delete(key)
    })
  }

  /**
   * Calls `listener` for every key that changes, followed or not. Several ticks may report one change. The listener
   * must not throw.
   */
  listen(listener: (key: Key) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  /** Reports a change under the key. Never throws, and does not run the waiters' continuations synchronously. */
  notify(key: Key): void {
    this.#entries.get(key)?.change()
    for (const listener of this.#listeners) listener(key)
  }

  /** Wakes the waiters of a key because it may have changed. Listeners are not called. */
  wake(key: Key): void {
    this.#entries.get(key)?.change()
  }

  /** Wakes all waiters, because any key may have changed. */
  wakeAll(): void {
    for (const entry of this.#entries.values()) entry.change()
  }

  /** Ends every wait with `closed`. Later subscriptions are closed from the start. */
  close(): void {
    this.#isClosed = true
    this.#listeners.clear()
    for (const entry of this.#entries.values()) entry.close()
    this.#entries.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** A reader's subscription to a key of a {@link ChangeHub}. It remembers which changes the reader has seen. */
export class HubSubscription implements Disposable {
  readonly #entry: Entry
  readonly #leave: () => void
  #seen: number
  #isDisposed = false

  /** @internal Created by {@link ChangeHub.subscribe}. */
  constructor(entry: Entry, leave: () => void) {
    this.#entry = entry
    this.#leave = leave
    this.#seen = entry.version
  }

  /** True if something changed since the last wait, or since the subscription began. */
  get hasChanged(): boolean {
    return this.#entry.version !== this.#seen
  }

  /**
   * Resolves at the next change, at once if there was one since the last wait. Several changes in between count as
   * one. Never rejects. Disposing the subscription ends its wait with `closed`.
   */
  changed(): Promise<Tick> {
    if (this.#isDisposed || this.#entry.isClosed) return Promise.resolve('closed')
    if (this.hasChanged) {
      this.#seen = this.#entry.version
      return Promise.resolve('changed')
    }
    return this.#entry.next().then((tick) => {
      this.#seen = this.#entry.version
      return this.#isDisposed ? 'closed' : tick
    })
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return
    this.#isDisposed = true
    this.#leave()
  }
}

/** What a hub keeps per key: how often it changed, and who waits for the next change. */
class Entry {
  version = 0
  subscribers = 0
  isClosed = false
  #next: Deferred<Tick> | undefined

  /** Shared by all who wait for the same change. */
  next(): Promise<Tick> {
    this.#next ??= createDeferred<Tick>()
    return this.#next.promise
  }

  change(): void {
    this.version += 1
    this.#end('changed')
  }

  close(): void {
    this.isClosed = true
    this.#end('closed')
  }

  #end(tick: Tick): void {
    const next = this.#next
    this.#next = undefined
    next?.resolve(tick)
  }
}

const closedEntry = new Entry()
closedEntry.close()
