import { messageOf, StatewardError } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { nextTurn } from '../../base/promises.js'
import { isLaneFailure, isTooLargeForJournal } from '../../lane/errors.js'
import type { TaskBatch, TaskMutations } from '../mutations.js'

/** A small part of a larger work: adds a few commands to a batch, or none where nothing is left to do. */
export type Step = (batch: TaskBatch) => void

/** A work as its steps, made one by one; begun again from the start when a group of steps was not taken. */
export type Work = () => Iterable<Step>

/** Looked at, nothing to do: long searches yield it, so that they are cut into groups too. */
export const nothing: Step = () => {}

/** What owed work is paid with. */
export interface OwedWorkOptions {
  readonly mutations: TaskMutations
  readonly logger: Logger
  /** Hears that the lane takes nothing at the moment; the work stays owed. */
  readonly onDelay: () => void
}

interface Entry {
  readonly work: Work
  steps: Iterator<Step> | undefined
  /** Owed once more while it was being paid: what it looked at first may have changed. */
  isOwedAgain: boolean
}

/** Steps in one group, and commands: the step that reaches the limit is the last. A group is a few hundred KiB at most. */
const mostSteps = 512
const mostCommands = 512

/**
 * Work that one change owes another, however much it is: it goes out in groups that fit the journal, one after another,
 * and the event loop runs between them. What is owed to one takes turns with what is owed to others.
 */
export class OwedWork implements Disposable {
  readonly #options: OwedWorkOptions
  /** By key, the next to take a turn first. */
  readonly #queue = new Map<string, Entry>()
  #paying: Promise<void> | undefined
  /** Fewer after a group that was too large, until nothing is owed: with more again it could only be too large again. */
  #limit = mostSteps
  #isStopped = false

  constructor(options: OwedWorkOptions) {
    this.#options = options
  }

  /** Owes a work; one of this key that is owed already is not owed twice. */
  owe(key: string, work: Work): void {
    const entry = this.#queue.get(key)
    if (entry === undefined) this.#queue.set(key, { work, steps: undefined, isOwedAgain: false })
    else if (entry.steps !== undefined) entry.isOwedAgain = true
  }

  /** Pays until nothing is owed, the lane takes nothing, or it is disposed; never rejects. Calls share what is going on. */
  pay(): Promise<void> {
    if (this.#paying === undefined && this.#queue.size > 0 && !this.#isStopped) this.#paying = this.#payAll()
    return this.#paying ?? Promise.resolve()
  }

  /** Pays nothing more; what is owed is read off the projection by the next process. */
  [Symbol.dispose](): void {
    this.#isStopped = true
  }

  async #payAll(): Promise<void> {
    try {
      while (this.#queue.size > 0 && !this.#isStopped) {
        if (!(await this.#payGroup())) return
        await nextTurn()
      }
    } finally {
      if (this.#queue.size === 0) this.#limit = mostSteps
      // Here and not when the promise settles: what is owed in between is paid by a call of its own.
      this.#paying = undefined
    }
  }

  /** False when the lane takes nothing. */
  async #payGroup(): Promise<boolean> {
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
    const cause = messageOf(failure)
    logger.error({ work: last, cause }, 'what a change of a task owes cannot be done, it is given up')
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
      entry.isOwedAgain = false
      this.#queue.set(key, entry)
    }
  }

  #takeTurn(batch: TaskBatch, key: string, entry: Entry): void {
    this.last = key
    this.#taken.set(key, entry)
    this.#queue.delete(key)
    entry.steps ??= entry.work()[Symbol.iterator]()
    // Stands in line again at once: what it owes anew while the step is built is noted then.
    this.#queue.set(key, entry)
    const { done, value: step } = entry.steps.next()
    if (done !== true) {
      this.steps += 1
      step(batch)
    } else if (entry.isOwedAgain) {
      entry.steps = undefined
      entry.isOwedAgain = false
    } else {
      this.#queue.delete(key)
    }
  }
}
