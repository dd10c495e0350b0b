import type { DeadlineQueue } from '../base/deadline-queue.js'
import { InvalidInputError, toError } from '../base/errors.js'
import type { IdSource } from '../base/ids.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import { textOf } from '../base/options.js'
import type { Lane } from '../lane/lane.js'
import type { AdvanceEvent, OperationRegistryEvent } from '../../machines/operation-registry.js'
import type {
  CursorConsumer,
  FailureOrigin,
  OperationId,
  OperationKind,
  OperationOutcome,
  OperationPeerHandle,
  OperationResult,
  OperationSpec,
  TurnId,
  WaitAllSatisfied,
} from '../../machines/operation-vocabulary.js'
import { ActorRequests } from './actor-requests.js'
import { checkId, checkIds, checkLimit, checkPeer, checkProgress, checkSource, checkSpec } from './admission.js'
import { Awaiting, type WaitOptions } from './awaiting.js'
import { kindClasses } from './classification.js'
import { cursorAdvanced } from './completion.js'
import type { CallerRequest } from './core.js'
import { OperationEnds } from './ends.js'
import { internalError, OperationError } from './errors.js'
import type { OperationsCore } from './core.js'
import type { OperationsHistory } from './history.js'
import type { OperationRecords } from './records.js'
import { lostForgotten, operationRegistered, operationsCollected, operationStarted } from './operation.js'
import { readOutcome } from './operation-row.js'
import { outcomes } from './outcomes.js'
import { OperationReader } from './reader.js'
import { guardedRegistryObserver, type RegistryObserver } from './registry-observer.js'
import { sessionLimited } from './session-state.js'
import type { OperationProgress, WaitedOutcome } from './types.js'
import { TreeEnds } from './tree-ends.js'
import type { WaitAll } from './wait-all.js'

/** Options of {@link OperationRegistry}. */
export interface OperationRegistryOptions {
  readonly lane: Lane
  readonly history: OperationsHistory
  readonly ids: IdSource
  readonly deadlines: DeadlineQueue
  /** Whether the id belongs to a queued operation, which will be registered once there is room. */
  readonly isReserved?: (id: OperationId) => boolean
  readonly observer?: RegistryObserver
  readonly logger?: Logger
}

/** Maximum number of ids in one journalled event. */
const idsPerEvent = 100_000

const done = Promise.resolve()

/**
 * All long-running operations of one owner: what is running, how each ended, and who waits for it (O-17).
 *
 * Every method that changes something decides during the call and returns a promise. Ends resolve once they are
 * durable, everything else at once. Rejections carry an {@link OperationError}, or a `LaneError` if a legal end could
 * not be made durable.
 */
export class OperationRegistry extends OperationReader {
  readonly #lane: Lane
  readonly #history: OperationsHistory
  readonly #core: OperationsCore
  readonly #records: OperationRecords
  readonly #ends: OperationEnds
  readonly #treeEnds: TreeEnds
  readonly #awaiting: Awaiting
  readonly #observer: Required<RegistryObserver>
  readonly #logger: Logger
  #isDisposed = false

  constructor(options: OperationRegistryOptions) {
    const { lane, history, ids, deadlines, isReserved, observer = {}, logger: unguarded } = options
    super(history)
    const logger = guardedLogger(unguarded)
    this.#lane = lane
    this.#history = history
    this.#core = history.core
    this.#records = history.core.records
    if (isReserved !== undefined) this.#records.isReserved = isReserved
    this.#observer = guardedRegistryObserver(observer, logger)
    this.#awaiting = new Awaiting(history.core, ids)
    this.#ends = new OperationEnds({
      lane,
      history,
      onEnded: (id, outcome) => {
        this.#observer.onEnded(id, outcome)
        this.#observer.onChange(id)
        this.#treeEnds.close(id, outcome)
        this.#endLostBelow(id)
      },
    })
    this.#treeEnds = new TreeEnds({
      records: this.#records,
      deadlines,
      logger,
      end: (events) => this.#ends.endTogether(events),
      isOver: () => this.#core.isPoisoned || this.#core.isRetired,
    })
    this.#logger = logger
    const requests = new ActorRequests({
      core: history.core,
      ends: this.#ends,
      start: (id) => this.provisioningSucceeded(id),
      retire: (id) => this.requestRetire(id),
      countProgress: (id) => this.#advance({ type: 'operation.progress_reported', id }),
      logger,
    })
    history.state.onSend = (id, event) => requests.take(id, event)
  }

  /** Ends operations that an earlier process left unfinished although an operation above them had ended. */
  finishTrees(): void {
    const owed = this.#history.reviveOwed()
    if (owed.length > 0) this.#treeEnds.endAll(owed, 'the operation that it was a part of has ended')
  }

  /** Stops reporting these operations as lost; ids that are not lost are ignored. Raises `owner_retired`. */
  forgetLost(ids: readonly OperationId[]): void {
    checkIds(ids)
    if (this.#core.isRetired) throw new OperationError('owner_retired', {})
    const forgotten = ids.filter((id) => this.#history.forgetLost(id))
    this.#noteAll(lostForgotten, forgotten)
  }

  /**
   * Changes the limit on running operations, from the next registration on; durable in the background, like a start.
   * Raises `invalid_input`.
   */
  limitConcurrency(maxConcurrent: number): void {
    checkLimit('maxConcurrent', maxConcurrent)
    if (maxConcurrent === this.#records.maxConcurrent || maxConcurrent === undefined) return
    this.#records.limitTo(maxConcurrent)
    this.#history.note((sequence) => sessionLimited.create(sequence, { maxConcurrent }))
    this.#observer.onLimited()
  }

  /** Adds an operation under the registry's own limit. See {@link registerOperationWithAdmissionLimit}. */
  registerOperation(spec: OperationSpec): Promise<void> {
    return this.registerOperationWithAdmissionLimit(spec)
  }

  /**
   * Adds an operation in status `provisioning`. A `limit` passed here overrides the registry's own (O-40).
   *
   * Rejects with `invalid_input` for a spec that contradicts itself, `already_registered` for an id that this epoch
   * still refers to, `parent_not_found`, `parent_ended`, `tree_too_deep`, `max_concurrent_exceeded`, or
   * `owner_retired`. A lost operation is started again under its id and is no longer reported as lost.
   */
  registerOperationWithAdmissionLimit(spec: OperationSpec, limit?: number): Promise<void> {
    try {
      this.admit(spec, limit)
    } catch (refusal) {
      return this.#lane.refuse(refusal as Error)
    }
    return done
  }

  /**
   * Like {@link registerOperation}, but throws a refusal at once, even if it depends on an end that is not durable yet.
   */
  admit(spec: OperationSpec, limit?: number): void {
    try {
      this.#admit(spec, limit)
    } catch (refusal) {
      this.#core.showRefused({ type: 'register' }, refusal)
      throw refusal
    }
  }

  #admit(spec: OperationSpec, limit: number | undefined): void {
    this.#lane.check()
    checkLimit('limit', limit)
    this.#core.checkClock()
    const checked = checkSpec(spec)
    const { id, kind } = checked
    // An id in use is refused with `already_registered`, whatever else is wrong.
    if (!this.#records.isUsed(id)) checkSource(checked)
    this.#core.change(() => {
      this.#now(limit === undefined ? { type: 'register', spec: checked } : { type: 'register', spec: checked, limit })
      const wasLost = this.#history.forgetLost(id)
      if (this.#isKept(kind)) this.#history.note((sequence) => operationRegistered.create(sequence, { spec: checked }))
      else if (wasLost) this.#noteAll(lostForgotten, [id])
    })
    this.#observer.onChange(id)
  }

  /** Moves the operation from `provisioning` to `running`. */
  provisioningSucceeded(id: OperationId): Promise<void> {
    return this.#advance({ type: 'operation.start', id })
  }

  /**
   * Counts a progress report; its content goes to observers only. Rejects with `invalid_input` for a report without a
   * message.
   */
  reportProgress(id: OperationId, progress: OperationProgress): Promise<void> {
    let checked: OperationProgress
    try {
      checked = checkProgress(progress)
    } catch (refusal) {
      return this.#refuse({ type: 'operation.progress_reported', id }, refusal)
    }
    return this.#advance({ type: 'operation.progress_reported', id }, () => this.#observer.onProgress(id, checked))
  }

  /** Sets the peer handle of a member child. Rejects with `invalid_input` for a handle that names no peer. */
  peerReady(id: OperationId, peer: OperationPeerHandle): Promise<void> {
    let checked: OperationPeerHandle
    try {
      checked = checkPeer(peer)
    } catch (refusal) {
      return this.#refuse({ type: 'operation.peer_ready', id }, refusal)
    }
    return this.#advance({ type: 'operation.peer_ready', id, peer: checked })
  }

  /** Asks the operation to wind down: moves it from `running` to `retiring`. */
  requestRetire(id: OperationId): Promise<void> {
    return this.#advance({ type: 'operation.retire_requested', id }, () => this.#observer.onRetireRequested(id))
  }

  /** Ends an operation that could not be set up. */
  provisioningFailed(id: OperationId, error: string): Promise<void> {
    return this.#ends.end('operation.fail', id, () => outcomes.failed(error))
  }

  /** Ends an operation with its result. Rejects with `invalid_input` if the result names another operation. */
  completeOperation(id: OperationId, result: OperationResult): Promise<void> {
    return this.#ends.end('operation.complete', id, () => outcomes.completed(id, result))
  }

  /**
   * Ends an operation as failed. `failure` adds a reason to branch on and what was thrown, of which a bounded part is
   * kept. Rejects with `invalid_input` for an unknown reason.
   */
  failOperation(id: OperationId, error: string, failure?: FailureOrigin): Promise<void> {
    return this.#ends.end('operation.fail', id, () => outcomes.failed(error, failure))
  }

  /** Ends an operation that is still being set up. */
  abortProvisioning(id: OperationId, reason: string | null = null): Promise<void> {
    return this.#ends.end('operation.abort', id, () => outcomes.aborted(reason))
  }

  /** Ends an operation as cancelled. */
  cancelOperation(id: OperationId, reason: string | null = null): Promise<void> {
    return this.#ends.end('operation.cancel', id, () => outcomes.cancelled(reason))
  }

  /**
   * Ends an operation at once, whatever it is doing. {@link OperationRegistry.terminateOwner} does this for all of
   * them.
   */
  terminateOperation(id: OperationId, reason: string): Promise<void> {
    return this.#ends.end('operation.terminate', id, () => outcomes.terminated(reason))
  }

  /** Ends an operation that has wound down. */
  markRetired(id: OperationId): Promise<void> {
    return this.#ends.end('operation.retire_completed', id, outcomes.retired)
  }

  /**
   * Ends every live operation, in creation order, and waits for ends in progress (O-61). Thousands of operations end in
   * one durable step; more of them take several steps, each within the size of a journal append.
   */
  terminateOwner(reason: string): Promise<void> {
    try {
      outcomes.terminated(reason)
      this.#core.check()
    } catch (fault) {
      return this.#refuse({ type: 'owner.terminate' }, fault)
    }
    return this.#core.isRetired ? done : this.#ends.endAll(reason)
  }

  /** Refuses new operations with `owner_retired`; running operations may still end. */
  drain(): void {
    if (!this.#core.isRetired) this.#now({ type: 'owner.drain' })
  }

  /**
   * Terminates running operations, then refuses every later change with `owner_retired`; reads and watches still work.
   */
  async retireOwner(reason = 'owner retired'): Promise<void> {
    this.drain()
    await this.terminateOwner(reason)
    this.#fence()
  }

  /**
   * Removes every ended operation and returns the outcomes, oldest completion first. Members of an active wait stay.
   */
  collectCompleted(): Promise<readonly WaitedOutcome[]> {
    try {
      this.#core.check()
      if (this.#core.isRetired) throw new OperationError('owner_retired', {})
      const ids = this.#records.collectable()
      const collected = ids.map((operationId) => ({ operationId, outcome: this.#outcomeOf(operationId) }))
      if (ids.length === 0) return Promise.resolve(collected)
      this.#core.change(() => {
        this.#now({ type: 'records.drop', ids })
        this.#noteAll(operationsCollected, ids)
      })
      return Promise.resolve(collected)
    } catch (refusal) {
      return this.#refuse({ type: 'records.drop' }, refusal)
    }
  }

  /**
   * Resolves with the outcome of an operation, at once if it has ended. Throws `invalid_input`, and `not_found` for an
   * unknown id. The promise rejects with the signal's reason, or with `channel_closed` if the registry goes away first.
   */
  registerWatcher(id: OperationId, options?: WaitOptions): Promise<OperationOutcome> {
    return this.#awaiting.registerWatcher(id, options)
  }

  /**
   * Waits until every named operation has ended (O-89, O-90). A turn can have one wait at a time; different turns can
   * wait at the same time. The barrier is active when this returns; dispose the handle or abort the signal to give up.
   * Rejects with `invalid_input`, `duplicate_wait_operation`, `wait_already_active`, `not_found`, or the signal's
   * reason.
   */
  waitAll(turnId: TurnId, operationIds: readonly OperationId[], options?: WaitOptions): WaitAll {
    return this.#awaiting.waitAll(turnId, operationIds, options)
  }

  /** Obligations of satisfied waits that have not been acknowledged. */
  outstandingObligations(): readonly WaitAllSatisfied[] {
    return this.#awaiting.outstandingObligations()
  }

  /**
   * Acknowledges an obligation that the turn has taken. Raises `wait_not_active` if it is not open, and `invalid_input`
   * if it names another turn or other members than the wait; it then stays open.
   */
  acknowledgeObligation(obligation: WaitAllSatisfied): void {
    this.#awaiting.acknowledgeObligation(obligation)
  }

  /** Moves a consumer's cursor forwards and returns its position; a lower value changes nothing. */
  advanceCompletionCursor(consumer: CursorConsumer, cursor: number): number {
    if (!Number.isSafeInteger(cursor) || cursor < 0) {
      throw new InvalidInputError({
        subject: 'completion cursor',
        field: '$',
        reason: `not a sequence: ${textOf(cursor)}`,
      })
    }
    const before = this.completionCursor(consumer)
    const after = this.#core.change(() => {
      this.#now({ type: 'cursor.advance', consumer, cursor })
      const reached = this.#records.order.cursors[consumer]
      if (reached > before) {
        this.#history.note((sequence) => cursorAdvanced.create(sequence, { consumer, cursor: reached }))
      }
      return reached
    })
    if (after > this.#records.order.lastSequence) {
      const minted = this.#records.order.lastSequence
      this.#logger.warn({ consumer, cursor: after, minted }, 'a cursor is ahead of the last completion')
    }
    return after
  }

  /**
   * Rejects watches and waits and stops the actors. Later changes are refused with `owner_retired`; reads still work.
   */
  dispose(): void {
    if (this.#isDisposed) return
    this.#isDisposed = true
    this.#fence()
    this.#treeEnds[Symbol.dispose]()
    this.#awaiting.close()
    this.#records.order.feed.close()
    this.#core.stop()
  }

  /** A lost operation that ran again has ended, so its lost children that did not run again are ended too. */
  #endLostBelow(id: OperationId): void {
    const { unfinished } = this.#history.state
    if (unfinished.size === 0) return
    unfinished.end(id)
    this.finishTrees()
  }

  #fence(): void {
    if (!this.#core.isPoisoned && !this.#core.isRetired) this.#now({ type: 'owner.retire' })
  }

  /** Journals a change of many operations, in events small enough for the journal. */
  #noteAll(definition: typeof lostForgotten | typeof operationsCollected, ids: readonly OperationId[]): void {
    for (let next = 0; next < ids.length; next += idsPerEvent) {
      this.#history.note((sequence) => definition.create(sequence, { ids: ids.slice(next, next + idsPerEvent) }))
    }
  }

  #isKept(kind: OperationKind): boolean {
    return kindClasses[kind].durability === 'retain'
  }

  /** Decides and applies a change that needs no durable step of its own. */
  #now(event: OperationRegistryEvent): void {
    this.#core.take(event)
  }

  #advance(event: AdvanceEvent, followUp?: () => void): Promise<void> {
    try {
      checkId(event.id)
      this.#core.change(() => {
        this.#now(event)
        if (event.type === 'operation.start') this.#noteStart(event.id)
      })
    } catch (refusal) {
      return this.#refuse(event, refusal)
    }
    followUp?.()
    this.#observer.onChange(event.id)
    return done
  }

  /** Journals a start, in the background: no caller waits for it. */
  #noteStart(id: OperationId): void {
    const row = this.#records.rows.get(id)
    if (row === undefined || !this.#isKept(row.spec.kind)) return
    const { startedAtMs } = row
    this.#history.note((sequence) =>
      operationStarted.create(sequence, { id, ...(startedAtMs !== undefined && { startedAtMs }) }),
    )
  }

  /**
   * Reports a refusal through the lane, so that the caller hears of it only once all that it may depend on is durable.
   */
  #refuse(request: CallerRequest, refusal: unknown): Promise<never> {
    this.#core.showRefused(request, refusal)
    return this.#lane.refuse(toError(refusal))
  }

  #outcomeOf(id: OperationId): OperationOutcome {
    const row = this.#records.rows.get(id)
    const outcome = row === undefined ? undefined : readOutcome(id, row)
    if (outcome === undefined) throw internalError(`missing terminal outcome for operation ${id}`)
    return outcome
  }
}
