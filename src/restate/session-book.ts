import type * as restate from '@restatedev/restate-sdk'
import { ChartTable, isTerminal, operationRegistryMachine } from '../../machines/index.js'
import type {
  AdvanceEvent,
  EndEvent,
  OperationBook,
  OperationRefusal,
  OperationRegistryEvent,
  RegisterEvent,
} from '../../machines/operation-registry.js'
import type { OperationId, OperationSpec, OperationStatus } from '../../machines/operation-vocabulary.js'
import { internalError } from '../operations/errors.js'
import { operationChart, ownEvent, type Decided } from '../operations/own-chart.js'
import { refusalError, type RefusalFacts } from '../operations/refusal.js'
import { sourceProblem } from '../operations/source.js'
import { OperationTree, tieOf } from '../operations/tree.js'
import { newOperation, placeOf, type HeldOperation } from './held-operation.js'
import type { Execution } from './claim.js'
import { droppedThroughOf } from './object-feed.js'
import { inTurn } from './in-turn.js'

type Context = restate.ObjectContext
type SharedContext = restate.ObjectSharedContext

/** What is known of a session as a whole. */
export interface SessionHead {
  /** Where the registry stands in its chart. */
  readonly value: 'open' | 'draining' | 'retired'
  /** Operations that have not ended. */
  readonly active: number
  readonly maxConcurrent?: number
}

const registry = new ChartTable(operationRegistryMachine)

/** Key of one row. */
export const operationKey = (id: string): string => `operation/${id}`
const partsKey = (id: string): string => `parts/${id}`
const headKey = 'session'

/**
 * The operations that one call of a session is about, fetched before the chart of the registry is asked, with the facts that its
 * guards look at. What is legal is said by the charts, by the same ones and through the same questions as in one process;
 * this remembers what they order, and {@link SessionBook.write} makes it part of the call's one change.
 */
export class SessionBook implements OperationBook, RefusalFacts {
  readonly tree = new OperationTree((id) => {
    const row = this.rows.get(id)
    return row && { spec: row.spec, status: row.status }
  })
  readonly order: RefusalFacts['order']
  readonly rows = new Map<OperationId, HeldOperation>()
  /** Ends that were decided, in their order. */
  readonly ended: EndEvent[] = []
  readonly #head: SessionHead
  readonly #fetched = new Set<OperationId>()
  readonly #parts = new Map<OperationId, readonly OperationId[]>()
  readonly #changed = new Set<OperationId>()
  readonly #changedParts = new Set<OperationId>()
  /** The instant of this call, in epoch milliseconds. */
  readonly now: number
  /** How many rows of the feed are kept at least, with the operations that they tell of. */
  readonly kept: number
  /** That of an operation that is about to be registered. */
  #execution: Execution | undefined
  #next: SessionHead

  private constructor(head: SessionHead, droppedCount: number, now: number, kept: number) {
    this.#head = head
    this.#next = head
    this.now = now
    this.kept = kept
    this.order = { feed: { droppedCount } }
  }

  /**
   * Opens the book of a session at an instant, in epoch milliseconds, with one row if it is told which; others are fetched by
   * {@link SessionBook.fetch}.
   */
  static async open(
    ctx: SharedContext,
    now: () => PromiseLike<number>,
    kept: number,
    id?: OperationId,
  ): Promise<SessionBook> {
    if (id === undefined) {
      const [nowMs, head, dropped] = await inTurn(
        now,
        () => readHead(ctx),
        () => droppedThroughOf(ctx),
      )
      return new SessionBook(head, dropped, nowMs, kept)
    }
    const [nowMs, head, dropped, row, parts] = await inTurn(
      now,
      () => readHead(ctx),
      () => droppedThroughOf(ctx),
      () => ctx.get<HeldOperation>(operationKey(id)),
      () => ctx.get<OperationId[]>(partsKey(id)),
    )
    const book = new SessionBook(head, dropped, nowMs, kept)
    book.#parts.set(id, parts ?? [])
    await book.#keep(ctx, id, row)
    return book
  }

  /** Fetches a row, if there is one, and those above it in its tree. */
  async fetch(ctx: SharedContext, id: OperationId): Promise<HeldOperation | undefined> {
    if (!this.#fetched.has(id)) await this.#keep(ctx, id, await ctx.get<HeldOperation>(operationKey(id)))
    return this.rows.get(id)
  }

  /** Fetches rows without those above them. */
  async fetchAll(ctx: SharedContext, ids: readonly OperationId[]): Promise<void> {
    const rows = await inTurn(...ids.map((id) => () => ctx.get<HeldOperation>(operationKey(id))))
    for (const row of rows) if (row !== null) this.rows.set(row.spec.id, row)
  }

  /** Fetches what is below an operation that is about to end, and lives. */
  async fetchBelow(ctx: SharedContext, id: OperationId): Promise<void> {
    const tie = this.rows.get(id) && tieOf((this.rows.get(id) as HeldOperation).spec)
    if (tie !== undefined) await this.#fetchParts(ctx, tie)
    const ids = [id]
    for (const above of ids) {
      for (const part of await this.#fetchParts(ctx, above)) {
        const row = await this.fetch(ctx, part)
        if (row === undefined || isTerminal(row.status)) continue
        this.tree.add(row.spec)
        ids.push(part)
      }
    }
  }

  /** Fetches where an operation that is about to be registered will be entered as a part. */
  async fetchFor(ctx: SharedContext, { id, parentId, ...spec }: OperationSpec): Promise<void> {
    await this.fetch(ctx, id)
    if (parentId === undefined) return
    await this.fetch(ctx, parentId)
    if (spec.outlivesParent !== true) await this.#fetchParts(ctx, parentId)
  }

  /** True once the owner has gone: nothing changes any more. */
  get isRetired(): boolean {
    return this.#next.value === 'retired'
  }

  /** The last place of the feed of which nothing is kept. */
  get droppedThrough(): number {
    return this.order.feed.droppedCount
  }

  get maxConcurrent(): number | undefined {
    return this.#next.maxConcurrent
  }

  get activeCount(): number {
    return this.#next.active
  }

  /** Changes how many may run; those that run already are left alone. */
  limitTo(maxConcurrent: number): void {
    this.#next = { ...this.#next, maxConcurrent }
  }

  /** Decides an event and carries it out. Raises the refusal, by the code that it has in one process. */
  take(event: OperationRegistryEvent, execution?: Execution): void {
    const place = { value: this.#next.value, context: { book: this } } as const
    const selection = registry.select(place, event)
    const meta = selection.meta as { readonly refusal: OperationRefusal } | undefined
    if (meta !== undefined) throw refusalError(meta.refusal, event, this)
    if (!selection.isTaken) throw internalError(`the registry does not take ${event.type}`)
    this.#execution = execution
    // The chart of the registry orders one change per event, by the name of its action.
    if ('spec' in event) this.register(event)
    else if ('outcome' in event) this.end(event)
    else if ('id' in event) this.advance(event)
    else this.#next = { ...this.#next, value: registry.follow(place, event, selection).value as SessionHead['value'] }
  }

  /** Ends an operation, and all that is below it and lives, with it. Fetch what is below first. */
  takeEnd(event: EndEvent): void {
    this.take(event)
    const below = this.tree.below(event.id, (part) => !this.isLive(part))
    const outcome = { type: 'cancelled', reason: `parent ${event.id} has ended: ${event.outcome.type}` } as const
    for (const id of below) if (this.isLive(id)) this.take({ type: 'operation.cancel', id, outcome })
  }

  /** Replaces a row by what was found out about it besides the chart. */
  replace(row: HeldOperation): void {
    this.rows.set(row.spec.id, row)
    this.#changed.add(row.spec.id)
  }

  /** Writes what has changed. */
  write(ctx: Context): void {
    for (const id of this.#changed) ctx.set(operationKey(id), this.rows.get(id) as HeldOperation)
    for (const id of this.#changedParts) {
      const parts = this.#parts.get(id) ?? []
      if (parts.length > 0) ctx.set(partsKey(id), parts)
      else ctx.clear(partsKey(id))
    }
    if (this.#next !== this.#head) ctx.set(headKey, this.#next)
  }

  /** Takes a row away that leaves no trace. */
  discard(ctx: Context, id: OperationId): void {
    this.#changed.delete(id)
    ctx.clear(operationKey(id))
  }

  has(id: OperationId): boolean {
    return this.rows.has(id)
  }

  /** A row is kept for as long as the feed tells of its end. */
  canBeAwaited(id: OperationId): boolean {
    return this.rows.has(id)
  }

  isUsed(id: OperationId): boolean {
    return this.rows.has(id)
  }

  hasWellFormedSource({ operationSource }: OperationSpec): boolean {
    return operationSource === undefined || sourceProblem(operationSource) === undefined
  }

  lacksParent({ parentId }: OperationSpec): boolean {
    return parentId !== undefined && !this.rows.has(parentId)
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

  endedAbove(id: OperationId): OperationId | undefined {
    const spec = this.rows.get(id)?.spec
    return spec && this.tree.endedFrom(tieOf(spec))
  }

  isFull(limit = this.maxConcurrent): boolean {
    return limit !== undefined && this.activeCount >= limit
  }

  allows(event: AdvanceEvent | EndEvent): boolean {
    return this.#ask(event).selection.isTaken
  }

  refusingGuard(event: AdvanceEvent | EndEvent): string | undefined {
    return this.#ask(event).selection.guard
  }

  effectiveStatus(id: OperationId): OperationStatus | undefined {
    return this.rows.get(id)?.status
  }

  /** True for an operation that has not ended. */
  isLive(id: OperationId): boolean {
    const row = this.rows.get(id)
    return row !== undefined && !isTerminal(row.status)
  }

  /** Waits are beside the session: each is a call of its own, and no turn waits here. */
  isTurnWaiting(): boolean {
    return false
  }

  hasActiveWait(): boolean {
    return false
  }

  register({ spec }: RegisterEvent): void {
    if (this.#execution === undefined) throw internalError(`nobody says how operation ${spec.id} is executed`)
    this.replace(newOperation(spec, this.now, this.#execution))
    this.#enter(spec, (parts) => [...parts, spec.id])
    this.#next = { ...this.#next, active: this.#next.active + 1 }
  }

  advance(event: AdvanceEvent): void {
    const row = this.#move(event)
    this.replace(event.type === 'operation.start' ? { ...row, startedAtMs: this.now } : row)
  }

  end(event: EndEvent): void {
    const row = this.#move(event)
    this.replace({ ...row, completedAtMs: this.now })
    this.tree.remove(row.spec)
    this.#enter(row.spec, (parts) => parts.filter((part) => part !== event.id))
    this.#next = { ...this.#next, active: this.#next.active - 1 }
    this.ended.push(event)
  }

  beginWait(): void {}
  cancelWait(): void {}
  drop(): void {}
  advanceCursor(): void {}

  async #keep(ctx: SharedContext, id: OperationId, row: HeldOperation | null): Promise<void> {
    this.#fetched.add(id)
    if (row === null) return
    this.rows.set(id, row)
    const { parentId } = row.spec
    if (parentId !== undefined) await this.fetch(ctx, parentId)
  }

  #ask(event: AdvanceEvent | EndEvent): Decided {
    const own = ownEvent(event)
    return { event: own, selection: operationChart.decide(placeOf(this.#row(event.id)), own) }
  }

  #move(event: AdvanceEvent | EndEvent): HeldOperation {
    const row = this.#row(event.id)
    const { event: own, selection } = this.#ask(event)
    const { value, context } = operationChart.table.follow(placeOf(row), own, selection)
    const { peerReady, progressCount, outcome = null } = context
    return { ...row, status: value, peerReady, progressCount, outcome }
  }

  #row(id: OperationId): HeldOperation {
    const row = this.rows.get(id)
    if (row === undefined) throw internalError(`no record for operation ${id}`)
    return row
  }

  async #fetchParts(ctx: SharedContext, id: OperationId): Promise<readonly OperationId[]> {
    const known = this.#parts.get(id)
    if (known !== undefined) return known
    const parts = (await ctx.get<OperationId[]>(partsKey(id))) ?? []
    this.#parts.set(id, parts)
    return parts
  }

  #enter(spec: OperationSpec, change: (parts: readonly OperationId[]) => readonly OperationId[]): void {
    const above = tieOf(spec)
    if (above === undefined) return
    this.#parts.set(above, change(this.#parts.get(above) ?? []))
    this.#changedParts.add(above)
  }
}

/** What is known of a session as a whole. */
export async function readHead(ctx: SharedContext): Promise<SessionHead> {
  return (await ctx.get<SessionHead>(headKey)) ?? { value: 'open', active: 0 }
}
