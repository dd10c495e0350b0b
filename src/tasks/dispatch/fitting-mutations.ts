import { silence } from '../../base/promises.js'
import { isTooLargeForJournal } from '../../lane/errors.js'
import type { CommandOf, CommandType, MutationOutcome, TaskCommand } from '../catalogue.js'
import type { SubscriptionId } from '../ids.js'
import type { SubmitOptions } from '../../state/stream.js'
import type { TaskBatch, TaskMutations } from '../authority.js'
import { DeferringBatch } from './triggers.js'

/**
 * Submits changes so that they are not refused for triggering too many subscriptions: if the triggers do not fit the
 * journal together with the change, the change goes first and the triggers follow in groups.
 */
export class FittingMutations implements TaskMutations {
  readonly #mutations: TaskMutations
  readonly #queueTriggers: (triggers: readonly SubscriptionId[]) => void

  constructor(mutations: TaskMutations, queueTriggers: (triggers: readonly SubscriptionId[]) => void) {
    this.#mutations = mutations
    this.#queueTriggers = queueTriggers
  }

  submit<Type extends CommandType>(command: CommandOf<Type>, options?: SubmitOptions): Promise<MutationOutcome<Type>> {
    return this.#mutations.submit(command, options)
  }

  submitBatch(commands: readonly TaskCommand[], options?: SubmitOptions): Promise<readonly MutationOutcome[]> {
    return this.#mutations.submitBatch(commands, options)
  }

  transact<Result>(build: (batch: TaskBatch) => Result, options?: SubmitOptions): Promise<Result> {
    return silence(
      this.#mutations.transact(build, options).catch((failure: unknown) => {
        if (!isTooLargeForJournal(failure)) throw failure
        return this.#withoutTriggers(build, failure, options)
      }),
    )
  }

  async #withoutTriggers<Result>(
    build: (batch: TaskBatch) => Result,
    failure: unknown,
    options?: SubmitOptions,
  ): Promise<Result> {
    let triggers: readonly SubscriptionId[] = []
    const result = await this.#mutations.transact((batch) => {
      const deferring = new DeferringBatch(batch)
      const built = build(deferring)
      triggers = deferring.triggers
      // Without triggers, the change is too large by itself.
      if (triggers.length === 0) throw failure
      return built
    }, options)
    this.#queueTriggers(triggers)
    return result
  }
}
