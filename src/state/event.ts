import * as v from 'valibot'
import type { JsonObject } from '../base/json.js'
import type { Draft } from './draft.js'
import { storedCodec } from './stored.js'

/** What every event carries: its type, the version of its shape, and its place in its stream, from 1. */
export interface StateEvent {
  readonly type: string
  readonly version: number
  readonly sequence: number
}

/** The fields of an event, as schemas of valibot by name. */
export type Entries = v.ObjectEntries

/** The values that such fields hold; nobody changes them. */
export type Payload<Fields extends Entries> = ReadonlyFields<v.InferOutput<v.StrictObjectSchema<Fields, undefined>>>

type ReadonlyFields<Values> = { readonly [Name in keyof Values]: ReadonlyList<Values[Name]> }
type ReadonlyList<Value> = Value extends (infer Item)[] ? readonly Item[] : Value

/** An event with these fields. */
export type EventWith<Type extends string, Fields extends Entries> = {
  readonly type: Type
  readonly version: number
  readonly sequence: number
} & Payload<Fields>

/** What has to be said about an event to define it. */
export interface EventOptions<Fields extends Entries, Event, Tables, View, Decided = never> {
  /** What it carries besides type, version and sequence. */
  readonly fields: Fields
  /** Version of the shape. Default 1; a directory that holds another one is refused. */
  readonly version?: number
  /** Whether it is noted: visible before it is durable, and numbered among the notes (see `EventLog`). Default false. */
  readonly isNoted?: boolean
  /** Whether a history begins with it here: what was there before is over, and events are numbered from 1 again. */
  readonly begins?: (tables: Tables, event: Event) => boolean
  /** Rules of a value that its schema cannot say; they hold for what is read as for what is built. */
  readonly check?: (event: Event) => void
  /**
   * Applies it to the rows. Live and in replay alike, so it decides nothing and asks for no time. `decided` is there when
   * a decision has just found it out; without it the same has to be found out from the event.
   */
  readonly evolve: (draft: Draft<Tables, View>, event: Event, decided: Decided | undefined) => void
}

/** One kind of event: how it is built, written, read and applied. */
export interface EventDefinition<Type extends string, Fields extends Entries, Tables, View, Decided = never> {
  readonly type: Type
  readonly version: number
  readonly isNoted: boolean
  /** Builds the event that gets this sequence. */
  create(sequence: number, payload: Payload<Fields>): EventWith<Type, Fields>
  /** The same for a decision that knows already what the event does, so that it is not found out twice. */
  decided(sequence: number, payload: Payload<Fields>, decided: Decided): DecidedEvent<EventWith<Type, Fields>, Decided>
  /** The event as the journal keeps it. */
  encode(event: EventWith<Type, Fields>): JsonObject
  /** Reads a stored event; raises `invalid_input` naming the field, or what its `check` raises. */
  decode(stored: JsonObject): EventWith<Type, Fields>
  /** Whether a history begins with it here. */
  begins(tables: Tables, event: EventWith<Type, Fields>): boolean
  evolve(draft: Draft<Tables, View>, event: EventWith<Type, Fields>, decided?: Decided): void
}

/** An event with what it does, as the decision has found it out. */
export interface DecidedEvent<Event, Decided> {
  readonly event: Event
  readonly decided: Decided
}

/** Accepts the sequence of an event. */
const sequenceSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(1))

/** Defines an event of the room whose tables and view these are. */
export function eventDefiner<Tables, View>() {
  return function defineEvent<const Type extends string, const Fields extends Entries, Decided = never>(
    type: Type,
    options: EventOptions<Fields, EventWith<Type, Fields>, Tables, View, Decided>,
  ): EventDefinition<Type, Fields, Tables, View, Decided> {
    const { fields, version = 1, isNoted = false, begins = () => false, check, evolve } = options
    const schema = v.strictObject({
      type: v.literal(type),
      version: v.literal(version),
      sequence: sequenceSchema,
      ...fields,
    }) as unknown as v.GenericSchema<unknown, EventWith<Type, Fields>>
    const codec = storedCodec(schema, { version, subject: `event ${type}` })
    const create = (sequence: number, payload: Payload<Fields>): EventWith<Type, Fields> => ({
      type,
      version,
      sequence,
      ...payload,
    })
    return {
      type,
      version,
      isNoted,
      create,
      decided: (sequence, payload, decided) => ({ event: create(sequence, payload), decided }),
      encode: (event) => codec.encode(event),
      decode: (stored) => {
        const event = codec.decode(stored)
        check?.(event)
        return event
      },
      begins,
      evolve: (draft, event, decided) => evolve(draft, event, decided),
    }
  }
}
