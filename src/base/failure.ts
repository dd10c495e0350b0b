import type { ErrorDetails } from './error-details.js'

/**
 * Why something failed: the work threw; its deadline passed; its end was refused (it cannot be written as JSON, the
 * journal cannot hold it, or a rule does not allow it); or the process that did the work was lost.
 */
export const failureReasons = ['threw', 'deadline', 'refused', 'lost'] as const
export type FailureReason = (typeof failureReasons)[number]

/** What is known of a failure besides its text. A host that drives a life cycle itself may leave it out. */
export interface FailureOrigin {
  /** The reason, for programs to branch on. */
  readonly reason?: FailureReason
  /** The thrown value or the refusal, as bounded data. */
  readonly cause?: ErrorDetails
}
