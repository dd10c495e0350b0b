import { toError } from '../base/errors.js'
import { deepFreeze } from '../base/freeze.js'
import type { JsonObject } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger, guardedObserver } from '../base/observers.js'
import { silence } from '../base/promises.js'
import type { Lane } from '../lane/lane.js'
import type { LaneStream, Staged } from '../lane/types.js'
import type { Catalogue } from './catalogue.js'
import { Draft } from './draft.js'
import { StateError } from './errors.js'
import type { StateEvent } from './event.js'
import { EventLog } from './log.js'
import type { SequenceCounter } from './sequence.js'

/**
 * When a command is acknowledged. `immediate`: once it is on stable storage. `deferred`: once it is valid and has its
 * place in the log; a crash during the current sync may lose it.
 */
export type Durability = 'immediate' | 'deferred'

/** Options of a submission. */
export interface SubmitOptions {
  /**
   * Compare-and-set: the sequence that the (first) command must get. Otherwise it is refused with
   * `non_monotonic_sequence`.
   */
  readonly expectedSequence?: number
  /** Default `immediate`. */
  readonly durability?: Durability
}

/** An atomic batch being built. Its commands are decided one after another, and each sees those before it. */
export interface Batch<View, Command> {
  /** The state including all decisions in progress and this batch. */
  readonly view: View
  /** Decides a command and adds its event to the batch. Throws its refusal. Returns its sequence and its result. */
  take(command: Command): { readonly sequence: number; readonly applied: unknown }
}

/** Called after events have become durable and visible, in order, once per batch. */
export type CommitListener<Commit> = (commit: Commit) => void

/** Options of an {@link EventStream}. */
export interface EventStreamOptions<
  Tables,
  View,
  Event extends StateEvent,
  Command extends { readonly type: string },
  Commit = readonly Event[],
> {
  /** Unique and durable: replay finds the stream by this name. */
  readonly name: string
  readonly catalogue: Catalogue<Tables, View, Event, Command>
  readonly tables: Tables & { readonly sequence: SequenceCounter }
  /** Reads the tables including all decisions in progress. Decisions are made on it. */
  readonly latest: View
  /** What listeners are given for a batch, created once, right after it is applied. Default: its events. */
  readonly commitOf?: (events: readonly Event[]) => Commit
  readonly logger?: Logger
}

/**
 * A durable history of events, and the only way to change the rows of a room.
 *
 * A command is decided on the latest state. Its event changes the rows in a draft, the draft is committed once the
 * event is durable, and then listeners are called. Replay applies the same events to the same rows, so it ends in the
 * same state as the live run. Snapshots contain the rows. Events are numbered without gaps; a refused command takes
 * no number and changes nothing.
 *
 *     const stream = new EventStream({ name: 'tasks', catalogue, tables, latest })
 *     const lane = await Lane.open({ store, streamFor: (name) => (name === stream.name ? stream : undefined) })
 *     stream.start(lane)
 *     await stream.transact((batch) => batch.take({ type: 'engine_pause', at: 0 }))
 */
export class EventStream<
  Tables,
  View,
  Event extends StateEvent,
  Command extends { readonly type: string },
  Commit = readonly Event[],
> implements LaneStream
{
  readonly name: string
  readonly #options: EventStreamOptions<Tables, View, Event, Command, Commit>
  readonly #logger: Logger
  readonly #listeners = new Set<CommitListener<Commit>>()
  /** Commits that have not been passed to listeners yet. */
  readonly #untold: Commit[] = []
  #isTelling = false
  readonly #log: EventLog<Tables, View, Event>
  #lane: Lane | undefined

  constructor(options: EventStreamOptions<Tables, View, Event, Command, Commit>) {
    this.name = options.name
    this.#options = options
    const { name, catalogue, tables, latest } = options
    this.#log = new EventLog<Tables, View, Event>({ name, catalogue, tables, view: latest })
    this.#logger = guardedLogger(options.logger)
  }

  /**
   * Starts taking commands. Attaches itself to the lane unless its journal knew the stream already. Throws
   * `snapshot_incomplete` if the journal's snapshot ended early.
   */
  start(lane: Lane): void {
    this.#log.start(lane, this)
    this.#lane = lane
  }

  /**
   * Builds an atomic batch. `build` runs during the call; what it throws refuses the whole batch. Rejects with that,
   * with `stream_not_started`, or with the lane's error. Commands are not checked: the entry point must have decoded
   * them.
   */
  transact<Result>(
    build: (batch: Batch<View, Command>) => Result,
    { expectedSequence, durability }: SubmitOptions = {},
  ): Promise<Result> {
    const lane = this.#lane
    if (lane === undefined) return rejected(new StateError('stream_not_started', { stream: this.name }))
    let batch: OpenBatch<Tables, View, Event, Command, Result> | undefined
    const settled = lane.submit(this, () => (batch = this.#stage(build, expectedSequence)))
    if (batch === undefined) return silence(settled.catch(orNothingToDo<Result>))
    return durability === 'deferred' && !batch.isDiscarded ? Promise.resolve(batch.result as Result) : settled
  }

  /**
   * Calls `listener` for every commit until the handle is disposed. Its first exception is logged, and none is passed
   * on. A change made by a listener is reported to all listeners after the current commit.
   */
  onCommit(listener: CommitListener<Commit>): Disposable {
    const guarded = guardedObserver(listener, this.#logger, `a commit listener of ${this.name} failed`)
    this.#listeners.add(guarded)
    return { [Symbol.dispose]: () => void this.#listeners.delete(guarded) }
  }

  /** @internal Part of {@link LaneStream}. */
  restore(row: JsonObject): void {
    this.#log.restore(row)
  }

  /**
   * @internal Part of {@link LaneStream}. Throws `invalid_input`, `replay_sequence`, or what applying the event
   * throws.
   */
  replay(stored: JsonObject): void {
    this.#log.replay(stored)
  }

  /** @internal Part of {@link LaneStream}. */
  capture(): Iterable<JsonObject> {
    return this.#log.capture()
  }

  #stage<Result>(
    build: (batch: Batch<View, Command>) => Result,
    expectedSequence: number | undefined,
  ): OpenBatch<Tables, View, Event, Command, Result> {
    this.#options.tables.sequence.next(expectedSequence)
    const batch = new OpenBatch<Tables, View, Event, Command, Result>(this.#options, this.#publish)
    try {
      batch.fill(build)
    } catch (refusal) {
      batch.discard()
      throw refusal
    }
    return batch
  }

  readonly #publish = (events: readonly Event[]): void => {
    this.#untold.push(this.#options.commitOf?.(events) ?? (events as Commit))
    if (this.#isTelling) return
    this.#isTelling = true
    for (let next = this.#untold.shift(); next !== undefined; next = this.#untold.shift()) {
      for (const listener of this.#listeners) listener(next)
    }
    this.#isTelling = false
  }
}

/** The options that a batch needs. */
type BatchOptions<Tables, View, Event extends StateEvent, Command extends { readonly type: string }> = Pick<
  EventStreamOptions<Tables, View, Event, Command>,
  'catalogue' | 'tables' | 'latest'
>

/** A batch: its commands are decided while it is filled, then it is on its way through the lane. */
class OpenBatch<Tables, View, Event extends StateEvent, Command extends { readonly type: string }, Result>
  implements Batch<View, Command>, Staged<Result>
{
  readonly view: View
  isDiscarded = false
  /** What the caller is given, once the batch is filled. */
  result: Result | undefined
  readonly #options: BatchOptions<Tables, View, Event, Command>
  readonly #tell: (events: readonly Event[]) => void
  readonly #draft: Draft<Tables, View>
  readonly #events: Event[] = []
  #isOpen = true
  #fault: Error | undefined

  constructor(options: BatchOptions<Tables, View, Event, Command>, tell: (events: readonly Event[]) => void) {
    this.#options = options
    this.#tell = tell
    this.view = options.latest
    this.#draft = new Draft<Tables, View>(options.tables, options.latest)
  }

  /** Lets `build` decide commands. Throws its error, that of an event that could not be applied, and if there is none. */
  fill(build: (batch: Batch<View, Command>) => Result): void {
    try {
      this.result = build(this)
    } finally {
      this.#isOpen = false
    }
    if (this.#fault !== undefined) throw this.#fault
    if (this.#events.length === 0) throw new NothingToDo(this.result)
  }

  take(command: Command): { readonly sequence: number; readonly applied: unknown } {
    if (!this.#isOpen) throw new StateError('batch_closed', {})
    const { catalogue, tables } = this.#options
    const sequence = tables.sequence.next()
    const { event, applied, decided } = catalogue.decide(this.view, command, sequence)
    // The event is passed to listeners, and rows share its parts.
    deepFreeze(event)
    try {
      catalogue.evolve(this.#draft, event, decided)
    } catch (fault) {
      // Half of its writes may be staged, so the batch fails even if the builder catches the error.
      this.#fault = toError(fault)
      throw fault
    }
    tables.sequence.take(sequence)
    this.#events.push(event)
    return { sequence, applied }
  }

  /** Encoded on demand: without a journal it never is. */
  get facts(): readonly JsonObject[] {
    const { catalogue } = this.#options
    return this.#events.map((event) => catalogue.encode(event))
  }

  commit(): Result {
    this.#draft.commit()
    this.#options.tables.sequence.commit((this.#events.at(-1) as Event).sequence)
    return this.result as Result
  }

  discard(): void {
    this.isDiscarded = true
    this.#draft.discard()
    this.#options.tables.sequence.giveBack(this.#events.length)
  }

  publish(): void {
    this.#tell(Object.freeze(this.#events))
  }
}

/**
 * Carries the result of an empty batch through the lane as a refusal, which waits for the decisions that the result
 * depends on.
 */
class NothingToDo extends Error {
  readonly result: unknown

  constructor(result: unknown) {
    super('nothing to do')
    this.result = result
  }
}

function orNothingToDo<Result>(reason: unknown): Result {
  if (reason instanceof NothingToDo) return reason.result as Result
  throw reason
}

function rejected(reason: unknown): Promise<never> {
  return silence(Promise.reject(reason))
}
