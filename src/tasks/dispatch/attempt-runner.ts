import type { TaskSpec } from '../task-spec.js'
import type { AttemptIdentity } from './attempt.js'

/** What is said of an attempt to whoever shows it. */
export interface AttemptDescription extends AttemptIdentity {
  readonly task: TaskSpec
  /** Aborts when the attempt has to stop. */
  readonly signal: AbortSignal
}

/** What the work of an attempt is given. */
export interface AttemptScope {
  /** Aborts with the attempt, and when it is ended from outside. */
  readonly signal: AbortSignal
  readonly progress: (message: string, percent?: number) => void
}

/**
 * Where attempts run. The composition root makes each one an operation, so that one place shows
 * everything running; the tasks room does not know that room.
 */
export interface AttemptRunner {
  /** Runs the work to its own answer; rejects when the attempt is ended from outside first. */
  run(attempt: AttemptDescription, work: (scope: AttemptScope) => Promise<unknown>): Promise<unknown>
}

/** Runs attempts where nobody looks. */
export const plainRunner: AttemptRunner = {
  run: ({ signal }, work) => work({ signal, progress: () => {} }),
}
