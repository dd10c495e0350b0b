import { createActor, type AnyActorRef } from 'xstate'
import { messageOf } from '../base/errors.js'
import { deepFreeze } from '../base/freeze.js'
import { createDeferred } from '../base/promises.js'
import type {
  OperationId,
  OperationOutcome,
  TurnId,
  WaitAllSatisfied,
  WaitRequestId,
} from '../../machines/operation-vocabulary.js'
import { fastMachine } from '../../machines/fast-machine.js'
import { waitAllBarrierMachine, type WaitAllBarrierActor } from '../../machines/wait-all-barrier.js'
import { internalError } from './errors.js'
import type { WaitAllResult, WaitedOutcome } from './types.js'

const { machine } = fastMachine(waitAllBarrierMachine)

/** The request of a wait; its members are distinct and known. */
export interface WaitRequest {
  readonly requestId: WaitRequestId
  readonly turnId: TurnId
  readonly operationIds: readonly OperationId[]
}

/**
 * An active wait-all barrier. The barrier actor counts; this object keeps the outcome of each member from the moment it
 * ends, so that eviction or collection cannot take it away before the waiter has it.
 */
export class ActiveWait {
  readonly request: WaitRequest
  readonly barrier: WaitAllBarrierActor
  /** The outcome of each member, in the order of the request; `undefined` while it runs. */
  readonly #outcomes: Map<OperationId, OperationOutcome | undefined>
  readonly #deferred = createDeferred<WaitAllResult>()

  /** `outcomeOf` returns the outcomes of members that have already ended. */
  constructor(request: WaitRequest, outcomeOf: (id: OperationId) => OperationOutcome | undefined, parent: AnyActorRef) {
    const { requestId, turnId, operationIds } = request
    this.request = { requestId, turnId, operationIds }
    this.#outcomes = new Map(operationIds.map((id) => [id, outcomeOf(id)]))
    const remaining = [...this.#outcomes.values()].filter((outcome) => outcome === undefined).length
    this.barrier = createActor(machine, {
      parent,
      id: 'wait-all-barrier',
      input: { requestId, turnId, operationIds, remaining },
    })
    this.barrier.on('satisfied', ({ obligation }) => this.#deliver(obligation))
    this.barrier.start()
    this.barrier.send({ type: 'begin' })
  }

  /** Resolves when every member has ended; rejects if the wait is cancelled or breaks. */
  get result(): Promise<WaitAllResult> {
    return this.#deferred.promise
  }

  get isSatisfied(): boolean {
    return this.barrier.getSnapshot().value === 'satisfied'
  }

  /** True if these are the members, in any order. */
  hasMembers(ids: readonly OperationId[]): boolean {
    return new Set(ids).size === this.#outcomes.size && ids.every((id) => this.#outcomes.has(id))
  }

  /** Records the outcome of a member. */
  memberEnded(id: OperationId, outcome: OperationOutcome): void {
    this.#outcomes.set(id, outcome)
    this.barrier.send({ type: 'member_ended' })
  }

  /** A description of what is wrong with the barrier, if anything; no end may then go through it. */
  problem(): string | undefined {
    const { value, context } = this.barrier.getSnapshot()
    if ((context.requestId as unknown) === undefined) return 'active wait without request id'
    if ((context.turnId as unknown) === undefined) return 'active wait without turn id'
    if (value !== 'waiting') return `active wait is ${value}`
    return undefined
  }

  /** Ends the wait without an obligation; the waiter rejects with `reason`. */
  cancel(reason: unknown): void {
    this.barrier.send({ type: 'cancel' })
    this.#deferred.reject(reason)
  }

  /** Closes the obligation, which the turn has taken. */
  acknowledge(): void {
    this.barrier.send({ type: 'acknowledge' })
  }

  /** Ends a broken wait: the waiter rejects instead of hanging. */
  fail(cause: Error): void {
    this.barrier.send({ type: 'fault', cause: messageOf(cause) })
    this.#deferred.reject(cause)
  }

  #deliver(satisfied: WaitAllSatisfied): void {
    const outcomes: WaitedOutcome[] = []
    for (const [operationId, outcome] of this.#outcomes) {
      if (outcome === undefined) {
        this.#deferred.reject(internalError(`operation ${operationId} completed without terminal outcome`))
        return
      }
      outcomes.push({ operationId, outcome })
    }
    this.#deferred.resolve(deepFreeze({ outcomes, satisfied }))
  }
}
