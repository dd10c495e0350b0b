import { errorOfDetails } from '../base/error-details.js'
import { StatewardError } from '../base/errors.js'
import type { OperationId, OperationOutcome } from '../../machines/operation-vocabulary.js'

/** An end without a result. */
export type FailedOutcome = Exclude<OperationOutcome, { readonly type: 'completed' }>

/**
 * Raised with code `operation_failed` by whoever asks for the result of an operation that has ended without one. What its
 * work threw is `cause`: an error of the same name, message, code and stack, with its own causes below it.
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
