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
    return status === 'error' || value === 'poisoned'
  }

  /** True once the owner has gone: nothing changes any more. */
  get isRetired(): boolean {
    return this.actor.getSnapshot().value === 'retired'
  }

  /**
   * Until {@link OperationsCore.endChange} inspectors are told nothing: the change is more than the one event, such as a
   * fact that has to be noted before anybody adds to it.
   */
  beginChange(): void {
    this.#inspection.hold()
  }

  /** Everything that belongs to the change is done. */
  endChange(): void {
    this.#inspection.release()
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
    this.#isApplying = true
    this.beginChange()
    try {
      this.actor.send(event)
      if (this.isPoisoned) this.#giveUp()
    } finally {
      this.#isApplying = false
      this.endChange()
    }
  }

  /** Carries out an end that was staged and is durable now. */
  settle(event: SettleEvent): void {
    this.beginChange()
    try {
      this.records.surface(event.id)
      this.apply(event)
      if (this.records.lastSettled !== event.id) {
        this.actor.send({ type: 'fault', cause: `the durable end of operation ${event.id} was not applied` })
        this.#giveUp()
      }
    } finally {
      this.endChange()
    }
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

  #giveUp(): never {
    this.records.abandonWaiters()
    throw poisonedError()
  }
}
