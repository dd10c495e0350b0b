import { decode } from '../base/decode.js'
import { abortableSchema } from '../base/options.js'
import { abortable, silence } from '../base/promises.js'
import type { Report } from '../work/report-stream.js'
import type { OperationId, OperationOutcome, OperationStatus } from '../../machines/operation-vocabulary.js'
import { OperationFailed } from './operation-failed.js'

/** What cancelling an operation came to. */
export type OperationCancelAnswer = 'cancelled' | 'cancelled_in_line' | 'already_ended'

/** What a handle is of: the operation itself, or the refusal of one. */
export interface HandleTarget {
  readonly id: OperationId
  readonly outcome: Promise<OperationOutcome>
  /** `queued` while it stands in line; nothing for one that never began. */
  readonly status: OperationStatus | 'queued' | undefined
  /** True once the outcome is settled, either way. */
  readonly isSettled: boolean
  readonly reports: AsyncIterable<Report>
  /** What the work has returned, once the operation has completed. */
  valueOf(outcome: OperationOutcome & { readonly type: 'completed' }): unknown
  cancel(reason: string | null): Promise<OperationCancelAnswer>
}

/** An operation that was started, or put in line. Ignoring it is harmless. */
export class OperationHandle<Result = unknown> {
  readonly id: OperationId
  /**
   * Ends the operation as cancelled and aborts its signal. Takes an operation that has not started out of the line, and
   * leaves an ended one as it is. Rejects like {@link OperationHandle.outcome} if it never started, and with a `LaneError`.
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
   * Resolves with how it ended, once that is durable. Rejects with the refusal if the registry did not accept the operation
   * or its options, with `cancelled_in_line` if it was cancelled before it started, and with `channel_closed` if the runtime
   * closed first.
   */
  get outcome(): Promise<OperationOutcome> {
    return this.#target.outcome
  }

  /** `queued` while it is in line, then the status of the operation; `undefined` for one that never started. */
  get status(): OperationStatus | 'queued' | undefined {
    return this.#target.status
  }

  /** True once it has ended or was refused. */
  get isSettled(): boolean {
    return this.#target.isSettled
  }

  /**
   * Progress and output of the work: first what is kept, then what comes, until the operation ends. Bounded: a reader that is
   * too slow receives a gap and holds up nobody.
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

/** The handle of an operation that never began; its id names nothing. */
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
