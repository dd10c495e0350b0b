import type { Clock } from '../../base/clock.js'
import { ActorTable } from './actor-table.js'
import { EntryRing } from './entry-ring.js'
import type { StreamEntry } from './protocol.js'
import { RowTable } from './row-table.js'

/** An entry before it has its place. */
export type EntryBody = BodyOf<StreamEntry>
type BodyOf<Entry> = Entry extends StreamEntry ? Omit<Entry, 'n' | 'atMs'> : never

/** What a stream is made of. */
export interface InspectionStreamOptions {
  readonly clock: Pick<Clock, 'wallNow'>
  /** Entries that are held for viewers who come later or read slowly, and so many items and actors that have ended. */
  readonly capacity: number
  /** The last look at an entry; false keeps it out. */
  readonly filter?: ((entry: StreamEntry) => boolean) | undefined
}

/** UTF-16 units of all entries that are held, at most. */
const mostCharacters = 32 * 1024 * 1024
/** UTF-16 units of the actors and of the items that are remembered. */
const mostOfTable = 128 * 1024 * 1024

/** Items and actors that have not ended, at most. */
const mostLive = 100_000

/** UTF-16 units of one entry at most; a longer one becomes a gap. */
const longestEntry = 256 * 1024

/** Random in a page too that was not loaded in a secure context, where `randomUUID` is missing. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * One stream of what happens: numbered when it is queued, bounded, and the same for all viewers, each of which reads at its
 * own pace. What it has told of is folded into tables of actors and rows, so that whoever comes sees how things are.
 */
export class InspectionStream {
  /** Numbers of another stream mean nothing here. */
  readonly id = randomId()
  #actors: ActorTable
  #rows: RowTable
  readonly ring: EntryRing
  readonly #options: InspectionStreamOptions
  readonly #listeners = new Set<() => void>()
  #dropped = 0

  constructor(options: InspectionStreamOptions) {
    this.#options = options
    const { capacity } = options
    this.ring = new EntryRing({ entries: capacity, characters: mostCharacters })
    this.#actors = new ActorTable({ live: mostLive, ended: capacity, characters: mostOfTable })
    this.#rows = new RowTable({ live: mostLive, ended: capacity, characters: mostOfTable })
  }

  /** Where the actors stand that it has told of. */
  get actors(): ActorTable {
    return this.#actors
  }

  /** How the items are that it has told of. */
  get rows(): RowTable {
    return this.#rows
  }

  /** Nobody has listened for a while: what is known is old, and what comes next does not follow on what was. */
  restart(): void {
    this.#actors = this.#actors.empty()
    this.#rows = this.#rows.empty()
    this.ring.interrupt()
  }

  /** Entries that could not be queued. */
  get dropped(): number {
    return this.#dropped
  }

  /** Adds an entry and gives it its number; one that tells what was so before anybody looked is no news. */
  push(body: EntryBody, isNews = true): void {
    const entry = { ...body, n: this.ring.newest + 1, atMs: Math.trunc(this.#options.clock.wallNow()) } as StreamEntry
    if (this.#options.filter?.(entry) === false) return
    this.#actors.take(entry)
    if (entry.type === 'row') this.#rows.put(entry.row, isNews)
    const text = JSON.stringify(entry)
    if (text.length > longestEntry) return this.lose()
    this.ring.push(text)
    for (const listener of this.#listeners) listener()
  }

  /** Leaves a gap in the place of an entry that could not be made. */
  lose(): void {
    const n = this.ring.newest + 1
    this.#dropped += 1
    const atMs = Math.trunc(this.#options.clock.wallNow())
    this.ring.push(JSON.stringify({ type: 'gap', n, atMs, from: n, reason: 'cut' } satisfies StreamEntry))
    for (const listener of this.#listeners) listener()
  }

  /** Calls back after each entry, until the handle is disposed. */
  onEntry(listener: () => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }
}
