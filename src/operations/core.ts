import * as v from 'valibot'
import { createActor, type InspectionEvent, type Observer } from 'xstate'
import { checkClock } from '../base/checked-clock.js'
import type { Clock } from '../base/clock.js'
import { messageOf } from '../base/errors.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { textOf } from '../base/options.js'
import {
  operationRegistryMachine,
  type OperationRegistryActor,
  type OperationRegistryEvent,
  type SettleEvent,
} from '../../machines/operation-registry.js'
import { precompiled } from '../../machines/precompiled.js'
import { OperationRecords, type RegistryLimits } from './records.js'
import { poisonedError, refusalError } from './refusal.js'

/** Where inspection events of the actors go. */
export type Inspect = Observer<InspectionEvent> | ((event: InspectionEvent) => void)

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

const registryMachine = precompiled(operationRegistryMachine)

/**
 * The registry actor with its records: decides and applies, without I/O. Live calls and tests go
 * through the same two steps.
 */
export class OperationsCore {
  readonly records: OperationRecords
  readonly actor: OperationRegistryActor
  readonly #clock: Clock

  constructor({ clock, owner, inspect, logger = silentLogger, ...limits }: CoreOptions) {
    this.#clock = clock
    this.records = new OperationRecords({ ...limits, clock })
    this.actor = createActor(registryMachine, {
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

  /** Asks the chart whether the event is legal now; throws the refusal if not. */
  decide(event: OperationRegistryEvent): void {
    if (this.isPoisoned) throw poisonedError()
    const [selected] = registryMachine.getTransitionData(this.actor.getSnapshot(), event)
    const refusal = selected?.meta?.refusal
    if (refusal !== undefined) throw refusalError(refusal, event, this.records)
  }

  /** Carries out an event that was decided. A failure half-way poisons the registry and is thrown. */
  apply(event: OperationRegistryEvent): void {
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

  #giveUp(): never {
    this.records.abandonWaiters()
    throw poisonedError()
  }
}
