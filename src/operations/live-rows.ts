import { deepFreeze } from '../base/freeze.js'
import type { OperationId } from '../../machines/operation-vocabulary.js'

/** Number of bucket levels above the rows, and number of hash bits that choose a bucket. */
const levels = 3
const bits = 5

interface Bucket<Row> {
  readonly [key: string | number]: Bucket<Row> | Row
}

/**
 * An immutable map of rows by operation id: a change creates a new value that shares all but a few buckets with the
 * previous one. Rows lie in nested buckets chosen by a hash of the id, so a change copies four short objects however
 * many rows there are; copying one map of a hundred thousand would take milliseconds. Plain objects, so that immer can
 * draft them and an inspector can show them.
 */
export type LiveRows<Row extends object> = Bucket<Row> & { readonly '~row'?: Row }

/** A draft of {@link LiveRows}. */
interface Draft<Row> {
  [key: string | number]: Draft<Row> | Row
}

/** Creates the initial rows. */
export function liveRowsOf<Row extends { readonly id: OperationId }>(rows: Iterable<Row>): LiveRows<Row> {
  const root: Draft<Row> = {}
  for (const row of rows) setRow(root, row)
  return deepFreeze(root) as LiveRows<Row>
}

/** Returns the row of an operation. */
export function rowIn<Row extends object>(rows: LiveRows<Row>, id: OperationId): Row | undefined {
  const hash = hashOf(id)
  let bucket: Bucket<Row> | undefined = rows
  for (let level = 0; level < levels; level += 1) bucket = bucket?.[keyAt(hash, level)] as Bucket<Row> | undefined
  return bucket?.[id] as Row | undefined
}

/** Returns all rows, in no particular order. */
export function rowsIn<Row extends object>(rows: LiveRows<Row>): Row[] {
  let buckets: readonly Bucket<Row>[] = [rows]
  for (let level = 0; level < levels; level += 1) {
    buckets = buckets.flatMap((bucket) => Object.values(bucket) as Bucket<Row>[])
  }
  return buckets.flatMap((bucket) => Object.values(bucket) as Row[])
}

/** Sets the row of an operation in a draft. */
export function setRow<Row extends { readonly id: OperationId }>(rows: object, row: Row): void {
  const hash = hashOf(row.id)
  let bucket = rows as Draft<Row>
  for (let level = 0; level < levels; level += 1) bucket = (bucket[keyAt(hash, level)] ??= {}) as Draft<Row>
  bucket[row.id] = row
}

/** Deletes the row of an operation from a draft, and the buckets that this empties. */
export function deleteRow(rows: object, id: OperationId): void {
  deleteIn(rows as Draft<object>, id, hashOf(id), 0)
}

function deleteIn(bucket: Draft<object>, id: OperationId, hash: number, level: number): void {
  if (level === levels) {
    delete bucket[id]
    return
  }
  const key = keyAt(hash, level)
  const below = bucket[key] as Draft<object> | undefined
  if (below === undefined) return
  deleteIn(below, id, hash, level + 1)
  if (Object.keys(below).length === 0) delete bucket[key]
}

/** FNV-1a, because the ids that a host chooses need not be random. */
function hashOf(id: OperationId): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < id.length; index += 1) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193)
  return hash
}

function keyAt(hash: number, level: number): number {
  return (hash >>> (level * bits)) & (2 ** bits - 1)
}
