import type { ErrorDetails } from '../base/error-details.js'
import type { AttemptOutcome, FailureReason } from './attempt-outcome.js'

/** Why a task or run ended without a result: a failure reason of its last attempt, or a cancellation. */
export type EndReason = FailureReason | 'cancelled'

/** What went wrong, as data to branch on. */
export interface Fault {
  /** Error text of the last attempt. */
  readonly error?: string
  /** The reason; absent if a host that drives runs itself did not state one. */
  readonly reason?: EndReason
  /** The thrown error, as data. */
  readonly cause?: ErrorDetails
}

/** The fault of an attempt; empty for one that succeeded, was suspended or has not ended. */
export function faultOf(outcome: AttemptOutcome | undefined): Fault {
  switch (outcome?.result) {
    case 'failure':
      return faultIn(outcome)
    case 'timeout':
      return { error: outcome.error, reason: 'deadline' }
    case 'lost':
      return { error: outcome.error, reason: 'lost' }
    case 'success':
    case 'suspended':
    case undefined:
      return {}
  }
}

/** Picks the fields of a fault from a larger object. */
export function faultIn({ error, reason, cause }: Fault): Fault {
  return {
    ...(error !== undefined && { error }),
    ...(reason !== undefined && { reason }),
    ...(cause !== undefined && { cause }),
  }
}
