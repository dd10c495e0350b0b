import type { JobState } from '../../machines/job.js'

/** How far a job says it is. */
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
  /** The last that it reported. */
  readonly progress?: JobProgress
  /** Epoch milliseconds. */
  readonly startedAtMs: number
}

/** What a list needs of a job. */
interface Listed {
  readonly info: JobInfo
  readonly room: string
}

/** Every running job of a runtime, in all rooms, including those that were left behind. */
export class JobList {
  readonly #jobs = new Set<Listed>()
  readonly #byRoom = new Map<string, number>()

  /** How many there are. */
  get size(): number {
    return this.#jobs.size
  }

  /** How many of a room there are. */
  sizeOf(room: string): number {
    return this.#byRoom.get(room) ?? 0
  }

  /** The jobs as they are now, in the order in which they started. */
  list(): readonly JobInfo[] {
    return Array.from(this.#jobs, ({ info }) => info)
  }

  /** @internal For jobs. */
  add(job: Listed): void {
    if (this.#jobs.has(job)) return
    this.#jobs.add(job)
    this.#count(job, 1)
  }

  /** @internal For jobs. */
  delete(job: Listed): void {
    if (this.#jobs.delete(job)) this.#count(job, -1)
  }

  #count({ room }: Listed, change: number): void {
    this.#byRoom.set(room, this.sizeOf(room) + change)
  }
}
