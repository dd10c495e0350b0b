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
import { kindClasses } from './classification.js'
import { CompletionOrder } from './completion-order.js'
import { internalError, WatchError } from './errors.js'
import type { RegistryLimits } from './limits.js'
import type { OperationRow } from './operation-row.js'
import { actionOf, operationChart, ownEvent, type Decided } from './own-chart.js'
import { sourceProblem } from './source.js'
import { defaultMaxCompleted, type CompletionEntry } from './types.js'
import { OperationTree, tieOf } from './tree.js'
import { Waits } from './waits.js'
import { eachWatcher } from './watchers.js'

/** What the records need from outside. */
export interface RecordsOptions extends RegistryLimits {
  readonly clock: Clock
  /** Hears of consumers of the feed that throw. */
  readonly logger?: Logger
}

/** An end that is decided but not durable yet. */
interface Ending extends Decided {
  readonly status: OperationStatus
}

/** Facts of an ended operation that comes back from storage. */
export interface RestoredOperation {
  readonly spec: OperationSpec
  readonly source: OperationSource | undefined
  readonly peerReady: boolean
  readonly progressCount: number
  readonly outcome: OperationOutcome
  readonly sequence: number
}

/**
 * Every operation of one owner with the facts that span them: counters, completion order
 * and waits. Decides nothing; the registry's chart asks it and orders the
 * changes. All costs are flat in the number of operations.
 */
export class OperationRecords implements OperationBook {
  readonly rows = new Map<OperationId, OperationRow>()
  /** In which order operations ended, the feed and its cursors. */
  readonly order: CompletionOrder
  readonly #clock: Clock
  /** Members of active waits that would be evicted: kept until these are over, but gone for a snapshot. */
  readonly #evictionPending = new Set<OperationId>()
  /** Who waits for several operations. */
  readonly waits = new Waits((id) => {
    if (this.#evictionPending.delete(id)) this.rows.delete(id)
  })
  /** Which operations are parts of which. */
  readonly tree = new OperationTree((id) => {
    const spec = this.rows.get(id)?.spec
    return spec && { spec, status: this.effectiveStatus(id) as OperationStatus }
  })
  readonly #ending = new Map<OperationId, Ending>()
  /** What the registry was asked last, and what the operation's own chart says to it: decided once, then followed. */
  #asked: { readonly event: AdvanceEvent | EndEvent; readonly decided: Decided } | undefined
  /** Whether an id is that of an operation which is not registered yet, but will be. */
  isReserved: (id: OperationId) => boolean = () => false
  #actors: RowActors<typeof operationMachine> | undefined
  #maxConcurrent: number | undefined
  #activeCount = 0
  #lastEnded: OperationId | undefined

  constructor({ clock, maxConcurrent, maxCompleted = defaultMaxCompleted, logger }: RecordsOptions) {
    checkLimit('maxConcurrent', maxConcurrent)
    checkLimit('maxCompleted', maxCompleted)
    this.#clock = clock
    this.#maxConcurrent = maxConcurrent
    this.order = new CompletionOrder(maxCompleted, logger)
  }

  /** Names the actor whose children the operations are, and what takes events that somebody else sends to them. */
  showUnder(registry: AnyActorRef, onSend: (id: OperationId, event: OperationEvent) => void): void {
    this.#actors = rowActors({
      machine: operationChart,
      parent: registry,
      id: 'operation',
      onSend: (row, event) => onSend((row as OperationRow).spec.id, event),
    })
  }

  /** How many operations may run; unlimited when absent. */
  get maxConcurrent(): number | undefined {
    return this.#maxConcurrent
  }

  /** Changes how many operations may run; those that run already are left alone. */
  limitTo(maxConcurrent: number): void {
    this.#maxConcurrent = maxConcurrent
  }

  /** Operations that have not ended. */
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

  /** What an inspector shows of the book: numbers, because the records themselves may be many. */
  toJSON(): { readonly operations: number; readonly active: number; readonly lastSequence: number } {
    return { operations: this.rows.size, active: this.activeCount, lastSequence: this.order.lastSequence }
  }

  /** Ended operations in completion order, members of active waits left out. */
  collectable(): OperationId[] {
    return [...this.order.kept].filter((id) => !this.waits.hasMember(id))
  }

  /** True for an ended operation that is only kept for an active wait. */
  isEvictionPending(id: OperationId): boolean {
    return this.#evictionPending.has(id)
  }

  has(id: OperationId): boolean {
    return this.rows.has(id)
  }

  canBeAwaited(id: OperationId): boolean {
    return this.rows.has(id) || this.order.isPublished(id)
  }

  isUsed(id: OperationId): boolean {
    return this.#isKnown(id) || this.isReserved(id)
  }

  hasWellFormedSource({ operationSource }: OperationSpec): boolean {
    return operationSource === undefined || sourceProblem(operationSource) === undefined
  }

  lacksParent({ parentId }: OperationSpec): boolean {
    return parentId !== undefined && !this.#isKnown(parentId)
  }

  isTreeClosed(spec: OperationSpec): boolean {
    return !this.lacksParent(spec) && this.tree.endedFrom(spec.parentId) !== undefined
  }

  isTooDeep(spec: OperationSpec): boolean {
    return this.tree.isTooDeep(tieOf(spec))
  }

  isBelowEnded(id: OperationId): boolean {
    return this.endedAbove(id) !== undefined
  }

  /** The operation whose end has closed the tree that this one is in, if there is one; an end that is under way counts. */
  endedAbove(id: OperationId): OperationId | undefined {
    const spec = this.rows.get(id)?.spec
    return spec && this.tree.endedFrom(tieOf(spec))
  }

  /** True when one above it has ended, and that is durable. */
  isOwedAnEnd(id: OperationId): boolean {
    const committed = new OperationTree((above) => {
      const row = this.rows.get(above)
      return row && { spec: row.spec, status: row.value }
    })
    const spec = this.rows.get(id)?.spec
    return spec !== undefined && committed.endedFrom(tieOf(spec)) !== undefined
  }

  isFull(limit = this.maxConcurrent): boolean {
    return limit !== undefined && this.#activeCount >= limit
  }

  allows(event: AdvanceEvent | EndEvent): boolean {
    const decided = this.#ask(event)
    if (decided === undefined || !decided.selection.isTaken) return false
    this.#asked = { event, decided }
    return true
  }

  /** The guard in the operation's chart because of which the event is refused; `undefined` when its status is the reason. */
  refusingGuard(event: AdvanceEvent | EndEvent): string | undefined {
    return this.#ask(event)?.selection.guard
  }

  isTurnWaiting(turnId: TurnId): boolean {
    return this.waits.isTurnWaiting(turnId)
  }

  hasActiveWait(requestId: WaitRequestId): boolean {
    return this.waits.isActive(requestId)
  }

  /** The status an operation has or, when its end is under way, will have. */
  effectiveStatus(id: OperationId): OperationStatus | undefined {
    return this.#ending.get(id)?.status ?? this.rows.get(id)?.value
  }

  /** True for an operation that has not ended; an end that is under way counts. */
  isLive(id: OperationId): boolean {
    const status = this.effectiveStatus(id)
    return status !== undefined && !isTerminal(status)
  }

  /** Mints the sequence of an end and keeps it in sight of later decisions until {@link end} or {@link unstage}. */
  stage(event: EndEvent): EndEvent {
    const row = this.#row(event.id)
    const sequence = this.order.mint()
    this.#ending.set(event.id, { ...this.#decidedOf(event), status: event.outcome.type })
    const elapsedMs = elapsedSince(row, this.#clock)
    event.stamp = { sequence, completedAtMs: row.wall + elapsedMs, elapsedMs }
    return event
  }

  /** Takes back an end that did not become durable; later ones must have been taken back before. */
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

  /** Ends an operation: facts first, then the watchers, the barrier, and the feed last. */
  end(event: EndEvent): void {
    const { type, id, outcome, stamp } = event
    const row = this.#row(id)
    if (stamp === undefined) throw internalError(`operation ${id} did not mint a completion sequence`)
    this.#move(row, this.#ending.get(id) ?? this.#decidedOf(event))
    // From here on the operation's own chart answers for the end.
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

  /** Nothing will end any more: watches and waits reject instead of hanging. */
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

  /** Adds an operation of an earlier life that has not ended, so that it may end now. */
  revive(spec: OperationSpec, status: LiveStatus): void {
    const { id, kind, displayName } = spec
    this.#add({ ...operationChart.initialPlace({ id, kind, displayName }), value: status }, spec, spec.operationSource)
    this.tree.add(spec)
    this.#activeCount += 1
  }

  /** Adds an operation that ended in an earlier life, in completion order. */
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

  /** Publishes a completion, live or recovered, and evicts what retention has passed by. */
  publish(entry: CompletionEntry): void {
    const id = this.order.publish(entry)
    if (id === undefined) return
    if (this.waits.hasMember(id)) this.#evictionPending.add(id)
    else this.rows.delete(id)
  }

  /** What the chart of an operation says to an event; an end that is under way counts. `undefined` for an unknown id. */
  #ask(event: AdvanceEvent | EndEvent): Decided | undefined {
    const row = this.rows.get(event.id)
    if (row === undefined) return undefined
    const ending = this.#ending.get(event.id)
    const own = ownEvent(event)
    const place = ending === undefined ? row : { value: ending.status, context: row.context }
    return { event: own, selection: operationChart.decide(place, own) }
  }

  /** What was decided about the event, so that no guard is asked a second time. */
  #decidedOf(event: AdvanceEvent | EndEvent): Decided {
    const asked = this.#asked
    this.#asked = undefined
    const decided = asked?.event === event ? asked.decided : this.#ask(event)
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

  #isKnown(id: OperationId): boolean {
    // A capacity slot that has ended leaves its id to nobody while a wait still counts on it.
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
