import type { JsonObject } from '../base/json.js'
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { silence } from '../base/promises.js'
import type { Journal, JournalRecord } from '../journal/journal.js'
import { journalCompacted } from './lines.js'
import type { LaneStream } from './types.js'

/** Minimum number of records after a snapshot before the lane writes the next one. */
const defaultCompactAfter = 100_000

/** Options of a {@link Compaction}. */
export interface CompactionOptions {
  readonly journal: Journal
  /** The streams to capture, listed when a snapshot begins. */
  readonly streams: () => Iterable<LaneStream>
  /** Sequence up to which everything is committed. */
  readonly appliedThrough: () => number
  /** Minimum number of records between snapshots. Default 100,000. */
  readonly after?: number | undefined
  /** Rows of the snapshot that the journal was opened with. */
  readonly snapshotRows: number
  readonly logger: Logger
  readonly clock: Pick<Clock, 'monotonicNow'>
}

/** Writes the snapshots of a lane, one at a time. Each is due when enough records have followed the last. */
export class Compaction {
  readonly #options: CompactionOptions
  readonly #after: number
  /** Number of records after the last snapshot at which the next one is due. */
  #dueAt: number
  #running: Promise<void> | undefined

  constructor(options: CompactionOptions) {
    this.#options = options
    this.#after = options.after ?? defaultCompactAfter
    this.#dueAt = this.#tailAfter(options.snapshotRows)
  }

  /** True if a snapshot should be written and none is being written. */
  get isDue(): boolean {
    return this.#running === undefined && this.#options.journal.tailLength >= this.#dueAt
  }

  /** The snapshot being written. */
  get running(): Promise<void> | undefined {
    return this.#running
  }

  /** Writes a snapshot and shortens the journal. Calls while one is running share it. */
  run(): Promise<void> {
    this.#running ??= silence(
      this.#write().finally(() => {
        this.#running = undefined
      }),
    )
    return this.#running
  }

  /** A snapshot encodes every row. This bounds the average cost per record, however large the state is. */
  #tailAfter(rows: number): number {
    return Math.max(this.#after, Math.ceil(rows / 3))
  }

  async #write(): Promise<void> {
    const { journal, streams, appliedThrough, logger, clock } = this.#options
    const startedAt = clock.monotonicNow()
    const tailBefore = journal.tailLength
    // A failed snapshot is not tried again with the very next record.
    this.#dueAt = journal.tailLength + this.#after
    // Every stream is captured at this instant; only the writing is lazy.
    const captured = Array.from(streams(), (stream) => [stream.name, stream.capture()] as const)
    let written = 0
    const rows = envelopes(captured, () => (written += 1))
    await journal.compact({ through: appliedThrough(), rows })
    this.#dueAt = this.#tailAfter(written)
    const records = Math.max(0, tailBefore - journal.tailLength)
    journalCompacted(logger, { rows: written, records, durationMs: clock.monotonicNow() - startedAt })
  }
}

function* envelopes(
  captured: readonly (readonly [string, Iterable<JsonObject>])[],
  onRow: () => void,
): Iterable<JournalRecord> {
  for (const [name, rows] of captured) {
    for (const row of rows) {
      onRow()
      yield [name, row]
    }
  }
}
