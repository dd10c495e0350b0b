import { deepFreeze } from '../base/freeze.js'
import { MultiMap } from '../base/multi-map.js'
import { Packer } from './packer.js'

/** Called for every committed change of a table, with the row before and after; `undefined` where there is none. */
export type RowListener<Key, Row> = (key: Key, before: Row | undefined, after: Row | undefined) => void

/** A change of one row that only later decisions see. Exactly one of its methods is called, once. */
export interface PendingWrite {
  /** Makes the change visible to readers. Writes of one row are committed in the order they were made. */
  commit(): void
  /** Undoes the change. The newest write of a row is undone first. */
  undo(): void
}

/** Options of a {@link Table}. */
export interface TableOptions<Row> {
  /**
   * Whether a row will hardly be changed or read again. All but the latest of these rows are kept packed, and reading
   * one makes a copy. They must be plain values, as a {@link Packer} takes them. Default: none.
   */
  readonly isSettled?: (row: Row) => boolean
  /** The groups that a row belongs to, by which {@link Table.keysIn} finds it. Default: none. */
  readonly groupsOf?: GroupsOf<Row>
}

type GroupsOf<Row> = (row: Row) => readonly string[]

/** A packed row. */
type Packed = string

/** The rows at the instant of the capture. */
export interface CapturedTable<Row> {
  readonly count: number
  rows(): Iterable<Row>
}

/** How many settled rows stay unpacked: code that waits for a row to settle reads it right afterwards. */
const latestSettled = 1024

/**
 * A table of immutable rows in two layers: the committed rows, and the rows that decisions in progress would produce.
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
  readonly #groupsOf: GroupsOf<Row> | undefined
  readonly #groups = new MultiMap<string, Key>()
  readonly #packer = new Packer()
  /** Keys of the rows that settled last, in a ring buffer. */
  readonly #settled: Key[] = []
  #oldestSettled = 0

  constructor({ isSettled, groupsOf }: TableOptions<Row> = {}) {
    this.#isSettled = isSettled
    this.#groupsOf = groupsOf
  }

  /** Number of committed rows. */
  get size(): number {
    return this.#committed.size
  }

  /** Sets the only listener. It is called synchronously within each commit. */
  listen(listener: RowListener<Key, Row>): void {
    this.#listener = listener
  }

  /** The committed row. */
  get(key: Key): Row | undefined {
    const held = this.#committed.get(key)
    return typeof held === 'string' ? this.#rowOf(held) : held
  }

  /** The row including all decisions in progress. */
  latest(key: Key): Row | undefined {
    const pending = this.#pending.get(key)
    if (pending !== undefined) return pending.row
    const held = this.#committed.get(key)
    return typeof held === 'string' ? this.#rowOf(held) : held
  }

  /**
   * Keys of the rows in a group, in the order in which they joined it. One list serves both layers: read the row to
   * find out whether a layer contains it. The result is live.
   */
  keysIn(group: string): Iterable<Key> {
    return this.#groups.get(group)
  }

  /** The committed rows, in the order in which their keys were first committed. */
  rows(): Iterable<Row> {
    return this.#unpacked(this.#committed.values())
  }

  /** The committed rows with their keys, in the same order. */
  *entries(): Iterable<readonly [Key, Row]> {
    for (const [key, held] of this.#committed) yield [key, this.#rowOf(held)]
  }

  /** Captures the committed rows now. They may be read later, whatever changes meanwhile. */
  captured(): CapturedTable<Row> {
    const held = [...this.#committed.values()]
    return { count: held.length, rows: () => this.#unpacked(held) }
  }

  /** Stages a row, which is frozen from now on, or its removal. */
  write(key: Key, row: Row | undefined): PendingWrite {
    deepFreeze(row)
    if (this.#groupsOf !== undefined) this.#enterGroups(this.#groupsOf, key, row)
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

  /** Commits a row, which is frozen from now on, or its removal at once. The key must have no writes in progress. */
  set(key: Key, row: Row | undefined): void {
    deepFreeze(row)
    if (this.#groupsOf !== undefined) this.#enterGroups(this.#groupsOf, key, row)
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
    if (this.#groupsOf !== undefined) this.#leaveGroups(this.#groupsOf, key, before)
    this.#listener?.(key, before, row)
    if (row !== undefined && this.#isSettled?.(row) === true) this.#onSettled(key)
  }

  /** Packs the row that settled longest ago among those that are not packed yet. */
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
    if (this.#groupsOf !== undefined) this.#leaveGroups(this.#groupsOf, key, row)
  }

  #enterGroups(groupsOf: GroupsOf<Row>, key: Key, row: Row | undefined): void {
    if (row !== undefined) for (const group of groupsOf(row)) this.#groups.add(group, key)
  }

  /** Removes the key of a replaced or undone row from its groups, except those of the committed and the pending row. */
  #leaveGroups(groupsOf: GroupsOf<Row>, key: Key, row: Row | undefined): void {
    const groups = row === undefined ? [] : groupsOf(row)
    if (groups.length === 0) return
    const stay = new Set<string>()
    for (const kept of [this.get(key), this.#pending.get(key)?.row]) {
      if (kept !== undefined) for (const group of groupsOf(kept)) stay.add(group)
    }
    for (const group of groups) if (!stay.has(group)) this.#groups.delete(group, key)
  }

  /** Returns the state of the remaining writes of the row, if any. */
  #forgetWrite(key: Key): Pending<Row> | undefined {
    const pending = this.#pending.get(key)
    if (pending === undefined) return undefined
    pending.writes -= 1
    if (pending.writes > 0) return pending
    this.#pending.delete(key)
    return undefined
  }
}

/**
 * What the writes in progress would make of a row. The oldest is committed first and the newest is undone first, so a
 * count is enough.
 */
interface Pending<Row> {
  row: Row | undefined
  writes: number
}

/**
 * The table's callbacks for its writes: one object for all of them, because two closures per write would be
 * expensive.
 */
interface Settle<Key, Row> {
  commit(key: Key, row: Row | undefined): void
  undo(key: Key, row: Row | undefined, hidden: Row | undefined): void
}

class Write<Key, Row> implements PendingWrite {
  readonly #settle: Settle<Key, Row>
  readonly #key: Key
  readonly #row: Row | undefined
  /** The pending row before this write. */
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
