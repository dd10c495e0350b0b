import { deepFreeze } from '../base/freeze.js'
import type { OperationId } from '../../machines/operation-vocabulary.js'

/** How many levels of buckets there are above the rows, and how many bits of a hash choose a bucket. */
const levels = 3
const bits = 5

interface Bucket<Row> {
  readonly [key: string]: Bucket<Row> | Row
}

/**
 * Rows under the ids of operations, immutable: a change makes a new value that shares all but a few buckets with the one
 * before. They lie in buckets within buckets, chosen by a hash of the id, so that a change copies four short objects
 * however many rows there are; copying one map of a hundred thousand would take milliseconds. Plain objects, which immer
 * drafts and an inspector can show.
 */
export type LiveRows<Row extends object> = Bucket<Row> & { readonly '~row'?: Row }

/** A draft of {@link LiveRows}. */
interface Draft<Row> {
  [key: string]: Draft<Row> | Row
}

/** Rows to begin with. */
export function liveRowsOf<Row extends { readonly id: OperationId }>(rows: Iterable<Row>): LiveRows<Row> {
  const root: Draft<Row> = {}
  for (const row of rows) setRow(root, row)
  return deepFreeze(root) as LiveRows<Row>
}

/** The row of an operation. */
export function rowIn<Row extends object>(rows: LiveRows<Row>, id: OperationId): Row | undefined {
  let bucket: Bucket<Row> | undefined = rows
  for (const digit of digitsOf(id)) bucket = bucket?.[digit] as Bucket<Row> | undefined
  return bucket?.[id] as Row | undefined
}

/** All rows, in no order. */
export function rowsIn<Row extends object>(rows: LiveRows<Row>): Row[] {
  let buckets: readonly Bucket<Row>[] = [rows]
  for (let level = 0; level < levels; level += 1) {
    buckets = buckets.flatMap((bucket) => Object.values(bucket) as Bucket<Row>[])
  }
  return buckets.flatMap((bucket) => Object.values(bucket) as Row[])
}

/** Puts a row in place of the one of its operation, in a draft. */
export function setRow<Row extends { readonly id: OperationId }>(rows: object, row: Row): void {
  let bucket = rows as Draft<Row>
  for (const digit of digitsOf(row.id)) bucket = (bucket[digit] ??= {}) as Draft<Row>
  bucket[row.id] = row
}

/** Takes the row of an operation out of a draft, and the buckets that are empty without it. */
export function deleteRow(rows: object, id: OperationId): void {
  const path = [rows as Draft<object>]
  const keys: string[] = [...digitsOf(id), id]
  for (const key of keys.slice(0, -1)) {
    const next = path.at(-1)?.[key]
    if (next === undefined) return
    path.push(next as Draft<object>)
  }
  for (const [index, bucket] of [...path.entries()].toReversed()) {
    const key = keys[index]
    if (key !== undefined) delete bucket[key]
    if (Object.keys(bucket).length > 0) return
  }
}

/** FNV-1a, cut into digits: ids of a host need not be random anywhere. */
function digitsOf(id: OperationId): string[] {
  let hash = 0x811c9dc5
  for (let index = 0; index < id.length; index += 1) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193)
  return Array.from({ length: levels }, (_, level) => String((hash >>> (level * bits)) & (2 ** bits - 1)))
}
