/** Hears of every committed change of a table: the row before and after, `undefined` where there is none. */
export type RowListener<Key, Row> = (key: Key, before: Row | undefined, after: Row | undefined) => void

/** A change of one row that is visible to later decisions only. Exactly one of its methods is called, once. */
export interface PendingWrite {
  /** Shows the change to readers; writes of one row are committed in the order they were made. */
  commit(): void
  /** Takes the change back; the newest write of a row goes first. */
  undo(): void
}

/**
 * A table of immutable rows in two layers: what is committed, and what decisions under way would make of it.
 *
 * Reading either layer costs O(1), and so does committing or undoing a write.
 */
export class LayeredTable<Key, Row> {
  readonly #committed = new Map<Key, Row>()
  readonly #pending = new Map<Key, Version<Key, Row>>()
  #listener: RowListener<Key, Row> | undefined

  /** Committed rows. */
  get size(): number {
    return this.#committed.size
  }

  /** Names the one listener, told synchronously within each commit. */
  listen(listener: RowListener<Key, Row>): void {
    this.#listener = listener
  }

  /** The committed row. */
  get(key: Key): Row | undefined {
    return this.#committed.get(key)
  }

  /** The row as the decisions under way would leave it. */
  latest(key: Key): Row | undefined {
    const version = this.#pending.get(key)
    return version === undefined ? this.#committed.get(key) : version.row
  }

  /** Committed rows in the order in which their keys were first committed. */
  rows(): Iterable<Row> {
    return this.#committed.values()
  }

  /** The same with their keys. */
  entries(): Iterable<readonly [Key, Row]> {
    return this.#committed.entries()
  }

  /** Rows under way, newest version each. */
  *pendingRows(): Iterable<Row> {
    for (const { row } of this.#pending.values()) if (row !== undefined) yield row
  }

  /** Stages a row, or its removal. */
  write(key: Key, row: Row | undefined): PendingWrite {
    const version = new Version(this, key, row, this.#pending.get(key))
    this.#pending.set(key, version)
    return version
  }

  /** @internal For {@link Version} only. */
  settle(version: Version<Key, Row>, isCommitted: boolean): void {
    const { key, row, under } = version
    const isNewest = this.#pending.get(key) === version
    if (!isCommitted && under?.isCommitted === false) this.#pending.set(key, under)
    else if (isNewest) this.#pending.delete(key)
    if (!isCommitted) return
    const before = this.#committed.get(key)
    if (row === undefined) this.#committed.delete(key)
    else this.#committed.set(key, row)
    this.#listener?.(key, before, row)
  }
}

class Version<Key, Row> implements PendingWrite {
  readonly key: Key
  readonly row: Row | undefined
  /** The version this one hides, forgotten once committed. */
  under: Version<Key, Row> | undefined
  isCommitted = false
  readonly #table: LayeredTable<Key, Row>

  constructor(table: LayeredTable<Key, Row>, key: Key, row: Row | undefined, under: Version<Key, Row> | undefined) {
    this.#table = table
    this.key = key
    this.row = row
    this.under = under
  }

  commit(): void {
    this.isCommitted = true
    this.under = undefined
    this.#table.settle(this, true)
  }

  undo(): void {
    this.#table.settle(this, false)
  }
}
