import type { ObserverGuard } from '../base/observers.js'
import { JobSpan, type Tracer } from '../work/job-span.js'
import type { OperationOutcome, OperationSpec } from '../../machines/operation-vocabulary.js'

/** The span of one operation: of the kind `INTERNAL`, below the one that was active when it was asked for. */
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

  /** Ends with the outcome; a failure or termination is an error. */
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

  /** Ends without an outcome, because the operation was refused or its session closed first. */
  abandon(reason: string): void {
    this.#span.abandon(reason)
  }
}
