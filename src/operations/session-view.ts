import { createStore, shallowEqual } from '@xstate/store'
import { produce } from 'immer'
import type { Logger } from '../base/logger.js'
import { createObserverGuard, type ObserverGuard } from '../base/observers.js'
import { checkFunction } from '../base/options.js'
import { TurnBatch } from '../base/turn-batch.js'
import type {
  OperationId,
  OperationKind,
  OperationOutcome,
  OperationStatus,
} from '../../machines/operation-vocabulary.js'
import { guardStore } from '../base/guarded-store.js'
import { deleteRow, liveRowsOf, rowIn, rowsIn, setRow, type LiveRows } from './live-rows.js'
import type { OperationLine } from './line.js'
import type { OperationRegistry } from './registry.js'
import type { OperationProgress, OperationSnapshot } from './types.js'

/** One operation as a dashboard shows it. */
export interface OperationView {
  readonly id: OperationId
  readonly displayName: string
  readonly kind: OperationKind
  /** `queued` while it stands in line, not registered yet. */
  readonly status: OperationStatus | 'queued'
  /** The latest report, while the operation runs. */
  readonly progress?: OperationProgress
  readonly outcome: OperationOutcome | null
  /** Epoch milliseconds. */
  readonly createdAtMs: number
  /** Of an operation that has ended in this process. */
  readonly completedAtMs?: number
}

/** What the store of a view holds. Immutable: what has not changed is the same object as before. */
export interface SessionViewContext {
  /** Grows by one per published change; several changes of one turn of the event loop are published together. */
  readonly version: number
  /** How many operations run. */
  readonly activeCount: number
  /** False while rows of a session with many live operations are still coming in, some of them in each turn. */
  readonly isWhole: boolean
  /** The operations that have not ended; {@link sessionSelectors} read it. */
  readonly live: LiveRows<OperationView>
}

/** What has become of operations: their rows, or nothing for those that are live no more. */
type Changes = readonly (readonly [OperationId, OperationView | undefined])[]

/** Operations that are published in one turn, changed ones or the first ones: more of them would block it for too long. */
const perTurn = 512

function createViewStore(context: SessionViewContext) {
  return createStore({
    context: Object.freeze(context),
    on: {
      changed: (
        before,
        { changes, ...shown }: Pick<SessionViewContext, 'activeCount' | 'isWhole'> & { changes: Changes },
      ) =>
        produce(before, (draft) => {
          draft.version += 1
          Object.assign(draft, shown)
          for (const [id, row] of changes) {
            if (row === undefined) deleteRow(draft.live, id)
            else setRow(draft.live, row)
          }
        }),
    },
  })
}

/**
 * The live read side of a session. `row` and `rows` read the registry as it is; the store follows it.
 *
 * The store holds the operations that have not ended, as immutable rows: a change replaces one row and a few buckets above
 * it (see `live-rows.ts`), whatever the session holds. The changes of one turn of the event loop make one step of the
 * store. Nobody pays for a store that nobody has asked for: it is made, of what is live then, when the store or a
 * selection is first looked at, and followed from then on. Of more than 512 live operations the first look shows that many, and
 * each of the following turns as many more, until `isWhole`.
 */
export class SessionView {
  readonly #operations: OperationRegistry
  readonly #line: OperationLine
  readonly #logger: Logger
  readonly #guard: ObserverGuard
  readonly #progress = new Map<OperationId, OperationProgress>()
  /** Operations that have changed since the last publication. */
  readonly #changed = new TurnBatch<OperationId>(perTurn, (ids) => this.#publish(ids))
  #store: ReturnType<typeof createViewStore> | undefined
  /** Operations that were live when the store was made, and have not been shown yet. */
  readonly #missing = new Set<OperationId>()
  /** The list of the rows it was last asked for. */
  #list: { readonly of: LiveRows<OperationView>; readonly rows: readonly OperationView[] } | undefined

  /** `logger` hears of subscribers and selectors that throw. */
  constructor(operations: OperationRegistry, line: OperationLine, logger: Logger) {
    this.#operations = operations
    this.#line = line
    this.#logger = logger
    this.#guard = createObserverGuard(logger, 'a view could not read its registry')
  }

  /** An `@xstate/store` store: subscribe to it, or use {@link SessionView.select}. */
  get store(): ReturnType<typeof createViewStore> {
    this.#store ??= guardStore(createViewStore(this.#begin()), this.#logger)
    return this.#store
  }

  /** How many operations run, as last published. */
  get activeCount(): number {
    return this.#store?.get().context.activeCount ?? this.#operations.activeCount
  }

  /** How many operations stand in line. */
  get queuedCount(): number {
    return this.#line.size
  }

  /** One operation, as long as it is tracked or stands in line. */
  row(id: OperationId): OperationView | undefined {
    const snapshot = this.#operations.snapshot(id)
    return snapshot === undefined ? this.#queuedRow(id) : this.#rowOf(snapshot)
  }

  /** Every operation that is tracked or stands in line, by display name. */
  rows(): readonly OperationView[] {
    const tracked = this.#operations.listOperations().map((snapshot) => this.#rowOf(snapshot))
    return this.#line.size === 0 ? tracked : [...tracked, ...this.queued()].toSorted(byDisplayName)
  }

  /** Those that stand in line, in its order. */
  queued(): readonly OperationView[] {
    return this.#line.ids().flatMap((id) => this.#queuedRow(id) ?? [])
  }

  /** The operations that have not ended, those in line included, by display name, as last published; the same list until one of them changes. */
  live(): readonly OperationView[] {
    if (this.#store === undefined) return this.#liveNow()
    const { live } = this.#store.get().context
    if (this.#list?.of !== live) this.#list = { of: live, rows: rowsIn(live).toSorted(byDisplayName) }
    return this.#list.rows
  }

  /** One operation as last published, while it is live, or else as it is; the same object until it changes. */
  operation(id: OperationId): OperationView | undefined {
    const published = this.#store === undefined ? undefined : rowIn(this.#store.get().context.live, id)
    return published ?? this.row(id)
  }

  /**
   * Follows one thing: `selector` runs after each published change, subscribers hear only of changes of
   * its value. Values are compared shallowly unless `isEqual` says otherwise. Who throws is reported to the logger once and
   * disturbs nobody else; `get` of a selection throws what its selector does. Raises `invalid_input` for what is no function.
   */
  select<Value>(
    selector: (view: SessionView) => Value,
    isEqual: (one: Value | undefined, other: Value) => boolean = shallowEqual,
  ) {
    checkFunction('selector', selector)
    checkFunction('comparison', isEqual)
    return this.store.select(() => selector(this), isEqual)
  }

  /** Takes a report; the registry only counts them. */
  reported(id: OperationId, progress: OperationProgress): void {
    this.#progress.set(id, Object.freeze({ ...progress }))
    this.changed(id)
  }

  /** Forgets the report of an operation that ended. */
  ended(id: OperationId): void {
    this.#progress.delete(id)
    this.changed(id)
  }

  /** An operation has changed: that is published with all other changes of this turn of the event loop. */
  changed(id: OperationId): void {
    if (this.#store !== undefined) this.#changed.add(id)
  }

  /** Publishes what is still to be told. */
  dispose(): void {
    this.#changed[Symbol.dispose]()
  }

  #publish(ids: readonly OperationId[]): void {
    // Selectors would be asked for what nobody can answer, and nobody would catch that here.
    if (this.#operations.isPoisoned) return
    this.#guard(() => {
      const changes = ids.map((id) => [id, this.#liveRow(id)] as const)
      for (const id of ids) this.#missing.delete(id)
      const { activeCount } = this.#operations
      this.#store?.trigger.changed({ activeCount, isWhole: this.#missing.size === 0, changes })
    })
  }

  #begin(): SessionViewContext {
    const { activeCount, isPoisoned } = this.#operations
    const ids = isPoisoned ? [] : [...this.#operations.liveIds(), ...this.#line.ids()]
    const rows = ids.slice(0, perTurn).flatMap((id) => this.#liveRow(id) ?? [])
    for (const id of ids.slice(perTurn)) {
      this.#missing.add(id)
      this.#changed.add(id)
    }
    return { version: 0, activeCount, isWhole: this.#missing.size === 0, live: liveRowsOf(rows) }
  }

  #liveNow(): readonly OperationView[] {
    const live = this.#operations.listOperations().filter(({ terminal }) => !terminal)
    return [...live.map((snapshot) => this.#rowOf(snapshot)), ...this.queued()].toSorted(byDisplayName)
  }

  #queuedRow(id: OperationId): OperationView | undefined {
    const queued = this.#line.get(id)
    if (queued === undefined) return undefined
    const { displayName, kind } = queued.candidate.spec
    return { id, displayName, kind, status: 'queued', outcome: null, createdAtMs: queued.queuedAtMs }
  }

  #rowOf({ id, displayName, kind, status, outcome, createdAtMs, completedAtMs }: OperationSnapshot): OperationView {
    const progress = this.#progress.get(id)
    return {
      id,
      displayName,
      kind,
      status,
      ...(progress !== undefined && { progress }),
      outcome,
      createdAtMs,
      ...(completedAtMs !== undefined && { completedAtMs }),
    }
  }

  #liveRow(id: OperationId): OperationView | undefined {
    const row = this.row(id)
    return row?.outcome === null ? Object.freeze(row) : undefined
  }
}

/** Ready-made selectors for {@link SessionView.select}. */
export const sessionSelectors = {
  /** How many operations run. */
  activeCount: (view: SessionView): number => view.activeCount,
  /** Operations that have not ended. */
  live: (view: SessionView): readonly OperationView[] => view.live(),
  /** Operations that have ended and are still retained. */
  ended: (view: SessionView): readonly OperationView[] => view.rows().filter(({ outcome }) => outcome !== null),
  /** One operation. */
  operation:
    (id: OperationId) =>
    (view: SessionView): OperationView | undefined =>
      view.operation(id),
} as const

function byDisplayName(one: OperationView, other: OperationView): number {
  return compare(one.displayName, other.displayName) || compare(one.id, other.id)
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
