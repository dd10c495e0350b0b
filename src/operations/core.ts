import { createActor } from 'xstate'
import type { Clock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import { HeldInspection, type Inspect } from '../base/inspection.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import {
  operationRegistryMachine,
  type OperationRegistryActor,
  type OperationRegistryEvent,
  type SettleEvent,
} from '../../machines/operation-registry.js'
import { precompiled } from '../../machines/precompiled.js'
import { OperationRecords, type RegistryLimits } from './records.js'
import { poisonedError, reentrantChange, refusalError } from './refusal.js'

/** What a registry is built on, besides its history. */
export interface CoreOptions extends RegistryLimits {
  readonly clock: Clock
  /** Whose registry it is; tells the registries of many sessions apart in an inspector. */
  readonly owner?: string
  /** Receives the inspection events of the registry, its operations and barriers. */
  readonly inspect?: Inspect
  readonly logger?: Logger
}

const registryMachine = precompiled(operationRegistryMachine)

/**
 * The registry actor with its records: decides and applies, without I/O. Live calls and tests go
 * through the same two steps.
 */
export class OperationsCore {
  readonly records: OperationRecords
  readonly actor: OperationRegistryActor
  readonly #inspection: HeldInspection
  #isApplying = false
  #isBroken = false
  /** Events handed to the actor. */
  #applied = 0

  constructor({ clock, owner, inspect, logger: unguarded, ...limits }: CoreOptions) {
    const logger = guardedLogger(unguarded)
    this.#inspection = new HeldInspection(inspect, logger)
    this.records = new OperationRecords({ ...limits, clock, logger })
    this.actor = createActor(registryMachine, {
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

  /** Asks the chart whether the event is legal now; throws the refusal if not, `reentrant_change` in the middle of another. */
  decide(event: OperationRegistryEvent): void {
    if (this.isPoisoned) throw poisonedError()
    if (this.#isApplying) throw reentrantChange()
    const [selected] = registryMachine.getTransitionData(this.actor.getSnapshot(), event)
    const refusal = selected?.meta?.refusal
    if (refusal !== undefined) throw refusalError(refusal, event, this.records)
  }

  /** Carries out an event that was decided. A failure half-way poisons the registry and is thrown. */
  apply(event: OperationRegistryEvent): void {
    this.change(() => {
      this.#applied += 1
      this.#isApplying = true
      try {
        this.actor.send(event)
      } finally {
        this.#isApplying = false
      }
      if (this.isPoisoned) throw poisonedError()
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
