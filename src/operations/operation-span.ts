import type { ObserverGuard } from '../base/observers.js'
import { JobSpan, type Tracer } from '../work/job-span.js'
import type { OperationOutcome, OperationSpec } from '../../machines/operation-vocabulary.js'

/** The span of one operation. */
export class OperationSpan {
  readonly #span: JobSpan

  constructor(tracer: Tracer, spec: OperationSpec, guard: ObserverGuard) {
    const start = {
      name: `operation ${spec.displayName}`,
      attributes: {
        'stateward.operation.id': spec.id,
        'stateward.operation.kind': spec.kind,
        'stateward.session.id': spec.ownerSessionId,
      },
      outcomeAttribute: 'stateward.operation.outcome',
    }
    this.#span = new JobSpan(tracer, start, guard)
  }

  /** Ends with the outcome; a failure or termination is an error. */
  end(outcome: OperationOutcome): void {
    if (outcome.type === 'failed') this.#span.end(outcome.type, outcome.error)
    else if (outcome.type === 'terminated') this.#span.end(outcome.type, outcome.reason)
    else this.#span.end(outcome.type)
  }

  /** Ends without an outcome, because the operation was refused or its session closed first. */
  abandon(reason: string): void {
    this.#span.abandon(reason)
  }
}
