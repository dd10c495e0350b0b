import type { StreamEntry } from './protocol.js'

/** The bounds of a ring. */
export interface EntryRingOptions {
  /** Maximum number of entries. */
  readonly entries: number
  /** Maximum total length of their texts, in UTF-16 units. */
  readonly characters: number
}

/** A part of the content of a ring. */
export interface RingPart {
  readonly texts: readonly string[]
  /** Number of the last entry in it; if it is empty, the requested number, or that of the last lost entry. */
  readonly last: number
  /** The first number that is no longer held, if entries after the requested one were lost. */
  readonly lostFrom?: number
}

/**
 * The last entries of a stream, with their JSON texts, numbered from 1 without gaps. Beyond its bounds the oldest are
 * dropped; nothing is kept for a single slow viewer.
 */
export class EntryRing {
  readonly #options: EntryRingOptions
  readonly #onDrop: (entry: StreamEntry) => void
  #texts: (string | undefined)[] = []
  #entries: (StreamEntry | undefined)[] = []
  #oldest = 1
  #newest = 0
  #characters = 0

  /** `onDrop` is called with each entry that is dropped because of the bounds. */
  constructor(options: EntryRingOptions, onDrop: (entry: StreamEntry) => void = () => {}) {
    this.#options = options
    this.#onDrop = onDrop
  }

  /** Number of the first entry that is held; one more than the newest when it is empty. */
  get oldest(): number {
    return this.#oldest
  }

  /** Number of the last entry; 0 before the first. */
  get newest(): number {
    return this.#newest
  }

  /** Adds the entry with the next number, and its text. */
  push(entry: StreamEntry, text: string): void {
    const { entries, characters } = this.#options
    if (this.#newest - this.#oldest + 1 === entries) this.#dropOldest()
    this.#newest += 1
    this.#texts[this.#newest % entries] = text
    this.#entries[this.#newest % entries] = entry
    this.#characters += text.length
    while (this.#characters > characters && this.#oldest < this.#newest) this.#dropOldest()
  }

  /** The text of an entry, if it is held. */
  text(number: number): string | undefined {
    return this.#holds(number) ? this.#texts[number % this.#options.entries] : undefined
  }

  /** An entry, if it is held. */
  entry(number: number): StreamEntry | undefined {
    return this.#holds(number) ? this.#entries[number % this.#options.entries] : undefined
  }

  /** The entries after a number, within these maximums; the first one is included whatever its length. */
  after(number: number, most: EntryRingOptions): RingPart {
    const first = Math.max(number + 1, this.#oldest)
    const texts: string[] = []
    let characters = 0
    let next = first
    for (; next <= this.#newest && texts.length < most.entries; next += 1) {
      const text = this.text(next) ?? ''
      characters += text.length
      if (texts.length > 0 && characters > most.characters) break
      texts.push(text)
    }
    const isCut = first > number + 1
    return { texts, last: Math.max(number, next - 1), ...(isCut && { lostFrom: number + 1 }) }
  }

  /** Sets the number of the first entry; only before there is one. */
  beginAt(number: number): void {
    this.#oldest = number
    this.#newest = number - 1
  }

  /** Drops all entries and skips a number, so that earlier readers are told of a gap. */
  interrupt(): void {
    this.#texts = []
    this.#entries = []
    this.#characters = 0
    if (this.#newest > 0) this.#newest += 1
    this.#oldest = this.#newest + 1
  }

  #holds(number: number): boolean {
    return number >= this.#oldest && number <= this.#newest
  }

  #dropOldest(): void {
    const slot = this.#oldest % this.#options.entries
    const dropped = this.#entries[slot]
    this.#characters -= this.#texts[slot]?.length ?? 0
    this.#texts[slot] = undefined
    this.#entries[slot] = undefined
    this.#oldest += 1
    if (dropped !== undefined) this.#onDrop(dropped)
  }
}
