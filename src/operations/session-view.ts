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

/** One operation, as a dashboard shows it. */
export interface OperationView {
  readonly id: OperationId
  readonly displayName: string
  readonly kind: OperationKind
  /** `queued` while it waits in the queue and is not registered yet. */
  readonly status: OperationStatus | 'queued'
  /** The latest progress report, while the operation runs. */
  readonly progress?: OperationProgress
  readonly outcome: OperationOutcome | null
  /** Epoch milliseconds. */
  readonly createdAtMs: number
  /** Epoch milliseconds; only if the operation ended in this process. */
  readonly completedAtMs?: number
}

/** The content of a view's store. Immutable: unchanged parts keep their identity. */
export interface SessionViewContext {
  /** Increases by one per published change; the changes of one turn of the event loop are published together. */
  readonly version: number
  /** Number of running operations. */
  readonly activeCount: number
  /** False while the first rows of a session with many live operations are still being added, some in each turn. */
  readonly isWhole: boolean
  /** The operations that have not ended; read it with {@link sessionSelectors}. */
  readonly live: LiveRows<OperationView>
}

/** Changed operations with their new rows; `undefined` for those that are no longer live. */
type Changes = readonly (readonly [OperationId, OperationView | undefined])[]

/** Maximum number of operations published in one turn; more would block the event loop for too long. */
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
 * The live view of a session. `row` and `rows` read the registry as it is now; the store follows it.
 *
 * The store holds the operations that have not ended, as immutable rows. A change replaces one row and a few buckets
 * above it (see `live-rows.ts`), however many operations there are, and all changes of one turn of the event loop make
 * one update. The store is created when it, or a selection, is first used, and follows the registry from then on, so it
 * costs nothing if it is never used. If there are more than 512 live operations, the store first shows 512, and each
 * following turn adds as many again, until `isWhole`.
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
  /** Operations that were live when the store was created and are not shown yet. */
  readonly #missing = new Set<OperationId>()
  /** The last sorted list, cached for the rows it was made from. */
  #list: { readonly of: LiveRows<OperationView>; readonly rows: readonly OperationView[] } | undefined

  /** `logger` receives errors thrown by subscribers and selectors. */
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

  /** Number of running operations, as last published. */
  get activeCount(): number {
    return this.#store?.get().context.activeCount ?? this.#operations.activeCount
  }

  /** Number of queued operations. */
  get queuedCount(): number {
    return this.#line.size
  }

  /** One operation, while it is tracked or queued. */
  row(id: OperationId): OperationView | undefined {
    const snapshot = this.#operations.snapshot(id)
    return snapshot === undefined ? this.#queuedRow(id) : this.#rowOf(snapshot)
  }

  /** All tracked and queued operations, sorted by display name. */
  rows(): readonly OperationView[] {
    const tracked = this.#operations.listOperations().map((snapshot) => this.#rowOf(snapshot))
    return this.#line.size === 0 ? tracked : [...tracked, ...this.queued()].toSorted(byDisplayName)
  }

  /** The queued operations, in queue order. */
  queued(): readonly OperationView[] {
    return this.#line.ids().flatMap((id) => this.#queuedRow(id) ?? [])
  }

  /**
   * The operations that have not ended, including queued ones, sorted by display name, as last published. Returns the
   * same list until one of them changes.
   */
  live(): readonly OperationView[] {
    if (this.#store === undefined) return this.#liveNow()
    const { live } = this.#store.get().context
    if (this.#list?.of !== live) this.#list = { of: live, rows: rowsIn(live).toSorted(byDisplayName) }
    return this.#list.rows
  }

  /**
   * One operation: as last published while it is live, otherwise as it is now. Returns the same object for a live
   * operation until it changes.
   */
  operation(id: OperationId): OperationView | undefined {
    const published = this.#store === undefined ? undefined : rowIn(this.#store.get().context.live, id)
    return published ?? this.row(id)
  }

  /**
   * Follows one value. `selector` runs after each published change, and subscribers are called only if its value has
   * changed. Values are compared shallowly unless `isEqual` is given. An error in a selector or subscriber is logged
   * once and does not affect others; `get` of a selection throws what its selector throws. Raises `invalid_input` for
   * an argument that is not a function.
   */
  select<Value>(
    selector: (view: SessionView) => Value,
    isEqual: (one: Value | undefined, other: Value) => boolean = shallowEqual,
  ) {
    checkFunction('selector', selector)
    checkFunction('comparison', isEqual)
    return this.store.select(() => selector(this), isEqual)
  }

  /** Keeps a progress report, because the registry only counts them. */
  reported(id: OperationId, progress: OperationProgress): void {
    this.#progress.set(id, progress)
    this.changed(id)
  }

  /** Drops the report of an ended operation. */
  ended(id: OperationId): void {
    this.#progress.delete(id)
    this.changed(id)
  }

  /** Marks an operation as changed; it is published with the other changes of this turn of the event loop. */
  changed(id: OperationId): void {
    if (this.#store !== undefined) this.#changed.add(id)
  }

  /** Publishes pending changes. */
  dispose(): void {
    this.#changed[Symbol.dispose]()
  }

  #publish(ids: readonly OperationId[]): void {
    // Selectors would read a poisoned registry, which throws, and nothing would catch that here.
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
  /** Number of running operations. */
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
