import type { Instruments, Measure } from '../base/meter.js'
import { errorTypeOf } from '../work/job-span.js'
import type { OperationKind, OperationOutcome } from '../../machines/operation-vocabulary.js'

/** The metrics of operations, shared by all sessions; created only if there is a meter. */
export class OperationMetrics {
  readonly #durations: Measure

  constructor(instruments: Instruments) {
    this.#durations = instruments.duration(
      'stateward.operation.duration',
      'Time from the registration of an operation to its end',
    )
  }

  /** Records a durable end. */
  ended(kind: OperationKind, outcome: OperationOutcome, elapsedMs: number): void {
    this.#durations(elapsedMs, {
      'stateward.operation.kind': kind,
      'stateward.operation.outcome': outcome.type,
      ...(outcome.type === 'failed' && { 'error.type': failureTypeOf(outcome) }),
    })
  }
}

function failureTypeOf({ reason, cause }: Extract<OperationOutcome, { type: 'failed' }>): string {
  return cause === undefined ? (reason ?? 'failed') : errorTypeOf(cause)
}
