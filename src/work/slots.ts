import { onAbort } from '../base/abort.js'
import type { Clock } from '../base/clock.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { StatewardError } from '../base/errors.js'
import { OrderedSet } from '../base/ordered-set.js'
import { createDeferred, silence } from '../base/promises.js'
import { Slot, type SlotClaim, type SlotOwner } from './slot.js'

/** A rate limit: at most this many starts within any period of this many milliseconds. */
export interface Rate {
  readonly starts: number
  readonly perMs: number
}

/** The limits of one kind of work. */
export interface KindLimits {
  /** How many may run at a time. Default: as many as there are slots. */
  readonly limit?: number
  /** How many with the same key may run at a time. Default 1. */
  readonly limitPerKey?: number
  readonly rate?: Rate
}

/** Options of {@link Slots}. */
export interface SlotsOptions {
  /** How many may run at a time, of all kinds. Default: no limit. */
  readonly limit?: number
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  /**
   * Called with the kind of a slot that was given back: a claim may fit now that did not before. Users of
   * {@link Slots.tryTake} should try again.
   */
  readonly onRoom?: (kind: string) => void
}

/** Which limit blocks a claim. */
export type SlotBlock =
  | { readonly by: 'all' }
  | { readonly by: 'kind'; readonly kind: string }
  | { readonly by: 'key'; readonly key: string }
  /** Monotonic milliseconds at which the next start is allowed. */
  | { readonly by: 'rate'; readonly kind: string; readonly untilMs: number }

/**
 * Decides what may run now: a total limit, limits per kind and per key, and rates, with one queue for those who have
 * to wait.
 *
 * The queue is first come, first served, except that work never waits for a limit that does not apply to it: if a
 * kind is full, work of other kinds overtakes it. Work that waits for something else gives its slot back meanwhile
 * and takes one again before it continues; it keeps its place of arrival, so it comes before work that has not
 * started. Taking and releasing cost O(log n), however long the queue.
 *
 *     const slot = await slots.take({ kind: 'report', key: 'customer-7' }, { signal })
 *     try {
 *       await slot.during(() => answerFromSomebody)   // others run meanwhile
 *     } finally {
 *       slot.release()
 *     }
 */
export class Slots implements SlotOwner, Disposable {
  readonly #options: SlotsOptions
  readonly #kinds = new Map<string, KindLimits>()
  readonly #takenByKind = new Map<string, number>()
  readonly #takenByKey = new Map<string, number>()
  readonly #starts = new Map<string, number[]>()
  readonly #wakeUps = new Map<string, Deadline>()
  readonly #groups = new Map<string, Group>()
  /** Groups that only the total limit may block, in the order of their first claims. */
  readonly #open = new OrderedSet<Group>((one, other) => one.first - other.first)
  /** The other groups, by what blocks them. */
  readonly #blocked = new Map<string, Set<Group>>()
  #limit: number
  #taken = 0
  #arrivals = 0
  #waiting = 0
  #isPumping = false

  constructor(options: SlotsOptions) {
    this.#options = options
    this.#limit = options.limit ?? Number.POSITIVE_INFINITY
  }

  /** Number of slots taken. */
  get taken(): number {
    return this.#taken
  }

  /** Number of claims in the queue. */
  get waiting(): number {
    return this.#waiting
  }

  /** How many may run at a time, of a kind or in total. */
  limitOf(kind?: string): number {
    return (kind === undefined ? undefined : this.#kinds.get(kind)?.limit) ?? this.#limit
  }

  /** Changes the total limit. Running work continues. */
  setLimit(limit: number): void {
    this.#limit = limit
    this.#pump()
  }

  /** Sets the limits of a kind from now on. */
  configure(kind: string, limits: KindLimits): void {
    this.#kinds.set(kind, limits)
    this.#unblock(`kind:${kind}`)
    this.#unblock(`rate:${kind}`)
    for (const reason of this.#blocked.keys()) if (reason.startsWith('key:')) this.#unblock(reason)
    this.#pump()
  }

  /** Which limit would block a claim now, ignoring claims before it in the queue. */
  blockOf(claim: SlotClaim): SlotBlock | undefined {
    return this.#taken >= this.#limit ? { by: 'all' } : this.#ownBlockOf(claim, true)
  }

  /** Takes a slot at once, ahead of the queue, or returns `undefined`. For owners that have their own order. */
  tryTake(claim: SlotClaim): Slot | undefined {
    if (this.blockOf(claim) !== undefined) return undefined
    return this.#admit(claim, this.#arrivals++, true)
  }

  /**
   * Takes a slot, waiting in the queue if necessary. Rejects with the signal's reason, or `slots_closed` once the
   * slots are closed.
   */
  take(claim: SlotClaim, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Slot> {
    if (signal?.aborted === true) return silence(Promise.reject(signal.reason))
    const arrival = this.#arrivals++
    // A claim that fits never waits in the queue, so this overtakes nothing.
    if (this.blockOf(claim) === undefined) return Promise.resolve(this.#admit(claim, arrival, true))
    return this.#wait({ claim, arrival, isStart: true }, signal, (waiter) =>
      this.#admit(waiter.claim, waiter.arrival, true),
    )
  }

  /**
   * Like {@link take}, with a callback instead of a promise, for very many claims. The callback must not throw, and
   * is called at once if there is room. Returns a function that leaves the queue. Closing the slots does not call the
   * callback.
   */
  enter(claim: SlotClaim, onSlot: (slot: Slot) => void): () => void {
    const arrival = this.#arrivals++
    // If this is called from a claim being admitted, the queue goes first.
    if (!this.#isPumping && this.blockOf(claim) === undefined) {
      onSlot(this.#admit(claim, arrival, true))
      return () => {}
    }
    const waiter = newWaiter({
      claim,
      arrival,
      isStart: true,
      admit: () => onSlot(this.#admit(claim, arrival, true)),
      reject: () => {},
    })
    this.#enterLine(waiter)
    this.#pump()
    return () => {
      if (this.#leaveLine(waiter)) this.#pump()
    }
  }

  /** Closes the queue: all waiting claims are rejected with `slots_closed`. Slots that are taken stay taken. */
  [Symbol.dispose](): void {
    for (const deadline of this.#wakeUps.values()) deadline[Symbol.dispose]()
    this.#wakeUps.clear()
    const waiters = [...this.#groups.values()].flatMap((group) => [...group.waiters])
    for (const waiter of waiters) {
      this.#leaveLine(waiter)
      waiter.reject(new StatewardError('slots_closed', 'nothing starts here any more', {}))
    }
  }

  /** @internal Called by {@link Slot}. */
  giveBack({ kind, key }: SlotClaim, isKeyKept: boolean): void {
    this.#taken -= 1
    this.#count(this.#takenByKind, kind, -1)
    this.#unblock(`kind:${kind}`)
    if (key !== undefined && !isKeyKept) this.#freeKey(key)
    this.#pump()
    this.#options.onRoom?.(kind)
  }

  /** @internal Called by {@link Slot}. */
  freeKey({ kind, key }: SlotClaim): void {
    if (key === undefined) return
    this.#freeKey(key)
    this.#pump()
    this.#options.onRoom?.(kind)
  }

  /**
   * @internal Called by {@link Slot}. Takes a slot again, before all later arrivals. Does not count as a start for
   * the rate.
   */
  takeAgain(claim: SlotClaim, arrival: number, isKeyKept: boolean, signal: AbortSignal | undefined): Promise<void> {
    const asked = isKeyKept ? { kind: claim.kind } : claim
    const settle = (): void => this.#occupy(claim, isKeyKept)
    if (this.#taken < this.#limit && this.#ownBlockOf(asked, false) === undefined) {
      settle()
      return Promise.resolve()
    }
    if (signal?.aborted === true) return silence(Promise.reject(signal.reason))
    return this.#wait({ claim: asked, arrival, isStart: false }, signal, settle)
  }

  #admit(claim: SlotClaim, arrival: number, isStart: boolean): Slot {
    this.#occupy(claim, false)
    if (isStart) this.#noteStart(claim.kind)
    return new Slot(this, claim, arrival)
  }

  #occupy({ kind, key }: SlotClaim, isKeyKept: boolean): void {
    this.#taken += 1
    this.#count(this.#takenByKind, kind, 1)
    if (key !== undefined && !isKeyKept) this.#count(this.#takenByKey, key, 1)
  }

  #freeKey(key: string): void {
    this.#count(this.#takenByKey, key, -1)
    this.#unblock(`key:${key}`)
  }

  #noteStart(kind: string): void {
    const rate = this.#kinds.get(kind)?.rate
    if (rate === undefined) return
    const starts = this.#starts.get(kind) ?? []
    starts.push(this.#options.clock.monotonicNow())
    while (starts.length > rate.starts) starts.shift()
    this.#starts.set(kind, starts)
  }

  #ownBlockOf({ kind, key }: SlotClaim, isStart: boolean): SlotBlock | undefined {
    const { limit, limitPerKey = 1, rate } = this.#kinds.get(kind) ?? {}
    if (limit !== undefined && (this.#takenByKind.get(kind) ?? 0) >= limit) return { by: 'kind', kind }
    if (key !== undefined && (this.#takenByKey.get(key) ?? 0) >= limitPerKey) return { by: 'key', key }
    if (rate === undefined || !isStart) return undefined
    const starts = this.#starts.get(kind) ?? []
    const oldest = starts[starts.length - rate.starts]
    if (oldest === undefined) return undefined
    const untilMs = oldest + rate.perMs
    return untilMs > this.#options.clock.monotonicNow() ? { by: 'rate', kind, untilMs } : undefined
  }

  #wait<Result>(
    request: Pick<Waiter, 'claim' | 'arrival' | 'isStart'>,
    signal: AbortSignal | undefined,
    admit: (waiter: Waiter) => Result,
  ): Promise<Result> {
    const deferred = createDeferred<Result>()
    const waiter = newWaiter({
      ...request,
      admit: (self) => deferred.resolve(admit(self)),
      reject: deferred.reject,
      forgetSignal: onAbort(signal, () => {
        this.#leaveLine(waiter)
        deferred.reject(signal?.reason)
        this.#pump()
      }),
    })
    this.#enterLine(waiter)
    this.#pump()
    return deferred.promise
  }

  #enterLine(waiter: Waiter): void {
    const key = groupKeyOf(waiter.claim, waiter.isStart)
    let group = this.#groups.get(key)
    if (group === undefined) this.#groups.set(key, (group = new Group(key, waiter.claim, waiter.isStart)))
    this.#open.delete(group)
    group.waiters.add(waiter)
    waiter.group = group
    if (group.blockedBy === undefined) this.#open.add(group)
    this.#waiting += 1
  }

  /** Returns false if it is not in the queue. */
  #leaveLine(waiter: Waiter): boolean {
    const { group } = waiter
    if (group === undefined) return false
    waiter.group = undefined
    this.#open.delete(group)
    group.waiters.delete(waiter)
    waiter.forgetSignal?.()
    this.#waiting -= 1
    if (group.waiters.size > 0) {
      if (group.blockedBy === undefined) this.#open.add(group)
      return true
    }
    this.#groups.delete(group.key)
    if (group.blockedBy !== undefined) this.#blocked.get(group.blockedBy)?.delete(group)
    return true
  }

  /** Admits all claims that fit, in order. An admitted claim may give its slot back or queue again meanwhile. */
  #pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    try {
      this.#letIn()
    } finally {
      this.#isPumping = false
    }
  }

  #letIn(): void {
    while (this.#taken < this.#limit) {
      const group = this.#open.first
      if (group === undefined) return
      const block = this.#ownBlockOf(group.claim, group.isStart)
      if (block !== undefined) {
        this.#setAside(group, block)
        continue
      }
      const waiter = group.waiters.first
      if (waiter === undefined) return
      this.#leaveLine(waiter)
      waiter.admit(waiter)
    }
  }

  #setAside(group: Group, block: SlotBlock): void {
    this.#open.delete(group)
    const reason = reasonOf(block)
    group.blockedBy = reason
    const groups = this.#blocked.get(reason)
    if (groups === undefined) this.#blocked.set(reason, new Set([group]))
    else groups.add(group)
    if (block.by === 'rate') this.#wakeAt(block)
  }

  #wakeAt({ kind, untilMs }: Extract<SlotBlock, { by: 'rate' }>): void {
    if (this.#wakeUps.has(kind)) return
    const wake = (): void => {
      this.#wakeUps.delete(kind)
      this.#unblock(`rate:${kind}`)
      this.#pump()
    }
    this.#wakeUps.set(kind, this.#options.deadlines.at(untilMs, wake))
  }

  #unblock(reason: string): void {
    const groups = this.#blocked.get(reason)
    if (groups === undefined) return
    this.#blocked.delete(reason)
    for (const group of groups) {
      group.blockedBy = undefined
      this.#open.add(group)
    }
  }

  #count(counts: Map<string, number>, name: string, by: 1 | -1): void {
    const count = (counts.get(name) ?? 0) + by
    if (count === 0) counts.delete(name)
    else counts.set(name, count)
  }
}

/** One claim in the queue. */
interface Waiter {
  readonly claim: SlotClaim
  readonly arrival: number
  readonly isStart: boolean
  readonly admit: (waiter: Waiter) => void
  readonly reject: (reason: unknown) => void
  readonly forgetSignal: (() => void) | undefined
  /** Its group while it is in the queue. */
  group: Group | undefined
}

function newWaiter(waiter: Omit<Waiter, 'group' | 'forgetSignal'> & Partial<Pick<Waiter, 'forgetSignal'>>): Waiter {
  const { claim, arrival, isStart, admit, reject, forgetSignal } = waiter
  return { claim, arrival, isStart, admit, reject, forgetSignal, group: undefined }
}

/** Claims that the same limits apply to: if the first does not fit, none of them does. */
class Group {
  readonly key: string
  readonly claim: SlotClaim
  readonly isStart: boolean
  readonly waiters = new OrderedSet<Waiter>((one, other) => one.arrival - other.arrival)
  blockedBy: string | undefined

  constructor(key: string, claim: SlotClaim, isStart: boolean) {
    this.key = key
    this.claim = claim
    this.isStart = isStart
  }

  /** Arrival of its first claim. */
  get first(): number {
    return this.waiters.first?.arrival ?? Number.POSITIVE_INFINITY
  }
}

function groupKeyOf({ kind, key }: SlotClaim, isStart = true): string {
  // Most claims have no key. Without one, the text cannot be confused with a JSON array.
  return key === undefined ? `${isStart} ${kind}` : JSON.stringify([isStart, kind, key])
}

function reasonOf(block: SlotBlock): string {
  switch (block.by) {
    case 'all':
      return 'all'
    case 'kind':
      return `kind:${block.kind}`
    case 'key':
      return `key:${block.key}`
    case 'rate':
      return `rate:${block.kind}`
  }
}
