import type { ErrorDetails } from './error-details.js'

/**
 * How a failure came about: the work threw; its deadline passed; how it ended was refused (JSON cannot say it, the journal
 * cannot hold it, a rule does not allow it); or whoever did the work was lost.
 */
export const failureReasons = ['threw', 'deadline', 'refused', 'lost'] as const
export type FailureReason = (typeof failureReasons)[number]

/** What is known of a failure beside its text; a host that drives a life cycle itself need not say. */
export interface FailureOrigin {
  /** To branch on. */
  readonly reason?: FailureReason
  /** What was thrown, or the refusal, as bounded data. */
  readonly cause?: ErrorDetails
}
