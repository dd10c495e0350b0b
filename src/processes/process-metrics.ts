import type { Instruments, Measure } from '../base/meter.js'
import { errorTypeOf, type SpanError } from '../work/job-span.js'
import { statusOfOutput } from './output.js'
import type { ProcessRecord } from './record.js'
import { faultOf, type RunResult } from './run-result.js'

/** Metrics of processes that run here. Created only if there is a meter. */
export class ProcessMetrics {
  readonly #started: Measure
  readonly #waited: Measure
  readonly #ran: Measure
  readonly #ended: Measure

  constructor(instruments: Instruments) {
    this.#started = instruments.counter('stateward.process.started', '{process}', 'Processes whose first run has begun')
    this.#waited = instruments.duration(
      'stateward.process.wait.duration',
      'Time from the start of a process to its first run',
    )
    this.#ran = instruments.duration('stateward.process.run.duration', 'Time from the beginning to the end of a run')
    this.#ended = instruments.counter('stateward.process.ended', '{process}', 'Processes that have ended')
  }

  /** Records the first run of a process, right after its start was written. */
  started({ identity, createdAtMs, updatedAtMs }: ProcessRecord): void {
    const attributes = { 'stateward.process.kind': identity.kind }
    this.#started(1, attributes)
    // Both times come from the store's clock.
    this.#waited(Math.max(0, updatedAtMs - createdAtMs), attributes)
  }

  /** Records the end of a run. */
  ran(kind: string, { outcome, error }: RunResult, elapsedMs: number): void {
    const type = error && errorTypeIn(error)
    this.#ran(elapsedMs, {
      'stateward.process.kind': kind,
      'stateward.process.run.outcome': outcome,
      ...(type !== undefined && { 'error.type': type }),
    })
  }

  /** Records a durable end. */
  ended({ identity, outcome }: ProcessRecord): void {
    if (outcome === undefined) return
    const error = faultOf(outcome)
    const type = outcome.type === 'failure' && error && errorTypeIn(error)
    this.#ended(1, {
      'stateward.process.kind': identity.kind,
      'stateward.process.status': statusOfOutput(outcome),
      ...(outcome.type === 'failure' && { 'stateward.process.reason': outcome.class }),
      ...(outcome.type === 'abandoned' && { 'stateward.process.reason': outcome.evidence.writer }),
      ...(type && { 'error.type': type }),
    })
  }
}

function errorTypeIn({ cause, type }: SpanError): string | undefined {
  return cause === undefined ? type : errorTypeOf(cause)
}
