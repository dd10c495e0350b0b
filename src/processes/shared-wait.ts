import { onAbort } from '../base/abort.js'
import type { Clock, TimeoutHandle } from '../base/clock.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import type { HubSubscription } from '../base/hub.js'
import { createDeferred, silence, type Deferred } from '../base/promises.js'

/** Milliseconds before the first repeated read of a wait, if nothing notifies it of changes. */
export const shortestPollMs = 25
/** The longest pause between two reads of a wait, in milliseconds. */
export const longestPollMs = 1000

/** The pause after one of this length brought no answer: 25, 50, 100, 200, 400, 800, 1000, 1000, … (P-150). */
export function nextPollMs(milliseconds: number, longestMs: number = longestPollMs): number {
  return Math.min(2 * milliseconds, longestMs)
}

/** Limits of one wait. */
export interface WaitBounds {
  /** Ends the wait with the signal's reason. */
  readonly signal?: AbortSignal
  /** Milliseconds after which the wait gives up. 0 reads exactly once. */
  readonly timeoutMs?: number
  /** If true, the wait does not keep the program running. */
  readonly unref?: boolean
}

/** Options of a {@link SharedWait}. */
export interface SharedWaitOptions<Answer> {
  /** Reads once. `undefined` means no answer yet. An answer is valid for all waiters, whenever they joined. */
  readonly read: () => Promise<Answer | undefined>
  /** Notifies of changes. It is opened before the first read. */
  readonly subscription: HubSubscription | undefined
  /** True if the subscription reports every change. Then nothing is polled. */
  readonly isComplete: boolean
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly longestPollMs: number
  /** Creates the error of a wait that timed out. */
  readonly timeoutError: (timeoutMs: number) => Error
  /** Called when the last waiter has left. */
  readonly onEmpty: () => void
}

/** One waiting caller. */
interface Waiter<Answer> extends Deferred<Answer> {
  /** The first read that counts for this waiter. Earlier ones began before it joined. */
  readonly firstRead: number
  readonly looksOnce: boolean
  readonly unref: boolean
  deadline: Deadline | undefined
  forgetAbort: () => void
}

/**
 * All waits for the same thing, sharing one subscription, one read and one timer.
 *
 * It reads, and if there is no answer, it sleeps until the subscription ticks, the timer fires or another waiter joins;
 * then it reads again. A read counts only for waiters that joined before it began, because it could miss what was
 * written later (P-153). If the subscription is closed, the wait goes on with the timer alone. When the last waiter
 * leaves, no timer, listener or subscription remains.
 */
export class SharedWait<Answer> {
  readonly #options: SharedWaitOptions<Answer>
  readonly #waiters = new Set<Waiter<Answer>>()
  #reads = 0
  #isReading = false
  #pollMs = shortestPollMs
  #isSubscribed: boolean
  /** True while waiting for a tick: a listener stays until it is called. */
  #isListening = false
  /** A change was reported after the last read began. */
  #isTicked = false
  #timer: TimeoutHandle
  #hasEnded = false

  constructor(options: SharedWaitOptions<Answer>) {
    this.#options = options
    this.#isSubscribed = options.subscription !== undefined
  }

  /** Adds a waiter. Rejects with the signal's reason, with the error of a read, or when the time is up. */
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

  /** Starts a read unless one is running. If a waiter joined too late for the running one, another follows. */
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

  /** Waits for the next tick. */
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
    // A closed subscription would tick forever, so from here on only the timer wakes, at its current pace.
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

/** Lets the program exit before the timer fires, if the clock supports it. */
function unreferenced(timer: TimeoutHandle): void {
  if (typeof timer === 'object' && timer !== null && 'unref' in timer && typeof timer.unref === 'function')
    timer.unref()
}
