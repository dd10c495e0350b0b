import { MultiMap } from '../base/multi-map.js'
import { OrderedSet } from '../base/ordered-set.js'
import type { RunId, TaskId } from './ids.js'
import type { DurableStep } from './step.js'
import type { DurableWait } from './wait.js'

interface Due {
  readonly atMs: number
  readonly id: string
}

/** Committed steps and waits by run, and indexes of open waits. Keys are those of their tables. */
export class DurableIndex {
  readonly #steps = new MultiMap<RunId, string>()
  readonly #waits = new MultiMap<RunId, string>()
  readonly #open = new Set<string>()
  readonly #calls = new Map<TaskId, string>()
  readonly #isOpen: (runId: RunId) => boolean
  readonly #due = new OrderedSet<Due>(
    (one, other) => one.atMs - other.atMs || (one.id < other.id ? -1 : one.id > other.id ? 1 : 0),
  )

  /** `isOpen` tells whether a run can still change. */
  constructor(isOpen: (runId: RunId) => boolean) {
    this.#isOpen = isOpen
  }

  /** Steps of a run, in the order they were done. */
  stepsOf(runId: RunId): Iterable<string> {
    return this.#steps.get(runId)
  }

  /** Waits of a run, in the order they began. */
  waitsOf(runId: RunId): Iterable<string> {
    return this.#waits.get(runId)
  }

  /** Waits of runs that can still change, in the order they began. */
  get open(): Iterable<string> {
    return this.#open
  }

  /** The open wait for the end of a child task. */
  callOf(childTaskId: TaskId): string | undefined {
    return this.#calls.get(childTaskId)
  }

  /** Open waits with a due time, earliest first. */
  get due(): Iterable<Due> {
    return this.#due
  }

  /** When the first of them is due, in epoch milliseconds. */
  get nextDueAtMs(): number | undefined {
    return this.#due.first?.atMs
  }

  /** Applies a committed change of a step. */
  updateStep(id: string, before: DurableStep | undefined, after: DurableStep | undefined): void {
    if (after !== undefined) this.#steps.add(after.runId, id)
    else if (before !== undefined) this.#steps.delete(before.runId, id)
  }

  /** Applies a committed change of a wait. */
  updateWait(id: string, before: DurableWait | undefined, after: DurableWait | undefined): void {
    if (before !== undefined) this.#close(id, before)
    if (after === undefined) {
      if (before !== undefined) this.#waits.delete(before.runId, id)
      return
    }
    this.#waits.add(after.runId, id)
    if (after.end !== undefined || !this.#isOpen(after.runId)) return
    const { subject } = after
    this.#open.add(id)
    if (subject.type === 'call') this.#calls.set(subject.childTaskId, id)
    else if (subject.untilMs !== undefined) this.#due.add({ atMs: subject.untilMs, id })
  }

  /** Handles the end of a run: its waits are no longer open. */
  onRunEnded(runId: RunId, waitOf: (id: string) => DurableWait | undefined): void {
    for (const id of this.#waits.get(runId)) {
      const wait = waitOf(id)
      if (wait !== undefined) this.#close(id, wait)
    }
  }

  #close(id: string, { subject }: DurableWait): void {
    if (!this.#open.delete(id)) return
    if (subject.type === 'call') this.#calls.delete(subject.childTaskId)
    else if (subject.untilMs !== undefined) this.#due.delete({ atMs: subject.untilMs, id })
  }
}
