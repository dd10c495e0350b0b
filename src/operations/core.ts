import * as v from 'valibot'
import { createActor } from 'xstate'
import { checkClock } from '../base/checked-clock.js'
import type { Clock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import { HeldInspection, type Inspect } from '../base/inspection.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import { textOf } from '../base/options.js'
import { fastMachine } from '../../machines/fast-machine.js'
import {
  operationRegistryMachine,
  type OperationRefusal,
  type OperationRegistryActor,
  type OperationRegistryEvent,
  type SettleEvent,
} from '../../machines/operation-registry.js'
import { OperationRecords, type RegistryLimits } from './records.js'
import { poisonedError, reentrantChange, refusalError } from './refusal.js'

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
}

const registry = fastMachine(operationRegistryMachine)

/**
 * The registry actor with its records: decides and applies, without I/O. Live calls and tests go
 * through the same two steps.
 */
export class OperationsCore {
  readonly records: OperationRecords
  readonly actor: OperationRegistryActor
  readonly #clock: Clock
  readonly #inspection: HeldInspection
  #isApplying = false
  #isBroken = false
  /** Events handed to the actor. */
  #applied = 0

  constructor({ clock, owner, inspect, logger: unguarded, ...limits }: CoreOptions) {
    const logger = guardedLogger(unguarded)
    this.#clock = clock
    this.#inspection = new HeldInspection(inspect, logger)
    this.records = new OperationRecords({ ...limits, clock, logger })
    this.actor = createActor(registry.machine, {
      id: owner === undefined ? 'operation-registry' : `operation-registry ${owner}`,
      input: { book: this.records },
      clock,
      ...this.#inspection.option,
    })
    // Without an observer XState would rethrow a fault from a timer and take the process down.
    this.actor.subscribe({
      error: (cause) => logger.error({ cause: messageOf(cause) }, 'the operations registry broke'),
    })
    this.actor.start()
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

  /**
   * Asks the chart whether the event is legal now; throws the refusal if not, `reentrant_change` in the middle of another.
   * What was decided is kept with the event.
   */
  decide(event: OperationRegistryEvent): void {
    this.check()
    if (this.#isApplying) throw reentrantChange()
    const meta = registry.decide(this.actor.getSnapshot(), event).meta as { refusal: OperationRefusal } | undefined
    if (meta !== undefined) throw refusalError(meta.refusal, event, this.records)
  }

  /** Carries out an event that was decided. A failure half-way poisons the registry and is thrown. */
  apply(event: OperationRegistryEvent): void {
    this.change(() => {
      // A decision would be followed whatever has become of the registry since.
      this.check()
      this.#applied += 1
      this.#isApplying = true
      try {
        this.actor.send(event)
      } finally {
        this.#isApplying = false
      }
      this.check()
    })
  }

  /** Carries out an end that was staged and is durable now. */
  settle(event: SettleEvent): void {
    this.change(() => {
      this.records.surface(event.id)
      this.apply(event)
      if (this.records.lastSettled === event.id) return
      this.actor.send({ type: 'fault', cause: `the durable end of operation ${event.id} was not applied` })
      throw poisonedError()
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
    if (this.actor.getSnapshot().status === 'active') this.actor.send({ type: 'operations.stop' })
    this.actor.stop()
  }

  #break(): void {
    if (this.#isBroken) return
    this.#isBroken = true
    this.records.abandonWaiters()
  }
}
