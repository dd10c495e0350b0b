import { createHash } from 'node:crypto'
import { encodeGroup } from './encode-group.js'
import type { JournalRecord } from './journal.js'

/** Minimum length of a part, in UTF-16 units, unless the rows end. */
const leastUnits = 4 * 1024
/** Average further length until a row ends the part. */
const furtherUnits = 4 * 1024
/** Length at which a part ends in any case: the event loop runs between two parts. */
const mostUnits = 256 * 1024

/** Number of characters of a row that decide whether it ends a part. Shorter rows are used in full. */
const samples = 1024

/** Rows that are stored in one frame, as JSON texts joined by commas. */
export interface SnapshotPart {
  readonly text: string
  readonly rows: number
  /** SHA-256 of the text; identifies it. */
  readonly digest: string
}

/**
 * Splits rows into parts. Where a part ends is decided by its last row alone, so rows that are added, changed or
 * removed only change the parts around them. All other parts stay the same.
 *
 * Throws `journal_record_too_large` for a row that does not fit a frame, and `invalid_input` for one that is not
 * JSON.
 */
export function* snapshotParts(rows: Iterable<JournalRecord>): Iterable<SnapshotPart> {
  let texts: string[] = []
  let units = 0
  const part = (): SnapshotPart => {
    const made = partOf(texts)
    texts = []
    units = 0
    return made
  }
  for (const row of rows) {
    const text = encodeGroup([row])
    if (units > 0 && units + text.length > mostUnits) yield part()
    texts.push(text)
    units += text.length
    if (units >= leastUnits && isLast(text)) yield part()
  }
  if (texts.length > 0) yield part()
}

function partOf(texts: readonly string[]): SnapshotPart {
  const text = texts.join(',')
  return { text, rows: texts.length, digest: createHash('sha256').update(text).digest('base64url') }
}

/**
 * Whether a part ends with this row. Longer rows are more likely to end one, so that parts have about the same
 * length.
 */
function isLast(text: string): boolean {
  let hash = 0
  const step = Math.ceil(text.length / samples)
  for (let place = 0; place < text.length; place += step) hash = Math.imul(hash ^ text.charCodeAt(place), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return ((hash ^ (hash >>> 13)) >>> 0) / 2 ** 32 < text.length / furtherUnits
}
