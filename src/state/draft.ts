import type { PendingWrite, Table } from './table.js'

/**
 * The writes of one decision: later decisions see them at once, readers once they are committed. Either all of them are
 * committed or all are discarded.
 */
export class Draft<Tables, View> {
  readonly tables: Tables
  /** The state with everything under way, this draft included. */
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

  /** Stages a change of something else that keeps two layers. */
  add(write: PendingWrite): void {
    this.#writes.push(write)
  }

  /** Shows every write to readers, in the order they were made. */
  commit(): void {
    for (const write of this.#writes) write.commit()
  }

  /** Takes every write back, newest first. */
  discard(): void {
    for (let index = this.#writes.length - 1; index >= 0; index--) this.#writes[index]?.undo()
  }
}

/**
 * Writes that everybody sees at once: for replay, which nobody watches. What a refusal leaves half done is not taken
 * back, because it ends the opening and all state with it.
 */
export class DirectDraft<Tables, View> extends Draft<Tables, View> {
  override put<Key, Row>(table: Table<Key, Row>, key: Key, row: Row | undefined): void {
    table.set(key, row)
  }

  override add(write: PendingWrite): void {
    write.commit()
  }
}
