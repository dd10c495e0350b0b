import * as v from 'valibot'
import type { JsonObject } from '../base/json.js'
import type { Draft } from './draft.js'
import { storedCodec } from './stored.js'

/** The fields of every event: its type, the version of its shape, and its sequence in its stream, from 1. */
export interface StateEvent {
  readonly type: string
  readonly version: number
  readonly sequence: number
}

/** The fields of an event, as valibot schemas by name. */
export type Entries = v.ObjectEntries

/** The values of such fields, read-only. */
export type Payload<Fields extends Entries> = ReadonlyFields<v.InferOutput<v.StrictObjectSchema<Fields, undefined>>>

type ReadonlyFields<Values> = { readonly [Name in keyof Values]: ReadonlyList<Values[Name]> }
type ReadonlyList<Value> = Value extends (infer Item)[] ? readonly Item[] : Value

/** An event with these fields. */
export type EventWith<Type extends string, Fields extends Entries> = {
  readonly type: Type
  readonly version: number
  readonly sequence: number
} & Payload<Fields>

/** The definition of an event. */
export interface EventOptions<Fields extends Entries, Event, Tables, View, Decided = never> {
  /** Its fields besides type, version and sequence. */
  readonly fields: Fields
  /** Version of the shape. Default 1. A directory with another version is refused. */
  readonly version?: number
  /**
   * Whether it is noted: visible before it is durable, and numbered among the notes (see `EventLog`). Default false.
   */
  readonly isNoted?: boolean
  /** Whether it begins a new history: everything before it is over, and events are numbered from 1 again. */
  readonly begins?: (tables: Tables, event: Event) => boolean
  /** Checks rules that the schema cannot express, both when an event is created and when it is read back. */
  readonly check?: (event: Event) => void
  /**
   * Applies the event to the rows, live and in replay alike, so it makes no decisions and reads no clock. `decided`
   * is what the decision has just computed; without it, the same must be computed from the event.
   */
  readonly evolve: (draft: Draft<Tables, View>, event: Event, decided: Decided | undefined) => void
}

/** One type of event: how it is created, encoded, decoded and applied. */
export interface EventDefinition<Type extends string, Fields extends Entries, Tables, View, Decided = never> {
  readonly type: Type
  readonly version: number
  readonly isNoted: boolean
  /** Creates the event with this sequence. */
  create(sequence: number, payload: Payload<Fields>): EventWith<Type, Fields>
  /** Like `create`, for a decision that has already computed what the event does, so that it is not computed twice. */
  decided(sequence: number, payload: Payload<Fields>, decided: Decided): DecidedEvent<EventWith<Type, Fields>, Decided>
  /** Encodes the event for the journal. */
  encode(event: EventWith<Type, Fields>): JsonObject
  /** Decodes a stored event. Throws `invalid_input` naming the field, or what its `check` throws. */
  decode(stored: JsonObject): EventWith<Type, Fields>
  /** Whether the event begins a new history on these tables. */
  begins(tables: Tables, event: EventWith<Type, Fields>): boolean
  evolve(draft: Draft<Tables, View>, event: EventWith<Type, Fields>, decided?: Decided): void
}

/** An event together with what its decision has computed. */
export interface DecidedEvent<Event, Decided> {
  readonly event: Event
  readonly decided: Decided
}

/** Accepts the sequence of an event. */
const sequenceSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(1))

/** Creates the function that defines events of a room with these tables and this view. */
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
