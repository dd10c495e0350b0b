/** How much a ring holds. */
export interface EntryRingOptions {
  /** Entries at most. */
  readonly entries: number
  /** UTF-16 units of all their texts at most. */
  readonly characters: number
}

/** A part of what a ring holds. */
export interface RingPart {
  readonly texts: readonly string[]
  /** Number of the last of them; where there is none, the number that was asked for, or that of the last one lost. */
  readonly last: number
  /** The first number that is not held any more, where some behind the one asked for are not. */
  readonly lostFrom?: number
}

/**
 * The last entries of a stream as texts of JSON, numbered from 1 without gaps. What is beyond its bounds goes, the oldest first:
 * however slowly a viewer reads, nothing is kept for it alone.
 */
export class EntryRing {
  readonly #options: EntryRingOptions
  #texts: (string | undefined)[] = []
  #oldest = 1
  #newest = 0
  #characters = 0

  constructor(options: EntryRingOptions) {
    this.#options = options
  }

  /** Number of the first entry that is held; one more than the newest when none is. */
  get oldest(): number {
    return this.#oldest
  }

  /** Number of the last entry, 0 before there was one. */
  get newest(): number {
    return this.#newest
  }

  /** Adds the text of the entry with the next number. */
  push(text: string): void {
    const { entries, characters } = this.#options
    if (this.#newest - this.#oldest + 1 === entries) this.#dropOldest()
    this.#newest += 1
    this.#texts[this.#newest % entries] = text
    this.#characters += text.length
    while (this.#characters > characters && this.#oldest < this.#newest) this.#dropOldest()
  }

  /** The text of an entry, if it is held. */
  text(number: number): string | undefined {
    return number < this.#oldest || number > this.#newest ? undefined : this.#texts[number % this.#options.entries]
  }

  /** What follows a number, up to so many entries and, but for the first, so many characters. */
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

  /** The first entry has this number; only before there is one. */
  beginAt(number: number): void {
    this.#oldest = number
    this.#newest = number - 1
  }

  /** Forgets all entries and leaves a number out, so that whoever read before is told that something is missing. */
  interrupt(): void {
    this.#texts = []
    this.#characters = 0
    if (this.#newest > 0) this.#newest += 1
    this.#oldest = this.#newest + 1
  }

  #dropOldest(): void {
    const slot = this.#oldest % this.#options.entries
    this.#characters -= this.#texts[slot]?.length ?? 0
    this.#texts[slot] = undefined
    this.#oldest += 1
  }
}
