import { errorOfDetails } from '../base/error-details.js'
import { StatewardError } from '../base/errors.js'
import type { OperationId, OperationOutcome } from '../../machines/operation-vocabulary.js'

/** An outcome without a result. */
export type FailedOutcome = Exclude<OperationOutcome, { readonly type: 'completed' }>

/**
 * Raised with code `operation_failed` when the result of an operation is read that ended without one. `cause` describes
 * what the work threw: an error with the same name, message, code and stack, and with its own causes.
 */
export class OperationFailed extends StatewardError<
  'operation_failed',
  { readonly id: OperationId; readonly outcome: FailedOutcome }
> {
  override readonly name = 'OperationFailed'

  constructor(id: OperationId, outcome: FailedOutcome) {
    const thrown = outcome.type === 'failed' ? outcome.cause : undefined
    super(
      'operation_failed',
      `operation ${id} ended as ${outcome.type}${reasonIn(outcome)}`,
      { id, outcome },
      thrown === undefined ? {} : { cause: errorOfDetails(thrown) },
    )
  }
}

function reasonIn(outcome: FailedOutcome): string {
  if (outcome.type === 'failed') return `: ${outcome.error}`
  if (outcome.type === 'retired' || outcome.reason === null) return ''
  return `: ${outcome.reason}`
}
