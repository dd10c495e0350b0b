import { errorDetailsOf, type ErrorDetails } from '../base/error-details.js'
import { RecordRing, type Pending } from '../base/record-ring.js'
import type { ChainName } from './chain-record.js'

/** Where the records of a chain become durable. Its promises may reject; nobody else awaits them. */
export type AppendRecord<Row> = (record: Row, atMs: number) => Promise<unknown>

/** What a chain is built on. */
export interface ChainOptions<Row> {
  readonly name: ChainName
  /** Records in the ring. */
  readonly capacity: number
  readonly append: AppendRecord<Row>
  /** Appends that may be under way, of all chains together. */
  readonly inFlight: InFlight
  /** Told of each append that failed; must not throw. */
  readonly onFailure: (chain: ChainName, cause: ErrorDetails) => void
}

/** How many appends are under way, and how many may be (14.5). */
export class InFlight {
  readonly limit: number
  #count = 0

  constructor(limit = 4096) {
    this.limit = limit
  }

  get count(): number {
    return this.#count
  }

  /** True when there was room for one more. */
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
 * One chain of records: each is shown in the ring at once, with a flag that it is not durable yet, and handed to the journal,
 * which nobody waits for (N-400). The flag falls when the journal has confirmed the record; one that the journal refused, or
 * for which there was no room any more, keeps its flag for good and is counted.
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

  /** The latest records, oldest first; the same list until something has changed. */
  records(): readonly Row[] {
    return this.#ring.records()
  }

  /** Records that were never handed to the journal, because too many were under way. */
  get lost(): number {
    return this.#lost
  }

  /** Records that the journal refused. */
  get failures(): number {
    return this.#failures
  }

  /** Takes a record down, by `append` where it is not appended as the others are; never throws and never waits. */
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
      // What is appended says that it is durable, which it is wherever it can be read (5.7).
      append({ ...row, chainPending: false }, atMs).then(confirm, fail)
    } catch (cause) {
      fail(cause)
    }
  }
}
