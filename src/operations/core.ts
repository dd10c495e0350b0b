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

/** Options of a registry core. */
export interface CoreOptions extends RegistryLimits {
  readonly clock: Clock
  /** The owner of the registry; distinguishes the registries of several sessions in an inspector. */
  readonly owner?: string
  /** Receives the inspection events of the registry, its operations and its barriers. */
  readonly inspect?: Inspect
  readonly logger?: Logger
  /** Called with events that are sent directly to the actor of an operation. */
  readonly onSend?: ((id: OperationId, event: OperationEvent) => void) | undefined
}

const registry = fastMachine(operationRegistryMachine)
const machine = withOperations(registry.machine)

/** A caller's request, as shown to inspectors. */
export interface CallerRequest {
  readonly type: string
  readonly id?: OperationId | undefined
}

/** An end that is decided and has its sequence, but is not durable yet. */
export interface StagedEnd {
  readonly event: EndEvent
  readonly selection: Selection
}

/**
 * The registry actor with its records. Decides and applies events, without I/O. The transition that the chart selects
 * is the one that is applied, so no guard runs twice for one event. Live calls and tests go through the same steps.
 */
export class OperationsCore {
  readonly records: OperationRecords
  readonly actor: OperationRegistryActor
  readonly #clock: Clock
  readonly #inspection: HeldInspection
  #isApplying = false
  #isBroken = false
  /** Refusals already shown to inspectors. */
  readonly #shown = new WeakSet<object>()
  /** Number of events applied to the actor. */
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
    // Without an error observer XState would rethrow a fault from a timer and crash the process.
    this.actor.subscribe({
      error: (cause) => logger.error({ ...faultFields(cause) }, 'the operations registry has failed'),
    })
    this.actor.start()
    this.records.showUnder(this.actor, (id, event) => onSend?.(id, event))
    this.#inspection.follow(this.actor)
  }

  /** True once a change failed half-way; every later call fails. */
  get isPoisoned(): boolean {
    const { status, value } = this.actor.getSnapshot()
    return this.#isBroken || status === 'error' || value === 'poisoned'
  }

  /** True once the owner has retired: nothing changes any more. */
  get isRetired(): boolean {
    return this.actor.getSnapshot().value === 'retired'
  }

  /**
   * Makes a change of several steps, such as an event followed by a journal note. Inspectors are notified once all of
   * it is done. A failure poisons the registry, unless it comes before the first event was applied.
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

  /** Decides and applies an event. Throws the refusal, or `reentrant_change` if another change is being applied. */
  take(event: OperationRegistryEvent): void {
    const selection = this.#decide(event)
    this.change(() => this.#apply(event, selection))
  }

  /** Decides an end and assigns its sequence; throws like {@link OperationsCore.take}. */
  stage(event: EndEvent): StagedEnd {
    const selection = this.#decide(event)
    this.records.stage(event)
    return { event, selection }
  }

  /** Reverts an end that did not become durable. Later ends must be reverted first. */
  unstage({ event }: StagedEnd): void {
    this.records.unstage(event)
  }

  /** Applies an end that has become durable. */
  end({ event, selection }: StagedEnd): void {
    this.change(() => {
      this.#apply(event, selection)
      if (this.records.lastEnded === event.id) return
      this.actor.send({ type: 'fault', cause: `the durable end of operation ${event.id} was not applied` })
      throw poisonedError()
    })
  }

  /** Whether inspectors are told of refusals now. */
  get isWatched(): boolean {
    return this.#inspection.isWatched
  }

  /** Shows a refusal and its reason to inspectors; each refusal is shown once. */
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

  /** Raises `invalid_input` if the clock breaks its contract, so that nothing starts at an invalid time. */
  checkClock(): void {
    checkClock(this.#clock)
  }

  /** Raises `internal` if the registry is poisoned. */
  check(): void {
    if (this.isPoisoned) throw poisonedError()
  }

  /** Stops the registry's actor and those of the operations that are still running. */
  stop(): void {
    this.actor.stop()
    // Stopping a broken registry does not stop its children, so stop the operations here.
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

  /** Applies a decided event. A failure half-way poisons the registry and is rethrown. */
  #apply(event: OperationRegistryEvent, selection: Selection): void {
    // `follow` applies the selection without looking at the actor's state, so check it here.
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
