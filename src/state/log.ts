import type { JsonObject } from '../base/json.js'
import type { Lane } from '../lane/lane.js'
import type { LaneStream, Staged } from '../lane/types.js'
import type { EventCatalogue } from './catalogue.js'
import { DirectDraft } from './draft.js'
import { StateError } from './errors.js'
import type { StateEvent } from './event.js'
import { SequenceCounter } from './sequence.js'
import { captureRows, SnapshotReader } from './snapshot.js'

/** Options of an {@link EventLog}. */
export interface EventLogOptions<Tables, View, Event extends StateEvent> {
  /** Unique and durable: replay finds the log by this name. */
  readonly name: string
  readonly catalogue: EventCatalogue<Tables, View, Event>
  readonly tables: Tables & { readonly sequence: SequenceCounter }
  /** The view of the tables that events may read during replay. */
  readonly view: View
}

/** Creates the event with this sequence. */
export type NumberedEvent<Event> = (sequence: number) => Event

/** A decision of a room that keeps track of its decisions in progress itself. */
export interface Decided<Event, Result> extends Omit<Staged<Result>, 'facts'> {
  /** Called once, and only if there is a journal. */
  events(): readonly NumberedEvent<Event>[]
}

/**
 * A durable history of events. It numbers events, writes them, and restores the state from them and from the rows of
 * a snapshot. How decisions are made and when they become visible is left to its user: `EventStream` makes them from
 * commands and drafts; a room whose state is moved by charts stages its decisions itself.
 *
 * There are two kinds of events. Those of {@link EventLog.stage} become visible once they are durable. Those of
 * {@link EventLog.note} are visible at once, and a crash may lose the last of them. A snapshot contains noted events
 * as soon as they are visible, so they may appear again after it and are then skipped. Therefore each kind has its
 * own sequence without gaps: 1, 2, 3, ... A gap or a repeated number is refused with `replay_sequence`.
 *
 *     const log = new EventLog({ name: 'gate', catalogue, tables, view: tables })
 *     const lane = await Lane.open({ store, streamFor: (name) => (name === log.name ? log : undefined) })
 *     log.start(lane)
 *     tables.knocks += 1
 *     log.note((sequence) => knocked.create(sequence, {}))
 */
export class EventLog<Tables, View, Event extends StateEvent> implements LaneStream {
  readonly name: string
  readonly #options: EventLogOptions<Tables, View, Event>
  /** Sequence of the noted events. */
  readonly #notes = new SequenceCounter()
  /** Last noted event that the snapshot contains. */
  #known = 0
  readonly #draft: DirectDraft<Tables, View>
  #snapshot: SnapshotReader<Tables, View> | undefined
  #lane: Lane | undefined
  #isReplayed = false

  constructor(options: EventLogOptions<Tables, View, Event>) {
    this.name = options.name
    this.#options = options
    this.#draft = new DirectDraft<Tables, View>(options.tables, options.view)
    this.#snapshot = new SnapshotReader({
      stream: options.name,
      rowOf: (stored) => options.catalogue.rowOf(stored),
      onHeader: ({ sequence, notes }) => {
        options.tables.sequence.restore(sequence)
        this.#notes.restore(notes)
        this.#known = notes
      },
    })
  }

  /**
   * Ends the replay: attaches `stream`, by default the log, to the lane unless its journal knew it already. Throws
   * `snapshot_incomplete` if the journal's snapshot ended early.
   */
  start(lane: Lane, stream: LaneStream = this): void {
    this.finishRestore()
    if (!this.#isReplayed) lane.attach(stream)
    this.#lane = lane
  }

  /** Ends reading the snapshot. Throws `snapshot_incomplete` if rows of it were read but not its end. */
  finishRestore(): void {
    this.#snapshot?.finish()
    this.#snapshot = undefined
  }

  /**
   * Journals an event that is visible already and that no caller waits for. Without a journal the event is not even
   * created. Throws `stream_not_started`, and `journal_record_too_large`; the event then takes no sequence.
   */
  note(make: NumberedEvent<Event>): void {
    const lane = this.#lane
    if (lane === undefined) throw new StateError('stream_not_started', { stream: this.name })
    if (!lane.isDurable) return
    const sequence = this.#notes.next()
    lane.note(this, this.#options.catalogue.encode(make(sequence)))
    this.#notes.restore(sequence)
  }

  /**
   * Converts a decision to the form that the lane takes. Its events get their sequences when they are written, and
   * return them if they are discarded.
   */
  stage<Result>(decided: Decided<Event, Result>): Staged<Result> {
    if (this.#lane?.isDurable === false) return new Unjournalled(decided)
    const { catalogue, tables } = this.#options
    let last = 0
    let taken = 0
    const written = (make: NumberedEvent<Event>): JsonObject => {
      const sequence = tables.sequence.next()
      const stored = catalogue.encode(make(sequence))
      tables.sequence.take(sequence)
      last = sequence
      taken += 1
      return stored
    }
    return {
      get facts() {
        return decided.events().map(written)
      },
      commit: () => {
        const result = decided.commit()
        if (taken > 0) tables.sequence.commit(last)
        return result
      },
      discard: () => {
        decided.discard()
        tables.sequence.giveBack(taken)
      },
      publish: () => decided.publish?.(),
    }
  }

  restore(row: JsonObject): void {
    this.#isReplayed = true
    const snapshot = this.#snapshot
    if (snapshot === undefined) {
      throw new StateError('snapshot_incomplete', { stream: this.name, reason: 'a row follows the events' })
    }
    snapshot.take(this.#draft, row)
  }

  /** Throws `invalid_input`, `replay_sequence`, or what applying the event throws. */
  replay(stored: JsonObject): void {
    this.#isReplayed = true
    this.finishRestore()
    const { catalogue, tables } = this.#options
    const event = catalogue.decode(stored)
    if (catalogue.begins(tables, event)) this.#beginAnew()
    const { sequence } = event
    const isNoted = catalogue.isNoted(event)
    if (isNoted && sequence <= this.#known) return
    const numbers = isNoted ? this.#notes : tables.sequence
    const expected = numbers.committed + 1
    if (sequence !== expected) {
      throw new StateError('replay_sequence', { stream: this.name, expected, found: sequence })
    }
    catalogue.evolve(this.#draft, event)
    numbers.restore(sequence)
  }

  capture(): Iterable<JsonObject> {
    const { catalogue, tables } = this.#options
    const numbers = { sequence: tables.sequence.committed, notes: this.#notes.committed }
    if (numbers.sequence + numbers.notes === 0) return []
    return captureRows<Tables, View>(tables, catalogue.rows, numbers)
  }

  #beginAnew(): void {
    this.#options.tables.sequence.restore(0)
    this.#notes.restore(0)
    this.#known = 0
  }
}

const noFacts: readonly JsonObject[] = []

/** A decision in memory: there is no journal, so its events are never created. */
class Unjournalled<Result> implements Staged<Result> {
  readonly #decided: Decided<unknown, Result>

  constructor(decided: Decided<unknown, Result>) {
    this.#decided = decided
  }

  get facts(): readonly JsonObject[] {
    return noFacts
  }

  commit(): Result {
    return this.#decided.commit()
  }

  discard(): void {
    this.#decided.discard()
  }

  publish(): void {
    this.#decided.publish?.()
  }
}
