import { SequencedFeed } from '../base/feed.js'
import type { Logger } from '../base/logger.js'
import type { CursorConsumer, OperationId } from '../../machines/operation-vocabulary.js'
import { feedCapacity, type CompletionEntry, type FeedRetention } from './types.js'

/**
 * The order in which the operations of one owner ended: their sequence numbers, the retained ended operations, the
 * completion feed and the cursors of its consumers.
 *
 * An ended operation is retained until `maxCompleted` others have ended after it, whether it was collected or not.
 * Retention depends on the order alone. If it also depended on waits, which are not journalled, or on whether an
 * operation was collected while another was ending, replay would retain other operations than the live registry did.
 */
export class CompletionOrder {
  readonly feed: SequencedFeed<CompletionEntry>
  readonly maxCompleted: number
  readonly cursors: Record<CursorConsumer, number> = { agent_applied: 0, runtime_observed: 0, runtime_injected: 0 }
  /** Ended operations that are neither evicted nor collected. */
  readonly #kept = new Set<OperationId>()
  /** Rows of the feed by operation id. */
  readonly #published = new Map<OperationId, CompletionEntry>()
  #lastSequence = 0
  #durableSequence = 0

  /** `logger` receives errors thrown by consumers of the feed. */
  constructor(maxCompleted: number, logger?: Logger) {
    this.maxCompleted = Math.max(1, maxCompleted)
    this.feed = new SequencedFeed(feedCapacity(this.maxCompleted), logger)
  }

  /** The last sequence assigned, 0 before the first. Its end may not be durable yet. */
  get lastSequence(): number {
    return this.#lastSequence
  }

  /** The sequence of the last durable end that is journalled, 0 before the first. */
  get durableSequence(): number {
    return this.#durableSequence
  }

  /** Retained ended operations, in completion order. */
  get kept(): Iterable<OperationId> {
    return this.#kept
  }

  /** Whether the feed has a row for the operation. */
  isPublished(id: OperationId): boolean {
    return this.#published.has(id)
  }

  /** The feed row of the operation. */
  published(id: OperationId): CompletionEntry | undefined {
    return this.#published.get(id)
  }

  /** Assigns the next sequence to an end that was just decided. */
  mint(): number {
    this.#lastSequence += 1
    return this.#lastSequence
  }

  /** Frees the sequence of the newest end, which did not become durable. */
  takeBack(sequence: number): void {
    this.#lastSequence = sequence - 1
  }

  /** Raises the counters to at least this sequence; never lowers them. */
  raise(sequence: number): void {
    this.#lastSequence = Math.max(this.#lastSequence, sequence)
    this.#durableSequence = Math.max(this.#durableSequence, sequence)
  }

  /** Retains an operation whose end is journalled and durable. */
  keep(id: OperationId, sequence: number): void {
    this.#durableSequence = Math.max(this.#durableSequence, sequence)
    this.#kept.add(id)
  }

  /** Removes a collected operation. */
  forget(id: OperationId): void {
    this.#kept.delete(id)
  }

  /** Publishes a completion, live or recovered. Returns the operation that this evicts, if any. */
  publish(entry: CompletionEntry): OperationId | undefined {
    this.#published.set(entry.operationId, entry)
    const dropped = this.feed.push(entry)
    if (dropped !== undefined) this.#published.delete(dropped.operationId)
    const passed = this.feed.fromEnd(this.maxCompleted + 1)?.operationId
    return passed !== undefined && this.#kept.delete(passed) ? passed : undefined
  }

  /** Restores what retention had dropped in an earlier process. */
  restoreRetention({ droppedThrough, droppedCount }: FeedRetention): void {
    this.feed.restoreRetention(droppedThrough, droppedCount)
  }

  /** Moves a consumer's cursor forwards; a lower value changes nothing. */
  advanceCursor(consumer: CursorConsumer, cursor: number): void {
    this.cursors[consumer] = Math.max(this.cursors[consumer], cursor)
  }
}
