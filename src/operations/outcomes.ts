import { readable } from '../base/decode.js'
import { errorDetailsOf } from '../base/error-details.js'
import { InvalidInputError } from '../base/errors.js'
import { deepFreeze } from '../base/freeze.js'
import { checkFields, textOf } from '../base/options.js'
import {
  failureReasons,
  type FailureOrigin,
  type OperationId,
  type OperationOutcome,
  type OperationResult,
} from '../../machines/operation-vocabulary.js'

const resultFields: ReadonlySet<string> = new Set<keyof OperationResult>([
  'id',
  'content',
  'isError',
  'durationMs',
  'tokensUsed',
])

const failureFields: ReadonlySet<string> = new Set<keyof FailureOrigin>(['reason', 'cause'])
const noFailure: FailureOrigin = {}

/**
 * Creates outcomes as the registry keeps them. They are checked here, because an invalid one in the journal would be
 * refused when it is read back, and frozen, because all watchers share them. All raise `invalid_input` naming the
 * field.
 */
export const outcomes = {
  completed: (id: OperationId, result: OperationResult): OperationOutcome =>
    readable('operation result', completedWith, id, result),
  failed(error: string, failure: FailureOrigin = noFailure): OperationOutcome {
    checkText('error', error)
    return readable('operation failure', failedWith, error, failure)
  },
  aborted(reason: string | null): OperationOutcome {
    checkReason(reason)
    return frozen({ type: 'aborted', reason })
  },
  cancelled(reason: string | null): OperationOutcome {
    checkReason(reason)
    return frozen({ type: 'cancelled', reason })
  },
  retired: (): OperationOutcome => frozen({ type: 'retired' }),
  terminated(reason: string): OperationOutcome {
    checkText('reason', reason)
    return frozen({ type: 'terminated', reason })
  },
} as const

/** Copies the cause, so that nothing unbounded or mutable is kept. */
function failedWith(error: string, failure: FailureOrigin): OperationOutcome {
  if (failure === noFailure) return frozen({ type: 'failed', error })
  checkFields('operation failure', failure, failureFields)
  const { reason, cause } = failure
  if (reason !== undefined && !failureReasons.includes(reason)) {
    refuse('failure.reason', `not one of ${failureReasons.join(', ')}: ${textOf(reason)}`)
  }
  const details = cause === undefined ? undefined : deepFreeze(errorDetailsOf(cause))
  return frozen({
    type: 'failed',
    error,
    ...(reason !== undefined && { reason }),
    ...(details !== undefined && { cause: details }),
  })
}

function failedAs({ error, reason, cause }: Extract<OperationOutcome, { type: 'failed' }>): OperationOutcome {
  return outcomes.failed(error, { ...(reason !== undefined && { reason }), ...(cause !== undefined && { cause }) })
}

/** Returns a checked copy of an outcome made elsewhere. Raises `invalid_input` naming the field. */
export function checkOutcome(id: OperationId, outcome: OperationOutcome): OperationOutcome {
  return readable('operation outcome', () => {
    if (typeof outcome !== 'object' || (outcome as unknown) === null) refuse('$', `not an object: ${textOf(outcome)}`)
    switch (outcome.type) {
      case 'completed':
        return outcomes.completed(id, outcome.result)
      case 'failed':
        return failedAs(outcome)
      case 'aborted':
        return outcomes.aborted(outcome.reason)
      case 'cancelled':
        return outcomes.cancelled(outcome.reason)
      case 'retired':
        return outcomes.retired()
      case 'terminated':
        return outcomes.terminated(outcome.reason)
      default:
        return refuse('type', 'not the name of an outcome')
    }
  })
}

function completedWith(id: OperationId, result: OperationResult): OperationOutcome {
  checkFields('operation result', result, resultFields)
  const { id: named, content, isError, durationMs, tokensUsed } = result
  if (named !== id) refuse('result.id', `names ${textOf(named)} instead of ${id}`)
  checkText('result.content', content)
  if (typeof isError !== 'boolean') refuse('result.isError', `not a boolean: ${textOf(isError)}`)
  checkCount('result.durationMs', durationMs)
  checkCount('result.tokensUsed', tokensUsed)
  return frozen({ type: 'completed', result: frozen({ id, content, isError, durationMs, tokensUsed }) })
}

const frozen: <Value>(value: Value) => Value = Object.freeze

function checkText(field: string, value: unknown): void {
  if (typeof value !== 'string') refuse(field, `not a string: ${textOf(value)}`)
}

function checkReason(reason: unknown): void {
  if (reason !== null) checkText('reason', reason)
}

function checkCount(field: string, value: unknown): void {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    refuse(field, `not a whole number from 0: ${textOf(value)}`)
}

function refuse(field: string, reason: string): never {
  throw new InvalidInputError({ subject: 'operation outcome', field, reason })
}
