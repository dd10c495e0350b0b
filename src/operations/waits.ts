import type { AnyActorRef } from 'xstate'
import type { OperationId, OperationOutcome, TurnId, WaitRequestId } from '../../machines/operation-vocabulary.js'
import { ActiveWait, type WaitRequest } from './wait.js'

const none: ReadonlySet<ActiveWait> = new Set()
const noWaits: readonly ActiveWait[] = []

/**
 * The waits of a registry; each turn can have one. An end finds the waits that name it without searching the others,
 * and a finished wait releases its members.
 */
export class Waits {
  /** Active waits, and satisfied ones whose obligation is not acknowledged yet; oldest first. */
  readonly #all = new Map<WaitRequestId, ActiveWait>()
  /** Active waits, by turn. */
  readonly #byTurn = new Map<TurnId, ActiveWait>()
  readonly #byMember = new Map<OperationId, Set<ActiveWait>>()
  readonly #onReleased: (id: OperationId) => void

  /** `onReleased` is called for each operation that no active wait names any more. */
  constructor(onReleased: (id: OperationId) => void) {
    this.#onReleased = onReleased
  }

  /** Active waits, oldest first. */
  get active(): Iterable<ActiveWait> {
    return this.#byTurn.values()
  }

  /** The oldest active wait. */
  get oldest(): ActiveWait | undefined {
    const [oldest] = this.#byTurn.values()
    return oldest
  }

  /** A wait that is active or whose obligation is open. */
  get(requestId: WaitRequestId): ActiveWait | undefined {
    return this.#all.get(requestId)
  }

  /** Waits whose obligation is not acknowledged yet, oldest first. */
  satisfied(): ActiveWait[] {
    return [...this.#all.values()].filter((wait) => wait.isSatisfied)
  }

  /** Whether this turn has an active wait. */
  isTurnWaiting(turnId: TurnId): boolean {
    return this.#byTurn.has(turnId)
  }

  /** Whether this wait is active. */
  isActive(requestId: WaitRequestId): boolean {
    const wait = this.#all.get(requestId)
    return wait !== undefined && this.#byTurn.get(wait.request.turnId) === wait
  }

  /** The active waits that name the operation. */
  of(id: OperationId): ReadonlySet<ActiveWait> {
    return this.#byMember.get(id) ?? none
  }

  /** Whether an active wait names the operation. */
  hasMember(id: OperationId): boolean {
    return this.#byMember.has(id)
  }

  /** Begins a wait for a turn that has none; `outcomeOf` returns the outcomes of members that have already ended. */
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

  /** Records the outcome of a member and returns the waits that name it. */
  memberEnded(id: OperationId, outcome: OperationOutcome): readonly ActiveWait[] {
    const members = this.#byMember.get(id)
    if (members === undefined) return noWaits
    const waits = [...members]
    for (const wait of waits) wait.memberEnded(id, outcome)
    return waits
  }

  /** Releases the members of those waits that are satisfied. */
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

  /** Closes the obligation of a satisfied wait; false if no such obligation is open. */
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

  /** Releases by the request rather than by the state of the barrier, which may be corrupt. */
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
