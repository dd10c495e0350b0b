import type { Counts, ItemPhase, ItemRef, ItemRow, ItemType, ListRequest, Page } from './protocol.js'

/** The maximum number of remembered rows; those that changed least recently are dropped. */
export interface RowBounds {
  readonly live: number
  readonly ended: number
  /** Total length of their texts, in UTF-16 units. */
  readonly characters: number
}

const usualBounds: RowBounds = { live: 100_000, ended: 100_000, characters: 128 * 1024 * 1024 }

/** How many items have started, ended and failed. */
export interface Flow {
  readonly started: number
  readonly ended: number
  readonly failed: number
}

/** Phases that are final. */
const over: ReadonlySet<ItemPhase> = new Set(['completed', 'failed', 'cancelled', 'lost'])

/** Whether an item has ended. */
export function hasEnded({ phase }: Pick<ItemRow, 'phase'>): boolean {
  return over.has(phase)
}

/** A row, with its searchable text, which is made on the first search. */
interface Held {
  readonly row: ItemRow
  readonly characters: number
  text: string | undefined
}

/** The current rows of all reported items, the latest change last; the source of lists. */
export class RowTable {
  readonly #bounds: RowBounds
  /** Items that have not ended, and items that have, each in the order they changed. */
  readonly #live: Map<string, Held>
  readonly #ended: Map<string, Held>
  #flow: Flow
  #characters: number
  #dropped = 0

  constructor(bounds: RowBounds = usualBounds, from?: RowTable) {
    this.#bounds = bounds
    this.#live = new Map(from === undefined ? [] : from.#live)
    this.#ended = new Map(from === undefined ? [] : from.#ended)
    this.#characters = from === undefined ? 0 : from.#characters
    this.#flow = from?.flow ?? { started: 0, ended: 0, failed: 0 }
  }

  /** How many items have started, ended and failed since the first row. */
  get flow(): Flow {
    return this.#flow
  }

  /** An independent copy. */
  copy(): RowTable {
    return new RowTable(this.#bounds, this)
  }

  /** An empty table with the same bounds. */
  empty(): RowTable {
    return new RowTable(this.#bounds)
  }

  /** Rows that were dropped because there were too many. */
  get dropped(): number {
    return this.#dropped
  }

  get size(): number {
    return this.#live.size + this.#ended.size
  }

  row(item: ItemRef): ItemRow | undefined {
    const key = keyOf(item)
    return (this.#live.get(key) ?? this.#ended.get(key))?.row
  }

  /** All rows, those that have not ended first, each group in the order they changed. */
  *rows(): Iterable<ItemRow> {
    for (const { row } of this.#live.values()) yield row
    for (const { row } of this.#ended.values()) yield row
  }

  /** The number of items of a type in each status. O(rows). */
  counts(type: ItemType): Counts {
    const phases: Partial<Record<ItemPhase, number>> = {}
    const statuses = new Map<string, number>()
    for (const row of this.rows()) {
      if (row.type !== type) continue
      phases[row.phase] = (phases[row.phase] ?? 0) + 1
      statuses.set(row.status, (statuses.get(row.status) ?? 0) + 1)
    }
    return { phases, statuses: Object.fromEntries(statuses) }
  }

  /** The number of items that run and that wait. O(items that have not ended). */
  standing(): { readonly running: number; readonly waiting: number } {
    let waiting = 0
    let running = 0
    for (const { row } of this.#live.values()) {
      if (row.type === 'job' || row.type === 'run') continue
      if (row.phase === 'waiting') waiting += 1
      else running += 1
    }
    return { running, waiting }
  }

  /**
   * Replaces the row of an item. With `isNews` false, for what existed before the first viewer, it does not count in
   * the flow.
   */
  put(row: ItemRow, isNews = true): void {
    const key = keyOf(row)
    const { started, ended, failed } = this.#flow
    const isNew = !this.#live.has(key) && !this.#ended.has(key)
    const endsNow = hasEnded(row) && !this.#ended.has(key)
    if (isNews)
      this.#flow = {
        started: started + (isNew ? 1 : 0),
        ended: ended + (endsNow ? 1 : 0),
        failed: failed + (endsNow && row.phase === 'failed' ? 1 : 0),
      }
    this.#drop(this.#live, key)
    this.#drop(this.#ended, key)
    const table = hasEnded(row) ? this.#ended : this.#live
    const characters = charactersOf(row)
    table.set(key, { row, characters, text: undefined })
    this.#characters += characters
    const most = table === this.#ended ? this.#bounds.ended : this.#bounds.live
    if (table.size > most) this.#dropFirst(table)
    while (this.#characters > this.#bounds.characters && this.size > 1)
      this.#dropFirst(this.#ended.size > 0 ? this.#ended : this.#live)
  }

  #dropFirst(table: Map<string, Held>): void {
    const { value: first } = table.keys().next()
    if (first === undefined) return
    this.#drop(table, first)
    this.#dropped += 1
  }

  #drop(table: Map<string, Held>, key: string): void {
    const held = table.get(key)
    if (held === undefined) return
    table.delete(key)
    this.#characters -= held.characters
  }

  /** The requested part of the list. O(rows), plus a sort if another order than that of changes is requested. */
  list(request: ListRequest): Page<ItemRow> {
    const { offset = 0, limit = 100, order = 'changed' } = request
    const found = [...this.#found(request)]
    if (order === 'name') found.sort((one, other) => compare(one.name, other.name) || compare(one.id, other.id))
    else if (order === 'created') found.sort((one, other) => (other.createdAtMs ?? 0) - (one.createdAtMs ?? 0))
    return { total: found.length, offset, rows: found.slice(offset, offset + limit) }
  }

  *#found({ types = defaultTypes, phases, text = '' }: ListRequest): Iterable<ItemRow> {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean)
    for (const table of [this.#live, this.#ended]) {
      for (const held of [...table.values()].toReversed()) {
        const { row } = held
        if (!types.includes(row.type) || phases?.includes(row.phase) === false) continue
        if (words.length > 0 && !matches(held, words)) continue
        yield row
      }
    }
  }
}

/** The approximate memory that a row takes. */
function charactersOf({ id, session, name, kind, status, error, waitsFor, owner, progress, parent }: ItemRow): number {
  let characters = 0
  for (const text of [id, session, name, kind, status, error, waitsFor, owner, progress?.message, parent?.id])
    characters += text?.length ?? 0
  return characters
}

const defaultTypes: NonNullable<ListRequest['types']> = ['operation', 'task', 'process', 'daemon']

/** The key of an item. */
export function keyOf({ type, id, session = '' }: ItemRef): string {
  return `${type} ${session} ${id}`
}

function matches(held: Held, words: readonly string[]): boolean {
  held.text ??= textOf(held.row)
  const { text } = held
  return words.every((word) => text.includes(word))
}

function textOf({ name, kind, id, session, phase, status, owner, error, waitsFor }: ItemRow): string {
  return [name, kind, id, session, phase, status, owner, error, waitsFor].join(' ').toLowerCase()
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
