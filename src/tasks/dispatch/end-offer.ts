import { messageOf } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { isTooLargeForJournal } from '../../lane/errors.js'
import { failed } from '../attempt-outcome.js'
import type { AttemptReport } from './attempt.js'
import { orRefuse, type FollowUp } from './attempt-batches.js'

/** The end of an attempt as it is offered to the authority. */
export interface EndOffer {
  readonly report: AttemptReport
  /** How the consequences of the end are taken. */
  readonly follow: FollowUp
  /** Offers that were refused before this one. */
  readonly refusals: number
}

/** The end as the handler has made it, with all that follows or not at all. */
export function firstOffer(report: AttemptReport): EndOffer {
  return { report, follow: orRefuse, refusals: 0 }
}

/**
 * What is offered in place of a refused end, so that no end is lost whatever it is made of: the same end without those of
 * its consequences that are refused; then a failure that carries the refusal; at last that failure and nothing else.
 */
export function nextOffer({ report, refusals }: EndOffer, refusal: unknown, logger: Logger): EndOffer | undefined {
  const isTooLarge = isTooLargeForJournal(refusal)
  const reason = isTooLarge ? 'the end does not fit the journal' : 'the end was refused'
  const outcome = failed(`${reason}: ${messageOf(refusal)}`, 'terminal')
  const failure = { outcome, isAnswered: report.isAnswered }
  const tolerate: FollowUp = (step) => {
    try {
      step()
    } catch (cause) {
      logger.error({ cause: messageOf(cause) }, 'what follows from the end of an attempt was refused')
    }
  }
  const leaveOut: FollowUp = () => logger.error({}, 'what follows from the end of an attempt was left out')
  switch (refusals) {
    case 0:
      return { report, follow: isTooLarge ? leaveOut : tolerate, refusals: 1 }
    case 1:
      return { report: failure, follow: tolerate, refusals: 2 }
    case 2:
      return { report: failure, follow: leaveOut, refusals: 3 }
    default:
      return undefined
  }
}
