import * as v from 'valibot'
import type { JsonObject } from '../base/json.js'
import type { Draft } from './draft.js'
import type { Entries, Payload } from './event.js'
import { inParts } from './row-parts.js'
import { storedCodec } from './stored.js'
import type { CapturedTable } from './table.js'
import { snakeCase } from './wire.js'

/** The definition of a kind of snapshot row. */
export interface RowOptions<Fields extends Entries, Tables, View> {
  /** The stored fields. What can be derived from other rows is left out. */
  readonly fields: Fields
  /** Version of the shape. Default 1. */
  readonly version?: number
  /**
   * Fields that are lists and may exceed the size of one record: items beyond 1 MiB follow in further rows of at most
   * that size. Reading joins them to one row again.
   */
  readonly lists?: readonly (keyof Fields & string)[]
  /** The committed rows, taken during the call. They must not change afterwards. */
  readonly capture: (tables: Tables) => Iterable<Payload<Fields>> | CapturedTable<Payload<Fields>>
  /**
   * Restores the row, or throws the error of the first rule that it breaks. Rows that it refers to have been restored
   * before.
   */
  readonly restore: (draft: Draft<Tables, View>, row: Payload<Fields>) => void
}

/** One kind of snapshot row: how it is captured, encoded, decoded and restored. */
export interface RowDefinition<Tables, View> {
  readonly kind: string
  /** Fields whose items may follow in parts, named as in the stored row. */
  readonly lists: readonly string[]
  /** Captures all rows of this kind now. They may be encoded later. */
  capture(tables: Tables): CapturedRows
  /**
   * Decodes a stored row and restores it. Throws `invalid_input` naming the field, or the error of the rule that it
   * breaks.
   */
  restore(draft: Draft<Tables, View>, stored: JsonObject): void
}

/** Rows captured at one instant. They are only encoded when they are read. */
export interface CapturedRows {
  readonly count: number
  encoded(): Iterable<JsonObject>
}

/** The fields of every stored row. */
interface StoredRow {
  readonly row: string
  readonly version: number
}

/** Creates the function that defines snapshot rows of a room with these tables and this view. */
export function rowDefiner<Tables, View>() {
  return function defineRow<const Fields extends Entries>(
    kind: string,
    options: RowOptions<Fields, Tables, View>,
  ): RowDefinition<Tables, View> {
    const { fields, version = 1, lists: listFields = [], capture, restore } = options
    const schema = v.strictObject({ row: v.literal(kind), version: v.literal(version), ...fields })
    const codec = storedCodec(schema as unknown as v.GenericSchema<unknown, StoredRow>, {
      version,
      subject: `snapshot row ${kind}`,
      leftOut: ['row', 'version'],
    })
    const lists = listFields.map(snakeCase)
    return {
      kind,
      lists,
      capture: (tables) => {
        const captured = taken(capture(tables))
        const encoded = function* (): Iterable<JsonObject> {
          for (const row of captured.rows()) yield* inParts(codec.encode({ row: kind, version, ...row }), lists)
        }
        return { count: captured.count, encoded }
      },
      restore: (draft, stored) => restore(draft, codec.decode(stored) as unknown as Payload<Fields>),
    }
  }
}

function taken<Row>(rows: Iterable<Row> | CapturedTable<Row>): CapturedTable<Row> {
  if (!(Symbol.iterator in rows)) return rows
  const list = Array.from(rows)
  return { count: list.length, rows: () => list }
}
