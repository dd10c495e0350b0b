import type { AnyActorRef } from 'xstate'
import type { OperationId, OperationOutcome, TurnId, WaitRequestId } from '../../machines/operation-vocabulary.js'
import { ActiveWait, type WaitRequest } from './wait.js'

const none: ReadonlySet<ActiveWait> = new Set()

/**
 * The waits of a registry: one per turn, as many turns as there are. An end finds the waits it is awaited by without looking at
 * the others, and what is over releases its members.
 */
export class Waits {
  /** Active ones, and satisfied ones whose obligation nobody has acknowledged; oldest first. */
  readonly #all = new Map<WaitRequestId, ActiveWait>()
  /** Active ones. */
  readonly #byTurn = new Map<TurnId, ActiveWait>()
  readonly #byMember = new Map<OperationId, Set<ActiveWait>>()
  readonly #onReleased: (id: OperationId) => void

  /** `onReleased` is notified of each operation that no active wait names any more. */
  constructor(onReleased: (id: OperationId) => void) {
    this.#onReleased = onReleased
  }

  /** Active waits, oldest first. */
  get active(): Iterable<ActiveWait> {
    return this.#byTurn.values()
  }

  /** The active wait that began first. */
  get oldest(): ActiveWait | undefined {
    const [oldest] = this.#byTurn.values()
    return oldest
  }

  /** An active wait, or one whose obligation is open. */
  get(requestId: WaitRequestId): ActiveWait | undefined {
    return this.#all.get(requestId)
  }

  /** Waits whose obligation nobody has acknowledged, oldest first. */
  satisfied(): ActiveWait[] {
    return [...this.#all.values()].filter((wait) => wait.isSatisfied)
  }

  /** Whether this turn waits. */
  isTurnWaiting(turnId: TurnId): boolean {
    return this.#byTurn.has(turnId)
  }

  /** Whether this request waits still. */
  isActive(requestId: WaitRequestId): boolean {
    const wait = this.#all.get(requestId)
    return wait !== undefined && this.#byTurn.get(wait.request.turnId) === wait
  }

  /** Active waits that name the operation. */
  of(id: OperationId): ReadonlySet<ActiveWait> {
    return this.#byMember.get(id) ?? none
  }

  /** Whether an active wait names the operation. */
  hasMember(id: OperationId): boolean {
    return this.#byMember.has(id)
  }

  /** Begins a wait of a turn that does not wait yet; `outcomeOf` answers for members that have ended already. */
  begin(
    request: WaitRequest,
    outcomeOf: (id: OperationId) => OperationOutcome | undefined,
    registry: AnyActorRef,
  ): void {
    const wait = new ActiveWait(request, outcomeOf, registry)
    this.#all.set(request.requestId, wait)
    if (wait.isSatisfied) return
    this.#byTurn.set(request.turnId, wait)
    for (const id of request.operationIds) {
      const waits = this.#byMember.get(id)
      if (waits === undefined) this.#byMember.set(id, new Set([wait]))
      else waits.add(wait)
    }
  }

  /** Takes a member's outcome, and returns the waits that it concerns. */
  memberEnded(id: OperationId, outcome: OperationOutcome): readonly ActiveWait[] {
    const waits = [...this.of(id)]
    for (const wait of waits) wait.memberEnded(id, outcome)
    return waits
  }

  /** Releases the members of those that are satisfied. */
  releaseSatisfied(waits: readonly ActiveWait[]): void {
    for (const wait of waits) if (wait.isSatisfied) this.#release(wait)
  }

  /** Ends a wait without an obligation; the waiter rejects with `reason`. */
  cancel(requestId: WaitRequestId, reason: unknown): void {
    const wait = this.#all.get(requestId)
    if (wait === undefined) return
    wait.cancel(reason)
    this.#forget(wait)
  }

  /** Ends a wait after a fault: the waiter rejects, and the turn can wait again. */
  fault(wait: ActiveWait, cause: Error): void {
    wait.fail(cause)
    this.#forget(wait)
  }

  /** Closes the obligation of a satisfied wait; false when no such obligation is open. */
  acknowledge(requestId: WaitRequestId): boolean {
    const wait = this.#all.get(requestId)
    if (wait === undefined || !wait.isSatisfied) return false
    this.#all.delete(requestId)
    wait.acknowledge()
    return true
  }

  #forget(wait: ActiveWait): void {
    this.#all.delete(wait.request.requestId)
    this.#release(wait)
  }

  /** By what was asked for, not by what the barrier says: that may be corrupt. */
  #release(wait: ActiveWait): void {
    const { turnId, operationIds } = wait.request
    if (this.#byTurn.get(turnId) === wait) this.#byTurn.delete(turnId)
    for (const id of operationIds) {
      const waits = this.#byMember.get(id)
      if (waits === undefined) continue
      waits.delete(wait)
      if (waits.size > 0) continue
      this.#byMember.delete(id)
      this.#onReleased(id)
    }
  }
}
