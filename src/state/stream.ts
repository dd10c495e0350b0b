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
 * When a command counts as taken. `immediate`: once it is on stable storage. `deferred`: once it is valid and has its
 * place in the log; a crash within the running sync may take it back.
 */
export type Durability = 'immediate' | 'deferred'

/** How to submit. */
export interface SubmitOptions {
  /** Compare-and-set: the sequence the (first) command must get, else `non_monotonic_sequence`. */
  readonly expectedSequence?: number
  /** Default `immediate`. */
  readonly durability?: Durability
}

/** An atomic batch under construction: commands are decided one after another, each seeing those before it. */
export interface Batch<View, Command> {
  /** The state with everything under way, this batch included. */
  readonly view: View
  /** Decides a command and takes its event into the batch; raises its refusal. Returns its sequence and what it did. */
  take(command: Command): { readonly sequence: number; readonly applied: unknown }
}

/** Told after events became durable and visible, in order, one call per batch. */
export type CommitListener<Commit> = (commit: Commit) => void

/** What a stream is made of. */
export interface EventStreamOptions<
  Tables,
  View,
  Event extends StateEvent,
  Command extends { readonly type: string },
  Commit = readonly Event[],
> {
  /** Unique and durable: replay finds the stream by it. */
  readonly name: string
  readonly catalogue: Catalogue<Tables, View, Event, Command>
  readonly tables: Tables & { readonly sequence: SequenceCounter }
  /** Reads the tables with everything under way; decisions are made on it. */
  readonly latest: View
  /** What listeners are told of a batch; made once, right after it is applied. Default: its events. */
  readonly commitOf?: (events: readonly Event[]) => Commit
  readonly logger?: Logger
}

/**
 * One durable history made of events: the only way in which the rows of a room change.
 *
 * A command is decided on the latest state, its event evolves the rows in a draft, the draft is committed when the
 * event is durable, and listeners are told last. Replay evolves the same rows by the same events, so that it ends where
 * the live run stood; snapshots hold the rows one by one. Events are numbered without gaps; a refused command takes no
 * number and changes nothing.
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
  /** Commits that listeners have not been told of. */
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
   * Takes commands from now on; attaches itself to the lane unless its journal knew the stream already.
   * Raises `snapshot_incomplete` when the journal's snapshot ended early.
   */
  start(lane: Lane): void {
    this.#log.start(lane, this)
    this.#lane = lane
  }

  /**
   * Builds an atomic batch; `build` runs during the call and what it throws refuses the whole batch. Rejects with that,
   * with `stream_not_started`, or with the lane's error. Commands are taken as they are: a door decodes before.
   */
  transact<Result>(
    build: (batch: Batch<View, Command>) => Result,
    { expectedSequence, durability }: SubmitOptions = {},
  ): Promise<Result> {
    const lane = this.#lane
    if (lane === undefined) return rejected(new StateError('stream_not_started', { stream: this.name }))
    const staging: { batch?: StagedBatch<Tables, View, Event, Command, Result> } = {}
    const settled = lane.submit(this, () => (staging.batch = this.#stage(build, expectedSequence)))
    const { batch } = staging
    if (batch === undefined) return silence(settled.catch(orNothingToDo<Result>))
    return durability === 'deferred' && !batch.isDiscarded ? Promise.resolve(batch.result) : settled
  }

  /**
   * Tells `listener` of every commit until the handle is disposed; the first thing it throws is logged, none is passed on.
   * A change that it makes is told, to all, after the commit it was being told of.
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

  /** @internal Part of {@link LaneStream}. Raises `invalid_input`, `replay_sequence`, or what the event breaks. */
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
  ): StagedBatch<Tables, View, Event, Command, Result> {
    const { tables } = this.#options
    tables.sequence.next(expectedSequence)
    const batch = new OpenBatch(this.#options)
    let result: Result
    try {
      result = build(batch)
      batch.check()
      if (batch.events.length === 0) throw new NothingToDo(result)
    } catch (refusal) {
      batch.discard()
      throw refusal
    } finally {
      batch.close()
    }
    return new StagedBatch(this.#options, batch, result, this.#publish)
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

/** The part of the options that batches are made with. */
type BatchOptions<Tables, View, Event extends StateEvent, Command extends { readonly type: string }> = Pick<
  EventStreamOptions<Tables, View, Event, Command>,
  'catalogue' | 'tables' | 'latest'
>

/** A batch while its commands are being decided. */
class OpenBatch<Tables, View, Event extends StateEvent, Command extends { readonly type: string }>
  implements Batch<View, Command>
{
  readonly events: Event[] = []
  readonly #options: BatchOptions<Tables, View, Event, Command>
  readonly #draft: Draft<Tables, View>
  #isClosed = false
  #fault: Error | undefined

  constructor(options: BatchOptions<Tables, View, Event, Command>) {
    this.#options = options
    this.#draft = new Draft<Tables, View>(options.tables, options.latest)
  }

  get view(): View {
    return this.#draft.view
  }

  take(command: Command): { readonly sequence: number; readonly applied: unknown } {
    if (this.#isClosed) throw new StateError('batch_closed', {})
    const { catalogue, tables } = this.#options
    const sequence = tables.sequence.next()
    const { event, applied, decided } = catalogue.decide(this.view, command, sequence)
    // Listeners are given it, and rows share its parts.
    deepFreeze(event)
    try {
      catalogue.evolve(this.#draft, event, decided)
    } catch (fault) {
      // Half of its writes may be staged: whatever the builder makes of the error, the batch is lost.
      this.#fault = toError(fault)
      throw fault
    }
    tables.sequence.take(sequence)
    this.events.push(event)
    return { sequence, applied }
  }

  /** Raises what an event that could not be applied broke with. */
  check(): void {
    if (this.#fault !== undefined) throw this.#fault
  }

  close(): void {
    this.#isClosed = true
  }

  commit(): void {
    this.#draft.commit()
    const last = this.events.at(-1)
    if (last !== undefined) this.#options.tables.sequence.commit(last.sequence)
  }

  discard(): void {
    this.#draft.discard()
    this.#options.tables.sequence.giveBack(this.events.length)
  }
}

/** A decided batch on its way through the lane. */
class StagedBatch<Tables, View, Event extends StateEvent, Command extends { readonly type: string }, Result>
  implements Staged<Result>
{
  readonly result: Result
  isDiscarded = false
  readonly #options: BatchOptions<Tables, View, Event, Command>
  readonly #batch: OpenBatch<Tables, View, Event, Command>
  readonly #tell: (events: readonly Event[]) => void

  constructor(
    options: BatchOptions<Tables, View, Event, Command>,
    batch: OpenBatch<Tables, View, Event, Command>,
    result: Result,
    tell: (events: readonly Event[]) => void,
  ) {
    this.#options = options
    this.#batch = batch
    this.#tell = tell
    this.result = result
  }

  /** Encoded when the journal asks: a lane without one never does. */
  get facts(): readonly JsonObject[] {
    return this.#batch.events.map((event) => this.#options.catalogue.encode(event))
  }

  commit(): Result {
    this.#batch.commit()
    return this.result
  }

  discard(): void {
    this.isDiscarded = true
    this.#batch.discard()
  }

  publish(): void {
    this.#tell(Object.freeze(this.#batch.events))
  }
}

/** Carries the result of a batch without commands past the lane, which still waits for what the result leaned on. */
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
