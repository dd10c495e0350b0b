import type { JobState } from '../../machines/job.js'

/** The progress that a job reports. */
export interface JobProgress {
  readonly message: string
  /** From 0 to 1. */
  readonly fraction?: number
}

/** A running job as a list shows it. */
export interface JobInfo {
  readonly id: string
  readonly room: string
  readonly kind: string
  readonly displayName: string
  readonly owner?: string
  readonly state: JobState
  /** The last progress that it reported. */
  readonly progress?: JobProgress
  /** Epoch milliseconds. */
  readonly startedAtMs: number
}

/** The part of a job that a list needs. */
interface Listed {
  readonly info: JobInfo
  readonly room: string
}

/** Every running job of a runtime, in all rooms, including those that were left behind. */
export class JobList {
  readonly #jobs = new Set<Listed>()
  readonly #byRoom = new Map<string, number>()

  /** Number of jobs. */
  get size(): number {
    return this.#jobs.size
  }

  /** Number of jobs of a room. */
  sizeOf(room: string): number {
    return this.#byRoom.get(room) ?? 0
  }

  /** The current jobs, in the order in which they started. */
  list(): readonly JobInfo[] {
    return Array.from(this.#jobs, ({ info }) => info)
  }

  /** @internal Called by jobs. */
  add(job: Listed): void {
    if (this.#jobs.has(job)) return
    this.#jobs.add(job)
    this.#count(job, 1)
  }

  /** @internal Called by jobs. */
  delete(job: Listed): void {
    if (this.#jobs.delete(job)) this.#count(job, -1)
  }

  #count({ room }: Listed, change: number): void {
    this.#byRoom.set(room, this.sizeOf(room) + change)
  }
}
