import type { ErrorDetails } from '../base/error-details.js'
import type { AttemptOutcome, FailureReason } from './attempt-outcome.js'

/** How an end came about: as its last attempt failed, because it took too long, or because somebody cancelled. */
export type EndReason = FailureReason | 'cancelled'

/** What went wrong, for whoever branches on it. */
export interface Fault {
  /** Why the last attempt failed. */
  readonly error?: string
  /** How it came about; absent where a host that drives runs itself has not said. */
  readonly reason?: EndReason
  /** What was thrown, as data. */
  readonly cause?: ErrorDetails
}

/** What went wrong with an attempt; nothing for one that succeeded, is suspended or has not ended. */
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

/** The fault in something that has more to it. */
export function faultIn({ error, reason, cause }: Fault): Fault {
  return {
    ...(error !== undefined && { error }),
    ...(reason !== undefined && { reason }),
    ...(cause !== undefined && { cause }),
  }
}
