import type { ActorTable } from './actor-table.js'
import type { PartTable } from './part-table.js'
import type { StreamEntry } from './protocol.js'
import { hasEnded, type RowTable } from './row-table.js'

/** An entry without its number. */
export type EntryBody = BodyOf<StreamEntry>
type BodyOf<Entry> = Entry extends StreamEntry ? Omit<Entry, 'n' | 'atMs'> : never

/** What a stream has told so far, folded from its entries: actors, items, and the parts that are neither. */
export class KnownState {
  readonly actors: ActorTable
  readonly rows: RowTable
  readonly parts: PartTable

  /** Begins with these tables, which bound what is remembered. */
  constructor(actors: ActorTable, rows: RowTable, parts: PartTable) {
    this.actors = actors
    this.rows = rows
    this.parts = parts
  }

  /** An independent copy. O(everything that is known). */
  copy(): KnownState {
    return new KnownState(this.actors.copy(), this.rows.copy(), this.parts.copy())
  }

  /** An empty one with the same bounds. */
  empty(): KnownState {
    return new KnownState(this.actors.empty(), this.rows.empty(), this.parts.empty())
  }

  /** Entries that lead to what is known of everything that has not ended. */
  *entries(): Iterable<EntryBody> {
    for (const { status, changedAt: _, ...actor } of this.actors.rows())
      if (status === 'active') yield { type: 'actor', ...actor }
    for (const row of this.rows.rows()) if (!hasEnded(row)) yield { type: 'row', row }
    for (const part of this.parts.parts()) yield { type: 'part', ...part }
  }

  /** Folds the next entry; `isNews` is false for what existed before the first viewer. */
  take(entry: StreamEntry, isNews = true): void {
    if (entry.type === 'row') this.rows.put(entry.row, isNews)
    else if (entry.type === 'part') this.parts.put(entry)
    else this.actors.take(entry)
  }
}
