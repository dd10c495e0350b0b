import { errorDetailsOf, type ErrorDetails } from '../base/error-details.js'
import { RecordRing, type Pending } from '../base/record-ring.js'
import type { ChainName } from './chain-record.js'

/** Makes a record of a chain durable. The promise may reject; the chain handles that. */
export type AppendRecord<Row> = (record: Row, atMs: number) => Promise<unknown>

/** Options of a {@link Chain}. */
export interface ChainOptions<Row> {
  readonly name: ChainName
  /** Number of records in the ring. */
  readonly capacity: number
  readonly append: AppendRecord<Row>
  /** The limit of appends under way, shared by all chains. */
  readonly inFlight: InFlight
  /** Called for each append that failed; must not throw. */
  readonly onFailure: (chain: ChainName, cause: ErrorDetails) => void
}

/** Counts the appends under way against their maximum (14.5). */
export class InFlight {
  readonly limit: number
  #count = 0

  constructor(limit = 4096) {
    this.limit = limit
  }

  get count(): number {
    return this.#count
  }

  /** Counts one more append; false when the maximum is reached. */
  begin(): boolean {
    if (this.#count >= this.limit) return false
    this.#count += 1
    return true
  }

  end(): void {
    this.#count -= 1
  }
}

/**
 * One chain of records. Each record appears in the ring at once, flagged as not durable yet, and is handed to the
 * journal without waiting (N-400). The flag is cleared when the journal has confirmed the record; a record that the
 * journal refused, or for which there was no room, keeps its flag for good and is counted.
 */
export class Chain<Row extends Pending> {
  readonly #options: ChainOptions<Row>
  readonly #ring: RecordRing<Row>
  #lost = 0
  #failures = 0

  constructor(options: ChainOptions<Row>) {
    this.#options = options
    this.#ring = new RecordRing<Row>(options.capacity)
  }

  /** The latest records, oldest first. Returns the same array until something has changed. */
  records(): readonly Row[] {
    return this.#ring.records()
  }

  /** Records that were not handed to the journal because too many appends were under way. */
  get lost(): number {
    return this.#lost
  }

  /** Records that the journal refused. */
  get failures(): number {
    return this.#failures
  }

  /** Adds a record; `append` replaces the default way to append it. Never throws and never waits. */
  push(row: Row, atMs: number, append: AppendRecord<Row> = this.#options.append): void {
    const { name, inFlight, onFailure } = this.#options
    this.#ring.push(row)
    if (!inFlight.begin()) {
      this.#lost += 1
      return
    }
    const fail = (cause: unknown): void => {
      inFlight.end()
      this.#failures += 1
      onFailure(name, errorDetailsOf(cause))
    }
    const confirm = (): void => {
      inFlight.end()
      this.#ring.confirm(row.seq)
    }
    try {
      // The appended form is marked durable: wherever it can be read, it is (5.7).
      append({ ...row, chainPending: false }, atMs).then(confirm, fail)
    } catch (cause) {
      fail(cause)
    }
  }
}
