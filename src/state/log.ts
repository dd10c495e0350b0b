import type { JsonObject } from '../base/json.js'
import type { Lane } from '../lane/lane.js'
import type { LaneStream, Staged } from '../lane/types.js'
import type { EventCatalogue } from './catalogue.js'
import { DirectDraft } from './draft.js'
import { StateError } from './errors.js'
import type { StateEvent } from './event.js'
import { SequenceCounter } from './sequence.js'
import { captureRows, SnapshotReader } from './snapshot.js'

/** What a log is made of. */
export interface EventLogOptions<Tables, View, Event extends StateEvent> {
  /** Unique and durable: replay finds the log by it. */
  readonly name: string
  readonly catalogue: EventCatalogue<Tables, View, Event>
  readonly tables: Tables & { readonly sequence: SequenceCounter }
  /** What events may read of the tables when they are read back. */
  readonly view: View
}

/** Makes the event that gets this number. */
export type NumberedEvent<Event> = (sequence: number) => Event

/** A decision of a room that keeps by itself what is under way. */
export interface Decided<Event, Result> {
  /** Asked for once, and only where there is a journal. */
  readonly events: () => readonly NumberedEvent<Event>[]
  /** See {@link Staged}. */
  readonly commit: () => Result
  readonly discard: () => void
  readonly publish?: () => void
}

/**
 * One durable history made of events: how they are numbered and written, and how they and the rows of a snapshot become the
 * state again. What a decision is and when it is seen is not its business: `EventStream` makes it of commands and drafts,
 * a room whose state is moved by charts stages its decisions itself.
 *
 * There are two kinds of events. Those of {@link EventLog.stage} are visible once they are durable. Those of
 * {@link EventLog.note} are visible at once, a crash may lose the last of them, and a snapshot holds them as soon as
 * they are visible: behind it they are read once more, and skipped. So each kind has numbers of its own, without gaps: 1, 2, 3,
 * ... A gap, or a number that comes again, is refused with `replay_sequence`.
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
  /** Numbers of the noted events. */
  readonly #notes = new SequenceCounter()
  /** Notes that the snapshot holds. */
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
   * Nothing more is read back: attaches `stream`, by default the log, to the lane unless its journal knew it already.
   * Raises `snapshot_incomplete` when the journal's snapshot ended early.
   */
  start(lane: Lane, stream: LaneStream = this): void {
    this.finishRestore()
    if (!this.#isReplayed) lane.attach(stream)
    this.#lane = lane
  }

  /** The snapshot ends here. Raises `snapshot_incomplete` if rows of it were read and its end was not. */
  finishRestore(): void {
    this.#snapshot?.finish()
    this.#snapshot = undefined
  }

  /**
   * Journals an event that is visible already and that nobody waits for. Without a journal it is not even made.
   * Raises `stream_not_started`, and `journal_record_too_large`; then it has taken no number.
   */
  note(make: NumberedEvent<Event>): void {
    const lane = this.#lane
    if (lane === undefined) throw new StateError('stream_not_started', { stream: this.name })
    if (!lane.isDurable) return
    const sequence = this.#notes.next()
    lane.note(this, this.#options.catalogue.encode(make(sequence)))
    this.#notes.restore(sequence)
  }

  /** A decision as the lane takes it: its events are numbered when they are written, and give their numbers back with it. */
  stage<Result>(decided: Decided<Event, Result>): Staged<Result> {
    const { events, commit, discard, publish } = decided
    if (this.#lane?.isDurable === false)
      return { facts: [], commit, discard, ...(publish !== undefined && { publish }) }
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
        return events().map(written)
      },
      commit: () => {
        const result = commit()
        if (taken > 0) tables.sequence.commit(last)
        return result
      },
      discard: () => {
        discard()
        tables.sequence.giveBack(taken)
      },
      ...(publish !== undefined && { publish }),
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

  /** Raises `invalid_input`, `replay_sequence`, or what the event breaks. */
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
