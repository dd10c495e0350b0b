import type { Clock } from '../../base/clock.js'
import { ActorTable } from './actor-table.js'
import { EntryRing } from './entry-ring.js'
import { KnownState, type EntryBody } from './known-state.js'
import { PartTable } from './part-table.js'
import type { StreamEntry } from './protocol.js'
import { RowTable } from './row-table.js'

/** Options of an {@link InspectionStream}. */
export interface InspectionStreamOptions {
  readonly clock: Pick<Clock, 'wallNow'>
  /**
   * The number of entries held for viewers who come late or read slowly; also the maximum of remembered ended items and
   * of ended actors.
   */
  readonly capacity: number
  /** Called for each entry before it is added; false leaves it out. */
  readonly filter?: ((entry: StreamEntry) => boolean) | undefined
}

/** Maximum total length of the held entries, in UTF-16 units. */
const mostCharacters = 32 * 1024 * 1024
/** Maximum total length of the remembered actors and of the remembered items, in UTF-16 units. */
const mostOfTable = 128 * 1024 * 1024

/** Maximum number of items and of actors that have not ended. */
const mostLive = 100_000

/** Maximum length of one entry in UTF-16 units; a longer one becomes a gap. */
const longestEntry = 256 * 1024

/** `randomUUID` is missing in a page that was not loaded in a secure context; this id is random there too. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * One stream of everything that happens: numbered as entries are queued, bounded, and shared by all viewers, each of
 * which reads at its own pace. Its entries are folded twice: all of them, so that new viewers see the current state, and
 * those that are no longer held, so that the state after each held entry can be told.
 */
export class InspectionStream {
  /** Identifies the stream; entry numbers of another stream have no meaning here. */
  readonly id = randomId()
  #known: KnownState
  /** What was known right before the first entry that is held. */
  #base: KnownState
  readonly ring: EntryRing
  readonly #options: InspectionStreamOptions
  readonly #listeners = new Set<() => void>()
  #dropped = 0
  #settledAt = 0

  constructor(options: InspectionStreamOptions) {
    this.#options = options
    const { capacity } = options
    this.ring = new EntryRing({ entries: capacity, characters: mostCharacters }, (entry) => this.#base.take(entry))
    const bounds = { live: mostLive, ended: capacity, characters: mostOfTable }
    this.#known = new KnownState(new ActorTable(bounds), new RowTable(bounds), new PartTable())
    this.#base = this.#known.empty()
  }

  /** What it has told so far. */
  get known(): KnownState {
    return this.#known
  }

  /** Number of the first held entry after which it had told everything that there was. */
  get oldest(): number {
    return Math.max(this.ring.oldest, this.#settledAt)
  }

  /** Everything that existed before the first viewer has been told. */
  settle(): void {
    this.#settledAt = this.ring.newest
  }

  /** What it had told after an entry; after the first entry that is held if that one is no longer held. */
  knownAfter(number: number): KnownState {
    const known = this.#base.copy()
    const { ring } = this
    for (let n = ring.oldest; n <= Math.min(Math.max(number, ring.oldest), ring.newest); n += 1) {
      const entry = ring.entry(n)
      if (entry !== undefined) known.take(entry)
    }
    return known
  }

  /**
   * Entries that lead to what was known right before the first entry that is held, of everything that had not ended
   * then. They have its time, and all the same number.
   */
  *before(): Iterable<StreamEntry> {
    const first = this.ring.entry(this.ring.oldest)
    if (first === undefined) return
    const [n, atMs] = [Math.max(1, first.n - 1), first.atMs]
    for (const body of this.#base.entries()) yield { ...body, n, atMs }
  }

  /** Starts over after a time without viewers: the known state is old, and new entries do not continue it. */
  restart(): void {
    this.#known = this.#known.empty()
    this.#base = this.#base.empty()
    this.ring.interrupt()
  }

  /** Entries that could not be queued. */
  get dropped(): number {
    return this.#dropped
  }

  /** Adds an entry and gives it its number; `isNews` is false for what existed before the first viewer. */
  push(body: EntryBody, isNews = true): void {
    const entry = { ...body, n: this.ring.newest + 1, atMs: Math.trunc(this.#options.clock.wallNow()) } as StreamEntry
    if (this.#options.filter?.(entry) === false) return
    this.#known.take(entry, isNews)
    const text = JSON.stringify(entry)
    if (text.length > longestEntry) return this.lose()
    this.ring.push(entry, text)
    for (const listener of this.#listeners) listener()
  }

  /** Leaves a gap in place of an entry that could not be made. */
  lose(): void {
    const n = this.ring.newest + 1
    this.#dropped += 1
    const atMs = Math.trunc(this.#options.clock.wallNow())
    const gap: StreamEntry = { type: 'gap', n, atMs, from: n, reason: 'cut' }
    this.ring.push(gap, JSON.stringify(gap))
    for (const listener of this.#listeners) listener()
  }

  /** Calls the listener after each entry, until the handle is disposed. */
  onEntry(listener: () => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }
}
