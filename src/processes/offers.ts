import type { ProcessRecord } from './record.js'

/** How many offered processes are remembered until there is a free slot. With more, the store is scanned for them. */
const mostOffered = 1024

/** Processes offered to a worker while it had no free slot for them. They take turns by kind. */
export class Offers {
  readonly #byKind = new Map<string, ProcessRecord[]>()
  #count = 0

  /** Remembers a process. False if there are too many. */
  add(record: ProcessRecord): boolean {
    if (this.#count >= mostOffered) return false
    const { kind } = record.identity
    const before = this.#byKind.get(kind)
    if (before === undefined) this.#byKind.set(kind, [record])
    else before.push(record)
    this.#count += 1
    return true
  }

  clear(): void {
    this.#byKind.clear()
    this.#count = 0
  }

  /**
   * Hands over remembered processes for as long as `slotFor` has a slot for their kind, one kind after another. Those
   * that `take` adds meanwhile have their turn as well.
   */
  handOver<Slot>(slotFor: (kind: string) => Slot | undefined, take: (slot: Slot, record: ProcessRecord) => void): void {
    for (const [kind, records] of this.#byKind) {
      const slot = slotFor(kind)
      if (slot === undefined) continue
      const record = records.shift() as ProcessRecord
      this.#count -= 1
      this.#byKind.delete(kind)
      // Moved to the end of the map, so this loop reaches the kind again after the others.
      if (records.length > 0) this.#byKind.set(kind, records)
      take(slot, record)
    }
  }
}
