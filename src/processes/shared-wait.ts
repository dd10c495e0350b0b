import { onAbort } from '../base/abort.js'
import type { Clock, TimeoutHandle } from '../base/clock.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import type { HubSubscription } from '../base/hub.js'
import { createDeferred, silence, type Deferred } from '../base/promises.js'

/** Milliseconds after which a wait looks again for the first time when nothing tells it of a change. */
export const shortestPollMs = 25
/** The longest that a wait sleeps between two looks, in milliseconds. */
export const longestPollMs = 1000

/** How long to sleep after a sleep of this length has brought nothing: 25, 50, 100, 200, 400, 800, 1000, 1000, … (P-150). */
export function nextPollMs(milliseconds: number, longestMs: number = longestPollMs): number {
  return Math.min(2 * milliseconds, longestMs)
}

/** Limits of one wait. */
export interface WaitBounds {
  /** Gives the wait up with its reason. */
  readonly signal?: AbortSignal
  /** Milliseconds after which the wait gives up; 0 looks exactly once. */
  readonly timeoutMs?: number
  /** True: the wait does not keep the program running. */
  readonly unref?: boolean
}

/** What a {@link SharedWait} is built on. */
export interface SharedWaitOptions<Answer> {
  /** Looks once; `undefined` when there is no answer yet. An answer holds for all who wait, whenever they asked. */
  readonly read: () => Promise<Answer | undefined>
  /** Tells of changes. Taken out before the first look. */
  readonly subscription: HubSubscription | undefined
  /** True when nobody changes anything without the subscription telling of it: then nothing is polled. */
  readonly isComplete: boolean
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly longestPollMs: number
  /** What a wait rejects with whose time is over. */
  readonly timeoutError: (timeoutMs: number) => Error
  /** Nobody waits any more. */
  readonly onEmpty: () => void
}

/** One who waits. */
interface Waiter<Answer> extends Deferred<Answer> {
  /** The first read that counts for this waiter: older ones were begun before it asked. */
  readonly firstRead: number
  readonly looksOnce: boolean
  readonly unref: boolean
  deadline: Deadline | undefined
  forgetAbort: () => void
}

/**
 * All who wait for the same thing: one subscription, one read and one timer, however many they are.
 *
 * It looks, and when there is no answer it sleeps until the subscription ticks, its timer fires or somebody joins; then it
 * looks again. A read serves those alone who asked before it began: what is written after that would be missed otherwise
 * (P-153). When the subscription is closed under it, it goes on with the timer alone. Without waiters it ends, and leaves no
 * timer, listener or subscription behind.
 */
export class SharedWait<Answer> {
  readonly #options: SharedWaitOptions<Answer>
  readonly #waiters = new Set<Waiter<Answer>>()
  #reads = 0
  #isReading = false
  #pollMs = shortestPollMs
  #isSubscribed: boolean
  /** Set while a tick is listened for: one listener stays until it is called. */
  #isListening = false
  /** A change was told of since the last read began. */
  #isTicked = false
  #timer: TimeoutHandle
  #hasEnded = false

  constructor(options: SharedWaitOptions<Answer>) {
    this.#options = options
    this.#isSubscribed = options.subscription !== undefined
  }

  /** Waits as one more. Rejects with the signal's reason, with what a read throws, and when the time is over. */
  join({ signal, timeoutMs, unref = false }: WaitBounds): Promise<Answer> {
    const waiter: Waiter<Answer> = {
      ...createDeferred<Answer>(),
      firstRead: this.#reads + 1,
      looksOnce: timeoutMs === 0,
      unref,
      deadline: undefined,
      forgetAbort: () => {},
    }
    this.#waiters.add(waiter)
    waiter.forgetAbort = onAbort(signal, () => this.#leave(waiter, () => waiter.reject(signal?.reason)))
    if (timeoutMs !== undefined && timeoutMs > 0) {
      const giveUp = (): void => this.#leave(waiter, () => waiter.reject(this.#options.timeoutError(timeoutMs)))
      waiter.deadline = this.#options.deadlines.after(timeoutMs, giveUp)
    }
    this.#pollMs = shortestPollMs
    this.#look()
    return waiter.promise
  }

  /** Ends every wait with an error. */
  close(reason: Error): void {
    for (const waiter of this.#waiters) this.#leave(waiter, () => waiter.reject(reason))
  }

  #leave(waiter: Waiter<Answer>, settle: () => void): void {
    if (!this.#waiters.delete(waiter)) return
    waiter.forgetAbort()
    waiter.deadline?.[Symbol.dispose]()
    settle()
    if (this.#waiters.size === 0) this.#end()
  }

  #end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#stopTimer()
    this.#options.subscription?.[Symbol.dispose]()
    this.#options.onEmpty()
  }

  /** Begins a read unless one is under way; that one is followed by another if it came too early for somebody. */
  #look(): void {
    if (this.#isReading || this.#hasEnded) return
    this.#isReading = true
    this.#isTicked = false
    this.#stopTimer()
    this.#listen()
    this.#reads += 1
    silence(this.#read(this.#reads))
  }

  async #read(number: number): Promise<void> {
    try {
      const answer = await this.#options.read()
      this.#isReading = false
      if (answer !== undefined) return this.#settleAll(answer)
      for (const waiter of this.#servedBy(number)) {
        if (waiter.looksOnce) this.#leave(waiter, () => waiter.reject(this.#options.timeoutError(0)))
      }
    } catch (error) {
      this.#isReading = false
      for (const waiter of this.#servedBy(number)) this.#leave(waiter, () => waiter.reject(error))
    }
    if (this.#hasEnded) return
    const isTooEarly = this.#isTicked || Array.from(this.#waiters).some(({ firstRead }) => firstRead > number)
    if (isTooEarly) this.#look()
    else this.#sleep()
  }

  #settleAll(answer: Answer): void {
    for (const waiter of this.#waiters) this.#leave(waiter, () => waiter.resolve(answer))
  }

  *#servedBy(number: number): Iterable<Waiter<Answer>> {
    for (const waiter of this.#waiters) if (waiter.firstRead <= number) yield waiter
  }

  /** Listens for the next tick. */
  #listen(): void {
    const { subscription } = this.#options
    if (this.#isListening || !this.#isSubscribed || subscription === undefined) return
    this.#isListening = true
    silence(this.#takeTick(subscription))
  }

  async #takeTick(subscription: HubSubscription): Promise<void> {
    const tick = await subscription.changed()
    this.#isListening = false
    if (this.#hasEnded) return
    // A closed subscription would tick for ever: from here on only the timer wakes, at the pace that it has.
    if (tick === 'closed') this.#isSubscribed = false
    else this.#pollMs = shortestPollMs
    this.#isTicked = true
    if (!this.#isReading) this.#look()
  }

  #sleep(): void {
    this.#listen()
    if (this.#isSubscribed && this.#options.isComplete) return
    const { clock, longestPollMs: longest } = this.#options
    const milliseconds = this.#pollMs
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined
      this.#pollMs = nextPollMs(milliseconds, longest)
      this.#look()
    }, milliseconds)
    if (Array.from(this.#waiters).every(({ unref }) => unref)) unreferenced(this.#timer)
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

/** Lets the program end before the timer fires, where its clock knows how. */
function unreferenced(timer: TimeoutHandle): void {
  if (typeof timer === 'object' && timer !== null && 'unref' in timer && typeof timer.unref === 'function')
    timer.unref()
}
