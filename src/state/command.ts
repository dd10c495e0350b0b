import * as v from 'valibot'
import { decode } from '../base/decode.js'
import type { Entries, Payload, StateEvent } from './event.js'

/** A command with these fields. */
export type CommandWith<Type extends string, Fields extends Entries> = { readonly type: Type } & Payload<Fields>

/** What a valid command becomes: the event to log, and what its caller is told. */
export interface Decision<Event extends StateEvent, Applied> {
  readonly event: Event
  readonly applied: Applied
  /** What the decision has found out already, for the event to be applied with: see `decided` of an event definition. */
  readonly decided?: unknown
}

/** What has to be said about a command to define it. */
export interface CommandOptions<Fields extends Entries, Command, View, Event extends StateEvent, Applied> {
  readonly fields: Fields
  /** Rules of a value that its schema cannot say. */
  readonly check?: (command: Command) => void
  /** Answers with the event, or raises the refusal. Changes nothing. */
  readonly decide: (view: View, command: Command, sequence: number) => Decision<Event, Applied>
}

/** One kind of command: how it is read and decided. */
export interface CommandDefinition<
  Type extends string,
  Fields extends Entries,
  View,
  Event extends StateEvent = StateEvent,
  Applied = unknown,
> {
  readonly type: Type
  /**
   * Takes a copy of a command from outside that nobody else can change. Raises `invalid_input` naming the field, or
   * what its `check` raises.
   */
  parse(input: unknown): CommandWith<Type, Fields>
  /** Raises what its rules raise, for a command of the room's own whose shape is known to be right. */
  check(command: CommandWith<Type, Fields>): void
  decide(view: View, command: CommandWith<Type, Fields>, sequence: number): Decision<Event, Applied>
}

/** Defines a command of the room whose view this is. */
export function commandDefiner<View>() {
  return function defineCommand<
    const Type extends string,
    const Fields extends Entries,
    Event extends StateEvent,
    Applied,
  >(
    type: Type,
    options: CommandOptions<Fields, CommandWith<Type, Fields>, View, Event, Applied>,
  ): CommandDefinition<Type, Fields, View, Event, Applied> {
    const { fields, check, decide } = options
    const schema = v.strictObject({ type: v.literal(type), ...fields }) as unknown as v.GenericSchema<
      unknown,
      CommandWith<Type, Fields>
    >
    return {
      type,
      parse: (input) => {
        const command = decode(schema, input, `command ${type}`)
        check?.(command)
        return command
      },
      check: (command) => check?.(command),
      decide,
    }
  }
}
