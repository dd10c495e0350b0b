import { faultFields } from '../../base/error-details.js'
import { StatewardError } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { nextTurn } from '../../base/promises.js'
import { isLaneFailure, isTooLargeForJournal } from '../../lane/errors.js'
import type { TaskBatch, TaskMutations } from '../authority.js'

/** A small part of a follow-up: adds a few commands to a batch, or none if nothing is left to do. */
export type Step = (batch: TaskBatch) => void

/** Creates the steps of a follow-up one by one; called again from the start when a group of steps was not accepted. */
export type Steps = () => Iterable<Step>

/** A step that does nothing: long searches yield it, so that they too are split into groups. */
export const nothing: Step = () => {}

/** Options of a {@link FollowUpQueue}. */
export interface FollowUpQueueOptions {
  readonly mutations: TaskMutations
  readonly logger: Logger
  /** Called when the lane accepts nothing at the moment; the queue stays as it is. */
  readonly onDelay: () => void
}

interface Entry {
  readonly make: Steps
  steps: Iterator<Step> | undefined
  /** Queued again while it was running: what its first steps read may have changed. */
  isQueuedAgain: boolean
}

/**
 * Steps in one group, and commands: the step that reaches the limit is the last. A group is a few hundred KiB at most.
 */
const mostSteps = 512
const mostCommands = 512

/**
 * Pending follow-ups, in any number and of any length. They run in groups that fit the journal, one after another, with
 * turns of the event loop in between. Follow-ups with different keys take turns.
 */
export class FollowUpQueue implements Disposable {
  readonly #options: FollowUpQueueOptions
  /** By key, next turn first. */
  readonly #queue = new Map<string, Entry>()
  #running: Promise<void> | undefined
  /** Reduced after a group was too large, until the queue is empty, since a larger group would be refused again. */
  #limit = mostSteps
  #isStopped = false

  constructor(options: FollowUpQueueOptions) {
    this.#options = options
  }

  /** Queues a follow-up, unless one with this key is already queued. */
  enqueue(key: string, make: Steps): void {
    const entry = this.#queue.get(key)
    if (entry === undefined) this.#queue.set(key, { make, steps: undefined, isQueuedAgain: false })
    else if (entry.steps !== undefined) entry.isQueuedAgain = true
  }

  /**
   * Runs until the queue is empty, the lane accepts nothing, or it is disposed; never rejects. Concurrent calls share
   * one run.
   */
  run(): Promise<void> {
    if (this.#running === undefined && this.#queue.size > 0 && !this.#isStopped) this.#running = this.#runAll()
    return this.#running ?? Promise.resolve()
  }

  /** Runs nothing more; the next process reads from the projection what is pending. */
  [Symbol.dispose](): void {
    this.#isStopped = true
  }

  async #runAll(): Promise<void> {
    try {
      while (this.#queue.size > 0 && !this.#isStopped) {
        if (!(await this.#runGroup())) return
        await nextTurn()
      }
    } finally {
      if (this.#queue.size === 0) this.#limit = mostSteps
      // Clear this here and not when the promise resolves, so that what is queued in between starts a run of its own.
      this.#running = undefined
    }
  }

  /** False when the lane accepts nothing. */
  async #runGroup(): Promise<boolean> {
    const group = new Group(this.#queue, this.#limit)
    try {
      await this.#options.mutations.transact((batch) => group.fill(batch))
      return true
    } catch (failure) {
      group.restart()
      return this.#onFailure(group, failure)
    }
  }

  #onFailure({ steps, last }: Group, failure: unknown): boolean {
    const { logger, onDelay } = this.#options
    const isTooLarge = isTooLargeForJournal(failure)
    if (isTooLarge && steps > 1) {
      this.#limit = Math.ceil(steps / 2)
      return true
    }
    if (!isTooLarge && isLaneFailure(failure)) {
      onDelay()
      return false
    }
    if (StatewardError.is(failure, 'lane_closed')) return false
    // Neither waiting nor a smaller group would help: trying again would loop for ever.
    logger.error(
      { followUp: last, ...faultFields(failure) },
      "the consequences of a task's change cannot be applied and are dropped",
    )
    if (last === undefined) return false
    this.#queue.delete(last)
    return true
  }
}

/** The steps of one batch. */
class Group {
  readonly #queue: Map<string, Entry>
  readonly #limit: number
  readonly #taken = new Map<string, Entry>()
  /** How many steps it has. */
  steps = 0
  /** Key of the last step, which is at fault when the group is refused. */
  last: string | undefined

  constructor(queue: Map<string, Entry>, limit: number) {
    this.#queue = queue
    this.#limit = limit
  }

  fill(batch: TaskBatch): void {
    const before = batch.view.latestSequence
    while (this.steps < this.#limit && batch.view.latestSequence - before < mostCommands) {
      const [next] = this.#queue
      if (next === undefined) return
      this.#takeTurn(batch, ...next)
    }
  }

  /** Restarts everything it took from the queue. */
  restart(): void {
    for (const [key, entry] of this.#taken) {
      entry.steps = undefined
      entry.isQueuedAgain = false
      this.#queue.set(key, entry)
    }
  }

  #takeTurn(batch: TaskBatch, key: string, entry: Entry): void {
    this.last = key
    this.#taken.set(key, entry)
    this.#queue.delete(key)
    entry.steps ??= entry.make()[Symbol.iterator]()
    // Queue it again first: if a step queues its own follow-up anew, that is recorded.
    this.#queue.set(key, entry)
    const { done, value: step } = entry.steps.next()
    if (done !== true) {
      this.steps += 1
      step(batch)
    } else if (entry.isQueuedAgain) {
      entry.steps = undefined
      entry.isQueuedAgain = false
    } else {
      this.#queue.delete(key)
    }
  }
}
