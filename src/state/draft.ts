import type { PendingWrite, Table } from './table.js'

/**
 * The writes of one decision. Later decisions see them at once, readers only once they are committed. Either all of
 * them are committed or all are discarded.
 */
export class Draft<Tables, View> {
  readonly tables: Tables
  /** The state including all decisions in progress and this draft. */
  readonly view: View
  readonly #writes: PendingWrite[] = []

  constructor(tables: Tables, view: View) {
    this.tables = tables
    this.view = view
  }

  /** Stages a row, or its removal. */
  put<Key, Row>(table: Table<Key, Row>, key: Key, row: Row | undefined): void {
    this.#writes.push(table.write(key, row))
  }

  /** Stages a change of something else that has committed and pending states. */
  add(write: PendingWrite): void {
    this.#writes.push(write)
  }

  /** Makes every write visible to readers, in the order they were made. */
  commit(): void {
    for (const write of this.#writes) write.commit()
  }

  /** Undoes every write, newest first. */
  discard(): void {
    for (let index = this.#writes.length - 1; index >= 0; index--) this.#writes[index]?.undo()
  }
}

/**
 * A draft whose writes are visible at once, for replay, which nothing observes. The writes of a refused event are not
 * undone, because the refusal ends the opening and discards all state.
 */
export class DirectDraft<Tables, View> extends Draft<Tables, View> {
  override put<Key, Row>(table: Table<Key, Row>, key: Key, row: Row | undefined): void {
    table.set(key, row)
  }

  override add(write: PendingWrite): void {
    write.commit()
  }
}
