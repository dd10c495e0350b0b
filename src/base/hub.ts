import { createDeferred, type Deferred } from './promises.js'

/** What a wait for a change ends with: something changed, or the hub will never say so again. */
export type Tick = 'changed' | 'closed'

/**
 * Tells waiters that something under a key has changed, and nothing else: a tick means "read again".
 *
 * Subscribe before the first read, then read, then wait: a change before the read is seen by the read, one after it
 * makes the wait end at once. Keys without subscribers cost nothing and are not remembered.
 */
export class ChangeHub<Key> implements Disposable {
  readonly #entries = new Map<Key, Entry>()
  readonly #listeners = new Set<(key: Key) => void>()
  #isClosed = false

  /** How many keys somebody follows. */
  get size(): number {
    return this.#entries.size
  }

  /** Follows a key from now on; dispose the subscription when the wait is over. */
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

  /** Tells of every key that changes, whoever follows it; several ticks may tell of one change. The listener must not throw. */
  listen(listener: (key: Key) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  /** Something under the key has changed. Never throws, and never runs what waiters do next. */
  notify(key: Key): void {
    this.#entries.get(key)?.change()
    for (const listener of this.#listeners) listener(key)
  }

  /** Ends every wait with `closed`; later subscriptions are closed from the start. */
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

/** One reader's end of a {@link ChangeHub}: remembers which changes it has seen. */
export class HubSubscription implements Disposable {
  readonly #entry: Entry
  readonly #leave: () => void
  #seen: number
  #isDisposed = false

  /** @internal Made by {@link ChangeHub.subscribe}. */
  constructor(entry: Entry, leave: () => void) {
    this.#entry = entry
    this.#leave = leave
    this.#seen = entry.version
  }

  /** True when something changed since the last wait or since the subscription began. */
  get hasChanged(): boolean {
    return this.#entry.version !== this.#seen
  }

  /**
   * Ends with the next change, at once if there was one since the last; several changes in between are one. The promise
   * never rejects. A subscription that is disposed of ends its wait with `closed`.
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

/** What a hub knows of a key: how often it changed, and who waits for the next time. */
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
