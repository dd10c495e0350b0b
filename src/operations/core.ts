import { faultFields } from '../base/error-details.js'
import * as v from 'valibot'
import { createActor } from 'xstate'
import { checkClock } from '../base/checked-clock.js'
import type { Clock } from '../base/clock.js'
import { HeldInspection, type Inspect } from '../base/inspection.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import { textOf } from '../base/options.js'
import type { Selection } from '../../machines/chart-table.js'
import { fastMachine } from '../../machines/fast-machine.js'
import type { OperationEvent } from '../../machines/operation.js'
import {
  operationRegistryMachine,
  type OperationRefusal,
  type OperationRegistryActor,
  type OperationRegistryEvent,
  type EndEvent,
} from '../../machines/operation-registry.js'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import { withOperations } from './children.js'
import type { RegistryLimits } from './limits.js'
import { OperationRecords } from './records.js'
import { OperationError, poisonedError } from './errors.js'
import { refusalError } from './refusal.js'

/** Accepts a function, or an observer with `next`. */
export const inspectSchema = v.custom<Inspect>(
  (input) => typeof input === 'function' || typeof (input as { next?: unknown } | null)?.next === 'function',
  ({ input }) => `neither a function nor an observer with next: ${textOf(input)}`,
)

/** What a registry is built on, besides its history. */
export interface CoreOptions extends RegistryLimits {
  readonly clock: Clock
  /** Whose registry it is; tells the registries of many sessions apart in an inspector. */
  readonly owner?: string
  /** Receives the inspection events of the registry, its operations and barriers. */
  readonly inspect?: Inspect
  readonly logger?: Logger
  /** Takes what somebody else than the registry sends to the actor of an operation. */
  readonly onSend?: ((id: OperationId, event: OperationEvent) => void) | undefined
}

const registry = fastMachine(operationRegistryMachine)
const machine = withOperations(registry.machine)

/** What a caller asks of a registry, as inspectors are shown it. */
export interface CallerRequest {
  readonly type: string
  readonly id?: OperationId | undefined
}

/** An end that is decided and has its place in the completion order, but is not durable yet. */
export interface StagedEnd {
  readonly event: EndEvent
  readonly selection: Selection
}

/**
 * The registry actor with its records: decides and applies, without I/O. What the chart selects is what is applied: no guard
 * is asked twice about one event. Live calls and tests go through the same steps.
 */
export class OperationsCore {
  readonly records: OperationRecords
  readonly actor: OperationRegistryActor
  readonly #clock: Clock
  readonly #inspection: HeldInspection
  #isApplying = false
  #isBroken = false
  /** Refusals that inspectors have been shown. */
  readonly #shown = new WeakSet<object>()
  /** Events handed to the actor. */
  #applied = 0

  constructor({ clock, owner, inspect, logger: unguarded, onSend, ...limits }: CoreOptions) {
    const logger = guardedLogger(unguarded)
    this.#clock = clock
    this.#inspection = new HeldInspection(inspect, logger)
    this.records = new OperationRecords({ ...limits, clock, logger })
    this.actor = createActor(machine, {
      id: owner === undefined ? 'operation-registry' : `operation-registry ${owner}`,
      input: { book: this.records },
      clock,
      ...this.#inspection.option,
    })
    // Without an observer XState would rethrow a fault from a timer and take the process down.
    this.actor.subscribe({
      error: (cause) => logger.error({ ...faultFields(cause) }, 'the operations registry broke'),
    })
    this.actor.start()
    this.records.showUnder(this.actor, (id, event) => onSend?.(id, event))
    this.#inspection.follow(this.actor)
  }

  /** True once a change broke off half-way; nothing is answered any more. */
  get isPoisoned(): boolean {
    const { status, value } = this.actor.getSnapshot()
    return this.#isBroken || status === 'error' || value === 'poisoned'
  }

  /** True once the owner has gone: nothing changes any more. */
  get isRetired(): boolean {
    return this.actor.getSnapshot().value === 'retired'
  }

  /**
   * Makes a change that is more than one event, such as a fact that has to be noted before anybody adds to it. Inspectors are
   * told when all of it is done. A failure poisons the registry unless nothing had been applied yet.
   */
  change<Result>(make: () => Result): Result {
    const before = this.#applied
    this.#inspection.hold()
    try {
      return make()
    } catch (fault) {
      if (this.#applied !== before) this.#break()
      throw fault
    } finally {
      this.#inspection.release()
    }
  }

  /** Decides an event and carries it out. Throws the refusal, or `reentrant_change` in the middle of another. */
  take(event: OperationRegistryEvent): void {
    const selection = this.#decide(event)
    this.change(() => this.#apply(event, selection))
  }

  /** Decides an end and gives it its place in the completion order; throws like {@link OperationsCore.take}. */
  stage(event: EndEvent): StagedEnd {
    const selection = this.#decide(event)
    this.records.stage(event)
    return { event, selection }
  }

  /** Takes back an end that did not become durable; later ones must have been taken back before. */
  unstage({ event }: StagedEnd): void {
    this.records.unstage(event)
  }

  /** Carries out an end that is durable now. */
  end({ event, selection }: StagedEnd): void {
    this.change(() => {
      this.#apply(event, selection)
      if (this.records.lastEnded === event.id) return
      this.actor.send({ type: 'fault', cause: `the durable end of operation ${event.id} was not applied` })
      throw poisonedError()
    })
  }

  /**
   * Makes a request of a caller. Whatever refuses it, at once or later, its arguments, the chart or the lane, leaves one
   * inspection event that says so.
   */
  ask<Answer>(request: CallerRequest, make: () => Answer): Answer {
    if (!this.#inspection.isWatched) return make()
    try {
      const answer = make()
      if (answer instanceof Promise) answer.catch((refusal: unknown) => this.showRefused(request, refusal))
      return answer
    } catch (refusal) {
      this.showRefused(request, refusal)
      throw refusal
    }
  }

  /** Leaves an inspection event that says what was refused, and why; one for each refusal. */
  showRefused({ type, id }: CallerRequest, refusal: unknown): void {
    if (typeof refusal !== 'object' || refusal === null || this.#shown.has(refusal)) return
    this.#shown.add(refusal)
    const { code, message } = refusal as { readonly code?: unknown; readonly message?: unknown }
    this.#inspection.show({
      type: '@xstate.event',
      rootId: this.actor.sessionId,
      actorRef: this.actor,
      sourceRef: undefined,
      event: { type: 'request.refused', request: type, ...(id !== undefined && { id }), code, message },
    })
  }

  /** Raises `invalid_input` when the clock breaks its contract: nothing begins at a time that is none. */
  checkClock(): void {
    checkClock(this.#clock)
  }

  /** Raises `internal` once the registry is poisoned. */
  check(): void {
    if (this.isPoisoned) throw poisonedError()
  }

  /** Stops the actors; operations that still ran are stopped with their registry. */
  stop(): void {
    this.actor.stop()
    // A registry that broke is not stopped any more, but its operations are.
    this.records.stopOperations()
  }

  #decide(event: OperationRegistryEvent): Selection {
    this.check()
    if (this.#isApplying) throw new OperationError('reentrant_change', {})
    const selection = registry.decide(this.actor.getSnapshot(), event)
    const meta = selection.meta as { readonly refusal: OperationRefusal } | undefined
    if (meta === undefined) return selection
    const refusal = refusalError(meta.refusal, event, this.records)
    const id = 'spec' in event ? event.spec.id : 'id' in event ? event.id : undefined
    this.showRefused({ type: event.type, ...(id !== undefined && { id }) }, refusal)
    throw refusal
  }

  /** A failure half-way poisons the registry and is thrown. */
  #apply(event: OperationRegistryEvent, selection: Selection): void {
    // A decision would be followed whatever has become of the registry since.
    this.check()
    this.#applied += 1
    this.#isApplying = true
    try {
      registry.follow(this.actor, event, selection)
    } finally {
      this.#isApplying = false
    }
    this.check()
  }

  #break(): void {
    if (this.#isBroken) return
    this.#isBroken = true
    this.records.abandonWaiters()
  }
}
