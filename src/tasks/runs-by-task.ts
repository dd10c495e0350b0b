import type { RunId, TaskId } from './ids.js'
import type { PendingWrite } from '../state/table.js'

/**
 * Ids of the runs of each task, including those in flight; the table of runs tells which of them a layer shows.
 *
 * A run never leaves its task, so one list serves both layers. Most tasks have one run, which needs no list.
 */
export class RunsByTask {
  readonly #ids = new Map<TaskId, RunId | RunId[]>()

  /** The runs of a task, in the order they were staged. */
  of(taskId: TaskId): readonly RunId[] {
    const ids = this.#ids.get(taskId) ?? []
    return typeof ids === 'string' ? [ids] : ids
  }

  /** Stages a new run. */
  add(taskId: TaskId, runId: RunId): PendingWrite {
    const ids = this.#ids.get(taskId)
    if (ids === undefined) this.#ids.set(taskId, runId)
    else if (typeof ids === 'string') this.#ids.set(taskId, [ids, runId])
    else ids.push(runId)
    return { commit: () => {}, undo: () => this.#remove(taskId, runId) }
  }

  /** Stages the removal of a run. */
  remove(taskId: TaskId, runId: RunId): PendingWrite {
    return { commit: () => this.#remove(taskId, runId), undo: () => {} }
  }

  #remove(taskId: TaskId, runId: RunId): void {
    const ids = this.#ids.get(taskId)
    if (typeof ids === 'string' || ids?.length === 1) this.#ids.delete(taskId)
    else ids?.splice(ids.lastIndexOf(runId), 1)
  }
}
