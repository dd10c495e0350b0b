import type { ObserverGuard } from '../base/observers.js'
import { JobSpan, type Tracer } from '../work/job-span.js'
import type { OperationOutcome, OperationSpec } from '../../machines/operation-vocabulary.js'

/**
 * The span of one operation: of kind `INTERNAL`, a child of the span that was active when the operation was requested.
 */
export class OperationSpan {
  readonly #span: JobSpan

  constructor(tracer: Tracer, spec: OperationSpec, guard: ObserverGuard) {
    const start = {
      name: `operation ${spec.kind}`,
      attributes: {
        'stateward.operation.id': spec.id,
        'stateward.operation.kind': spec.kind,
        'stateward.operation.name': spec.displayName,
        'stateward.session.id': spec.ownerSessionId,
      },
      outcomeAttribute: 'stateward.operation.outcome',
    }
    this.#span = new JobSpan(tracer, start, guard)
  }

  /** Calls the function with the span active. */
  run<Result>(work: () => Result): Result {
    return this.#span.run(work)
  }

  /** Ends the span with the outcome; a failure or termination sets the status to error. */
  end(outcome: OperationOutcome): void {
    if (outcome.type === 'failed') {
      const { error: message, reason: type, cause } = outcome
      this.#span.end(outcome.type, {
        message,
        ...(type !== undefined && { type }),
        ...(cause !== undefined && { cause }),
      })
    } else if (outcome.type === 'terminated') {
      this.#span.end(outcome.type, { message: outcome.reason, type: outcome.type })
    } else this.#span.end(outcome.type)
  }

  /** Ends the span without an outcome, because the operation was refused or its session closed first. */
  abandon(reason: string): void {
    this.#span.abandon(reason)
  }
}
