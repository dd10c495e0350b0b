import { decode } from '../base/decode.js'
import { abortableSchema } from '../base/options.js'
import { abortable, silence } from '../base/promises.js'
import type { Report } from '../work/report-stream.js'
import type { OperationId, OperationOutcome, OperationStatus } from '../../machines/operation-vocabulary.js'
import { OperationFailed } from './operation-failed.js'

/** The result of cancelling an operation. */
export type OperationCancelAnswer = 'cancelled' | 'cancelled_in_line' | 'already_ended'

/** The target of a handle: an operation, or the refusal of one. */
export interface HandleTarget {
  readonly id: OperationId
  readonly outcome: Promise<OperationOutcome>
  /** `queued` while it waits in the queue; `undefined` if it never began. */
  readonly status: OperationStatus | 'queued' | undefined
  /** True once the outcome has resolved or rejected. */
  readonly isSettled: boolean
  readonly reports: AsyncIterable<Report>
  /** The return value of the work, once the operation has completed. */
  valueOf(outcome: OperationOutcome & { readonly type: 'completed' }): unknown
  cancel(reason: string | null): Promise<OperationCancelAnswer>
}

/**
 * A handle of an operation that was started or queued. Its promises may be ignored: they never cause an unhandled
 * rejection.
 */
export class OperationHandle<Result = unknown> {
  readonly id: OperationId
  /**
   * Ends the operation as cancelled and aborts its signal. Removes an operation that has not started from the queue;
   * leaves an ended one as it is. Rejects like {@link OperationHandle.outcome} if it never started, and with a
   * `LaneError`.
   */
  readonly cancel: (reason?: string | null) => Promise<OperationCancelAnswer>
  readonly #target: HandleTarget

  /** @internal */
  constructor(target: HandleTarget) {
    this.id = target.id
    this.cancel = (reason = null) => target.cancel(reason)
    this.#target = target
  }

  /**
   * Resolves with the outcome once it is durable. Rejects with the refusal if the registry did not accept the operation
   * or its options, with `cancelled_in_line` if it was cancelled before it started, and with `channel_closed` if the
   * runtime closed first.
   */
  get outcome(): Promise<OperationOutcome> {
    return this.#target.outcome
  }

  /** `queued` while it waits in the queue, then the status of the operation; `undefined` if it never started. */
  get status(): OperationStatus | 'queued' | undefined {
    return this.#target.status
  }

  /** True once it has ended or was refused. */
  get isSettled(): boolean {
    return this.#target.isSettled
  }

  /**
   * The progress and output of the work: first what has been kept, then new reports, until the operation ends. The
   * number of kept reports is bounded: a reader that is too slow receives a gap and delays nothing else.
   */
  get progress(): AsyncIterable<Report> {
    return this.#target.reports
  }

  /**
   * Resolves with what the work returned, after a round trip through JSON. Rejects with {@link OperationFailed} if the
   * operation ended in another way, with the signal's reason, and like {@link OperationHandle.outcome}.
   */
  result(options: { readonly signal?: AbortSignal } = {}): Promise<Result> {
    return silence(this.#result(options))
  }

  async #result(options: { readonly signal?: AbortSignal }): Promise<Result> {
    const { signal } = decode(abortableSchema, options, 'result options')
    const outcome = await abortable(this.outcome, signal)
    if (outcome.type !== 'completed') throw new OperationFailed(this.id, outcome)
    return this.#target.valueOf(outcome) as Result
  }
}

/** The handle of an operation that never began; its id does not refer to any operation. */
export function refusedHandle<Result>(id: OperationId, outcome: Promise<never>): OperationHandle<Result> {
  return new OperationHandle({
    id,
    outcome,
    status: undefined,
    isSettled: true,
    reports: { [Symbol.asyncIterator]: nothing },
    valueOf: () => undefined,
    cancel: () => outcome,
  })
}

async function* nothing(): AsyncGenerator<never> {}
