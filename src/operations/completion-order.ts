import { SequencedFeed } from '../base/feed.js'
import type { Logger } from '../base/logger.js'
import type { CursorConsumer, OperationId } from '../../machines/operation-vocabulary.js'
import { feedCapacity, type CompletionEntry, type FeedRetention } from './types.js'

/**
 * The order in which operations of one owner have ended: who has which sequence, which of the ended ones are kept, the feed and how far
 * its consumers are.
 *
 * An ended operation is kept until `maxCompleted` others have ended after it, collected or not. That depends on the order
 * alone: were it to depend on waits, which leave no trace, or on when something was collected while an end was under
 * way, replay would keep other operations than the live registry did.
 */
export class CompletionOrder {
  readonly feed: SequencedFeed<CompletionEntry>
  readonly maxCompleted: number
  readonly cursors: Record<CursorConsumer, number> = { agent_applied: 0, runtime_observed: 0, runtime_injected: 0 }
  /** Ended operations that are neither evicted nor collected. */
  readonly #kept = new Set<OperationId>()
  /** Rows of the feed by the ids that they refer to. */
  readonly #published = new Map<OperationId, CompletionEntry>()
  #lastSequence = 0
  #durableSequence = 0

  /** `logger` hears of consumers of the feed that throw. */
  constructor(maxCompleted: number, logger?: Logger) {
    this.maxCompleted = Math.max(1, maxCompleted)
    this.feed = new SequencedFeed(feedCapacity(this.maxCompleted), logger)
  }

  /** The sequence minted last, 0 before the first; it may belong to an end that is not durable yet. */
  get lastSequence(): number {
    return this.#lastSequence
  }

  /** The last sequence of an end that leaves a trace and is durable, 0 before the first. */
  get durableSequence(): number {
    return this.#durableSequence
  }

  /** Ended operations in the order in which they ended. */
  get kept(): Iterable<OperationId> {
    return this.#kept
  }

  /** Whether a row of the feed refers to the operation. */
  isPublished(id: OperationId): boolean {
    return this.#published.has(id)
  }

  /** The row of the feed that tells of the operation. */
  published(id: OperationId): CompletionEntry | undefined {
    return this.#published.get(id)
  }

  /** The sequence of an end that has just been decided. */
  mint(): number {
    this.#lastSequence += 1
    return this.#lastSequence
  }

  /** The newest end is not to be; its sequence is free again. */
  takeBack(sequence: number): void {
    this.#lastSequence = sequence - 1
  }

  /** Never lowers the counter. */
  raise(sequence: number): void {
    this.#lastSequence = Math.max(this.#lastSequence, sequence)
    this.#durableSequence = Math.max(this.#durableSequence, sequence)
  }

  /** An operation that leaves a trace has ended, and that is durable. */
  keep(id: OperationId, sequence: number): void {
    this.#durableSequence = Math.max(this.#durableSequence, sequence)
    this.#kept.add(id)
  }

  /** The operation has been collected. */
  forget(id: OperationId): void {
    this.#kept.delete(id)
  }

  /** Publishes a completion, live or recovered. Returns the operation that is not kept any longer, if there is one. */
  publish(entry: CompletionEntry): OperationId | undefined {
    this.#published.set(entry.operationId, entry)
    const dropped = this.feed.push(entry)
    if (dropped !== undefined) this.#published.delete(dropped.operationId)
    const passed = this.feed.fromEnd(this.maxCompleted + 1)?.operationId
    return passed !== undefined && this.#kept.delete(passed) ? passed : undefined
  }

  /** Takes over what retention had dropped in an earlier life. */
  restoreRetention({ droppedThrough, droppedCount }: FeedRetention): void {
    this.feed.restoreRetention(droppedThrough, droppedCount)
  }

  /** Moves a consumer forwards; a lower request changes nothing. */
  advanceCursor(consumer: CursorConsumer, cursor: number): void {
    this.cursors[consumer] = Math.max(this.cursors[consumer], cursor)
  }
}
