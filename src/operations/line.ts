import type { Clock } from '../base/clock.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { MultiMap } from '../base/multi-map.js'
import { createDeferred, type Deferred } from '../base/promises.js'
import type { Slot, SlotClaim } from '../work/slot.js'
import { Slots, type SlotBlock } from '../work/slots.js'
import type { OperationId, OperationSpec } from '../../machines/operation-vocabulary.js'
import { checkSource, checkSpec } from './admission.js'
import { OperationError } from './errors.js'
import { defaultMaxQueued, type SessionLimits } from './limits.js'
import type { OperationRegistry } from './registry.js'
import { tieOf } from './tree.js'

/** An operation that runs once there is room for it. */
export interface Candidate {
  readonly spec: OperationSpec
  /** Operations with the same key share a limit. */
  readonly key: string | undefined
  /**
   * Registers the operation and starts its work. Returns the registry's refusal, if any, which has then already been
   * reported.
   */
  begin(): unknown
  /** Called with the reason if the operation will not run. */
  refuse(reason: unknown): void
}

/** Options of {@link OperationLine}. */
export interface LineOptions {
  readonly operations: OperationRegistry
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  /** Called when an operation enters or leaves the queue. */
  readonly onChange: (id: OperationId) => void
}

/** A queued operation. */
export interface QueuedOperation {
  readonly candidate: Candidate
  /** Epoch milliseconds. */
  readonly queuedAtMs: number
  /** Removes it from the queue for slots; absent while its parent is queued itself. */
  leave: (() => void) | undefined
  /** Settles when it has left the queue; created on demand. */
  begun: Deferred<void> | undefined
  /** Its queued children, which enter the queue for slots once it is registered. */
  followers: QueuedOperation[] | undefined
}

/**
 * Decides which operations of a session may run, and queues the others. The registry knows only registered operations;
 * the queue is kept in memory by this process and is not durable.
 */
export class OperationLine {
  readonly #options: LineOptions
  readonly #slots: Slots
  readonly #taken = new Map<OperationId, Slot>()
  readonly #queued = new Map<OperationId, QueuedOperation>()
  /** Queued operations, by the operation whose end ends them. */
  readonly #parts = new MultiMap<OperationId, OperationId>()
  #whenFull: 'refuse' | 'queue' = 'refuse'
  #maxQueued = defaultMaxQueued
  /** False until a limit is set that the registry itself does not enforce. */
  #isUsed = false
  #isClosed = false

  constructor(options: LineOptions) {
    this.#options = options
    const { clock, deadlines } = options
    this.#slots = new Slots({ clock, deadlines })
  }

  /** Number of queued operations. */
  get size(): number {
    return this.#queued.size
  }

  /** The queued operations, in order of arrival. */
  ids(): readonly OperationId[] {
    return [...this.#queued.keys()]
  }

  get(id: OperationId): QueuedOperation | undefined {
    return this.#queued.get(id)
  }

  /** Sets limits, which apply to operations that start from now on. */
  configure({ whenFull, maxQueued, kinds }: SessionLimits): void {
    if (whenFull !== undefined) this.#whenFull = whenFull
    if (maxQueued !== undefined) this.#maxQueued = maxQueued
    for (const [kind, limits] of Object.entries(kinds ?? {})) this.#slots.configure(kind, limits)
    if (this.#whenFull === 'queue' || kinds !== undefined) this.#isUsed = true
    this.update()
  }

  /** Lets a candidate begin now, queues it, or refuses it. */
  take(candidate: Candidate): void {
    const { spec, key } = candidate
    if (key !== undefined) this.#isUsed = true
    if (!this.#isUsed || this.#isClosed) return void candidate.begin()
    const parent = spec.parentId === undefined ? undefined : this.#queued.get(spec.parentId)
    const claim = claimOf(candidate)
    if (parent === undefined) {
      const slot = this.#queued.has(spec.id) ? undefined : this.#slots.tryTake(claim)
      if (slot !== undefined) return void this.#begin(candidate, slot)
    }
    const refusal = this.#refusalOf(candidate)
    if (refusal !== undefined) return candidate.refuse(refusal)
    const queuedAtMs = Math.trunc(this.#options.clock.wallNow())
    this.#queue({ candidate, queuedAtMs, leave: undefined, begun: undefined, followers: undefined }, parent)
  }

  /** Recomputes the number of free slots after a change of the registry. */
  update(): void {
    if (!this.#isUsed || this.#isClosed) return
    const { maxConcurrent, activeCount } = this.#options.operations
    const isCounted = this.#whenFull === 'queue' && maxConcurrent !== undefined
    // Operations registered directly with the registry use up the same limit.
    const limit = isCounted ? maxConcurrent - (activeCount - this.#taken.size) : Number.POSITIVE_INFINITY
    if (limit !== this.#slots.limitOf()) this.#slots.setLimit(limit)
  }

  /** Handles the end of an operation: queued operations below it are refused, and others may start. */
  ended(id: OperationId): void {
    if (!this.#isUsed) return
    if (this.#queued.size > 0) {
      for (const part of Array.from(this.#parts.get(id))) {
        this.refuse(part, new OperationError('parent_ended', { id: part, parentId: id }))
      }
    }
    const slot = this.#taken.get(id)
    this.#taken.delete(id)
    // Update first: several operations may have ended at once, and the limit depends on all of them.
    this.update()
    slot?.release()
  }

  /** Removes an operation and its queued children from the queue; false if it is not queued. */
  refuse(id: OperationId, reason: unknown): boolean {
    const first = this.#queued.get(id)
    if (first === undefined) return false
    const refused: { readonly queued: QueuedOperation; readonly reason: unknown }[] = [{ queued: first, reason }]
    for (const next of refused) {
      const { candidate, leave, begun, followers = [] } = next.queued
      const { id: parentId } = candidate.spec
      leave?.()
      this.#forget(candidate)
      begun?.reject(next.reason)
      candidate.refuse(next.reason)
      for (const queued of followers) {
        const { id: follower } = queued.candidate.spec
        if (!this.#queued.has(follower)) continue
        refused.push({ queued, reason: new OperationError('parent_not_found', { id: follower, parentId }) })
      }
    }
    return true
  }

  /** Resolves once the operation is registered; rejects if it is refused first. `undefined` if it is not queued. */
  begun(id: OperationId): Promise<void> | undefined {
    const queued = this.#queued.get(id)
    if (queued === undefined) return undefined
    queued.begun ??= createDeferred<void>()
    return queued.begun.promise
  }

  /** Closes the queue and refuses everything in it. */
  close(reason: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#slots[Symbol.dispose]()
    for (const id of this.ids()) this.refuse(id, reason)
  }

  /** The reason why a candidate that cannot run now is not queued either, if there is one. */
  #refusalOf(candidate: Candidate): unknown {
    const { spec } = candidate
    const { id } = spec
    if (this.#options.operations.isUsed(id)) return new OperationError('already_registered', { id })
    if (this.#whenFull === 'refuse') return limitReached(id, this.#slots.blockOf(claimOf(candidate)))
    if (this.#queued.size >= this.#maxQueued) return new OperationError('queue_full', { limit: this.#maxQueued })
    try {
      // Checked now rather than when its turn comes.
      checkSource(checkSpec(spec))
      return undefined
    } catch (refusal) {
      return refusal
    }
  }

  #queue(queued: QueuedOperation, parent: QueuedOperation | undefined): void {
    const { spec } = queued.candidate
    this.#queued.set(spec.id, queued)
    const above = tieOf(spec)
    if (above !== undefined) this.#parts.add(above, spec.id)
    if (parent === undefined) this.#enter(queued)
    else (parent.followers ??= []).push(queued)
    this.#options.onChange(spec.id)
  }

  #enter(queued: QueuedOperation): void {
    queued.leave = this.#slots.enter(claimOf(queued.candidate), (slot) => this.#letIn(queued, slot))
  }

  #letIn(queued: QueuedOperation, slot: Slot): void {
    const { candidate, begun, followers } = queued
    this.#forget(candidate)
    const refusal = this.#begin(candidate, slot)
    if (refusal === undefined) begun?.resolve()
    else begun?.reject(refusal)
    for (const follower of followers ?? []) if (this.#queued.has(follower.candidate.spec.id)) this.#enter(follower)
  }

  #forget({ spec }: Candidate): void {
    this.#queued.delete(spec.id)
    const above = tieOf(spec)
    if (above !== undefined) this.#parts.delete(above, spec.id)
    this.#options.onChange(spec.id)
  }

  /** Returns the registry's refusal, if any. */
  #begin(candidate: Candidate, slot: Slot): unknown {
    const { id } = candidate.spec
    if (this.#taken.has(id)) {
      slot.release()
      const refusal = new OperationError('already_registered', { id })
      candidate.refuse(refusal)
      return refusal
    }
    this.#taken.set(id, slot)
    const refusal = candidate.begin()
    if (refusal === undefined) return undefined
    this.#taken.delete(id)
    slot.release()
    return refusal
  }
}

function claimOf({ spec: { kind }, key }: Candidate): SlotClaim {
  return key === undefined ? { kind } : { kind, key }
}

function limitReached(id: OperationId, block: SlotBlock | undefined): OperationError<'limit_reached'> {
  return new OperationError('limit_reached', { id, by: block?.by ?? 'all' })
}
