import type { JsonObject, JsonValue } from '../../../base/json.js'
import type { ItemRef, ItemRow } from './item.js'

interface EntryBase {
  /** Place in the stream, from 1, given when it is queued. What is missing in between was dropped, and a `gap` says so. */
  readonly n: number
  readonly atMs: number
}

/** An event as it is shown. */
export interface ShownEvent {
  readonly type: string
  /** Its other fields, masked and cut; absent where values are not shown. */
  readonly data?: JsonObject
}

/** An actor of XState has started, or runs already and is introduced to whoever looks. */
export interface ActorEntry extends EntryBase {
  readonly type: 'actor'
  /** Unique in the stream. */
  readonly actor: string
  readonly name: string
  /** Id of its {@link MachineDefinition}; absent for actors that are no statecharts. */
  readonly machine?: string
  readonly parent?: string
  readonly item?: ItemRef
  /** Ids of the innermost states that it is in, as in the definition; those around them follow from `parent`. */
  readonly states: readonly string[]
  /** Masked and cut; absent where values are not shown. */
  readonly context?: JsonValue
}

/** An event came to an actor and moved it, or left it where it was. */
export interface TransitionEntry extends EntryBase {
  readonly type: 'transition'
  readonly actor: string
  readonly event: ShownEvent
  /** The actor that sent it; absent when it came from outside. */
  readonly source?: string
  /** Where the actor is now. */
  readonly states: readonly string[]
  readonly context?: JsonValue
}

/** An event was refused: nothing has changed. */
export interface RefusedEntry extends EntryBase {
  readonly type: 'refused'
  readonly actor: string
  readonly event: ShownEvent
  readonly source?: string
  /** In words, or a code. */
  readonly reason: string
}

/** An actor has ended. */
export interface EndEntry extends EntryBase {
  readonly type: 'end'
  readonly actor: string
  readonly status: 'done' | 'error' | 'stopped'
}

/** Something durable that is no actor's: an event of the log of tasks, processes or operations, or a fact of the runtime. */
export interface FactEntry extends EntryBase {
  readonly type: 'fact'
  /** Which part of the house: `operations/<session>`, `tasks`, `processes`, `journal`, `node`. */
  readonly topic: string
  /** Of the event, for instance `attempt_started`. */
  readonly name: string
  /** What it is about; the first is the subject. */
  readonly items: readonly ItemRef[]
  readonly data?: JsonObject
}

/** How an item is now; takes the place of what was told of it before. */
export interface RowEntry extends EntryBase {
  readonly type: 'row'
  readonly row: ItemRow
}

/** Entries that nobody can be shown any more: numbers `from` to `n`. */
export interface GapEntry extends EntryBase {
  readonly type: 'gap'
  readonly from: number
  /** `slow`: this viewer did not read in time. `evicted`: it came back late. `cut`: a recording is damaged or too long. */
  readonly reason: 'slow' | 'evicted' | 'cut'
}

/** One entry of the stream that an inspector shows. */
export type StreamEntry = ActorEntry | TransitionEntry | RefusedEntry | EndEntry | FactEntry | RowEntry | GapEntry
