import type { AnyActorRef } from 'xstate'
import { anchorNow, elapsedSince, type Clock } from '../base/clock.js'
import { deepFreeze } from '../base/freeze.js'
import type { Logger } from '../base/logger.js'
import type { OperationEvent, operationMachine } from '../../machines/operation.js'
import { rowActors, type RowActors } from '../../machines/row-actors.js'
import type {
  AdvanceEvent,
  BeginWaitEvent,
  OperationBook,
  RegisterEvent,
  EndEvent,
  EndStamp,
} from '../../machines/operation-registry.js'
import {
  isTerminal,
  terminalStatusOf,
  type CursorConsumer,
  type LiveStatus,
  type OperationId,
  type OperationOutcome,
  type OperationSource,
  type OperationSpec,
  type OperationStatus,
  type TerminalAction,
  type TurnId,
  type WaitRequestId,
} from '../../machines/operation-vocabulary.js'
import { checkLimit } from './admission.js'
import { BookAnswers } from './book-answers.js'
import { kindClasses } from './classification.js'
import { CompletionOrder } from './completion-order.js'
import { internalError, WatchError } from './errors.js'
import type { RegistryLimits } from './limits.js'
import type { OperationRow } from './operation-row.js'
import { actionOf, operationChart, ownEvent, type Decided } from './own-chart.js'
import { defaultMaxCompleted, type CompletionEntry } from './types.js'
import { OperationTree, tieOf } from './tree.js'
import { Waits } from './waits.js'
import { eachWatcher } from './watchers.js'

/** Options of the records. */
export interface RecordsOptions extends RegistryLimits {
  readonly clock: Clock
  /** Receives errors thrown by consumers of the feed. */
  readonly logger?: Logger
}

/** A decision of the operation's chart, and the event of the registry that it was asked about. */
interface Asked extends Decided {
  readonly request: AdvanceEvent | EndEvent
}

/** An end that is decided but not durable yet. */
interface Ending {
  readonly decided: Decided
  readonly status: OperationStatus
}

/** The facts of an ended operation that is restored from storage. */
export interface RestoredOperation {
  readonly spec: OperationSpec
  readonly source: OperationSource | undefined
  readonly peerReady: boolean
  readonly progressCount: number
  readonly outcome: OperationOutcome
  readonly sequence: number
}

/**
 * All operations of one owner, and what spans them: counters, completion order and waits. Decides nothing: the
 * registry's chart queries it and applies the changes. No cost depends on the number of operations.
 */
export class OperationRecords extends BookAnswers implements OperationBook {
  readonly rows = new Map<OperationId, OperationRow>()
  /** The completion order, the feed and its cursors. */
  readonly order: CompletionOrder
  readonly #clock: Clock
  /**
   * Evicted operations that are still members of active waits: kept until the waits are over, but absent from
   * snapshots.
   */
  readonly #evictionPending = new Set<OperationId>()
  /** The waits for several operations. */
  readonly waits = new Waits((id) => {
    if (this.#evictionPending.delete(id)) this.rows.delete(id)
  })
  /** The parent-child relations. */
  readonly tree = new OperationTree((id) => {
    const spec = this.rows.get(id)?.spec
    return spec && { spec, status: this.effectiveStatus(id) as OperationStatus }
  })
  readonly #ending = new Map<OperationId, Ending>()
  /**
   * The last event that was decided, and what the operation's chart selected for it, so that it is decided once and
   * then followed.
   */
  #asked: Asked | undefined
  /** Whether the id belongs to an operation that is queued and not registered yet. */
  isReserved: (id: OperationId) => boolean = () => false
  #actors: RowActors<typeof operationMachine> | undefined
  #maxConcurrent: number | undefined
  #activeCount = 0
  #lastEnded: OperationId | undefined

  constructor({ clock, maxConcurrent, maxCompleted = defaultMaxCompleted, logger }: RecordsOptions) {
    super()
    checkLimit('maxConcurrent', maxConcurrent)
    checkLimit('maxCompleted', maxCompleted)
    this.#clock = clock
    this.#maxConcurrent = maxConcurrent
    this.order = new CompletionOrder(maxCompleted, logger)
  }

  /**
   * Sets the actor whose children the operations are, and the function that receives events sent directly to their
   * actors.
   */
  showUnder(registry: AnyActorRef, onSend: (id: OperationId, event: OperationEvent) => void): void {
    this.#actors = rowActors({
      machine: operationChart,
      parent: registry,
      id: 'operation',
      onSend: (row, event) => onSend((row as OperationRow).spec.id, event),
    })
  }

  /** The limit on running operations; unlimited if absent. */
  get maxConcurrent(): number | undefined {
    return this.#maxConcurrent
  }

  /** Changes the limit on running operations; those already running are not affected. */
  limitTo(maxConcurrent: number): void {
    this.#maxConcurrent = maxConcurrent
  }

  /** Number of operations that have not ended. */
  get activeCount(): number {
    return this.#activeCount
  }

  /** True while an end is decided but not durable. */
  get isEnding(): boolean {
    return this.#ending.size > 0
  }

  /** The operation that ended last. */
  get lastEnded(): OperationId | undefined {
    return this.#lastEnded
  }

  /** The summary that an inspector shows; numbers only, because there may be many records. */
  toJSON(): { readonly operations: number; readonly active: number; readonly lastSequence: number } {
    return { operations: this.rows.size, active: this.activeCount, lastSequence: this.order.lastSequence }
  }

  /** Ended operations in completion order, without members of active waits. */
  collectable(): OperationId[] {
    return [...this.order.kept].filter((id) => !this.waits.hasMember(id))
  }

  /** True for an ended operation that is kept only for an active wait. */
  isEvictionPending(id: OperationId): boolean {
    return this.#evictionPending.has(id)
  }

  canBeAwaited(id: OperationId): boolean {
    return this.rows.has(id) || this.order.isPublished(id)
  }

  isUsed(id: OperationId): boolean {
    return this.isKnown(id) || this.isReserved(id)
  }

  /** True if an operation above this one has ended durably, so that this one must be ended. */
  isOwedAnEnd(id: OperationId): boolean {
    const committed = new OperationTree((above) => {
      const row = this.rows.get(above)
      return row && { spec: row.spec, status: row.value }
    })
    const spec = this.rows.get(id)?.spec
    return spec !== undefined && committed.endedFrom(tieOf(spec)) !== undefined
  }

  allows(event: AdvanceEvent | EndEvent): boolean {
    const asked = this.#ask(event)
    if (asked === undefined || !asked.selection.isTaken) return false
    this.#asked = asked
    return true
  }

  /** The guard of the operation's chart that refuses the event; `undefined` if its status is the reason. */
  refusingGuard(event: AdvanceEvent | EndEvent): string | undefined {
    return this.#ask(event)?.selection.guard
  }

  isTurnWaiting(turnId: TurnId): boolean {
    return this.waits.isTurnWaiting(turnId)
  }

  hasActiveWait(requestId: WaitRequestId): boolean {
    return this.waits.isActive(requestId)
  }

  /** The status of an operation, or the one it will have if its end is in progress. */
  effectiveStatus(id: OperationId): OperationStatus | undefined {
    return this.#ending.get(id)?.status ?? this.rows.get(id)?.value
  }

  /** Assigns the sequence of an end and makes it visible to later decisions until {@link end} or {@link unstage}. */
  stage(event: EndEvent): EndEvent {
    const row = this.#row(event.id)
    const sequence = this.order.mint()
    this.#ending.set(event.id, { decided: this.#decidedOf(event), status: event.outcome.type })
    const elapsedMs = elapsedSince(row, this.#clock)
    event.stamp = { sequence, completedAtMs: row.wall + elapsedMs, elapsedMs }
    return event
  }

  /** Reverts an end that did not become durable. Later ends must be reverted first. */
  unstage({ id, stamp }: EndEvent): void {
    this.#ending.delete(id)
    if (stamp !== undefined) this.order.takeBack(stamp.sequence)
  }

  register({ spec }: RegisterEvent): void {
    const { id, kind, displayName } = spec
    this.#add(operationChart.initialPlace({ id, kind, displayName }), spec, spec.operationSource)
    this.tree.add(spec)
    this.#activeCount += 1
  }

  advance(event: AdvanceEvent): void {
    const { type, id, peer } = event
    const row = this.#row(id)
    this.#move(row, this.#decidedOf(event))
    if (type === 'operation.start') row.startedAtMs = row.wall + elapsedSince(row, this.#clock)
    if (peer !== undefined) row.peer = peer
  }

  /** Ends an operation: first its facts, then the watchers and the barrier, and the feed last. */
  end(event: EndEvent): void {
    const { type, id, outcome, stamp } = event
    const row = this.#row(id)
    if (stamp === undefined) throw internalError(`operation ${id} did not mint a completion sequence`)
    this.#move(row, this.#ending.get(id)?.decided ?? this.#decidedOf(event))
    // From here on the operation's own chart decides about the end.
    this.#ending.delete(id)
    if (row.value !== terminalStatusOf[actionOf(type) as TerminalAction]) {
      throw internalError(`terminal status of operation ${id} drifted to ${row.value}`)
    }
    this.tree.remove(row.spec)
    this.#activeCount -= 1
    this.#lastEnded = id
    row.stamp = stamp
    eachWatcher(row.watchers, (watcher) => watcher.resolve(outcome))
    row.watchers = undefined
    this.#keep(row, stamp, outcome)
  }

  beginWait(event: BeginWaitEvent, registry: AnyActorRef): void {
    const outcomeOf = (id: OperationId): OperationOutcome | undefined => {
      const row = this.rows.get(id)
      return row === undefined ? this.order.published(id)?.outcome : row.context.outcome
    }
    this.waits.begin(event, outcomeOf, registry)
  }

  cancelWait(requestId: WaitRequestId, reason: unknown): void {
    this.waits.cancel(requestId, reason)
  }

  /** Rejects all watches and waits, because no operation will end any more. */
  abandonWaiters(): void {
    for (const [id, row] of this.rows) {
      eachWatcher(row.watchers, (watcher) => watcher.reject(new WatchError('channel_closed', { id })))
      row.watchers = undefined
    }
    const dropped = internalError('wait_all completion channel dropped')
    for (const wait of Array.from(this.waits.active)) this.waits.fault(wait, dropped)
  }

  drop(ids: readonly OperationId[]): void {
    for (const id of ids) {
      this.order.forget(id)
      this.rows.delete(id)
    }
  }

  advanceCursor(consumer: CursorConsumer, cursor: number): void {
    this.order.advanceCursor(consumer, cursor)
  }

  /** Stops the actors of operations that have not ended. */
  stopOperations(): void {
    for (const row of this.rows.values()) if (!isTerminal(row.value)) this.#actors?.stop(row)
  }

  /**
   * Adds an unfinished operation of an earlier process, so that it can be ended now. Only its start is certain: the
   * journal does not record requests to retire.
   */
  revive(spec: OperationSpec, status: LiveStatus): void {
    const { id, kind, displayName } = spec
    const value = status === 'provisioning' ? status : 'running'
    this.#add({ ...operationChart.initialPlace({ id, kind, displayName }), value }, spec, spec.operationSource)
    this.tree.add(spec)
    this.#activeCount += 1
  }

  /** Adds an operation that ended in an earlier process; called in completion order. */
  restore(restored: RestoredOperation): OperationRow {
    const { spec, source, peerReady, progressCount, outcome, sequence } = deepFreeze(restored)
    const { id, kind, displayName } = spec
    const context = { id, kind, displayName, peerReady, progressCount, outcome }
    const row = this.#add({ value: outcome.type, context }, spec, source)
    row.stamp = { sequence }
    this.order.raise(sequence)
    this.order.keep(id, sequence)
    return row
  }

  /** Publishes a completion, live or recovered, and evicts the operation that exceeds the retention. */
  publish(entry: CompletionEntry): void {
    const id = this.order.publish(entry)
    if (id === undefined) return
    if (this.waits.hasMember(id)) this.#evictionPending.add(id)
    else this.rows.delete(id)
  }

  /** Asks the operation's chart about an event, taking ends in progress into account. `undefined` for an unknown id. */
  #ask(request: AdvanceEvent | EndEvent): Asked | undefined {
    const row = this.rows.get(request.id)
    if (row === undefined) return undefined
    const ending = this.#ending.get(request.id)
    const event = ownEvent(request)
    const place = ending === undefined ? row : { value: ending.status, context: row.context }
    return { request, event, selection: operationChart.decide(place, event) }
  }

  /** The decision already made about the event, so that no guard runs twice. */
  #decidedOf(event: AdvanceEvent | EndEvent): Decided {
    const asked = this.#asked
    this.#asked = undefined
    const decided = asked?.request === event ? asked : this.#ask(event)
    if (decided === undefined) throw internalError(`no record for operation ${event.id}`)
    return decided
  }

  #move(row: OperationRow, { event, selection }: Decided): void {
    this.#shown.move(row, event, selection)
  }

  get #shown(): RowActors<typeof operationMachine> {
    if (this.#actors === undefined) throw internalError('the registry has no actor')
    return this.#actors
  }

  #row(id: OperationId): OperationRow {
    const row = this.rows.get(id)
    if (row === undefined) throw internalError(`no record for operation ${id}`)
    return row
  }

  protected isKnown(id: OperationId): boolean {
    // The id of an ended capacity slot stays in use while a wait names it.
    return this.rows.has(id) || this.order.isPublished(id) || this.waits.hasMember(id)
  }

  #add(
    { value, context }: Pick<OperationRow, 'value' | 'context'>,
    spec: OperationSpec,
    source: OperationSource | undefined,
  ): OperationRow {
    const { wall, monotonic } = anchorNow(this.#clock)
    const row = {
      value,
      context,
      actor: undefined,
      spec,
      source,
      wall,
      monotonic,
      startedAtMs: undefined,
      stamp: undefined,
      peer: undefined,
      watchers: undefined,
    }
    const shown = this.#shown.show(row)
    this.rows.set(spec.id, shown)
    return shown
  }

  #keep(row: OperationRow, { sequence, completedAtMs }: EndStamp, outcome: OperationOutcome): void {
    const { id, kind, displayName } = row.spec
    const { feed, durability } = kindClasses[kind]
    const concerned = this.waits.memberEnded(id, outcome)
    if (durability === 'discard') this.rows.delete(id)
    else this.order.keep(id, sequence)
    if (feed === 'emit')
      this.publish({ seq: sequence, operationId: id, kind, displayName, outcome, completedAtMs: completedAtMs ?? null })
    this.waits.releaseSatisfied(concerned)
  }
}
