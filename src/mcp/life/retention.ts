import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { silence } from '../../base/promises.js'
import type { Processes } from '../../processes/index.js'
import { noProjector } from '../../processes/index.js'
import { hasEnded, ttlOf, type TaskState } from '../wire/detailed-task.js'

/** What happens to a running task when its handle expires. */
export type TtlAction = 'cancel' | 'detach'

/** Options of {@link Retention}. */
export interface RetentionOptions {
  readonly processes: Processes
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly keepEndedMs: number
  readonly ttlAction: TtlAction
  readonly read: (taskId: string) => Promise<TaskState | undefined>
  readonly cancel: (state: TaskState) => Promise<void>
  readonly onForgotten: (taskId: string) => void
  readonly onFault: (failure: unknown) => void
}

/** Milliseconds before retrying what the store refused. */
const retryMs = 60_000
/** Milliseconds for which tasks to be deleted are collected. */
const gatherMs = 50
/** How many tasks are deleted in one change. */
const mostAtOnce = 1000

/** Whether the handle of a task has expired, or never was one. */
export function isOver(state: TaskState, nowMs: number): boolean {
  const { payload } = state
  const ttlMs = ttlOf(state, nowMs)
  return payload.isInline === true || (ttlMs !== null && nowMs >= payload.createdAtMs + ttlMs)
}

/**
 * Ends expired tasks and deletes ended ones: their arguments, answers and results disappear from journal and snapshot.
 * There is one deadline per task. When it passes the task is read again, because its time may have been extended.
 */
export class Retention implements Disposable {
  readonly #options: RetentionOptions
  readonly #deadlines = new Map<string, Deadline>()
  #due = new Set<string>()
  #gathering: Deadline | undefined
  #isClosed = false

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  /** Checks the task when its time is up. */
  keep(state: TaskState): void {
    const atMs = this.#dueAtMs(state)
    if (atMs !== undefined) this.#lookIn(state.taskId, atMs - this.#nowMs())
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    this.#gathering?.[Symbol.dispose]()
    for (const deadline of this.#deadlines.values()) deadline[Symbol.dispose]()
    this.#deadlines.clear()
  }

  /** When to act on a task next, in epoch milliseconds. `undefined` means never, or not before it ends. */
  #dueAtMs(state: TaskState): number | undefined {
    const { payload, updatedAtMs } = state
    if (hasEnded(state) && payload.isInline === true) return updatedAtMs
    const ttlMs = ttlOf(state, this.#nowMs())
    if (ttlMs === null) return undefined
    const overAtMs = payload.createdAtMs + ttlMs
    if (hasEnded(state)) return Math.max(overAtMs, updatedAtMs + this.#options.keepEndedMs)
    return overAtMs
  }

  #lookIn(taskId: string, delayMs: number): void {
    if (this.#isClosed) return
    this.#deadlines.get(taskId)?.[Symbol.dispose]()
    const look = (): void =>
      void silence(this.#look(taskId).catch((failure: unknown) => this.#tryAgain(taskId, failure)))
    this.#deadlines.set(taskId, this.#options.deadlines.after(Math.max(0, delayMs), look))
  }

  #tryAgain(taskId: string, failure: unknown): void {
    if (this.#isClosed) return
    this.#options.onFault(failure)
    this.#lookIn(taskId, retryMs)
  }

  async #look(taskId: string): Promise<void> {
    this.#deadlines.delete(taskId)
    const { read, cancel, ttlAction } = this.#options
    const state = await read(taskId)
    if (state === undefined || this.#isClosed) return
    const atMs = this.#dueAtMs(state)
    if (atMs === undefined) return
    const leftMs = atMs - this.#nowMs()
    if (leftMs > 0) return this.#lookIn(taskId, leftMs)
    if (hasEnded(state)) return this.#gather(taskId)
    // Its end brings it back here, through `keep`.
    if (ttlAction === 'cancel') await cancel(state)
  }

  #gather(taskId: string): void {
    this.#due.add(taskId)
    this.#gathering ??= this.#options.deadlines.after(gatherMs, () => {
      this.#gathering = undefined
      silence(this.#forgetDue())
    })
  }

  async #forgetDue(): Promise<void> {
    const due = [...this.#due]
    this.#due = new Set()
    const { store } = this.#options.processes
    for (let from = 0; from < due.length; from += mostAtOnce) {
      const ids = due.slice(from, from + mostAtOnce)
      try {
        await store.pruneTerminal(Number.MAX_SAFE_INTEGER, { ids, watermark: noProjector })
        // Deleted ids must look like ids that never existed, also on disk.
        await store.compactTombstones(Number.MAX_SAFE_INTEGER, { ids, watermark: noProjector })
        for (const id of ids) this.#options.onForgotten(id)
      } catch (failure) {
        for (const id of ids) this.#tryAgain(id, failure)
      }
    }
  }

  #nowMs(): number {
    return Math.trunc(this.#options.clock.wallNow())
  }
}
