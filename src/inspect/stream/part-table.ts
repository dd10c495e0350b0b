import type { Part, PartName } from './protocol.js'

/** The row of a part that is not over. */
type PartRow<Name extends PartName> = NonNullable<Extract<Part, { readonly part: Name }>['row']>

/** The maximum number of remembered parts, and of their total length in UTF-16 units; the oldest are dropped. */
export interface PartBounds {
  readonly parts: number
  readonly characters: number
}

const usualBounds: PartBounds = { parts: 20_000, characters: 16 * 1024 * 1024 }

interface Held {
  readonly part: Part
  readonly characters: number
}

/** The current rows of all parts that a stream has told of: feeds, barriers, questions, budgets. */
export class PartTable {
  readonly #bounds: PartBounds
  readonly #held: Map<string, Held>
  #characters: number

  constructor(bounds: PartBounds = usualBounds, from?: PartTable) {
    this.#bounds = bounds
    this.#held = new Map(from === undefined ? [] : from.#held)
    this.#characters = from === undefined ? 0 : from.#characters
  }

  /** An independent copy. */
  copy(): PartTable {
    return new PartTable(this.#bounds, this)
  }

  /** An empty table with the same bounds. */
  empty(): PartTable {
    return new PartTable(this.#bounds)
  }

  /** All parts that are not over, in the order they were first told. */
  *parts(): Iterable<Part> {
    for (const { part } of this.#held.values()) yield part
  }

  /** The rows of one kind, in the order they were first told. */
  *rows<Name extends PartName>(name: Name): Iterable<PartRow<Name>> {
    for (const { part } of this.#held.values()) if (part.part === name) yield part.row as PartRow<Name>
  }

  put(part: Part): void {
    const key = partKey(part)
    const before = this.#held.get(key)
    if (before !== undefined) this.#characters -= before.characters
    if (part.row === null) {
      this.#held.delete(key)
      return
    }
    const characters = charactersIn(part.row)
    this.#held.set(key, { part, characters })
    this.#characters += characters
    const { parts, characters: most } = this.#bounds
    while (this.#held.size > 1 && (this.#held.size > parts || this.#characters > most)) this.#dropOldest()
  }

  #dropOldest(): void {
    for (const [key, { characters }] of this.#held) {
      this.#held.delete(key)
      this.#characters -= characters
      return
    }
  }
}

/** Identifies a part among all others. */
export function partKey({ part, key }: Pick<Part, 'part' | 'key'>): string {
  return `${part} ${key}`
}

/** The approximate memory that a value takes. */
function charactersIn(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  return Object.values(value).reduce<number>((sum, part) => sum + charactersIn(part), 8)
}
