import { deepFreeze } from '../../base/freeze.js'
import type { PendingWrite } from '../../state/table.js'
import type { LogEntry } from '../event.js'

const none: readonly number[] = []

/**
 * The log of one process. Entries of decisions in progress stand at its end: later decisions see them, readers only
 * after they are committed. Entries are indexed by sequence, so a read costs only what it returns.
 */
export class ProcessLog {
  /** Committed entries, followed by uncommitted ones. */
  readonly #entries: LogEntry[] = []
  readonly #byKey = new Map<string, LogEntry>()
  /** Sequences by event type, in order. */
  readonly #byType = new Map<string, number[]>()
  readonly #acked = new Set<number>()
  #committed = 0

  /** The number of committed entries. */
  get committed(): number {
    return this.#committed
  }

  /** Appends an entry and freezes it. Entries are committed in order and undone newest first. */
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

  /** Committed entries after a sequence, in order. */
  after(sequence: number): LogEntry[] {
    return this.#entries.slice(Math.min(sequence, this.#committed), this.#committed)
  }

  /** Committed sequences of a type after a sequence, in order. */
  *ofTypeAfter(eventType: string, sequence: number): Iterable<number> {
    const sequences = this.#byType.get(eventType) ?? none
    for (let index = countThrough(sequences, sequence); index < sequences.length; index++) {
      const found = sequences[index] as number
      if (found > this.#committed) return
      yield found
    }
  }

  /** The number of committed entries of a type up to and including a sequence. */
  countThrough(eventType: string, sequence: number): number {
    return countThrough(this.#byType.get(eventType) ?? none, Math.min(sequence, this.#committed))
  }

  /** Records that a wake was acknowledged. */
  ack(sequence: number): void {
    this.#acked.add(sequence)
  }

  isAcked(sequence: number): boolean {
    return this.#acked.has(sequence)
  }

  /** All acknowledged sequences, in order. */
  acked(): number[] {
    return [...this.#acked].toSorted((one, other) => one - other)
  }
}

/** How many of the ascending numbers are at most `bound`. */
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
