import { createActor, type InspectionEvent, type Observer } from 'xstate'
import type { Clock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { fastMachine } from '../../machines/fast-machine.js'
import {
  operationRegistryMachine,
  type OperationRefusal,
  type OperationRegistryActor,
  type OperationRegistryEvent,
  type SettleEvent,
} from '../../machines/operation-registry.js'
import { OperationRecords, type RegistryLimits } from './records.js'
import { poisonedError, refusalError } from './refusal.js'

/** Where inspection events of the actors go. */
export type Inspect = Observer<InspectionEvent> | ((event: InspectionEvent) => void)

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

  constructor({ clock, owner, inspect, logger = silentLogger, ...limits }: CoreOptions) {
    this.records = new OperationRecords({ ...limits, clock })
    this.actor = createActor(registry.machine, {
      id: owner === undefined ? 'operation-registry' : `operation-registry ${owner}`,
      input: { book: this.records },
      clock,
      ...(inspect !== undefined && { inspect }),
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

  /** Asks the chart whether the event is legal now; throws the refusal if not. What was decided is kept with the event. */
  decide(event: OperationRegistryEvent): void {
    this.check()
    const meta = registry.decide(this.actor.getSnapshot(), event).meta as { refusal: OperationRefusal } | undefined
    if (meta !== undefined) throw refusalError(meta.refusal, event, this.records)
  }

  /** Carries out an event that was decided. A failure half-way poisons the registry and is thrown. */
  apply(event: OperationRegistryEvent): void {
    // A decision would be followed whatever has become of the registry since.
    if (this.isPoisoned) this.#giveUp()
    this.actor.send(event)
    if (this.isPoisoned) this.#giveUp()
  }

  /** Carries out an end that was staged and is durable now. */
  settle(event: SettleEvent): void {
    this.records.surface(event.id)
    this.apply(event)
    if (this.records.lastSettled !== event.id) {
      this.actor.send({ type: 'fault', cause: `the durable end of operation ${event.id} was not applied` })
      this.#giveUp()
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
