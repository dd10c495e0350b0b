import * as v from 'valibot'
import { decode } from '../base/decode.js'
import type { JsonObject } from '../base/json.js'
import type { Draft } from './draft.js'
import { StateError } from './errors.js'
import type { RowDefinition } from './row.js'
import { partKind, withPart } from './row-parts.js'

/** Version of the header and the end. Rows have their own versions. */
const snapshotVersion = 1

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

const headerSchema = v.strictObject({
  row: v.literal('header'),
  version: v.number(),
  sequence: count,
  /** Absent in streams without noted events. */
  notes: v.optional(count, 0),
  counts: v.record(v.string(), count),
})

/** Last sequences that a snapshot contains: of staged events and of noted events. */
export interface SnapshotNumbers {
  readonly sequence: number
  readonly notes: number
}

/**
 * Captures the committed state as rows: a header with the count of each kind, the rows, and an end. References are
 * taken during the call. Rows are immutable, so they may be encoded and written later.
 */
export function captureRows<Tables, View>(
  tables: Tables,
  definitions: readonly RowDefinition<Tables, View>[],
  { sequence, notes }: SnapshotNumbers,
): Iterable<JsonObject> {
  const captured = definitions.map((definition) => [definition.kind, definition.capture(tables)] as const)
  return (function* () {
    const counts = Object.fromEntries(captured.map(([kind, rows]) => [kind, rows.count]))
    yield { row: 'header', version: snapshotVersion, sequence, ...(notes > 0 && { notes }), counts }
    for (const [, rows] of captured) yield* rows.encoded()
    yield { row: 'end' }
  })()
}

/** Options of a {@link SnapshotReader}. */
export interface SnapshotReaderOptions<Tables, View> {
  /** Name of the stream, for errors. */
  readonly stream: string
  readonly rowOf: (stored: JsonObject) => RowDefinition<Tables, View>
  /** Called with the last sequences that the snapshot contains. */
  readonly onHeader: (numbers: SnapshotNumbers) => void
}

/** Restores the rows of one snapshot in order, and refuses missing, repeated or misplaced rows. */
export class SnapshotReader<Tables, View> {
  readonly #options: SnapshotReaderOptions<Tables, View>
  readonly #found = new Map<string, number>()
  #counts: Readonly<Record<string, number>> | undefined
  /** The last row, to which parts may still be added. It is complete when another row follows. */
  #growing: { readonly definition: RowDefinition<Tables, View>; row: JsonObject } | undefined
  #isComplete = false

  constructor(options: SnapshotReaderOptions<Tables, View>) {
    this.#options = options
  }

  /**
   * Reads one row. Throws `snapshot_incomplete`, `snapshot_version`, `snapshot_row_count`, or what restoring the row
   * throws.
   */
  take(draft: Draft<Tables, View>, stored: JsonObject): void {
    if (this.#isComplete) throw this.#incomplete('a row follows the end')
    if (stored['row'] === 'header') return this.#begin(stored)
    if (this.#counts === undefined) throw this.#incomplete('a row precedes the header')
    if (stored['row'] === partKind) return this.#grow(stored)
    this.#finishGrowing(draft)
    if (stored['row'] === 'end') return this.#end(this.#counts)
    const definition = this.#options.rowOf(stored)
    this.#found.set(definition.kind, (this.#found.get(definition.kind) ?? 0) + 1)
    if (definition.lists.length === 0) definition.restore(draft, stored)
    else this.#growing = { definition, row: stored }
  }

  /** Throws `snapshot_incomplete` if rows were read and the end is missing. */
  finish(): void {
    if (this.#counts !== undefined && !this.#isComplete) throw this.#incomplete('the end is missing')
  }

  #begin(stored: JsonObject): void {
    const { stream, onHeader } = this.#options
    if (this.#counts !== undefined) throw this.#incomplete('a second header')
    const { version, sequence, notes, counts } = decode(headerSchema, stored, `snapshot header of ${stream}`)
    if (version !== snapshotVersion) {
      throw new StateError('snapshot_version', { stream, expected: snapshotVersion, found: version })
    }
    this.#counts = counts
    onHeader({ sequence, notes })
  }

  #grow(part: JsonObject): void {
    const growing = this.#growing
    const grown = growing && withPart(growing.row, part, growing.definition.lists)
    if (growing === undefined || grown === undefined) throw this.#incomplete('a part does not follow its row')
    growing.row = grown
  }

  #finishGrowing(draft: Draft<Tables, View>): void {
    const growing = this.#growing
    this.#growing = undefined
    growing?.definition.restore(draft, growing.row)
  }

  #end(counts: Readonly<Record<string, number>>): void {
    for (const row of new Set([...Object.keys(counts), ...this.#found.keys()])) {
      const [expected, found] = [counts[row] ?? 0, this.#found.get(row) ?? 0]
      if (expected !== found) {
        throw new StateError('snapshot_row_count', { stream: this.#options.stream, row, expected, found })
      }
    }
    this.#isComplete = true
  }

  #incomplete(reason: string): StateError {
    return new StateError('snapshot_incomplete', { stream: this.#options.stream, reason })
  }
}
