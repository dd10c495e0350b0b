import { phaseOf } from '../task.js'
import type { TaskId } from '../ids.js'
import type { TaskBatch, TaskMutations } from '../authority.js'
import { isTerminalRunState } from '../run.js'
import type { TaskProjection } from '../view.js'
import type { DurableWait } from '../wait.js'
import { resumeRuns, suspendReasonOf } from './runs.js'

/** Options and dependencies of {@link WaitEnds}. */
export interface WaitEndsOptions {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly now: () => number
  /** Called when a batch has failed. */
  readonly onFailure: (failure: unknown) => void
  /** Called when the next batch may begin. */
  readonly onRoom: () => void
}

/** How many waits are ended in one batch. */
const chunk = 256

/** Ends waits whose time has come or whose child task has ended. Answers end waits elsewhere. */
export class WaitEnds {
  readonly #options: WaitEndsOptions
  /** Called tasks that have ended. */
  readonly #ended = new Set<TaskId>()
  #isBusy = false

  constructor(options: WaitEndsOptions) {
    this.#options = options
  }

  /** Reads from the projection what an earlier process left pending. */
  recover(): void {
    const { projection } = this.#options
    for (const { subject } of projection.openWaits()) {
      if (subject.type !== 'call') continue
      const child = projection.task(subject.childTaskId)
      if (child !== undefined && phaseOf(child) !== 'open') this.#ended.add(subject.childTaskId)
    }
  }

  /** Handles the end of a task. */
  onTaskEnded(taskId: TaskId): void {
    if (this.#options.projection.callOf(taskId) !== undefined) this.#ended.add(taskId)
  }

  /** When the calendar next ends a wait, in epoch milliseconds. */
  nextDueAt(): number | undefined {
    return this.#options.projection.nextWaitDueAtMs()
  }

  /** Starts what can be started now; O(1) when nothing is due. */
  run(wall: number): void {
    if (this.#isBusy) return
    const { projection } = this.#options
    const over: DurableWait[] = []
    for (const wait of projection.dueWaits(wall)) if (over.push(wait) === chunk) break
    const called: TaskId[] = []
    for (const taskId of this.#ended) if (over.length + called.push(taskId) >= chunk) break
    if (over.length + called.length > 0) void this.#end(over, called)
  }

  async #end(over: readonly DurableWait[], called: readonly TaskId[]): Promise<void> {
    const { mutations, projection, now, onFailure, onRoom } = this.#options
    this.#isBusy = true
    try {
      await mutations.transact((batch) => {
        for (const wait of over) endWaitOf(batch, wait, now())
        for (const taskId of called) {
          const wait = projection.callOf(taskId)
          if (wait !== undefined) endWaitOf(batch, wait, now())
        }
      })
      for (const taskId of called) this.#ended.delete(taskId)
    } catch (failure) {
      onFailure(failure)
      return
    } finally {
      this.#isBusy = false
    }
    onRoom()
  }
}

/** Ends a wait that is over or timed out; a run that was suspended for it goes on. */
function endWaitOf(batch: TaskBatch, { runId, key, subject }: DurableWait, atMs: number): void {
  const run = batch.view.run(runId)
  // Answered, or its run has ended; both changes may still be in flight.
  if (run === undefined || isTerminalRunState(run.state) || batch.view.wait(runId, key)?.end !== undefined) return
  batch.submit({ type: 'wait_end', runId, key, ...(subject.type === 'answer' && { isTimedOut: true }), atMs })
  resumeWaiting(batch, runId, atMs)
}

/** Resumes a run that was suspended until its waits are over. */
export function resumeWaiting(batch: TaskBatch, runId: DurableWait['runId'], atMs: number): void {
  const run = batch.view.run(runId)
  if (run?.state === 'suspended' && suspendReasonOf(run) === 'waiting') resumeRuns(batch, [runId], atMs)
}
