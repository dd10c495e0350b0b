import { StateError } from './errors.js'

/** The numbers of a stream's events: what readers see, and what decisions under way have taken. */
export class SequenceCounter {
  #committed = 0
  #latest = 0

  /** Sequence of the last committed event, 0 when there was none. */
  get committed(): number {
    return this.#committed
  }

  /** Sequence of the last event, decisions under way included. */
  get latest(): number {
    return this.#latest
  }

  /**
   * The sequence that the next event gets. Raises `non_monotonic_sequence` when the caller expects another one, and
   * `sequence_overflow` beyond 2^53 - 1.
   */
  next(expected?: number): number {
    const sequence = this.#latest + 1
    if (!Number.isSafeInteger(sequence)) throw new StateError('sequence_overflow', {})
    if (expected !== undefined && expected !== sequence) {
      throw new StateError('non_monotonic_sequence', { expected: sequence, provided: expected })
    }
    return sequence
  }

  /** An event has taken its number. */
  take(sequence: number): void {
    this.#latest = sequence
  }

  /** Events up to this one are committed. */
  commit(sequence: number): void {
    this.#committed = sequence
  }

  /** The newest events, this many, are taken back. */
  giveBack(events: number): void {
    this.#latest -= events
  }

  /** Starts behind a snapshot. */
  restore(sequence: number): void {
    this.#committed = sequence
    this.#latest = sequence
  }
}
