import type { Logger } from '../base/logger.js'
import type { NodeAction, PendingAction } from './action.js'
import { NodeError } from './errors.js'
import type { Executor } from './executor.js'
import { actionsDropped } from './loop-lines.js'
import type { MonotonicMs } from './vocabulary.js'

/** Options of {@link Emissions}. */
export interface EmissionsOptions {
  readonly executor: Pick<Executor, 'offer'>
  readonly logger: Logger
  /** How many actions are remembered. */
  readonly capacity: number
}

/** The actions that passes have asked for: numbers them, and hands them to the executor. */
export class Emissions {
  readonly #options: EmissionsOptions
  #nextId = 1
  #recent: PendingAction[] = []
  #dropped = 0

  constructor(options: EmissionsOptions) {
    this.#options = options
  }

  /** The latest actions that the executor has taken, oldest first. */
  get recent(): readonly PendingAction[] {
    return this.#recent
  }

  /** The number of actions that the executor had no room for. */
  get dropped(): number {
    return this.#dropped
  }

  /**
   * Offers the actions to the executor and returns those that it has taken. Every action gets a number. One that finds
   * no room uses its number up, and the next pass asks for it again. Raises `node.sequence_overflow`.
   */
  offer(actions: readonly NodeAction[], emittedAt: MonotonicMs): readonly NodeAction[] {
    const { executor, logger } = this.#options
    const enqueued: NodeAction[] = []
    let firstDropped: NodeAction | undefined
    for (const action of actions) {
      const pending: PendingAction = Object.freeze({ id: this.#takeId(), action, emittedAt })
      if (executor.offer(pending)) {
        enqueued.push(action)
        this.#recent.push(pending)
      } else firstDropped ??= action
    }
    const dropped = actions.length - enqueued.length
    if (firstDropped !== undefined) {
      this.#dropped += dropped
      actionsDropped(logger, { dropped, first: firstDropped.type })
    }
    return enqueued
  }

  /** Forgets the oldest actions beyond the capacity. */
  trim(): void {
    this.#recent = this.#recent.slice(-this.#options.capacity)
  }

  #takeId(): number {
    const id = this.#nextId
    if (!Number.isSafeInteger(id)) throw new NodeError('node.sequence_overflow', { sequence: 'action' })
    this.#nextId += 1
    return id
  }
}
