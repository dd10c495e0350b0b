import { createStore, shallowEqual } from '@xstate/store'
import type { Logger } from '../base/logger.js'
import { guardStore } from './guarded-store.js'
import type {
  OperationId,
  OperationKind,
  OperationOutcome,
  OperationStatus,
} from '../../machines/operation-vocabulary.js'
import { checkFunction } from '../base/options.js'
import type { OperationRegistry } from './registry.js'
import type { OperationProgress } from './types.js'

/** One operation as a dashboard shows it. */
export interface OperationView {
  readonly id: OperationId
  readonly displayName: string
  readonly kind: OperationKind
  readonly status: OperationStatus
  /** The latest report, while the operation runs. */
  readonly progress?: OperationProgress
  readonly outcome: OperationOutcome | null
  /** Epoch milliseconds. */
  readonly createdAtMs: number
}

/** What the store of a view holds: a number that moves whenever something changed, and how much is running. */
export interface SessionViewContext {
  /** Grows by one per published change; several changes of one turn are published together. */
  readonly version: number
  readonly activeCount: number
}

function createViewStore() {
  return createStore({
    context: Object.freeze({ version: 0, activeCount: 0 }),
    on: {
      changed: ({ version }, { activeCount }: { activeCount: number }) =>
        Object.freeze({ version: version + 1, activeCount }),
    },
  })
}

/**
 * The live read side of a session. The registry is the index; the store publishes only that it
 * changed, so that following a session costs the same however many operations it holds.
 */
export class SessionView {
  /** An `@xstate/store` store: subscribe to it, or use {@link SessionView.select}. */
  readonly store
  readonly #operations: OperationRegistry
  readonly #progress = new Map<OperationId, OperationProgress>()
  #isScheduled = false

  /** `logger` hears of subscribers and selectors that throw. */
  constructor(operations: OperationRegistry, logger: Logger) {
    this.#operations = operations
    this.store = guardStore(createViewStore(), logger)
  }

  /** One operation, as long as it is tracked. */
  row(id: OperationId): OperationView | undefined {
    const snapshot = this.#operations.snapshot(id)
    if (snapshot === undefined) return undefined
    const { displayName, kind, status, outcome, createdAtMs } = snapshot
    const progress = this.#progress.get(id)
    return { id, displayName, kind, status, ...(progress !== undefined && { progress }), outcome, createdAtMs }
  }

  /** Every tracked operation, by display name. */
  rows(): readonly OperationView[] {
    return this.#operations.listOperations().flatMap(({ id }) => this.row(id) ?? [])
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
    this.changed()
  }

  /** Forgets the report of an operation that ended. */
  ended(id: OperationId): void {
    this.#progress.delete(id)
    this.changed()
  }

  /** Publishes a change, together with all others of this turn. */
  changed(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      // Selectors would be asked for what nobody can answer, and nobody would catch that here.
      if (this.#operations.isPoisoned) return
      this.store.trigger.changed({ activeCount: this.#operations.activeCount })
    })
  }
}

/** Ready-made selectors for {@link SessionView.select}. */
export const sessionSelectors = {
  /** How many operations run. */
  activeCount: (view: SessionView): number => view.store.get().context.activeCount,
  /** Operations that have not ended. */
  live: (view: SessionView): readonly OperationView[] => view.rows().filter(({ outcome }) => outcome === null),
  /** Operations that have ended and are still retained. */
  ended: (view: SessionView): readonly OperationView[] => view.rows().filter(({ outcome }) => outcome !== null),
  /** One operation. */
  operation:
    (id: OperationId) =>
    (view: SessionView): OperationView | undefined =>
      view.row(id),
} as const
