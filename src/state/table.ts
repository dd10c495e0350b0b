import { deepFreeze } from '../base/freeze.js'
import { MultiMap } from '../base/multi-map.js'
import { Packer } from './packer.js'

/** Hears of every committed change of a table: the row before and after, `undefined` where there is none. */
export type RowListener<Key, Row> = (key: Key, before: Row | undefined, after: Row | undefined) => void

/** A change of one row that is visible to later decisions only. Exactly one of its methods is called, once. */
export interface PendingWrite {
  /** Shows the change to readers; writes of one row are committed in the order they were made. */
  commit(): void
  /** Takes the change back; the newest write of a row goes first. */
  undo(): void
}

/** How a table keeps its rows. */
export interface TableOptions<Row> {
  /**
   * Rows that will hardly change or be read again: all but the latest of them are kept packed, and every reading makes a
   * copy. They are plain values, as a {@link Packer} takes them. Default: none.
   */
  readonly isSettled?: (row: Row) => boolean
  /** Names of groups that a row belongs to, by which {@link Table.keysIn} finds it. Default: none. */
  readonly groupsOf?: (row: Row) => readonly string[]
}

/** A row as text. */
type Packed = string

/** Rows as they were when they were taken. */
export interface CapturedTable<Row> {
  readonly count: number
  rows(): Iterable<Row>
}

/** How many settled rows stay as they are: who waits for a row to settle reads it right then. */
const latestSettled = 1024

/**
 * A table of immutable rows in two layers: what is committed, and what decisions under way would make of it.
 *
 * Reading either layer costs O(1), and so does committing or undoing a write.
 */
export class Table<Key, Row> {
  readonly #committed = new Map<Key, Row | Packed>()
  readonly #pending = new Map<Key, Pending<Row>>()
  readonly #settle: Settle<Key, Row> = {
    commit: (key, row) => this.#commit(key, row),
    undo: (key, row, hidden) => this.#undo(key, row, hidden),
  }
  #listener: RowListener<Key, Row> | undefined
  readonly #isSettled: ((row: Row) => boolean) | undefined
  readonly #groupsOf: ((row: Row) => readonly string[]) | undefined
  readonly #groups = new MultiMap<string, Key>()
  readonly #packer = new Packer()
  /** Keys of the rows that settled last, in a ring. */
  readonly #settled: Key[] = []
  #oldestSettled = 0

  constructor({ isSettled, groupsOf }: TableOptions<Row> = {}) {
    this.#isSettled = isSettled
    this.#groupsOf = groupsOf
  }

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
    const held = this.#committed.get(key)
    return typeof held === 'string' ? this.#rowOf(held) : held
  }

  /** The row as the decisions under way would leave it. */
  latest(key: Key): Row | undefined {
    const pending = this.#pending.get(key)
    if (pending !== undefined) return pending.row
    const held = this.#committed.get(key)
    return typeof held === 'string' ? this.#rowOf(held) : held
  }

  /**
   * Keys of rows that belong to a group, in the order in which they came to it. One list serves both layers: whether a layer
   * shows a row there, the row says. Live.
   */
  keysIn(group: string): Iterable<Key> {
    return this.#groups.get(group)
  }

  /** Committed rows in the order in which their keys were first committed. */
  rows(): Iterable<Row> {
    return this.#unpacked(this.#committed.values())
  }

  /** The same with their keys. */
  *entries(): Iterable<readonly [Key, Row]> {
    for (const [key, held] of this.#committed) yield [key, this.#rowOf(held)]
  }

  /** The same rows, taken now and read at leisure, whatever changes meanwhile. */
  captured(): CapturedTable<Row> {
    const held = [...this.#committed.values()]
    return { count: held.length, rows: () => this.#unpacked(held) }
  }

  /** Stages a row, which is frozen from now on, or its removal. */
  write(key: Key, row: Row | undefined): PendingWrite {
    deepFreeze(row)
    this.#enterGroups(key, row)
    const pending = this.#pending.get(key)
    const write = new Write(this.#settle, key, row, pending?.row)
    if (pending === undefined) {
      this.#pending.set(key, { row, writes: 1 })
    } else {
      pending.row = row
      pending.writes += 1
    }
    return write
  }

  /** Commits a row, which is frozen from now on, or its removal at once; no write of it may be under way. */
  set(key: Key, row: Row | undefined): void {
    deepFreeze(row)
    this.#enterGroups(key, row)
    this.#show(key, row)
  }

  #commit(key: Key, row: Row | undefined): void {
    this.#forgetWrite(key)
    this.#show(key, row)
  }

  #show(key: Key, row: Row | undefined): void {
    const before = this.#listener === undefined && this.#groupsOf === undefined ? undefined : this.get(key)
    if (row === undefined) this.#committed.delete(key)
    else this.#committed.set(key, row)
    this.#leaveGroups(key, before)
    this.#listener?.(key, before, row)
    if (row !== undefined && this.#isSettled?.(row) === true) this.#onSettled(key)
  }

  /** Packs the row that settled longest ago of those that are not packed yet. */
  #onSettled(key: Key): void {
    const place = this.#oldestSettled
    const oldest = this.#settled[place]
    this.#settled[place] = key
    this.#oldestSettled = (place + 1) % latestSettled
    const row = oldest === undefined ? undefined : this.#committed.get(oldest)
    if (oldest === undefined || row === undefined || typeof row === 'string' || this.#isSettled?.(row) !== true) return
    this.#committed.set(oldest, this.#packer.pack(row))
  }

  *#unpacked(held: Iterable<Row | Packed>): Iterable<Row> {
    for (const row of held) yield this.#rowOf(row)
  }

  #rowOf(held: Row | Packed): Row {
    return typeof held === 'string' && this.#isSettled !== undefined
      ? (this.#packer.unpack(held) as Row)
      : (held as Row)
  }

  #undo(key: Key, row: Row | undefined, hidden: Row | undefined): void {
    const pending = this.#forgetWrite(key)
    if (pending !== undefined) pending.row = hidden
    this.#leaveGroups(key, row)
  }

  #enterGroups(key: Key, row: Row | undefined): void {
    if (this.#groupsOf === undefined || row === undefined) return
    for (const group of this.#groupsOf(row)) this.#groups.add(group, key)
  }

  /** A row was replaced or taken back: its groups are left, but for those of the rows that are there. */
  #leaveGroups(key: Key, row: Row | undefined): void {
    const groups = this.#groupsOf === undefined || row === undefined ? [] : this.#groupsOf(row)
    if (groups.length === 0) return
    const stay = new Set<string>()
    for (const kept of [this.get(key), this.#pending.get(key)?.row]) {
      if (kept !== undefined) for (const group of this.#groupsOf?.(kept) ?? []) stay.add(group)
    }
    for (const group of groups) if (!stay.has(group)) this.#groups.delete(group, key)
  }

  /** Returns what other writes of the row still wait for. */
  #forgetWrite(key: Key): Pending<Row> | undefined {
    const pending = this.#pending.get(key)
    if (pending === undefined) return undefined
    pending.writes -= 1
    if (pending.writes > 0) return pending
    this.#pending.delete(key)
    return undefined
  }
}

/** What the writes under way would make of a row. Oldest ones commit and newest ones are undone, so a count is enough. */
interface Pending<Row> {
  row: Row | undefined
  writes: number
}

/** The table's end of its writes: one for all of them, because a pair of closures per write would add up. */
interface Settle<Key, Row> {
  commit(key: Key, row: Row | undefined): void
  undo(key: Key, row: Row | undefined, hidden: Row | undefined): void
}

class Write<Key, Row> implements PendingWrite {
  readonly #settle: Settle<Key, Row>
  readonly #key: Key
  readonly #row: Row | undefined
  /** What was pending before it. */
  readonly #hidden: Row | undefined

  constructor(settle: Settle<Key, Row>, key: Key, row: Row | undefined, hidden: Row | undefined) {
    this.#settle = settle
    this.#key = key
    this.#row = row
    this.#hidden = hidden
  }

  commit(): void {
    this.#settle.commit(this.#key, this.#row)
  }

  undo(): void {
    this.#settle.undo(this.#key, this.#row, this.#hidden)
  }
}
