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
  readonly #pending = new Map<Key, Version<Row>>()
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
    const version: Version<Row> = { row, under: this.#pending.get(key), isCommitted: false }
    this.#pending.set(key, version)
    return { commit: () => this.#commit(key, version), undo: () => this.#undo(key, version) }
  }

  #commit(key: Key, version: Version<Row>): void {
    const { row } = version
    version.isCommitted = true
    version.under = undefined
    if (this.#pending.get(key) === version) this.#pending.delete(key)
    const before = this.#committed.get(key)
    if (row === undefined) this.#committed.delete(key)
    else this.#committed.set(key, row)
    this.#listener?.(key, before, row)
  }

  #undo(key: Key, { under }: Version<Row>): void {
    if (under === undefined || under.isCommitted) this.#pending.delete(key)
    else this.#pending.set(key, under)
  }
}

/** What one pending write would make of a row. */
interface Version<Row> {
  readonly row: Row | undefined
  /** The version it hides; forgotten once committed. */
  under: Version<Row> | undefined
  isCommitted: boolean
}
