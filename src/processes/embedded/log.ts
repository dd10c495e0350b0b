import { deepFreeze } from '../../base/freeze.js'
import type { PendingWrite } from '../../state/table.js'
import type { LogEntry } from '../event.js'

const none: readonly number[] = []

/**
 * The log of one process, with what decisions under way have appended at its end: they see it, readers do not before it is
 * committed. Entries stand at their sequence, so every read costs what it returns.
 */
export class ProcessLog {
  /** What is committed, then what is not yet. */
  readonly #entries: LogEntry[] = []
  readonly #byKey = new Map<string, LogEntry>()
  /** Sequences by event type, in order. */
  readonly #byType = new Map<string, number[]>()
  readonly #acked = new Set<number>()
  #committed = 0

  /** Length of what is committed. */
  get committed(): number {
    return this.#committed
  }

  /** Appends an entry, which is frozen from now on; entries are committed in order and undone newest first. */
  append(entry: LogEntry): PendingWrite {
    const { sequence, eventType, replayKey } = deepFreeze(entry)
    this.#entries.push(entry)
    if (replayKey !== undefined) this.#byKey.set(replayKey, entry)
    const ofType = this.#byType.get(eventType)
    if (ofType === undefined) this.#byType.set(eventType, [sequence])
    else ofType.push(sequence)
    return {
      commit: () => {
        this.#committed = sequence
      },
      undo: () => {
        this.#entries.pop()
        this.#byType.get(eventType)?.pop()
        if (replayKey !== undefined) this.#byKey.delete(replayKey)
      },
    }
  }

  /** The entry under a key, committed or not. */
  under(key: string): LogEntry | undefined {
    return this.#byKey.get(key)
  }

  /** A committed entry. */
  at(sequence: number): LogEntry | undefined {
    return sequence > this.#committed ? undefined : this.#entries[sequence - 1]
  }

  /** Committed entries behind a sequence, in order. */
  after(sequence: number): LogEntry[] {
    return this.#entries.slice(Math.min(sequence, this.#committed), this.#committed)
  }

  /** Committed sequences of a type behind a sequence, in order. */
  *ofTypeAfter(eventType: string, sequence: number): Iterable<number> {
    const sequences = this.#byType.get(eventType) ?? none
    for (let index = countThrough(sequences, sequence); index < sequences.length; index++) {
      const found = sequences[index] as number
      if (found > this.#committed) return
      yield found
    }
  }

  /** How many committed entries of a type there are up to a sequence, inclusive. */
  countThrough(eventType: string, sequence: number): number {
    return countThrough(this.#byType.get(eventType) ?? none, Math.min(sequence, this.#committed))
  }

  /** Remembers that a wake was acknowledged. */
  ack(sequence: number): void {
    this.#acked.add(sequence)
  }

  isAcked(sequence: number): boolean {
    return this.#acked.has(sequence)
  }

  /** Every acknowledged sequence, in order. */
  acked(): number[] {
    return [...this.#acked].toSorted((one, other) => one - other)
  }
}

/** How many of ascending numbers are not above a bound. */
function countThrough(sequences: readonly number[], bound: number): number {
  let low = 0
  let high = sequences.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sequences[middle] as number) <= bound) low = middle + 1
    else high = middle
  }
  return low
}
