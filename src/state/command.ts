import * as v from 'valibot'
import { decode } from '../base/decode.js'
import type { Entries, Payload, StateEvent } from './event.js'

/** A command with these fields. */
export type CommandWith<Type extends string, Fields extends Entries> = { readonly type: Type } & Payload<Fields>

/** The result of deciding a valid command: the event to log, and the result for its caller. */
export interface Decision<Event extends StateEvent, Applied> {
  readonly event: Event
  readonly applied: Applied
  /** What the decision has computed already, for applying the event: see `decided` of an event definition. */
  readonly decided?: unknown
}

/** The definition of a command. */
export interface CommandOptions<Fields extends Entries, Command, View, Event extends StateEvent, Applied> {
  readonly fields: Fields
  /** Checks rules that the schema cannot express. */
  readonly check?: (command: Command) => void
  /** Returns the event, or throws the refusal. Changes nothing. */
  readonly decide: (view: View, command: Command, sequence: number) => Decision<Event, Applied>
}

/** One type of command: how it is parsed and decided. */
export interface CommandDefinition<
  Type extends string,
  Fields extends Entries,
  View,
  Event extends StateEvent = StateEvent,
  Applied = unknown,
> {
  readonly type: Type
  /**
   * Copies a command from outside, so that nothing else can change it. Throws `invalid_input` naming the field, or
   * what its `check` throws.
   */
  parse(input: unknown): CommandWith<Type, Fields>
  /** Throws if the command breaks a rule. For commands that the room makes itself, whose shape is known to be right. */
  check(command: CommandWith<Type, Fields>): void
  decide(view: View, command: CommandWith<Type, Fields>, sequence: number): Decision<Event, Applied>
}

/** Creates the function that defines commands of a room with this view. */
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
