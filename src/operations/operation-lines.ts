import type { ErrorDetails } from '../base/error-details.js'
import { defineLine } from '../base/log-lines.js'
import type { OperationId, OperationKind, OperationOutcome, SessionId } from '../../machines/operation-vocabulary.js'

/** The fields that identify an operation. */
export interface OperationFields {
  readonly sessionId: SessionId
  readonly operationId: OperationId
  readonly kind: OperationKind
  readonly displayName: string
}

/** Why an operation ended as it did. */
export interface EndReasons {
  /** The reason of a failure, cancellation or termination. */
  readonly reason?: string
  readonly error?: string
  readonly cause?: ErrorDetails
}

export const operationStarted = defineLine<OperationFields>('debug', 'an operation has started')

export const operationEnded = defineLine<
  OperationFields & EndReasons & { readonly outcome: OperationOutcome['type']; readonly durationMs: number }
>('debug', 'an operation has ended')

export const operationsLost = defineLine<{
  readonly sessionId: SessionId
  readonly operations: number
  /** The first few of their ids. */
  readonly operationIds: readonly OperationId[]
}>('warn', 'operations were lost with the process that ran them')
