import type { DeadlineQueue } from '../base/deadline-queue.js'
import { StatewardError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { DurableEnd } from '../work/until-durable.js'
import type { EndEvent } from '../../machines/operation-registry.js'
import type { OperationId, OperationOutcome } from '../../machines/operation-vocabulary.js'
import { outcomes } from './outcomes.js'
import type { OperationRecords } from './records.js'
import { inTerminationGroups } from './termination.js'

/** Options of {@link TreeEnds}. */
export interface TreeEndsOptions {
  readonly records: OperationRecords
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** Ends operations as one group. */
  readonly end: (events: readonly EndEvent[]) => Promise<void>
  /** True when no end is accepted any more. */
  readonly isOver: () => boolean
}

/**
 * Ends the operations below one whose end is durable: cancels them in groups that fit the journal, and repeats each
 * until it is durable. Each operation is visited once, however deep the tree.
 */
export class TreeEnds implements Disposable {
  readonly #options: TreeEndsOptions
  /** Operations in groups that are not durable yet. */
  readonly #closing = new Set<OperationId>()
  readonly #groups = new Set<DurableEnd<readonly EndEvent[]>>()
  readonly #isClosing = (id: OperationId): boolean => this.#closing.has(id)

  constructor(options: TreeEndsOptions) {
    this.#options = options
  }

  /** Handles a durable end, which closes the tree below the operation. */
  close(id: OperationId, { type }: OperationOutcome): void {
    this.#closing.delete(id)
    const below = this.#options.records.tree.below(id, this.#isClosing)
    if (below.length > 0) this.endAll(below, `parent ${id} has ended: ${type}`)
  }

  /** Ends operations that are each below an ended one. */
  endAll(ids: readonly OperationId[], reason: string): void {
    const outcome = outcomes.cancelled(reason)
    for (const id of ids) this.#closing.add(id)
    for (const group of inTerminationGroups(ids, reason)) {
      this.#offer(group.map((id) => ({ type: 'operation.cancel', id, outcome })))
    }
  }

  /** Stops repeating ends; the next process will end these operations. */
  [Symbol.dispose](): void {
    for (const group of this.#groups) group[Symbol.dispose]()
  }

  #offer(events: readonly EndEvent[]): void {
    const { deadlines, logger, isOver } = this.#options
    const group = new DurableEnd(events, {
      deadlines,
      logger,
      subject: { operations: events.length },
      offer: (offered) => this.#end(offered),
      // An internal fault elsewhere, such as a broken barrier, is cleared by the refusal: offer the same ends again.
      insteadOf: (offered) => offered,
      isFinal: (refusal) => StatewardError.is(refusal, 'owner_retired') || isOver(),
      onSettled: () => {
        this.#groups.delete(group)
        for (const { id } of events) this.#closing.delete(id)
      },
    })
    this.#groups.add(group)
  }

  /** Ends those that have not ended by themselves meanwhile. */
  #end(events: readonly EndEvent[]): Promise<void> {
    const { records, end } = this.#options
    const possible = events.filter(({ id }) => records.isLive(id))
    return possible.length === 0 ? Promise.resolve() : end(possible)
  }
}
