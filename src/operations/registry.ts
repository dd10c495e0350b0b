import * as v from 'valibot'
import { onAbort } from '../base/abort.js'
import { decode } from '../base/decode.js'
import { InvalidInputError, messageOf, StatewardError, toError } from '../base/errors.js'
import type { IdSource } from '../base/ids.js'
import type { JsonObject } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger, guardedObserver } from '../base/observers.js'
import { abortableSchema, checkText, optionsSchema, textOf, textSchema } from '../base/options.js'
import { createDeferred, silence } from '../base/promises.js'
import type { Lane } from '../lane/lane.js'
import type { Staged } from '../lane/types.js'
import type { OperationEvent } from '../../machines/operation.js'
import type { AdvanceEvent, OperationRegistryEvent, SettleEvent } from '../../machines/operation-registry.js'
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
  WaitRequestId,
} from '../../machines/operation-vocabulary.js'
import { checkId, checkIds, checkLimit, checkPeer, checkProgress, checkSource, checkSpec } from './admission.js'
import { kindClasses } from './classification.js'
import { internalError, notFound, WatchError } from './errors.js'
import { checkEnd, events as written, type MintedEnd } from './events.js'
import type { CallerRequest, StagedEnd } from './core.js'
import type { OperationsHistory } from './history.js'
import { readOutcome, type OperationRow } from './projection.js'
import { checkOutcome, outcomes } from './outcomes.js'
import { OperationReader } from './reader.js'
import { ownerRetired, waitNotActive } from './refusal.js'
import { terminations } from './termination.js'
import type { OperationProgress, WaitedOutcome } from './types.js'
import type { ActiveWait } from './wait.js'
import { WaitAll } from './wait-all.js'
import { withoutWatcher, withWatcher } from './watchers.js'

/** Who is told what happens in a registry, after it has become visible. */
export interface RegistryObserver {
  /** An operation was registered, moved on or ended. */
  onChange?(id: OperationId): void
  /** A report that was counted; the registry keeps nothing of its content. */
  onProgress?(id: OperationId, progress: OperationProgress): void
  /** An operation was asked to wind down. */
  onRetireRequested?(id: OperationId): void
  /** An operation ended, and the end is durable. */
  onEnded?(id: OperationId, outcome: OperationOutcome): void
}

/** What a registry is made of. */
export interface OperationRegistryOptions {
  readonly lane: Lane
  readonly history: OperationsHistory
  readonly ids: IdSource
  readonly observer?: RegistryObserver
  readonly logger?: Logger
}

/** How many ids one journalled event names at most. */
const idsPerEvent = 100_000

const done = Promise.resolve()

const noOptions: { readonly signal?: AbortSignal } = {}

const obligationSchema = optionsSchema<WaitAllSatisfied>({
  waitRequestId: textSchema<WaitRequestId>(),
  turnId: textSchema<TurnId>(),
  operationIds: v.array(textSchema<OperationId>()),
})

/**
 * All long-running operations of one owner: what runs, how each ended, who waits for it
 * (O-17).
 *
 * Every mutator decides during the call and returns a promise: ends resolve once they are durable,
 * everything else at once. Rejections carry an {@link OperationError}, or a `LaneError` when a legal
 * end could not be made durable.
 */
export class OperationRegistry extends OperationReader {
  readonly #lane: Lane
  readonly #history: OperationsHistory
  readonly #ids: IdSource
  readonly #observer: RegistryObserver
  readonly #logger: Logger
  #isDisposed = false

  constructor({ lane, history, ids, observer = {}, logger: unguarded }: OperationRegistryOptions) {
    const logger = guardedLogger(unguarded)
    super(history)
    this.#lane = lane
    this.#history = history
    this.#ids = ids
    this.#observer = guardedRegistryObserver(observer, logger)
    this.#logger = logger
    history.onSend = (id, event) => this.#request(id, event)
  }

  /** Stops reporting these operations as lost; ids that are not lost are ignored. Raises `owner_retired`. */
  forgetLost(ids: readonly OperationId[]): void {
    checkIds(ids)
    if (this.#core.isRetired) throw ownerRetired()
    this.#noteAll(this.#history.forgetLost(ids), written.lostForgotten)
  }

  /** Changes how many operations may run, from the next registration on; durable like a start. Raises `invalid_input`. */
  limitConcurrency(maxConcurrent: number): void {
    checkLimit('maxConcurrent', maxConcurrent)
    if (maxConcurrent === this.#records.maxConcurrent || maxConcurrent === undefined) return
    this.#records.limitTo(maxConcurrent)
    this.#note(() => written.limited(maxConcurrent))
  }

  /** Adds an operation under the registry's own limit. See {@link registerOperationWithAdmissionLimit}. */
  registerOperation(spec: OperationSpec): Promise<void> {
    return this.registerOperationWithAdmissionLimit(spec)
  }

  /**
   * Adds an operation in status `provisioning`; a `limit` given here wins over the registry's own (O-40).
   *
   * Rejects with `invalid_input` for a spec that contradicts itself, `already_registered` for an id that this epoch still
   * refers to, `max_concurrent_exceeded`, or `owner_retired`. A lost operation is started anew under its id: it is not
   * reported as lost any more.
   */
  registerOperationWithAdmissionLimit(spec: OperationSpec, limit?: number): Promise<void> {
    try {
      this.admit(spec, limit)
    } catch (refusal) {
      return this.#lane.refuse(refusal as Error)
    }
    return done
  }

  /** The same, but throws a refusal at once, even one that leans on an end that is not durable yet. */
  admit(spec: OperationSpec, limit?: number): void {
    this.#core.ask({ type: 'register' }, () => this.#admit(spec, limit))
  }

  #admit(spec: OperationSpec, limit: number | undefined): void {
    this.#lane.check()
    checkLimit('limit', limit)
    this.#core.checkClock()
    const checked = checkSpec(spec)
    const { id, kind } = checked
    // An id in use is refused as such, whatever else is wrong.
    if (!this.#records.isUsed(id)) checkSource(checked)
    this.#core.change(() => {
      this.#now({ type: 'register', spec: checked, ...(limit !== undefined && { limit }) })
      const taken = this.#history.forgetLost([id])
      if (this.#isKept(kind)) this.#note(() => written.registered(checked))
      else this.#noteAll(taken, written.lostForgotten)
    })
    this.#observer.onChange?.(id)
  }

  /** `provisioning` to `running`. */
  provisioningSucceeded(id: OperationId): Promise<void> {
    const note = (): void => {
      if (this.#isKept(this.#kindOf(id))) this.#note(() => written.started(id))
    }
    return this.#advance({ type: 'operation.start', id }, undefined, note)
  }

  /** Counts one report; its content goes to observers only. Rejects with `invalid_input` for one without a message. */
  reportProgress(id: OperationId, progress: OperationProgress): Promise<void> {
    let checked: OperationProgress
    try {
      checked = checkProgress(progress)
    } catch (refusal) {
      return this.#refuse({ type: 'operation.progress_reported', id }, refusal)
    }
    return this.#advance({ type: 'operation.progress_reported', id }, () => this.#observer.onProgress?.(id, checked))
  }

  /** Takes the peer handle of a member child. Rejects with `invalid_input` for a handle that names no peer. */
  peerReady(id: OperationId, peer: OperationPeerHandle): Promise<void> {
    let checked: OperationPeerHandle
    try {
      checked = checkPeer(peer)
    } catch (refusal) {
      return this.#refuse({ type: 'operation.peer_ready', id }, refusal)
    }
    return this.#advance({ type: 'operation.peer_ready', id, peer: checked })
  }

  /** `running` to `retiring`: the operation is asked to wind down. */
  requestRetire(id: OperationId): Promise<void> {
    return this.#advance({ type: 'operation.retire_requested', id }, () => this.#observer.onRetireRequested?.(id))
  }

  /** Ends an operation that could not be set up. */
  provisioningFailed(id: OperationId, error: string): Promise<void> {
    return this.#end('operation.fail', id, () => outcomes.failed(error))
  }

  /** Ends an operation with its result. Rejects with `invalid_input` when the result names another operation. */
  completeOperation(id: OperationId, result: OperationResult): Promise<void> {
    return this.#end('operation.complete', id, () => outcomes.completed(id, result))
  }

  /**
   * Ends an operation that failed; `failure` says what is known beside the text, a reason to branch on and what
   * was thrown, of which a bounded part is kept. Rejects with `invalid_input` for a reason that there is none of.
   */
  failOperation(id: OperationId, error: string, failure?: FailureOrigin): Promise<void> {
    return this.#end('operation.fail', id, () => outcomes.failed(error, failure))
  }

  /** Ends an operation that is still being set up. */
  abortProvisioning(id: OperationId, reason: string | null = null): Promise<void> {
    return this.#end('operation.abort', id, () => outcomes.aborted(reason))
  }

  /** Ends an operation on request. */
  cancelOperation(id: OperationId, reason: string | null = null): Promise<void> {
    return this.#end('operation.cancel', id, () => outcomes.cancelled(reason))
  }

  /** Ends an operation that has wound down. */
  markRetired(id: OperationId): Promise<void> {
    return this.#end('operation.retire_completed', id, outcomes.retired)
  }

  /**
   * Ends every live operation, in creation order, and waits for ends under way (O-61). Thousands of
   * operations end in one durable step, more of them in as many steps as the journal needs.
   */
  terminateOwner(reason: string): Promise<void> {
    let groups: SettleEvent[][]
    try {
      outcomes.terminated(reason)
      this.#core.check()
      if (this.#core.isRetired) return done
      groups = terminations(this.#records, reason)
    } catch (fault) {
      return this.#refuse({ type: 'owner.terminate' }, fault)
    }
    if (groups.length === 0) return this.#records.isEnding ? this.#settleAll([]) : done
    return silence(inTurn(groups.map((events) => this.#settleAll(events))))
  }

  /** Lets what runs end but refuses new operations with `owner_retired`. */
  drain(): void {
    if (!this.#core.isRetired) this.#now({ type: 'owner.drain' })
  }

  /** Terminates what runs, then refuses every later change with `owner_retired`; reads and watches still work. */
  async retireOwner(reason = 'owner retired'): Promise<void> {
    this.drain()
    await this.terminateOwner(reason)
    this.#fence()
  }

  /** Removes every ended operation and returns their outcomes, oldest completion first; members of an active wait stay. */
  collectCompleted(): Promise<readonly WaitedOutcome[]> {
    try {
      this.#core.check()
      if (this.#core.isRetired) throw ownerRetired()
      const ids = this.#records.collectable()
      const collected = ids.map((operationId) => ({ operationId, outcome: this.#outcomeOf(operationId) }))
      if (ids.length === 0) return Promise.resolve(collected)
      this.#core.change(() => {
        this.#now({ type: 'records.drop', ids })
        this.#noteAll(ids, written.collected)
      })
      return Promise.resolve(collected)
    } catch (refusal) {
      return this.#refuse({ type: 'records.drop' }, refusal)
    }
  }

  /**
   * Resolves with the outcome of an operation, at once if it has ended. Throws `invalid_input`, and `not_found` for an unknown id.
   * The promise rejects with the signal's reason, or with `channel_closed` when the registry goes away first.
   */
  registerWatcher(id: OperationId, options: { readonly signal?: AbortSignal } = noOptions): Promise<OperationOutcome> {
    this.#core.check()
    checkId(id)
    const { signal } = options === noOptions ? options : decode(abortableSchema, options, 'watch options')
    const row = this.#records.rows.get(id)
    if (row === undefined) throw notFound(id)
    const outcome = readOutcome(id, row)
    if (outcome !== undefined) return Promise.resolve(outcome)
    if (signal?.aborted === true) return silence(Promise.reject(signal.reason))
    if (this.#isDisposed) return silence(Promise.reject(new WatchError(id)))
    const watcher = createDeferred<OperationOutcome>()
    row.watchers = withWatcher(row.watchers, watcher)
    if (signal === undefined) return watcher.promise
    const forget = onAbort(signal, () => {
      row.watchers = withoutWatcher(row.watchers, watcher)
      watcher.reject(signal.reason)
    })
    return silence(watcher.promise.finally(forget))
  }

  /** Moves a consumer forwards and returns where it stands; a lower request changes nothing. */
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
      const reached = this.#records.cursors[consumer]
      if (reached > before) this.#note(() => written.cursorAdvanced(consumer, reached))
      return reached
    })
    if (after > this.#records.lastSequence) {
      const minted = this.#records.lastSequence
      this.#logger.warn({ consumer, cursor: after, minted }, 'a cursor is ahead of every completion')
    }
    return after
  }

  /**
   * Waits until every named operation has ended (O-89, O-90). A turn has one wait at a time, a registry as many as
   * there are turns. The barrier is active when this returns;
   * dispose the handle or abort the signal to give up. Rejects with `invalid_input`, `duplicate_wait_operation`,
   * `wait_already_active`, `not_found`, or the signal's reason.
   */
  waitAll(
    turnId: TurnId,
    operationIds: readonly OperationId[],
    options: { readonly signal?: AbortSignal } = {},
  ): WaitAll {
    const requestId = this.#ids.uuid() as WaitRequestId
    let members: readonly OperationId[]
    let signal: AbortSignal | undefined
    try {
      checkText('turn id', turnId)
      checkIds(operationIds)
      members = Object.freeze([...operationIds])
      signal = decode(abortableSchema, options, 'wait options').signal
    } catch (refusal) {
      this.#core.showRefused({ type: 'wait_all.begin' }, refusal)
      return WaitAll.rejected(requestId, refusal)
    }
    if (signal?.aborted === true) return WaitAll.rejected(requestId, signal.reason)
    let wait: ActiveWait | undefined
    try {
      wait = this.#core.change(() => {
        this.#now({ type: 'wait_all.begin', requestId, turnId, operationIds: members })
        return this.#records.waits.get(requestId)
      })
    } catch (refusal) {
      return WaitAll.rejected(requestId, refusal)
    }
    if (wait === undefined) return WaitAll.rejected(requestId, internalError('accepted wait without a barrier'))
    return new WaitAll(requestId, wait.result, signal, (reason) => this.#cancelWait(requestId, reason))
  }

  /** Obligations of satisfied waits that nobody has acknowledged. */
  outstandingObligations(): readonly WaitAllSatisfied[] {
    return this.#records.waits
      .satisfied()
      .map(({ request: { requestId, turnId, operationIds } }) => ({ waitRequestId: requestId, turnId, operationIds }))
  }

  /**
   * Closes an obligation once the turn has taken it. Raises `wait_not_active` when it is not open, and `invalid_input`
   * for an obligation of another turn or with other members than the wait had; it stays open then.
   */
  acknowledgeObligation(obligation: WaitAllSatisfied): void {
    const { waitRequestId, turnId, operationIds } = decode(obligationSchema, obligation, 'obligation')
    const wait = this.#records.waits.get(waitRequestId)
    if (wait !== undefined && wait.isSatisfied) {
      if (turnId !== wait.request.turnId) refuseObligation('turnId', `not the turn that waited: ${textOf(turnId)}`)
      if (!wait.hasMembers(operationIds)) refuseObligation('operationIds', 'not the members of the wait')
    }
    if (!this.#records.waits.acknowledge(waitRequestId)) throw waitNotActive(waitRequestId)
  }

  /** Ends watches and waits with an error and stops the actors; later changes are refused with `owner_retired`, reads still work. */
  dispose(): void {
    if (this.#isDisposed) return
    this.#isDisposed = true
    this.#fence()
    this.#records.abandonWaiters()
    this.#records.feed.close()
    this.#core.stop()
  }

  /**
   * Somebody sent an event to the actor of an operation: a request like any other, through the lane. There is nobody to
   * reject for it, so that a refusal is logged; inspectors are shown it.
   */
  #request(id: OperationId, event: OperationEvent): void {
    this.#carryOut(id, event).catch((refusal: unknown) => {
      const { type } = event
      this.#core.showRefused({ type, id }, refusal)
      this.#logger.warn(
        { id, type, cause: messageOf(refusal) },
        'an event sent to the actor of an operation was refused',
      )
    })
  }

  async #carryOut(id: OperationId, event: OperationEvent): Promise<void> {
    const { type } = event
    switch (type) {
      case 'start':
        return this.provisioningSucceeded(id)
      case 'retire_requested':
        return this.requestRetire(id)
      case 'progress_reported':
        return this.#advance({ type: `operation.${type}`, id })
      case 'complete':
      case 'fail':
      case 'abort':
      case 'cancel':
      case 'retire_completed':
      case 'terminate':
        return this.#end(`operation.${type}`, id, () => checkOutcome(id, event.outcome))
      default: {
        // A peer comes with its handle, for which an event of the chart has no place; nothing else is an action.
        const reason = `not an event that can be sent to an operation: ${textOf(type)}`
        throw new InvalidInputError({ subject: 'operation event', field: 'type', reason })
      }
    }
  }

  get #core() {
    return this.#history.core
  }

  get #records() {
    return this.#history.core.records
  }

  #fence(): void {
    if (!this.#core.isPoisoned && !this.#core.isRetired) this.#now({ type: 'owner.retire' })
  }

  /** Notes what is visible already; written only where there is a journal. */
  #note(eventOf: () => JsonObject): void {
    if (this.#lane.isDurable) this.#lane.note(this.#history, eventOf())
  }

  /** Notes something about many operations, in events small enough for the journal. */
  #noteAll(ids: readonly OperationId[], eventOf: (ids: readonly OperationId[]) => JsonObject): void {
    for (let next = 0; next < ids.length; next += idsPerEvent) {
      this.#note(() => eventOf(ids.slice(next, next + idsPerEvent)))
    }
  }

  #isKept(kind: OperationKind): boolean {
    return kindClasses[kind].durability === 'retain'
  }

  #kindOf(id: OperationId): OperationKind {
    return this.#records.rows.get(id)?.spec.kind ?? 'background_tool_capacity_slot'
  }

  /** Decides and applies a change that needs no durable step of its own. */
  #now(event: OperationRegistryEvent): void {
    this.#core.take(event)
  }

  #advance(event: AdvanceEvent, followUp?: () => void, note?: () => void): Promise<void> {
    try {
      checkId(event.id)
      this.#core.change(() => {
        this.#now(event)
        note?.()
      })
    } catch (refusal) {
      return this.#refuse(event, refusal)
    }
    followUp?.()
    this.#observer.onChange?.(event.id)
    return done
  }

  #end(type: SettleEvent['type'], id: OperationId, outcomeOf: () => OperationOutcome): Promise<void> {
    return this.#core.ask({ type, id }, () => this.#decideEnd(type, id, outcomeOf))
  }

  /** What refuses a request before it comes to the lane; told when all that it may lean on is durable. */
  #refuse(request: CallerRequest, refusal: unknown): Promise<never> {
    this.#core.showRefused(request, refusal)
    return this.#lane.refuse(toError(refusal))
  }

  #decideEnd(type: SettleEvent['type'], id: OperationId, outcomeOf: () => OperationOutcome): Promise<void> {
    let event: SettleEvent
    try {
      checkId(id)
      event = { type, id, outcome: outcomeOf() }
    } catch (refusal) {
      return this.#lane.refuse(refusal as Error)
    }
    const row = this.#records.rows.get(id)
    if (row !== undefined && !this.#isKept(row.spec.kind)) return this.#settleUnrecorded(event)
    return this.#settleAll([event])
  }

  /** Capacity slots leave no trace, so their end waits for nothing. */
  #settleUnrecorded(event: SettleEvent): Promise<void> {
    let discard = (): void => {}
    try {
      const staged = this.#core.stage(event)
      discard = () => this.#core.unstage(staged)
      this.#checkBarriers([event])
      discard = () => {}
      this.#core.settle(staged)
    } catch (refusal) {
      discard()
      return this.#lane.refuse(refusal as Error)
    }
    this.#publish([event])
    return done
  }

  #settleAll(events: readonly SettleEvent[]): Promise<void> {
    return this.#lane.submit(this.#history, () => this.#stage(events))
  }

  #stage(ends: readonly SettleEvent[]): Staged<void> {
    const staged: StagedEnd[] = []
    const discard = (): void => {
      for (const end of staged.toReversed()) this.#core.unstage(end)
    }
    // All of the group, or an inspector's own end would come before those that were decided earlier.
    const commit = (): void =>
      this.#core.change(() => {
        for (const end of staged) this.#core.settle(end)
      })
    try {
      for (const end of ends) staged.push(this.#core.stage(end))
      this.#checkBarriers(ends)
      const encoded = this.#encoded(ends)
      return {
        get facts() {
          return encoded()
        },
        commit,
        discard,
        publish: () => this.#publish(ends),
      }
    } catch (fault) {
      discard()
      throw fault
    }
  }

  /** Read fail-closed now, written when the journal asks: a lane without one never does. */
  #encoded(ends: readonly SettleEvent[]): () => readonly JsonObject[] {
    const kept: [MintedEnd, OperationRow][] = []
    for (const end of ends) {
      if (!this.#isKept(this.#kindOf(end.id))) continue
      const row = this.#records.rows.get(end.id)
      checkEnd(end, row)
      kept.push([end, row as OperationRow])
    }
    return () => kept.map(([end, row]) => written.ended(end, row))
  }

  #publish(events: readonly SettleEvent[]): void {
    for (const { id, outcome } of events) {
      this.#observer.onEnded?.(id, outcome)
      this.#observer.onChange?.(id)
    }
  }

  /** A broken barrier fails the call before anything becomes durable, and is cleared (O-101). */
  #checkBarriers(ends: readonly SettleEvent[]): void {
    const { waits } = this.#records
    for (const { id } of ends) {
      for (const wait of waits.of(id)) {
        const problem = wait.problem()
        if (problem === undefined) continue
        waits.fault(wait, internalError(`wait_all completion channel dropped: ${problem}`))
        throw internalError(problem)
      }
    }
  }

  #cancelWait(requestId: WaitRequestId, reason: unknown): void {
    if (!this.#records.hasActiveWait(requestId)) return
    // Giving up is possible even where nothing else is: the waiter is told, and nobody has to know better.
    if (this.#core.isPoisoned || this.#core.isRetired) return this.#records.cancelWait(requestId, reason)
    try {
      this.#now({ type: 'wait_all.cancel', requestId, reason })
    } catch (fault) {
      if (StatewardError.is(fault, 'reentrant_change')) queueMicrotask(() => this.#cancelWait(requestId, reason))
      // Broken half-way, which has told every waiter; a signal that aborts has nobody to tell.
    }
  }

  #outcomeOf(id: OperationId): OperationOutcome {
    const row = this.#records.rows.get(id)
    const outcome = row === undefined ? undefined : readOutcome(id, row)
    if (outcome === undefined) throw internalError(`missing terminal outcome for operation ${id}`)
    return outcome
  }
}

/** The change stands whatever those who are told of it do. */
function guardedRegistryObserver(observer: RegistryObserver, logger: Logger): RegistryObserver {
  const guarded = <Arguments extends readonly unknown[]>(tell: (...values: Arguments) => void) =>
    guardedObserver(tell, logger, 'an observer of a registry threw')
  return {
    onChange: guarded((id) => observer.onChange?.(id)),
    onProgress: guarded((id, progress) => observer.onProgress?.(id, progress)),
    onRetireRequested: guarded((id) => observer.onRetireRequested?.(id)),
    onEnded: guarded((id, outcome) => observer.onEnded?.(id, outcome)),
  }
}

function refuseObligation(field: string, reason: string): never {
  throw new InvalidInputError({ subject: 'obligation', field, reason })
}

/** Resolves once all have; a rejection that nobody awaits is no unhandled one. */
async function inTurn(steps: readonly Promise<void>[]): Promise<void> {
  for (const step of steps) await step
}
