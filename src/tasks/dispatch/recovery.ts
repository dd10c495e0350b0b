import type { RunId } from '../ids.js'
import type { TaskMutations } from '../authority.js'
import { type EndingOptions, recoverLost } from './attempt-changes.js'
import type { LeaseWatch } from './leases.js'

/** Options and dependencies of {@link Recovery}. */
export interface RecoveryOptions extends Omit<EndingOptions, 'atMs'> {
  readonly mutations: TaskMutations
  readonly leases: Pick<LeaseWatch, 'expired'>
  /** True while a run has an attempt in this process. */
  readonly isAtWork: (runId: RunId) => boolean
  /** Called when a run could not be taken back. */
  readonly onFailure: (failure: unknown) => void
}

/** How many expired leases are taken back at a time. */
const recoveriesAtOnce = 256

/** Takes runs back from owners that are gone. */
export class Recovery {
  readonly #options: RecoveryOptions
  readonly #recovering = new Set<RunId>()

  constructor(options: RecoveryOptions) {
    this.#options = options
  }

  /** Takes back runs whose lease has expired, a few at a time; the resulting commits call this again. */
  run(): void {
    const { leases, isAtWork } = this.#options
    for (const runId of leases.expired) {
      if (this.#recovering.size >= recoveriesAtOnce) break
      if (!isAtWork(runId) && !this.#recovering.has(runId)) void this.recover(runId)
    }
  }

  /** Takes one run back; never rejects. */
  async recover(runId: RunId): Promise<void> {
    const { mutations, times, onFailure } = this.#options
    this.#recovering.add(runId)
    try {
      await recoverLost(mutations, runId, { ...this.#options, atMs: times.now() })
    } catch (failure) {
      onFailure(failure)
    } finally {
      this.#recovering.delete(runId)
    }
  }
}
