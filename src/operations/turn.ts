import * as v from 'valibot'
import { createActor } from 'xstate'
import { decode } from '../base/decode.js'
import { messageOf } from '../base/errors.js'
import { deepFreeze } from '../base/freeze.js'
import { parseUuid } from '../base/ids.js'
import { followRoot, inspectOption, type Inspect } from '../base/inspection.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { abortableSchema, checkText, optionsSchema, portSchema, textSchema } from '../base/options.js'
import { loggerSchema } from '../base/ports.js'
import type { Selection } from '../../machines/chart-table.js'
import { fastMachine } from '../../machines/fast-machine.js'
import type { OperationId, TurnId } from '../../machines/operation-vocabulary.js'
import { turnMachine, type AsyncOperationRef, type TurnActor, type TurnEvent } from '../../machines/turn.js'
import { inspectSchema } from './core.js'
import { TurnRefusedError } from './errors.js'
import { unsupported, type OperationsSystem, type OperationsWait } from './system.js'
import type { BoundaryDelivery, TurnBoundary } from './turn-boundary.js'
import type { WaitedOutcome } from './types.js'

const { machine, decide, follow } = fastMachine(turnMachine)

/** Options of {@link Turn}. */
export interface TurnOptions {
  readonly turnId: TurnId
  /** Absent if the host has no background operations; waiting for one then fails the turn. */
  readonly operations?: Pick<OperationsSystem, 'waitAll' | 'acknowledgeObligation'>
  readonly inspect?: Inspect
  /** Receives errors thrown by an inspector. */
  readonly logger?: Logger
}

const optionsOfTurn = optionsSchema<TurnOptions>({
  turnId: textSchema<TurnId>(),
  operations: v.optional(portSchema<NonNullable<TurnOptions['operations']>>(['waitAll', 'acknowledgeObligation'])),
  inspect: v.optional(inspectSchema),
  logger: v.optional(loggerSchema),
})

const refsSchema = v.array(
  optionsSchema<AsyncOperationRef>({
    operationId: textSchema<OperationId>(),
    waitPolicy: v.picklist(['barrier', 'detached']),
  }),
  'not a list',
)

const boundaryPort = v.optional(portSchema<Pick<TurnBoundary, 'deliver'>>(['deliver']))

/** The state of a turn. */
export type TurnState = ReturnType<TurnActor['getSnapshot']>['value']

/**
 * One turn of an agent, as far as it concerns background operations (O-103). It waits for the operations that its tool
 * calls started, takes the obligation of that wait, and reaches the boundary before the next call of the model. Any
 * fault on the way fails the turn, once, before the caller learns of it.
 */
export class Turn implements Disposable {
  readonly turnId: TurnId
  /** The actor of the turn's chart, for inspection. */
  readonly actor: TurnActor
  readonly #operations: TurnOptions['operations']
  #wait: OperationsWait | undefined

  /** Raises `invalid_input` for invalid options, including a turn id that is not a UUID. */
  constructor(options: TurnOptions) {
    const { turnId: text, operations, inspect, logger = silentLogger } = decode(optionsOfTurn, options, 'turn options')
    const turnId = parseUuid<TurnId>(text, 'turn id')
    this.turnId = turnId
    this.#operations = operations
    this.actor = createActor(machine, { id: 'turn', input: { turnId }, ...inspectOption(inspect, logger) })
    followRoot(inspect, this.actor)
    this.actor.start()
  }

  get state(): TurnState {
    return this.actor.getSnapshot().value
  }

  /** Operations that the current tool calls started, including detached ones. */
  get pendingOperations(): readonly AsyncOperationRef[] {
    return [...this.actor.getSnapshot().context.pendingOperations]
  }

  /** Operations that the turn waits for, without duplicates. */
  get barrierIds(): readonly OperationId[] {
    return [...this.actor.getSnapshot().context.barrierIds]
  }

  /** The reason why the turn failed, if it did. */
  get failure(): string | undefined {
    return this.actor.getSnapshot().context.failure
  }

  /**
   * Registers the operations that the tool calls started, waits for those with the `barrier` policy, and resolves with
   * their outcomes in the order of the refs. The turn is then at its boundary. Detached operations are recorded and
   * never awaited.
   *
   * Rejects with `invalid_input`, or with `turn_refused` if the turn is in another state; the turn then stays as it is.
   * Any other rejection has failed the turn: the errors of `waitAll`, the signal's reason, or `unsupported` if there is
   * no registry.
   */
  async awaitOperations(
    refs: readonly AsyncOperationRef[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<readonly WaitedOutcome[]> {
    const { turnId } = this
    decode(refsSchema, refs, 'operation refs')
    const { signal } = decode(abortableSchema, options, 'wait options')
    const kept = refs.map(({ operationId, waitPolicy }) => ({ operationId, waitPolicy }))
    const register: TurnEvent = deepFreeze({ type: 'register_pending_operations', turnId, refs: kept })
    if (this.#wait !== undefined) throw this.#refusal(register)
    this.#send(register)
    try {
      const outcomes = this.barrierIds.length === 0 ? [] : await this.#waitForBarrier(signal)
      this.#send({ type: 'tool_calls_resolved', turnId })
      return outcomes
    } catch (fault) {
      this.fail(messageOf(fault))
      throw fault
    }
  }

  /**
   * Shows what completed in the background, if a boundary is given, and lets the turn continue to the model. If the
   * delivery was deferred or failed, the turn stays at its boundary: call again, or fail the turn.
   *
   * Rejects with `turn_refused` if the turn is not at its boundary, and with the errors of {@link
   * TurnBoundary.deliver}.
   */
  async drainBoundary(boundary?: Pick<TurnBoundary, 'deliver'>): Promise<BoundaryDelivery> {
    decode(boundaryPort, boundary, 'turn boundary')
    const drained: TurnEvent = { type: 'boundary_drained', turnId: this.turnId }
    this.#check(drained)
    const delivery = (await boundary?.deliver()) ?? { type: 'delivered', notices: [] }
    if (delivery.type === 'delivered') this.#send(drained)
    return delivery
  }

  /**
   * Finishes the turn, because the model has answered without further tool calls. Raises `turn_refused` unless the
   * model was being called.
   */
  finish(): void {
    this.#send({ type: 'finish', turnId: this.turnId })
  }

  /** Ends the turn as failed and gives up its wait; changes nothing once it has ended. */
  fail(reason: string): void {
    checkText('reason of a failed turn', reason)
    const fail: TurnEvent = { type: 'fail', turnId: this.turnId, reason }
    const selection = decide(this.actor.getSnapshot(), fail)
    if (selection.isTaken) follow(this.actor, fail, selection)
    this.#wait?.[Symbol.dispose]()
  }

  /** Fails the turn if it has not ended. */
  [Symbol.dispose](): void {
    this.fail('the turn was abandoned')
  }

  async #waitForBarrier(signal: AbortSignal | undefined): Promise<readonly WaitedOutcome[]> {
    const operations = this.#operations
    if (operations === undefined) throw unsupported('waitAll')
    const { turnId: waiting, barrierIds: members } = this
    const wait = operations.waitAll(waiting, members, { ...(signal !== undefined && { signal }) })
    this.#wait = wait
    try {
      const { outcomes, satisfied } = await wait
      try {
        const { turnId, operationIds } = satisfied
        this.#send({ type: 'operations_barrier_satisfied', turnId, operationIds })
      } finally {
        // Whether the turn took the obligation or failed over it, nothing is outstanding any more.
        const { waitRequestId } = satisfied
        operations.acknowledgeObligation({ waitRequestId, turnId: waiting, operationIds: members })
      }
      return outcomes
    } finally {
      this.#wait = undefined
    }
  }

  #send(event: TurnEvent): void {
    follow(this.actor, event, this.#check(event))
  }

  #check(event: TurnEvent): Selection {
    const selection = decide(this.actor.getSnapshot(), event)
    if (!selection.isTaken) throw this.#refusal(event)
    return selection
  }

  #refusal({ type }: TurnEvent): TurnRefusedError {
    return new TurnRefusedError('turn_refused', { turnId: this.turnId, event: type, state: this.state })
  }
}
