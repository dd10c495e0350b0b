import { InvalidInputError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import type { Decision } from './command.js'
import type { Draft } from './draft.js'
import type { StateEvent } from './event.js'
import type { RowDefinition } from './row.js'

/** An event definition of any type. */
export interface AnyEventDefinition<Tables, View> {
  readonly type: string
  readonly isNoted: boolean
  encode(event: never): JsonObject
  decode(stored: JsonObject): StateEvent
  begins(tables: Tables, event: never): boolean
  evolve(draft: Draft<Tables, View>, event: never, decided?: never): void
}

/** A command definition of any type. */
export interface AnyCommandDefinition<View> {
  readonly type: string
  parse(input: unknown): { readonly type: string }
  check(command: never): void
  decide(view: View, command: never, sequence: number): Decision<StateEvent, unknown>
}

/** The events of a definition, or of a union of definitions. */
export type EventOf<Definition> = Definition extends { decode(stored: JsonObject): infer Event } ? Event : never

/** The commands of a definition, or of a union of definitions. */
export type CommandOf<Definition> = Definition extends { parse(input: unknown): infer Command } ? Command : never

/** The results of a definition's commands, as their callers get them. */
export type AppliedOf<Definition> = Definition extends {
  decide(view: never, command: never, sequence: number): Decision<StateEvent, infer Applied>
}
  ? Applied
  : never

/** All commands, events and snapshot rows of a room. */
export interface CatalogueOptions<Tables, View> {
  /** Names the room in errors, for instance `task`. */
  readonly subject: string
  readonly events: readonly AnyEventDefinition<Tables, View>[]
  readonly commands?: readonly AnyCommandDefinition<View>[]
  /** In the order in which a snapshot holds them: a row comes after the rows that it refers to. */
  readonly rows: readonly RowDefinition<Tables, View>[]
}

/** The part of a catalogue that a log needs: the events and the rows of a room. */
export type EventCatalogue<Tables, View, Event extends StateEvent> = Pick<
  Catalogue<Tables, View, Event, never>,
  'rows' | 'rowOf' | 'encode' | 'decode' | 'isNoted' | 'begins' | 'evolve'
>

/** Finds definitions by type. Each definition is listed once, where the room assembles its parts. */
export class Catalogue<Tables, View, Event extends StateEvent, Command extends { readonly type: string }> {
  readonly rows: readonly RowDefinition<Tables, View>[]
  readonly #subject: string
  readonly #events: ReadonlyMap<string, AnyEventDefinition<Tables, View>>
  readonly #commands: ReadonlyMap<string, AnyCommandDefinition<View>>
  readonly #rowsByKind: ReadonlyMap<string, RowDefinition<Tables, View>>

  constructor({ subject, events, commands = [], rows }: CatalogueOptions<Tables, View>) {
    this.#subject = subject
    this.#events = new Map(events.map((definition) => [definition.type, definition]))
    this.#commands = new Map(commands.map((definition) => [definition.type, definition]))
    this.#rowsByKind = new Map(rows.map((definition) => [definition.kind, definition]))
    this.rows = rows
  }

  /**
   * Throws if the command breaks a rule of its definition. Its shape is not checked. For commands that the room makes
   * itself.
   */
  check(command: Command): void {
    const definition = this.#commands.get(command.type) ?? this.#unknown(command.type, 'command')
    definition.check(command as never)
  }

  /** Copies and freezes a command from outside. Throws `invalid_input`, or what the command's own check throws. */
  parse(input: unknown): Command {
    const type = typeof input === 'object' && input !== null ? (input as { readonly type?: unknown }).type : undefined
    const definition = this.#commands.get(type as string) ?? this.#unknown(type, 'command')
    return definition.parse(input) as Command
  }

  /** Decides a command: returns its event, or throws its refusal. */
  decide(view: View, command: Command, sequence: number): Decision<Event, unknown> {
    const definition = this.#commands.get(command.type) ?? this.#unknown(command.type, 'command')
    return definition.decide(view, command as never, sequence) as Decision<Event, unknown>
  }

  /** Encodes an event for the journal. */
  encode(event: Event): JsonObject {
    const definition = this.#events.get(event.type) ?? this.#unknown(event.type, 'event')
    return definition.encode(event as never)
  }

  /** Decodes a stored event. Throws `invalid_input` naming the field. */
  decode(stored: JsonObject): Event {
    const type = stored['type']
    const definition = this.#events.get(type as string) ?? this.#unknown(type, 'event')
    return definition.decode(stored) as Event
  }

  /** Whether the event is noted: visible before it is durable. */
  isNoted(event: Event): boolean {
    const definition = this.#events.get(event.type) ?? this.#unknown(event.type, 'event')
    return definition.isNoted
  }

  /** Whether the event begins a new history on these tables. */
  begins(tables: Tables, event: Event): boolean {
    const definition = this.#events.get(event.type) ?? this.#unknown(event.type, 'event')
    return definition.begins(tables, event as never)
  }

  /** Applies an event to the rows. `decided` is what its decision has already computed, if there was one. */
  evolve(draft: Draft<Tables, View>, event: Event, decided?: unknown): void {
    const definition = this.#events.get(event.type) ?? this.#unknown(event.type, 'event')
    definition.evolve(draft, event as never, decided as never)
  }

  /** The definition of a stored row. Throws `invalid_input` for an unknown one. */
  rowOf(stored: JsonObject): RowDefinition<Tables, View> {
    const kind = stored['row']
    return this.#rowsByKind.get(kind as string) ?? this.#unknown(kind, 'snapshot row', 'row')
  }

  #unknown(type: unknown, what: string, field = 'type'): never {
    const shown = typeof type === 'string' ? JSON.stringify(type) : typeof type
    throw new InvalidInputError({ subject: `${this.#subject} ${what}`, field, reason: `unknown ${what}: ${shown}` })
  }
}
