import { onAbort } from '../base/abort.js'
import type { Clock } from '../base/clock.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { errorDetailsOf } from '../base/error-details.js'
import { InvalidInputError, messageOf, StatewardError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { silence } from '../base/promises.js'
import type { Inspect } from '../base/inspection.js'
import type { JobList } from '../work/job-list.js'
import { Job, type JobEnd } from '../work/job.js'
import type { KeptLease, LeaseKeeper } from '../work/lease-keeper.js'
import type { Slot } from '../work/slot.js'
import { DurableEnd } from '../work/until-durable.js'
import type { JobSpan } from '../work/job-span.js'
import type { Awaiter } from './awaiter.js'
import { isSuperseded } from './claim.js'
import { ProcessError } from './errors.js'
import { cancelRequestedType } from './event-type.js'
import type { WorkerFault } from './event-sink.js'
import type { ProcessEvent } from './event.js'
import type { ProcessLease } from './lease.js'
import type { AbandonEvidence, AwaitOutput } from './output.js'
import type { ProcessMetrics } from './process-metrics.js'
import { endRunSpan, type ProcessSpans } from './process-spans.js'
import type { ProcessRecord } from './record.js'
import { endedWith, notRun, type RunResult } from './run-result.js'
import type { ProcessRunner, RunContext, StopCause } from './runner.js'
import type { ProcessId } from './scalars.js'
import { shortestPollMs } from './shared-wait.js'
import type { ProcessStore } from './store.js'
import { isFailureOfStore, isPassingFailure } from './store-failure.js'

/** Dependencies shared by all runs. */
export interface RunTools {
  readonly store: ProcessStore
  readonly awaiter: Awaiter
  readonly runner: ProcessRunner
  readonly keeper: LeaseKeeper<HeldLease>
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly jobs: JobList
  readonly logger: Logger
  /** Milliseconds that a run has to finish after it is told to stop. */
  readonly graceMs: number
  readonly report: (fault: WorkerFault) => void
  readonly spans?: ProcessSpans
  readonly metrics?: ProcessMetrics
  readonly inspect?: Inspect
}

/** A lease that is renewed while its run works. */
export interface HeldLease extends KeptLease {
  lease: ProcessLease
  /**
   * When it was last renewed, in monotonic milliseconds. Its expiry is in the store's clock and cannot be compared
   * here.
   */
  renewedAtMs: number
  /** Called if the store failed to renew it and it would expire before the next try. */
  readonly onUnrenewable: () => void
}

/** What a run starts with. */
export interface RunStart {
  readonly record: ProcessRecord
  readonly lease: ProcessLease
  readonly slot: Slot
  /** Set if the run recovers a process of another owner. The evidence is used if the process is lost. */
  readonly recovery?: { readonly deadHolder: ProcessLease | undefined; readonly evidence: AbandonEvidence }
}

/**
 * One execution of one process under its lease.
 *
 * It runs as a job and its lease is renewed meanwhile. It is told to stop when the process is cancelled, when the lease
 * is lost, or when the worker closes. The outcome is written together with the release of the lease in one change,
 * retried until the store accepts it. A run that lost its lease writes nothing more: the new holder is the only writer.
 * If a process could not be run, it does not end but is tried again later.
 */
export class ProcessRun {
  readonly #tools: RunTools
  readonly #start: RunStart
  readonly #job: Job<StopCause>
  readonly #held: HeldLease
  readonly #watching = new AbortController()
  #cancelRequest: ProcessEvent | undefined
  #end: DurableEnd<AwaitOutput> | undefined
  #isDropped = false
  #isWatchReported = false
  /** For spans and metrics. */
  #result: RunResult = { outcome: 'superseded' }

  constructor(start: RunStart, tools: RunTools) {
    this.#tools = tools
    this.#start = start
    const { record, lease, slot } = start
    const { clock, deadlines, jobs, graceMs, inspect } = tools
    const { originator } = record.provenance
    this.#job = new Job<StopCause>({
      id: record.id,
      room: 'processes',
      kind: record.identity.kind,
      displayName: record.identity.label ?? record.identity.kind,
      ...(originator.type === 'session' && { owner: originator.scope.sessionId }),
      clock,
      deadlines,
      jobs,
      reasonOf: (cause) => this.#reasonOf(cause),
      graceMs,
      slot,
      ...(inspect !== undefined && { inspect }),
    })
    this.#held = {
      id: record.id,
      lease,
      renewedAtMs: clock.monotonicNow(),
      onLost: () => this.#job.stop('lease_lost'),
      onUnrenewable: () => {
        this.#report('renew its lease', 'the store did not renew the lease in time')
        this.#job.stop('store_failed')
      },
    }
  }

  get processId(): ProcessId {
    return this.#start.record.id
  }

  /** True if the process must never be run a second time. */
  get isOwnerBound(): boolean {
    return this.#start.record.disposition === 'owner_bound'
  }

  /** Runs the process. Resolves when this worker is done with it, with true if the process has ended. */
  async run(): Promise<boolean> {
    const { keeper, store, deadlines, clock, spans, metrics } = this.#tools
    const { record, recovery } = this.#start
    const kept = keeper.keep(this.#held)
    const watch = (): void => void silence(this.#watchForCancel())
    // The record says that there is no request to cancel yet. On a shared store, reading costs a round trip, so
    // watching starts a little later and short runs avoid it.
    const watching = store.writers === 'many' ? deadlines.after(shortestPollMs, watch) : watch()
    const span = spans?.run(record)
    const startedAt = clock.monotonicNow()
    if (recovery === undefined && record.firstStarted?.attempt === 1) metrics?.started(record)
    // An existing request must reach the run before any of its work starts.
    if (record.cancelRequested === true) this.#job.stop('cancelled')
    try {
      const end = await this.#job.run(() => this.#work(span))
      return await this.#settle(end)
    } finally {
      endRunSpan(span, this.#result)
      metrics?.ran(record.identity.kind, this.#result, clock.monotonicNow() - startedAt)
      kept[Symbol.dispose]()
      watching?.[Symbol.dispose]()
      this.#watching.abort(isOver)
      this.#start.slot.release()
    }
  }

  /** Whether another host may run it again. */
  get isRerunnable(): boolean {
    return this.#start.record.disposition === 'rerunnable'
  }

  /** Tells the run to wind down and to stop, optionally with its own grace period. */
  close(graceMs?: number): void {
    this.#job.windDown()
    this.#job.stop('closing', graceMs)
    this.#end?.hurry()
  }

  /**
   * Stops waiting for the store. What it has not accepted by now is not written; the next holder of the process takes
   * over.
   */
  drop(): void {
    this.#isDropped = true
    this.#end?.[Symbol.dispose]()
  }

  #work(span: JobSpan | undefined): Promise<AwaitOutput | undefined> {
    const { runner, store } = this.#tools
    const { record, recovery } = this.#start
    const context: RunContext = {
      record,
      lease: () => this.#held.lease,
      job: this.#job,
      cancelRequest: () => this.#cancelRequest,
      store,
    }
    const work = (): Promise<AwaitOutput | undefined> =>
      recovery === undefined || runner.recover === undefined
        ? runner.run(context)
        : runner.recover(context, recovery.deadHolder)
    return span === undefined ? work() : span.run(work)
  }

  async #watchForCancel(): Promise<void> {
    const { awaiter } = this.#tools
    const { signal } = this.#watching
    try {
      this.#cancelRequest = await awaiter.awaitEvent(this.processId, cancelRequestedType, 0, { signal, unref: true })
      this.#job.stop('cancelled')
    } catch (error) {
      if (signal.aborted) return
      if (!this.#isWatchReported) this.#report('watch for a request to cancel', messageOf(error))
      this.#isWatchReported = true
      if (isPassingFailure(error)) this.#watchLater()
    }
  }

  /** After a passing failure of the store, watch again, so that a later request is not missed. */
  #watchLater(): void {
    const { deadlines } = this.#tools
    const again = deadlines.after(watchRetryMs, () => void silence(this.#watchForCancel()))
    onAbort(this.#watching.signal, () => again[Symbol.dispose]())
  }

  async #settle({ answer, stopCause }: JobEnd<StopCause>): Promise<boolean> {
    if (stopCause === 'lease_lost') return false
    if (answer.type === 'returned') return this.#complete((answer.value as AwaitOutput | undefined) ?? this.#lost())
    if (answer.type === 'threw' && isSuperseded(answer.thrown)) return false
    if (stopCause === 'cancelled') return this.#complete(cancelledBy(await this.#request()))
    this.#result = answer.type === 'threw' && stopCause === undefined ? notRun(answer.thrown) : { outcome: 'stopped' }
    if (answer.type === 'threw' && stopCause === undefined) this.#report('run', messageOf(answer.thrown))
    // For an owner-bound process, releasing the lease would claim that none of its work is still running, which is
    // unknown if the run did not answer.
    if (!this.isOwnerBound || answer.type !== 'none') await this.#release()
    return false
  }

  /** The request to cancel. If it was made before the run started, it may not have been read yet. */
  async #request(): Promise<ProcessEvent | undefined> {
    if (this.#cancelRequest !== undefined) return this.#cancelRequest
    try {
      return await this.#tools.store.firstEventAfter(this.processId, cancelRequestedType, 0)
    } catch {
      // The process ends anyway, only without the reason.
      return undefined
    }
  }

  /** The outcome of a process whose owner is dead and which could not be recovered. */
  #lost(): AwaitOutput {
    const { recovery } = this.#start
    const epochMs = Math.trunc(this.#tools.clock.wallNow())
    return { type: 'abandoned', evidence: recovery?.evidence ?? { writer: 'sweep', epochMs } }
  }

  async #complete(output: AwaitOutput): Promise<boolean> {
    const { store, deadlines, logger } = this.#tools
    let isReported = false
    this.#end = new DurableEnd(output, {
      deadlines,
      logger,
      subject: { processId: this.processId },
      offer: async (offered) => {
        try {
          const { outcome } = await store.completeWithLease(this.#held.lease, offered)
          if (outcome !== 'superseded') this.#result = endedWith(offered)
        } catch (error) {
          // A refused output is reported as the failure of the process.
          const isToldOtherwise = isSuperseded(error) || error instanceof InvalidInputError
          if (!isReported && !isToldOtherwise) this.#report('write its end', messageOf(error))
          isReported ||= !isToldOtherwise
          throw error
        }
      },
      insteadOf: (_, refusal) => failureOf(refusal),
      isFinal: (failure) => this.#isDropped || isSuperseded(failure) || StatewardError.is(failure, 'store.closed'),
      isTransient: isFailureOfStore,
    })
    const { result } = await this.#end.settled
    return result === 'durable'
  }

  async #release(): Promise<void> {
    const { processId, leaseToken } = this.#held.lease
    try {
      await this.#tools.store.completeLease({ processId, leaseToken })
    } catch (error) {
      this.#report('release its lease', messageOf(error))
    }
  }

  #reasonOf(cause: StopCause): unknown {
    const { processId } = this
    switch (cause) {
      case 'lease_lost':
        return new ProcessError('process.lease_superseded', {
          processId,
          fencingToken: this.#held.lease.fencingToken,
        })
      case 'cancelled':
      case 'store_failed':
      case 'closing':
        return new ProcessError('process.run_stopped', { processId, cause })
    }
  }

  #report(operation: string, message: string): void {
    const type = operation === 'run' ? 'row_run_failed' : 'row_backend_error'
    this.#tools.report({ type, processId: this.processId, operation, message })
  }
}

/** Milliseconds before watching for a request to cancel resumes after a failure of the store. */
const watchRetryMs = 1000

/** The reason for ending a watch. One shared error, because creating one is expensive. */
const isOver = new ProcessError('process.worker_closed', {})

/** The outcome of a process that ended after a request to cancel. */
export function cancelledBy(request: ProcessEvent | undefined): AwaitOutput {
  const output = { type: 'cancelled', message: 'the process was cancelled' } as const
  return request === undefined ? output : { ...output, raw: request.payload }
}

function failureOf(refusal: unknown): AwaitOutput {
  const details = errorDetailsOf(refusal)
  const { message } = details
  const raw = details as unknown as JsonValue
  return { type: 'failure', class: 'execution', code: 'process_output_refused', message, raw }
}
