import type { DeadlineQueue } from '../base/deadline-queue.js'
import { StatewardError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { DurableEnd } from '../work/until-durable.js'
import type { EndEvent } from '../../machines/operation-registry.js'
import type { OperationId, OperationOutcome } from '../../machines/operation-vocabulary.js'
import { outcomes } from './outcomes.js'
import type { OperationRecords } from './records.js'
import { inTerminationGroups } from './termination.js'

/** What the ends of trees are made of. */
export interface TreeEndsOptions {
  readonly records: OperationRecords
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** Ends operations as one group, those of them that can still end so. */
  readonly end: (events: readonly EndEvent[]) => Promise<void>
  /** True when no end is taken any more. */
  readonly isOver: () => boolean
}

/**
 * Ends what is below an operation whose end is durable: cancelled, in groups that fit the journal, each offered until it is
 * durable. Each operation is looked at once, however deep it lies.
 */
export class TreeEnds implements Disposable {
  readonly #options: TreeEndsOptions
  /** Operations that a group will end. */
  readonly #closing = new Set<OperationId>()
  readonly #groups = new Set<DurableEnd<readonly EndEvent[]>>()

  constructor(options: TreeEndsOptions) {
    this.#options = options
  }

  /** The end of an operation is durable, which closes its tree. */
  close(id: OperationId, { type }: OperationOutcome): void {
    this.#closing.delete(id)
    const below = this.#options.records.tree.below(id, (part) => this.#closing.has(part))
    if (below.length > 0) this.endAll(below, `parent ${id} has ended: ${type}`)
  }

  /** Ends these operations, of which each has one above it that has ended. */
  endAll(ids: readonly OperationId[], reason: string): void {
    const outcome = outcomes.cancelled(reason)
    for (const id of ids) this.#closing.add(id)
    for (const group of inTerminationGroups(ids, reason)) {
      this.#offer(group.map((id) => ({ type: 'operation.cancel', id, outcome })))
    }
  }

  /** Offers nothing any more; the next process goes on. */
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
      // A fault of something else, such as a broken barrier, is gone with the refusal: the ends themselves count.
      insteadOf: (offered) => offered,
      isFinal: (refusal) => StatewardError.is(refusal, 'owner_retired') || isOver(),
      onSettled: () => {
        this.#groups.delete(group)
        for (const { id } of events) this.#closing.delete(id)
      },
    })
    this.#groups.add(group)
  }

  /** An operation may have ended by itself meanwhile. */
  #end(events: readonly EndEvent[]): Promise<void> {
    const { records, end } = this.#options
    const possible = events.filter(({ id }) => records.isLive(id))
    return possible.length === 0 ? Promise.resolve() : end(possible)
  }
}
