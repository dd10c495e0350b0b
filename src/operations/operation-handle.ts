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
   * Ends the operation as cancelled and aborts its signal, takes one that has not begun out of the line, and leaves one
   * that has ended as it is. Rejects like {@link OperationHandle.outcome} where it never began, and with the errors of the
   * lane.
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
   * How it ended, once that is durable. Rejects with the refusal when the registry did not accept the operation or the
   * options, with `cancelled_in_line` when it was cancelled before it began, and with `channel_closed` when the runtime
   * closed first.
   */
  get outcome(): Promise<OperationOutcome> {
    return this.#target.outcome
  }

  /** `queued` while it stands in line; the status of the operation from then on. Nothing for one that never began. */
  get status(): OperationStatus | 'queued' | undefined {
    return this.#target.status
  }

  /** True once it has ended, or was refused: the outcome is settled. */
  get isSettled(): boolean {
    return this.#target.isSettled
  }

  /**
   * What the work says of its progress and puts out, while it runs: what is kept first, then what comes, until the operation
   * ends. Bounded: a reader that is too slow is told of a gap, and holds up nobody.
   */
  get progress(): AsyncIterable<Report> {
    return this.#target.reports
  }

  /**
   * What the work has returned, as JSON says it, once the operation has completed. Rejects with {@link OperationFailed}
   * when it has ended otherwise, with the signal's reason, and like {@link OperationHandle.outcome}.
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
