import { createStore, shallowEqual } from '@xstate/store'
import type { Observable } from 'rxjs'
import { onAbort } from '../base/abort.js'
import { decode } from '../base/decode.js'
import { GuardedObservable } from '../base/guarded-observable.js'
import { guardStore } from '../base/guarded-store.js'
import { ChangeHub } from '../base/hub.js'
import type { Logger } from '../base/logger.js'
import { createObserverGuard, type ObserverGuard } from '../base/observers.js'
import { abortableSchema, checkFunction } from '../base/options.js'
import { abortable } from '../base/promises.js'
import type { EpochId } from './ids.js'
import type { AdminAuditRecord, FailureRecord, LogRecord } from './records.js'
import type { NodeSnapshot } from './snapshot.js'

/** The rings of a snapshot and their records. */
export interface RingRecords {
  readonly adminAudit: AdminAuditRecord
  readonly logRing: LogRecord
  readonly recentFailures: FailureRecord
}

/** The name of a ring in a snapshot. */
export type RingName = keyof RingRecords

/** The position of a follower of a ring. */
export interface RingPosition {
  readonly epoch: EpochId
  /** Number of the last record that it has seen in that epoch. */
  readonly seq: number
}

/** What a follower of a ring receives. */
export type RingEvent<Row> =
  | { readonly type: 'record'; readonly epoch: EpochId; readonly record: Row }
  /** Records up to `through` left the ring before they were seen. */
  | { readonly type: 'gap'; readonly epoch: EpochId; readonly after: number; readonly through: number }

/** Where to start following a ring. */
export interface FollowOptions {
  /** Default: everything that is still in the ring. `'now'` yields only new records. */
  readonly from?: RingPosition | 'now'
  readonly signal?: AbortSignal
}

/**
 * The news in a ring since a position (R5, R6): records in order, each once. Another epoch starts at its first record,
 * and records that left the ring unseen are reported as a gap. Records with number 0 were rebuilt and are never new.
 */
export function newInRing<Name extends RingName>(
  snapshot: Pick<NodeSnapshot, 'epoch' | Name>,
  ring: Name,
  position: RingPosition | undefined,
): { readonly events: readonly RingEvent<RingRecords[Name]>[]; readonly position: RingPosition } {
  const { epoch } = snapshot
  const seen = position?.epoch === epoch ? position.seq : 0
  const records = (snapshot[ring] as readonly RingRecords[Name][]).filter(({ seq }) => seq > seen)
  const [first] = records
  if (first === undefined) return { events: [], position: { epoch, seq: seen } }
  const events: RingEvent<RingRecords[Name]>[] = records.map((record) => ({ type: 'record', epoch, record }))
  if (first.seq > seen + 1) events.unshift({ type: 'gap', epoch, after: seen, through: first.seq - 1 })
  return { events, position: { epoch, seq: records.at(-1)?.seq ?? seen } }
}

/** The context of a view's store. */
export interface NodeViewContext {
  readonly snapshot: NodeSnapshot
}

function createViewStore(snapshot: NodeSnapshot) {
  return createStore({
    context: Object.freeze<NodeViewContext>({ snapshot }),
    on: {
      published: (_before, { snapshot: next }: NodeViewContext) => Object.freeze<NodeViewContext>({ snapshot: next }),
    },
  })
}

/**
 * The read side of a node. A snapshot is published with every tick, frozen and by reference: it never changes, reading
 * never waits, and readers never slow the loop down (R1 to R11).
 */
export class SnapshotReader {
  readonly #logger: Logger
  readonly #guard: ObserverGuard
  readonly #hub = new ChangeHub<'snapshot' | 'structure'>()
  readonly #listeners = new Set<(snapshot: NodeSnapshot) => void>()
  readonly #onClose = new Set<() => void>()
  #snapshot: NodeSnapshot
  #store: ReturnType<typeof createViewStore> | undefined
  #generation = 0
  #isClosed = false

  /** @internal Created by a node. */
  constructor(first: NodeSnapshot, logger: Logger) {
    this.#snapshot = first
    this.#logger = logger
    this.#guard = createObserverGuard(logger, 'a view of a node could not be shown')
  }

  /** The latest snapshot. */
  read(): NodeSnapshot {
    return this.#snapshot
  }

  /** Increases whenever anything but elapsed time has changed; see {@link SnapshotReader.changed}. */
  get generation(): number {
    return this.#generation
  }

  /**
   * Resolves with the generation once it exceeds `generation`, at once if it does already; with the last one when the
   * node has ended. Rejects with the reason of the signal.
   */
  async changed(generation: number, options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    const { signal } = decode(abortableSchema, options, 'wait options')
    using subscription = this.#hub.subscribe('structure')
    signal?.throwIfAborted()
    while (this.#generation <= generation && !this.#isClosed) await abortable(subscription.changed(), signal)
    return this.#generation
  }

  /** An `@xstate/store` store of the snapshot: subscribe to it, or use {@link SnapshotReader.select}. */
  get store(): ReturnType<typeof createViewStore> {
    this.#store ??= guardStore(createViewStore(this.#snapshot), this.#logger)
    return this.#store
  }

  /**
   * Follows a part of the snapshot: `selector` runs after each tick, and subscribers are called only when its value has
   * changed. Values are compared shallowly unless you pass `isEqual`. Raises `invalid_input` if it is not a function.
   */
  select<Value>(
    selector: (snapshot: NodeSnapshot) => Value,
    isEqual: (one: Value | undefined, other: Value) => boolean = shallowEqual,
  ) {
    checkFunction('selector', selector)
    checkFunction('comparison', isEqual)
    return this.store.select(({ snapshot }) => selector(snapshot), isEqual)
  }

  /** Every snapshot from the current one on, as an RxJS stream; completes when the node has ended. */
  observe(): Observable<NodeSnapshot> {
    return new GuardedObservable<NodeSnapshot>(this.#logger, (subscriber) => {
      subscriber.next(this.#snapshot)
      if (this.#isClosed) return subscriber.complete()
      subscriber.add(
        this.#listen(
          (snapshot) => subscriber.next(snapshot),
          () => subscriber.complete(),
        ),
      )
    })
  }

  /**
   * The records of a ring, and its gaps, as an RxJS stream: first the existing ones, then new ones; completes when the
   * node has ended.
   */
  observeRing<Name extends RingName>(
    ring: Name,
    options: FollowOptions = {},
  ): Observable<RingEvent<RingRecords[Name]>> {
    return new GuardedObservable<RingEvent<RingRecords[Name]>>(this.#logger, (subscriber) => {
      const { signal } = options
      if (signal?.aborted === true) return subscriber.error(signal.reason)
      let position = this.#start(ring, options)
      const take = (snapshot: NodeSnapshot): void => {
        const found = newInRing(snapshot, ring, position)
        position = found.position
        for (const event of found.events) subscriber.next(event)
      }
      take(this.#snapshot)
      if (this.#isClosed) return subscriber.complete()
      subscriber.add(this.#listen(take, () => subscriber.complete()))
      subscriber.add(onAbort(signal, () => subscriber.error(signal?.reason)))
    })
  }

  /** The same as an async iterator. A slow reader misses records that leave the ring, and receives a gap for them. */
  async *ring<Name extends RingName>(
    ring: Name,
    options: FollowOptions = {},
  ): AsyncGenerator<RingEvent<RingRecords[Name]>, void, undefined> {
    const { signal } = options
    using subscription = this.#hub.subscribe('snapshot')
    let position = this.#start(ring, options)
    for (;;) {
      signal?.throwIfAborted()
      // Read before waiting: a snapshot that is published meanwhile ends the wait at once.
      const isLast = this.#isClosed
      const found = newInRing(this.#snapshot, ring, position)
      position = found.position
      yield* found.events
      if (isLast) return
      await abortable(subscription.changed(), signal)
    }
  }

  /** @internal Publishes the next snapshot. */
  publish(snapshot: NodeSnapshot, isChanged: boolean): void {
    this.#snapshot = snapshot
    if (isChanged) {
      this.#generation += 1
      this.#hub.notify('structure')
    }
    this.#hub.notify('snapshot')
    if (this.#store !== undefined) this.#guard(() => this.#store?.trigger.published({ snapshot }))
    for (const listener of this.#listeners) listener(snapshot)
  }

  /** @internal Ends the stream of snapshots. */
  close(): void {
    this.#isClosed = true
    this.#hub.close()
    for (const end of this.#onClose) end()
  }

  #start<Name extends RingName>(ring: Name, { from }: FollowOptions): RingPosition | undefined {
    return from === 'now' ? newInRing(this.#snapshot, ring, undefined).position : from
  }

  #listen(take: (snapshot: NodeSnapshot) => void, end: () => void): () => void {
    this.#listeners.add(take)
    this.#onClose.add(end)
    return () => {
      this.#listeners.delete(take)
      this.#onClose.delete(end)
    }
  }
}
