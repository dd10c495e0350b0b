import { createHash } from 'node:crypto'
import { encodeGroup } from './encode-group.js'
import type { JournalRecord } from './journal.js'

/** UTF-16 units that a part has at least, unless the rows end. */
const leastUnits = 4 * 1024
/** How many follow on average until a row ends it. */
const furtherUnits = 4 * 1024
/** Units after which a part ends whatever its rows are: between two parts the event loop runs. */
const mostUnits = 256 * 1024

/** Characters of a row that say whether a part ends with it: all of a short one. */
const samples = 1024

/** Rows that stand together in one frame, as JSON texts joined by commas. */
export interface SnapshotPart {
  readonly text: string
  readonly rows: number
  /** The same for the same text, and for no other: SHA-256. */
  readonly digest: string
}

/**
 * Cuts rows into parts. Where a part ends its last row alone decides: rows that are added, changed or removed change the
 * parts around them, and all others are cut as they were before.
 *
 * Raises `journal_record_too_large` for a row that no frame can hold, and `invalid_input` for one that is not JSON.
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

/** The longer a row, the likelier: parts have about the same length, however long rows are. */
function isLast(text: string): boolean {
  let hash = 0
  const step = Math.ceil(text.length / samples)
  for (let place = 0; place < text.length; place += step) hash = Math.imul(hash ^ text.charCodeAt(place), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return ((hash ^ (hash >>> 13)) >>> 0) / 2 ** 32 < text.length / furtherUnits
}
