import type { DeadlineQueue } from './deadline-queue.js'
import { createDeferred, type Deferred } from './promises.js'

/** What happened to an item: it was queued, there was no room for it, or the channel is closed. */
export type Sent = 'sent' | 'full' | 'closed'

/** A sender waiting for room. */
interface Waiter<Item> {
  readonly item: Item
  readonly deferred: Deferred<Sent>
}

/**
 * A queue between many senders and one receiver: first in, first out, up to a capacity. A sender that finds it full is
 * told so at once, waits for room, or waits for a while, as it chooses. Nobody overtakes a sender that already waits.
 *
 *     const channel = new Channel<Message>({ capacity: 1024, onItem: () => wake() })
 *     channel.trySend(message)            // 'sent' or 'full', now
 *     await channel.send(message)         // once there is room
 *     channel.take()                      // the oldest, and room for one of those who wait
 */
export class Channel<Item> {
  readonly #capacity: number
  readonly #onItem: () => void
  /** A ring buffer: item `n`, counted from the beginning, is in slot `n % capacity`. */
  readonly #slots: (Item | undefined)[] = []
  #read = 0
  #written = 0
  /** In order of arrival. A waiter that gives up is removed at a cost of O(1). */
  readonly #waiters = new Set<Waiter<Item>>()
  #isClosed = false

  /** `onItem` is called when there is something to take. It must not throw, and must not take during the call. */
  constructor({ capacity, onItem }: { readonly capacity: number; readonly onItem: () => void }) {
    this.#capacity = Math.max(1, Math.trunc(capacity))
    this.#onItem = onItem
  }

  /** Items in the queue, not counting those of waiting senders. */
  get size(): number {
    return this.#written - this.#read
  }

  /** Senders waiting for room. */
  get waiting(): number {
    return this.#waiters.size
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Puts an item into the queue unless it is full. A queue counts as full while any sender waits for room. */
  trySend(item: Item): Sent {
    if (this.#isClosed) return 'closed'
    if (this.size >= this.#capacity) return 'full'
    this.#put(item)
    return 'sent'
  }

  /** Resolves with `sent` once the item is in the queue, however long that takes, or with `closed`. Never rejects. */
  send(item: Item): Promise<Sent> {
    const sent = this.trySend(item)
    if (sent !== 'full') return Promise.resolve(sent)
    return this.#wait(item).deferred.promise
  }

  /**
   * Like {@link send}, but resolves with `full` when there is no room within `milliseconds`; the item is then
   * dropped.
   */
  sendWithin(item: Item, milliseconds: number, deadlines: Pick<DeadlineQueue, 'after'>): Promise<Sent> {
    const sent = this.trySend(item)
    if (sent !== 'full') return Promise.resolve(sent)
    const waiter = this.#wait(item)
    const deadline = deadlines.after(milliseconds, () => {
      this.#waiters.delete(waiter)
      waiter.deferred.resolve('full')
    })
    return waiter.deferred.promise.finally(() => deadline[Symbol.dispose]())
  }

  /** Removes and returns the oldest item, and queues the item of the first waiting sender. */
  take(): Item | undefined {
    if (this.size === 0) return undefined
    const slot = this.#read % this.#capacity
    const item = this.#slots[slot]
    this.#slots[slot] = undefined
    this.#read += 1
    const [next] = this.#waiters
    if (next !== undefined) {
      this.#waiters.delete(next)
      this.#put(next.item)
      next.deferred.resolve('sent')
    }
    return item
  }

  /**
   * Refuses all items from now on, those of waiting senders included. Items already in the queue can still be taken.
   */
  close(): void {
    this.#isClosed = true
    for (const { deferred } of this.#waiters) deferred.resolve('closed')
    this.#waiters.clear()
  }

  /** Empties the queue and returns how many items it held. */
  clear(): number {
    const { size } = this
    this.#slots.length = 0
    this.#read = this.#written
    return size
  }

  #wait(item: Item): Waiter<Item> {
    const waiter: Waiter<Item> = { item, deferred: createDeferred<Sent>() }
    this.#waiters.add(waiter)
    return waiter
  }

  #put(item: Item): void {
    this.#slots[this.#written % this.#capacity] = item
    this.#written += 1
    this.#onItem()
  }
}
