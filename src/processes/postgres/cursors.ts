import { invalidCursor } from '../errors.js'
import { takeId } from '../scalars.js'
import type { ChangePosition } from './statements.js'

/** The position of a scan for work. */
export interface WorkPosition {
  /** The next page starts after this id. */
  readonly afterId: string
  /** The last id of the scan. */
  readonly boundId: string
}

/** The greatest transaction id. */
const lastXid = 2n ** 64n - 1n

/** Encodes a position in the change feed as a cursor. */
export function changeCursorOf(storeId: string, { changeXid, processId }: ChangePosition): string {
  return `postgres:${storeId}:${changeXid}:${processId}`
}

/**
 * Decodes a change cursor; `''` is the start. Raises `process.cursor_invalid`, also for a cursor of another store,
 * whose numbers mean nothing here.
 */
export function changePositionOf(storeId: string, cursor: unknown): ChangePosition {
  if (cursor === '') return { changeXid: '0', processId: '' }
  const [, store, changeXid, processId] =
    (typeof cursor === 'string' && /^postgres:([0-9a-f-]{36}):(\d{1,20}):([\x20-\x7e]{1,256})$/.exec(cursor)) || []
  if (store !== storeId || changeXid === undefined || processId === undefined || BigInt(changeXid) > lastXid) {
    throw invalidCursor(cursor)
  }
  return { changeXid, processId }
}

/** Encodes a scan position as a cursor. */
export function workCursorOf({ afterId, boundId }: WorkPosition): string {
  return `postgres:work:${Buffer.from(JSON.stringify([afterId, boundId])).toString('base64url')}`
}

/** Decodes a scan cursor. Raises `process.cursor_invalid`. */
export function workPositionOf(cursor: unknown): WorkPosition {
  try {
    const [, text = ''] = (typeof cursor === 'string' && /^postgres:work:([\w-]+)$/.exec(cursor)) || []
    const [afterId, boundId] = JSON.parse(Buffer.from(text, 'base64url').toString()) as readonly unknown[]
    return { afterId: takeId(afterId), boundId: takeId(boundId) }
  } catch (cause) {
    throw invalidCursor(cursor, cause)
  }
}
