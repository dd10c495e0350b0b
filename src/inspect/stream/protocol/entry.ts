import type { JsonObject, JsonValue } from '../../../base/json.js'
import type { ItemRef, ItemRow } from './item.js'
import type { Part } from './part.js'

interface EntryBase {
  /**
   * Number in the stream, from 1, assigned when the entry is queued. Missing numbers were dropped, which a `gap`
   * reports.
   */
  readonly n: number
  readonly atMs: number
}

/** An event as it is shown. */
export interface ShownEvent {
  readonly type: string
  /** Its other fields, masked and cut; absent if values are not shown. */
  readonly data?: JsonObject
}

/** An XState actor has started, or is already running and is announced to a new viewer. */
export interface ActorEntry extends EntryBase {
  readonly type: 'actor'
  /** Unique in the stream. */
  readonly actor: string
  readonly name: string
  /** Id of its {@link MachineDefinition}; absent for actors that are not statecharts. */
  readonly machine?: string
  readonly parent?: string
  readonly item?: ItemRef
  /** Ids of its innermost active states, as in the definition; the states around them follow from `parent`. */
  readonly states: readonly string[]
  /** Masked and cut; absent if values are not shown. */
  readonly context?: JsonValue
}

/** An actor has handled an event, with or without changing its state. */
export interface TransitionEntry extends EntryBase {
  readonly type: 'transition'
  readonly actor: string
  readonly event: ShownEvent
  /** The actor that sent it; absent when it came from outside. */
  readonly source?: string
  /** The actor's states after the event. */
  readonly states: readonly string[]
  readonly context?: JsonValue
}

/** An event was refused; nothing has changed. */
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

/**
 * Something durable that does not belong to an actor: an event in the log of tasks, processes or operations, or a fact
 * about the runtime.
 */
export interface FactEntry extends EntryBase {
  readonly type: 'fact'
  /** Where it comes from: `operations/<session>`, `tasks`, `processes`, `journal`, `node`. */
  readonly topic: string
  /** The name of the event, for instance `attempt_started`. */
  readonly name: string
  /** The items that it is about; the first is its subject. */
  readonly items: readonly ItemRef[]
  readonly data?: JsonObject
}

/** The current row of an item; replaces its previous row. */
export interface RowEntry extends EntryBase {
  readonly type: 'row'
  readonly row: ItemRow
}

/** The current row of something that is no item: a feed, a barrier, a question, a budget; replaces its previous row. */
export type PartEntry = EntryBase & { readonly type: 'part' } & Part

/** Entries that can no longer be shown: numbers `from` to `n`. */
export interface GapEntry extends EntryBase {
  readonly type: 'gap'
  readonly from: number
  /**
   * `slow`: this viewer did not read in time. `evicted`: it came back too late. `cut`: a recording is damaged or too
   * long.
   */
  readonly reason: 'slow' | 'evicted' | 'cut'
}

/** One entry of the stream that an inspector shows. */
export type StreamEntry =
  | ActorEntry
  | TransitionEntry
  | RefusedEntry
  | EndEntry
  | FactEntry
  | RowEntry
  | PartEntry
  | GapEntry
