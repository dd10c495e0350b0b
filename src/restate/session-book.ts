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
import { BookAnswers } from '../operations/book-answers.js'
import { internalError } from '../operations/errors.js'
import { operationChart, ownEvent, type Decided } from '../operations/own-chart.js'
import { refusalError, type RefusalFacts } from '../operations/refusal.js'
import { OperationTree, tieOf } from '../operations/tree.js'
import { newOperation, placeOf, type HeldOperation } from './held-operation.js'
import type { Execution } from './claim.js'
import { atOnce } from './at-once.js'
import { withNow, type CallTime } from './now.js'
import { floorKey, tailAsks, tailOf, type FeedTail } from './object-feed.js'

type Context = restate.ObjectContext
type SharedContext = restate.ObjectSharedContext

/** The state of a session as a whole. */
export interface SessionHead {
  /** The state of the registry in its chart. */
  readonly value: 'open' | 'draining' | 'retired'
  /** Operations that have not ended. */
  readonly active: number
  readonly maxConcurrent?: number
}

const newHead: SessionHead = { value: 'open', active: 0 }

const registry = new ChartTable(operationRegistryMachine)

/** The key of a row. */
export const operationKey = (id: string): string => `operation/${id}`
const partsKey = (id: string): string => `parts/${id}`
const headKey = 'session'

const headAsks = (ctx: SharedContext) => [() => ctx.get<SessionHead>(headKey), () => ctx.get<number>(floorKey)] as const

/**
 * The operations that one call of a session is about. Their rows are fetched before the chart of the registry is asked,
 * with the facts that its guards need. The charts decide what is legal, exactly as within a single Node process. This
 * class remembers the resulting changes, and {@link SessionBook.write} makes them part of the call's one change.
 */
export class SessionBook extends BookAnswers implements OperationBook, RefusalFacts {
  readonly tree = new OperationTree((id) => {
    const row = this.rows.get(id)
    return row && { spec: row.spec, status: row.status }
  })
  readonly order: RefusalFacts['order']
  readonly rows = new Map<OperationId, HeldOperation>()
  /** The decided ends, in order. */
  readonly ended: EndEvent[] = []
  readonly #head: SessionHead
  readonly #fetched = new Set<OperationId>()
  readonly #parts = new Map<OperationId, readonly OperationId[]>()
  readonly #changed = new Set<OperationId>()
  readonly #changedParts = new Set<OperationId>()
  /** The time of this call, in epoch milliseconds. */
  readonly now: number
  /** The minimum number of feed rows that are kept, together with the operations they report. */
  readonly kept: number
  /** The execution of an operation being registered. */
  #execution: Execution | undefined
  #next: SessionHead

  private constructor(head: SessionHead | null, floor: number | null, now: number, kept: number) {
    super()
    this.#head = head ?? newHead
    this.#next = this.#head
    this.now = now
    this.kept = kept
    this.order = { feed: { droppedCount: floor ?? 0 } }
  }

  /**
   * Opens the book of a session at a time, in epoch milliseconds, optionally with one row. {@link SessionBook.fetch}
   * fetches others.
   */
  static async open(ctx: SharedContext, time: CallTime, kept: number, id?: OperationId): Promise<SessionBook> {
    if (id === undefined) {
      const [now, [head, floor]] = await withNow(time, ...headAsks(ctx))
      return new SessionBook(head, floor, now, kept)
    }
    const [now, [head, floor, row]] = await withNow(time, ...headAsks(ctx), () =>
      ctx.get<HeldOperation>(operationKey(id)),
    )
    const book = new SessionBook(head, floor, now, kept)
    await book.#keep(ctx, id, row)
    return book
  }

  /** The same for an operation that is about to end, with what its end needs to know of the feed. */
  static async openForEnd(
    ctx: SharedContext,
    time: CallTime,
    kept: number,
    id: OperationId,
  ): Promise<{ readonly book: SessionBook; readonly tail: FeedTail }> {
    const [now, [head, floor, row, parts, ...tail]] = await withNow(
      time,
      ...headAsks(ctx),
      () => ctx.get<HeldOperation>(operationKey(id)),
      () => ctx.get<OperationId[]>(partsKey(id)),
      ...tailAsks(ctx, id),
    )
    const book = new SessionBook(head, floor, now, kept)
    book.#parts.set(id, parts ?? [])
    await book.#keep(ctx, id, row)
    return { book, tail: tailOf(...tail) }
  }

  /** Fetches a row, if it exists, and its ancestors. */
  async fetch(ctx: SharedContext, id: OperationId): Promise<HeldOperation | undefined> {
    if (!this.#fetched.has(id)) await this.#keep(ctx, id, await ctx.get<HeldOperation>(operationKey(id)))
    return this.rows.get(id)
  }

  /** Fetches rows without their ancestors. */
  async fetchAll(ctx: SharedContext, ids: readonly OperationId[]): Promise<void> {
    const rows = await atOnce(...ids.map((id) => () => ctx.get<HeldOperation>(operationKey(id))))
    for (const row of rows) if (row !== null) this.rows.set(row.spec.id, row)
  }

  /** Fetches the live descendants of an operation that is about to end. */
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

  /** Fetches the rows where a new operation will be entered as a child. */
  async fetchFor(ctx: SharedContext, { id, parentId, ...spec }: OperationSpec): Promise<void> {
    await this.fetch(ctx, id)
    if (parentId === undefined) return
    await this.fetch(ctx, parentId)
    if (spec.outlivesParent !== true) await this.#fetchParts(ctx, parentId)
  }

  /** True once the owner is retired: nothing changes any more. */
  get isRetired(): boolean {
    return this.#next.value === 'retired'
  }

  /** The last position of the feed whose row was dropped. */
  get droppedThrough(): number {
    return this.order.feed.droppedCount
  }

  get maxConcurrent(): number | undefined {
    return this.#next.maxConcurrent
  }

  get activeCount(): number {
    return this.#next.active
  }

  /** Changes how many operations may run. Those already running are not affected. */
  limitTo(maxConcurrent: number): void {
    this.#next = { ...this.#next, maxConcurrent }
  }

  /** Decides an event and applies it. Raises the refusal, with the same code as within a single Node process. */
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

  /** Ends an operation together with its live descendants. Fetch them first. */
  takeEnd(event: EndEvent): void {
    this.take(event)
    const below = this.tree.below(event.id, (part) => !this.isLive(part))
    const outcome = { type: 'cancelled', reason: `parent ${event.id} has ended: ${event.outcome.type}` } as const
    for (const id of below) if (this.isLive(id)) this.take({ type: 'operation.cancel', id, outcome })
  }

  /** Replaces a row with facts that do not come from the chart. */
  replace(row: HeldOperation): void {
    this.rows.set(row.spec.id, row)
    this.#changed.add(row.spec.id)
  }

  /** Writes all changes. */
  write(ctx: Context): void {
    for (const id of this.#changed) ctx.set(operationKey(id), this.rows.get(id) as HeldOperation)
    for (const id of this.#changedParts) {
      const parts = this.#parts.get(id) ?? []
      if (parts.length > 0) ctx.set(partsKey(id), parts)
      else ctx.clear(partsKey(id))
    }
    if (this.#next !== this.#head) ctx.set(headKey, this.#next)
  }

  /** Removes a row without a trace. */
  discard(ctx: Context, id: OperationId): void {
    this.#changed.delete(id)
    ctx.clear(operationKey(id))
  }

  /** A row is kept as long as the feed contains its end. */
  canBeAwaited(id: OperationId): boolean {
    return this.rows.has(id)
  }

  isUsed(id: OperationId): boolean {
    return this.rows.has(id)
  }

  protected isKnown(id: OperationId): boolean {
    return this.rows.has(id)
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

  /** Always false: every wait is a separate call, so no turn waits here. */
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

/** Reads the state of a session as a whole. */
export async function readHead(ctx: SharedContext): Promise<SessionHead> {
  return (await ctx.get<SessionHead>(headKey)) ?? newHead
}
