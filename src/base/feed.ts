import type { Observable } from 'rxjs'
import * as v from 'valibot'
import { onAbort } from './abort.js'
import { decode } from './decode.js'
import { InvalidInputError, StatewardError } from './errors.js'
import { deepFreeze } from './freeze.js'
import { GuardedObservable } from './guarded-observable.js'
import { silentLogger, type Logger } from './logger.js'
import { abortableSchema, optionsSchema, signalSchema, textOf, wholeNumberSchema } from './options.js'
import { createDeferred, silence, type Deferred } from './promises.js'

/** A row of a feed. Rows are numbered upwards from 1; numbers may be skipped. */
export interface Sequenced {
  readonly seq: number
}

/** Rows after a cursor, and the watermark at the same instant. */
export interface FeedBatch<Row extends Sequenced> {
  readonly entries: readonly Row[]
  /** Sequence of the last published row; 0 if there was none. */
  readonly watermark: number
  /** Highest sequence that retention has dropped; 0 if there was none. */
  readonly droppedThrough: number
}

/**
 * The gap that a consumer at a cursor faces. Either the rows between the cursor and the oldest retained row have been
 * dropped (O-69), or `requestedAfterSeq` exceeds `watermark`: the cursor belongs to another feed, for instance one
 * from before its directory was created anew, and the consumer would skip the rows up to it.
 */
export interface FeedGap {
  readonly requestedAfterSeq: number
  readonly droppedThrough: number
  readonly watermark: number
}

/** Thrown with code `feed_gap` when a consumer would otherwise miss rows without noticing. */
export class FeedGapError extends StatewardError<'feed_gap', FeedGap> {
  override readonly name = 'FeedGapError'

  constructor(gap: FeedGap) {
    const { requestedAfterSeq, droppedThrough, watermark } = gap
    const what =
      requestedAfterSeq > watermark
        ? `cursor ${requestedAfterSeq} is beyond the last row ${watermark}, it belongs to another feed`
        : `rows after ${requestedAfterSeq} through ${droppedThrough} are no longer retained`
    super('feed_gap', `${what}: resume from a state you trust`, gap)
  }
}

/** Where a consumer starts reading, and how it stops. */
export interface FeedReadOptions {
  /** The last sequence already seen. 0 starts at the first row ever published. */
  readonly after?: number
  readonly signal?: AbortSignal
}

const readOptions = optionsSchema<FeedReadOptions>({
  after: v.optional(wholeNumberSchema(0)),
  signal: v.optional(signalSchema),
})

/**
 * The read side of a feed. It stays usable after the writer has gone. A cursor that is not a sequence is refused with
 * `invalid_input`.
 */
export interface Feed<Row extends Sequenced> {
  /** Sequence of the last published row; 0 if there was none. */
  watermark(): number
  /** Rows with `seq > cursor`, ascending. Empty for a cursor beyond the watermark. */
  since(cursor: number): FeedBatch<Row>
  /** The gap that a consumer at `cursor` faces, if any. A cursor beyond the watermark is a gap, too. */
  gapAfter(cursor: number): FeedGap | undefined
  /**
   * Resolves with the watermark once it exceeds `cursor`, at once if it already does. Rejects with the signal's
   * reason, with `invalid_input` for a bad cursor, and with `channel_closed` once the feed is closed.
   */
  waitForAdvance(cursor: number, options?: { readonly signal?: AbortSignal }): Promise<number>
  /**
   * Yields every row after `after`, then every new one. Throws `feed_gap` instead of skipping rows, and ends when the
   * feed closes. `return()` and `throw()` settle at once; a `next()` that is waiting is still answered with a row or
   * the end.
   */
  entries(options?: FeedReadOptions): AsyncIterableIterator<Row>
  /**
   * The same as an RxJS stream: rows after `after`, then live ones. Errors with `feed_gap` and completes when the
   * feed closes. What a consumer throws, and an error that it does not handle, is logged and does not end any other
   * stream.
   */
  observe(options?: FeedReadOptions): Observable<Row>
}

interface Waiter {
  readonly cursor: number
  readonly deferred: Deferred<number>
}

/** One iteration. Resolves once it waits for a row, with the function that wakes it. */
interface Reading {
  notify: () => void
  waiting: Deferred<void>
}

/**
 * A bounded, numbered log that many consumers read at their own pace.
 *
 * When the capacity is exceeded, the oldest row is dropped and `droppedThrough` says so; consumers that missed rows
 * get a gap. Reading the tail costs O(log rows + rows returned).
 */
export class SequencedFeed<Row extends Sequenced> implements Feed<Row> {
  readonly capacity: number
  readonly #logger: Logger
  #rows: Row[] = []
  /** Rows before this index have been dropped. The array is compacted once they are the larger half. */
  #first = 0
  #watermark = 0
  #droppedThrough = 0
  #droppedCount = 0
  #closed = false
  readonly #waiters = new Set<Waiter>()
  readonly #listeners = new Set<() => void>()

  /** Consumers that throw are reported to `logger`. */
  constructor(capacity: number, logger: Logger = silentLogger) {
    this.capacity = capacity
    this.#logger = logger
  }

  /** Number of retained rows. */
  get size(): number {
    return this.#rows.length - this.#first
  }

  /** Highest sequence that retention has dropped; 0 if there was none. */
  get droppedThrough(): number {
    return this.#droppedThrough
  }

  /** Number of rows that retention has dropped. */
  get droppedCount(): number {
    return this.#droppedCount
  }

  /** Retained rows, oldest first. */
  rows(): readonly Row[] {
    return this.#rows.slice(this.#first)
  }

  /**
   * Appends a row, drops the oldest one if the capacity is exceeded, and wakes the waiters. The row is frozen,
   * because every reader gets it. Returns the dropped row, so that the owner can discard what it keeps for it.
   *
   * Throws `feed_sequence` unless `row.seq` exceeds the watermark.
   */
  push(row: Row): Row | undefined {
    if (!(row.seq > this.#watermark)) {
      throw new StatewardError('feed_sequence', `sequence ${row.seq} does not follow ${this.#watermark}`, {
        seq: row.seq,
        watermark: this.#watermark,
      })
    }
    this.#rows.push(deepFreeze(row))
    this.#watermark = row.seq
    const dropped = this.size > this.capacity ? this.#dropFirst() : undefined
    this.#wake()
    return dropped
  }

  /** Restores the counts of dropped rows after recovery. Only valid before the first push. */
  restoreRetention(droppedThrough: number, droppedCount: number): void {
    this.#droppedThrough = droppedThrough
    this.#droppedCount = droppedCount
    this.#watermark = Math.max(this.#watermark, droppedThrough)
  }

  /** Drops rows, oldest first, while `isOver` returns true for the oldest; possibly all of them. */
  dropWhile(isOver: (row: Row) => boolean): void {
    while (this.size > 0 && isOver(this.#rows[this.#first] as Row)) this.#dropFirst()
  }

  watermark(): number {
    return this.#watermark
  }

  since(cursor: number): FeedBatch<Row> {
    checkCursor(cursor)
    return {
      entries: cursor >= this.#watermark ? [] : this.#rows.slice(this.#indexAfter(cursor)),
      watermark: this.#watermark,
      droppedThrough: this.#droppedThrough,
    }
  }

  /** The nth retained row, counted from the newest, which is number 1. */
  fromEnd(nth: number): Row | undefined {
    const index = this.#rows.length - nth
    return index >= this.#first ? this.#rows[index] : undefined
  }

  /** The retained row with exactly this sequence. */
  find(seq: number): Row | undefined {
    const row = this.#rows[this.#indexAfter(seq - 1)]
    return row?.seq === seq ? row : undefined
  }

  gapAfter(cursor: number): FeedGap | undefined {
    checkCursor(cursor)
    if (cursor >= this.#droppedThrough && cursor <= this.#watermark) return undefined
    return { requestedAfterSeq: cursor, droppedThrough: this.#droppedThrough, watermark: this.#watermark }
  }

  waitForAdvance(cursor: number, options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    let signal: AbortSignal | undefined
    try {
      checkCursor(cursor)
      signal = decode(abortableSchema, options, 'wait options').signal
    } catch (refusal) {
      return silence(Promise.reject(refusal))
    }
    if (signal?.aborted === true) return silence(Promise.reject(signal.reason))
    if (this.#watermark > cursor) return Promise.resolve(this.#watermark)
    if (this.#closed) return silence(Promise.reject(this.#endOfFeed(cursor)))
    const waiter: Waiter = { cursor, deferred: createDeferred<number>() }
    this.#waiters.add(waiter)
    if (signal === undefined) return waiter.deferred.promise
    const forget = onAbort(signal, () => {
      this.#waiters.delete(waiter)
      waiter.deferred.reject(signal.reason)
    })
    return silence(waiter.deferred.promise.finally(forget))
  }

  entries(options: FeedReadOptions = {}): AsyncIterableIterator<Row> {
    const reading: Reading = { notify: () => {}, waiting: createDeferred<void>() }
    const rows = this.#read(decode(readOptions, options, 'feed options'), reading)
    const end = rows.return.bind(rows)
    const fail = rows.throw.bind(rows)
    // A generator would settle `return()` and `throw()` only after the row that it is waiting for, which may never
    // come.
    return Object.assign(rows, {
      return: (value?: unknown) =>
        Promise.race([end(value), reading.waiting.promise.then(() => ({ done: true as const, value }))]),
      throw: (reason: unknown) =>
        Promise.race([silence(fail(reason)), reading.waiting.promise.then(() => Promise.reject(reason))]),
    })
  }

  async *#read({ after = 0, signal }: FeedReadOptions, reading: Reading): AsyncGenerator<Row, unknown> {
    let cursor = after
    // Registered for the whole iteration, so that a row pushed while the consumer works is not missed.
    const listener = (): void => reading.notify()
    this.#listeners.add(listener)
    const forget = onAbort(signal, listener)
    try {
      for (;;) {
        signal?.throwIfAborted()
        const gap = this.gapAfter(cursor)
        if (gap !== undefined) throw new FeedGapError(gap)
        const { entries } = this.since(cursor)
        for (const row of entries) {
          cursor = row.seq
          yield row
          signal?.throwIfAborted()
        }
        if (entries.length > 0) continue
        if (this.#closed) return
        reading.waiting.resolve()
        await new Promise<void>((resolve) => {
          reading.notify = resolve
        })
        reading.waiting = createDeferred<void>()
      }
    } finally {
      this.#listeners.delete(listener)
      forget()
    }
  }

  observe(options: FeedReadOptions = {}): Observable<Row> {
    const { after = 0, signal } = decode(readOptions, options, 'feed options')
    return new GuardedObservable<Row>(this.#logger, (subscriber) => {
      let cursor = after
      const drain = (): void => {
        while (!subscriber.closed) {
          const gap = this.gapAfter(cursor)
          if (gap !== undefined) return subscriber.error(new FeedGapError(gap))
          const row = this.#rows[this.#indexAfter(cursor)]
          if (row === undefined) break
          cursor = row.seq
          subscriber.next(row)
        }
        if (this.#closed) subscriber.complete()
      }
      // Subscribers run in a microtask, never inside the transition that published the row.
      let scheduled = false
      const scheduleDrain = (): void => {
        if (scheduled) return
        scheduled = true
        queueMicrotask(() => {
          scheduled = false
          drain()
        })
      }
      if (signal?.aborted === true) return subscriber.error(signal.reason)
      const forget = onAbort(signal, () => subscriber.error(signal?.reason))
      this.#listeners.add(scheduleDrain)
      subscriber.add(() => {
        this.#listeners.delete(scheduleDrain)
        forget()
      })
      drain()
    })
  }

  /**
   * Closes the feed. Iterations and streams end once they have read the remaining rows; waits for an advance reject
   * with `channel_closed`.
   */
  close(): void {
    this.#closed = true
    for (const { cursor, deferred } of this.#waiters) deferred.reject(this.#endOfFeed(cursor))
    this.#waiters.clear()
    this.#notify()
  }

  #endOfFeed(cursor: number): StatewardError {
    const watermark = this.#watermark
    return new StatewardError('channel_closed', `the feed was closed at ${watermark}: nothing will follow`, {
      cursor,
      watermark,
    })
  }

  #dropFirst(): Row {
    const dropped = this.#rows[this.#first] as Row
    this.#first += 1
    this.#droppedThrough = dropped.seq
    this.#droppedCount += 1
    // Dropped rows are removed from the array once they are the larger half.
    if (this.#first > this.size) {
      this.#rows = this.#rows.slice(this.#first)
      this.#first = 0
    }
    return dropped
  }

  /** Index of the first retained row with `seq > cursor`. */
  #indexAfter(cursor: number): number {
    let low = this.#first
    let high = this.#rows.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#rows[middle] as Row).seq > cursor) high = middle
      else low = middle + 1
    }
    return low
  }

  #wake(): void {
    if (this.#waiters.size > 0) {
      for (const waiter of this.#waiters) {
        if (this.#watermark <= waiter.cursor) continue
        this.#waiters.delete(waiter)
        waiter.deferred.resolve(this.#watermark)
      }
    }
    if (this.#listeners.size > 0) this.#notify()
  }

  #notify(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** A cursor may be beyond the watermark, but it must be a sequence. */
function checkCursor(cursor: number): void {
  if (Number.isSafeInteger(cursor) && cursor >= 0) return
  throw new InvalidInputError({ subject: 'feed cursor', field: '$', reason: `not a sequence: ${textOf(cursor)}` })
}
