import { StateError } from './errors.js'

/**
 * The sequence of a stream's events: the last that is committed, and the last that decisions in progress have taken.
 */
export class SequenceCounter {
  #committed = 0
  #latest = 0

  /** Sequence of the last committed event; 0 if there was none. */
  get committed(): number {
    return this.#committed
  }

  /** Sequence of the last event, decisions in progress included. */
  get latest(): number {
    return this.#latest
  }

  /**
   * The sequence of the next event. Throws `non_monotonic_sequence` if the caller expects another one, and
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

  /** Takes a sequence for an event. */
  take(sequence: number): void {
    this.#latest = sequence
  }

  /** Commits events up to this one. */
  commit(sequence: number): void {
    this.#committed = sequence
  }

  /** Returns the sequences of this many newest events. */
  giveBack(events: number): void {
    this.#latest -= events
  }

  /** Continues after a snapshot or a replayed event. */
  restore(sequence: number): void {
    this.#committed = sequence
    this.#latest = sequence
  }
}
