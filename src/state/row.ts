import * as v from 'valibot'
import type { JsonObject } from '../base/json.js'
import type { Draft } from './draft.js'
import type { Entries, Payload } from './event.js'
import { inParts } from './row-parts.js'
import { storedCodec } from './stored.js'
import type { CapturedTable } from './table.js'
import { snakeCase } from './wire.js'

/** What has to be said about a kind of snapshot row to define it. */
export interface RowOptions<Fields extends Entries, Tables, View> {
  /** What is stored; what follows from other rows is left out. */
  readonly fields: Fields
  /** Version of the shape. Default 1. */
  readonly version?: number
  /**
   * Fields that are lists and may outgrow what one record takes: items beyond 1 MiB follow in rows of their own, which
   * hold no more either. What is read back is one row again.
   */
  readonly lists?: readonly (keyof Fields & string)[]
  /** The committed rows, taken during the call; they must not change afterwards. */
  readonly capture: (tables: Tables) => Iterable<Payload<Fields>> | CapturedTable<Payload<Fields>>
  /** Seeds the row, and raises the error of the first rule it breaks. Rows it refers to come before it. */
  readonly restore: (draft: Draft<Tables, View>, row: Payload<Fields>) => void
}

/** One kind of snapshot row: how it is taken, written, read and put back. */
export interface RowDefinition<Tables, View> {
  readonly kind: string
  /** Fields whose items may follow in parts, as they are spelt in the stored row. */
  readonly lists: readonly string[]
  /** Everything of this kind now, ready to be encoded at leisure. */
  capture(tables: Tables): CapturedRows
  /** Reads a stored row and seeds it. Raises `invalid_input` naming the field, or the error of the rule it breaks. */
  restore(draft: Draft<Tables, View>, stored: JsonObject): void
}

/** Rows taken at one instant; encoding them costs nothing before they are asked for. */
export interface CapturedRows {
  readonly count: number
  encoded(): Iterable<JsonObject>
}

/** A row as it is stored, whatever it holds. */
interface StoredRow {
  readonly row: string
  readonly version: number
}

/** Defines a kind of snapshot row of the room whose tables and view these are. */
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
      restore: (draft, stored) => {
        const { row: _, version: __, ...row } = codec.decode(stored)
        restore(draft, row as unknown as Payload<Fields>)
      },
    }
  }
}

function taken<Row>(rows: Iterable<Row> | CapturedTable<Row>): CapturedTable<Row> {
  if (!(Symbol.iterator in rows)) return rows
  const list = Array.from(rows)
  return { count: list.length, rows: () => list }
}
