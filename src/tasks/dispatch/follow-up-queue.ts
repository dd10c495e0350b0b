import { faultFields } from '../../base/error-details.js'
import { StatewardError } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { nextTurn } from '../../base/promises.js'
import { isLaneFailure, isTooLargeForJournal } from '../../lane/errors.js'
import type { TaskBatch, TaskMutations } from '../authority.js'

/** A small part of a follow-up: adds a few commands to a batch, or none where nothing is left to do. */
export type Step = (batch: TaskBatch) => void

/** A follow-up as its steps, made one by one; begun again from the start when a group of steps was not taken. */
export type Steps = () => Iterable<Step>

/** Looked at, nothing to do: long searches yield it, so that they are cut into groups too. */
export const nothing: Step = () => {}

/** What follow-ups are run with. */
export interface FollowUpQueueOptions {
  readonly mutations: TaskMutations
  readonly logger: Logger
  /** Notified that the lane takes nothing at the moment; what is queued stays so. */
  readonly onDelay: () => void
}

interface Entry {
  readonly make: Steps
  steps: Iterator<Step> | undefined
  /** Queued once more while it was being run: what it looked at first may have changed. */
  isQueuedAgain: boolean
}

/** Steps in one group, and commands: the step that reaches the limit is the last. A group is a few hundred KiB at most. */
const mostSteps = 512
const mostCommands = 512

/**
 * Pending follow-ups, however many and however long: they go out in groups that fit the journal, one after another, and the
 * event loop runs between them. Those of one task take turns with those of others.
 */
export class FollowUpQueue implements Disposable {
  readonly #options: FollowUpQueueOptions
  /** By key, the next to take a turn first. */
  readonly #queue = new Map<string, Entry>()
  #running: Promise<void> | undefined
  /** Fewer after a group that was too large, until the queue is empty: with more again it could only be too large again. */
  #limit = mostSteps
  #isStopped = false

  constructor(options: FollowUpQueueOptions) {
    this.#options = options
  }

  /** Queues a follow-up; one of this key that is queued already is not queued twice. */
  enqueue(key: string, make: Steps): void {
    const entry = this.#queue.get(key)
    if (entry === undefined) this.#queue.set(key, { make, steps: undefined, isQueuedAgain: false })
    else if (entry.steps !== undefined) entry.isQueuedAgain = true
  }

  /** Runs until the queue is empty, the lane takes nothing, or it is disposed; never rejects. Calls share what is going on. */
  run(): Promise<void> {
    if (this.#running === undefined && this.#queue.size > 0 && !this.#isStopped) this.#running = this.#runAll()
    return this.#running ?? Promise.resolve()
  }

  /** Runs nothing more; the next process reads what is pending off the projection. */
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
      // Here and not when the promise resolves: what is queued in between is run by a call of its own.
      this.#running = undefined
    }
  }

  /** False when the lane takes nothing. */
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
    // Neither time nor a smaller group would help: to try again would be a loop.
    logger.error(
      { followUp: last, ...faultFields(failure) },
      'what follows from a change of a task cannot be done, it is given up',
    )
    if (last === undefined) return false
    this.#queue.delete(last)
    return true
  }
}

/** Steps that become one batch. */
class Group {
  readonly #queue: Map<string, Entry>
  readonly #limit: number
  readonly #taken = new Map<string, Entry>()
  /** Steps in it. */
  steps = 0
  /** Whose step came last: the one to blame when the group is refused. */
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

  /** Puts everything it took back to the start. */
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
    // Stands in line again at once: when a step queues its own follow-up anew, that is noted.
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
