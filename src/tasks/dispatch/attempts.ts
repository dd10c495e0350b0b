import { errorDetailsOf, faultFields } from '../../base/error-details.js'
import { messageOf } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { nextTurn } from '../../base/promises.js'
import { isLaneFailure, isTooLargeForJournal } from '../../lane/errors.js'
import type { JobSpan } from '../../work/job-span.js'
import type { JobEnd } from '../../work/job.js'
import { LeaseKeeper } from '../../work/lease-keeper.js'
import type { Slot } from '../../work/slot.js'
import { DurableEnd, type EndSettlement } from '../../work/until-durable.js'
import { failed } from '../attempt-outcome.js'
import { budgetDimension } from '../budget.js'
import type { AttemptId, ReservationId, RunId } from '../ids.js'
import { isTerminalRunState, type Run } from '../run.js'
import { concurrencyKeyOf, type TaskSpec } from '../task-spec.js'
import type { Account } from './account.js'
import type { Answers } from './answers.js'
import {
  type Claim,
  type DelayOf,
  finishAttempt,
  mayStart,
  orRefuse,
  startAttempt,
  type TakeConsequence,
  unsettledAfter,
  unsettledOfCancelled,
} from './attempt-changes.js'
import { Attempt, type AttemptOptions, type AttemptStart } from './attempt.js'
import type { AttemptIdentity, AttemptReport } from './attempt-report.js'
import { AttemptContext, type AttemptContextOptions } from './handler-context.js'
import type { AbortCause, Handler, HandlerOptions } from './handler.js'
import type { ResolvedDispatchOptions } from './options.js'
import { closeSpending, type RefusedAmount, unreported } from './spending.js'
import type { TaskClock } from './task-clock.js'
import { endAttemptSpan } from './task-spans.js'
import { fireForSpending } from './triggers.js'

/** A handler and its options. */
export interface RegisteredHandler {
  readonly kind: string
  readonly handler: Handler
  readonly options: HandlerOptions
}

/** Options and dependencies of {@link Attempts}. */
export interface AttemptsOptions extends Omit<AttemptOptions, 'onWaiting' | 'cooperationMs'>, AttemptContextOptions {
  readonly logger: Logger
  readonly options: ResolvedDispatchOptions
  readonly times: TaskClock
  readonly delayOf: DelayOf
  /** Where attempts wait for answers, times and calls. */
  readonly answers: Answers
  /** Concurrency keys, which some runs give back while they wait. */
  readonly keys: { giveBack(run: Run): void; takeAgain(run: Run, signal?: AbortSignal): Promise<void> }
  /**
   * Called when the code of an ended attempt is still running and its run has a concurrency key; `finished` resolves
   * when the code has ended.
   */
  readonly onLeftBehind: (run: Run, finished: Promise<void>) => void
  /** Called when an attempt has ended and its run is free again, with the last amount that a budget refused it. */
  readonly onEnded: (runId: RunId, refused: RefusedAmount | undefined) => void
  /** Called when a run could not be claimed, because of a failure or a change in flight. */
  readonly onNotStarted: (runId: RunId, failure: unknown) => void
}

/** A claimed run and its attempt. */
interface Started {
  readonly identity: AttemptIdentity
  readonly claim: Claim
}

/** What belongs to an attempt until its end is durable. */
interface Held {
  readonly lease: Disposable
  readonly slot: Slot
  readonly version: string | undefined
}

/** The end of an attempt, as submitted to the authority. */
interface EndOffer {
  readonly report: AttemptReport
  /** How consequences of the end are run, unless all of them are part of it. */
  readonly consequence?: TakeConsequence
}

/**
 * A refused end is submitted again without refused consequences, then as a failure, then as a failure without
 * consequences.
 */
const mostRefusals = 3

/**
 * The attempts of this process, each of them a job: claims a run, runs its handler, keeps the lease and records the
 * end.
 *
 * A run is here from its claim until its end is durable, or another worker holds it. Each transition is one batch:
 * `startAttempt` claims the run, `finishAttempt` records the end of its job. In between, the leases of all attempts are
 * renewed together.
 */
export class Attempts implements Disposable {
  readonly #options: AttemptsOptions
  /** By run; `undefined` until the claim is durable. */
  readonly #attempts = new Map<RunId, Attempt | undefined>()
  /** Ends that are not durable yet. */
  readonly #ends = new Set<DurableEnd<EndOffer>>()
  readonly #leases: LeaseKeeper<Attempt>
  readonly #attemptOptions: AttemptOptions
  #isRetiring = false
  #isClosing = false

  constructor(options: AttemptsOptions) {
    this.#options = options
    const { deadlines, logger } = options
    this.#attemptOptions = {
      ...options,
      cooperationMs: options.options.cooperationMs,
      onWaiting: (attempt, isWaiting) => this.#onWaiting(attempt, isWaiting),
    }
    const intervalMs = (options.options.leaseMs * 2) / 3
    this.#leases = new LeaseKeeper({ deadlines, logger, intervalMs, renew: (attempts) => this.#renew(attempts) })
  }

  /** How many attempts are starting, running or ending. */
  get size(): number {
    return this.#attempts.size
  }

  /** Runs whose attempt is starting, running or ending. */
  get runIds(): Iterable<RunId> {
    return this.#attempts.keys()
  }

  /** True while a run has an attempt here. */
  has(runId: RunId): boolean {
    return this.#attempts.has(runId)
  }

  /** True once the attempt of a run here has an end, until that is durable. */
  isEnding(runId: RunId): boolean {
    return this.#attempts.get(runId)?.isOver === true
  }

  /** Claims a ready run and runs its handler in a slot, which its job gives back while it waits. */
  start({ id: runId, taskId }: Run, { handler, options }: RegisteredHandler, slot: Slot): void {
    const { mutations, projection } = this.#options
    this.#attempts.set(runId, undefined)
    const claimed = mutations.transact((batch) => {
      if (!mayStart(batch.view, projection, taskId)) return undefined
      const claim = this.#claimFor(options)
      const identity = startAttempt(batch, runId, claim)
      return identity === undefined ? undefined : { identity, claim }
    })
    claimed.then(
      (started) => {
        if (started === undefined) return this.#onNotStarted(runId, undefined, slot)
        return this.#work(started, handler, options, slot)
      },
      (failure: unknown) => this.#onNotStarted(runId, failure, slot),
    )
  }

  /** Tells an attempt to stop; false when the run has none in this process. */
  stop(runId: RunId, cause: AbortCause): boolean {
    const attempt = this.#attempts.get(runId)
    attempt?.job.stop(cause)
    return attempt !== undefined
  }

  /** Tells every attempt to stop whose task has exhausted its budget, except those that are only waiting. */
  stopExhausted(): void {
    for (const attempt of this.#attempts.values()) {
      if (attempt !== undefined && attempt.job.state !== 'waiting') this.#stopIfExhausted(attempt)
    }
  }

  /** Tells every attempt that the process will end; those that do nothing but wait are suspended at once. */
  retire(): void {
    this.#isRetiring = true
    for (const attempt of this.#attempts.values()) if (attempt !== undefined) windDown(attempt)
  }

  /**
   * Tells every attempt to stop because the process ends. From now on, an end that the lane does not accept is given
   * up.
   */
  shutDown(): void {
    this.#isClosing = true
    for (const attempt of this.#attempts.values()) attempt?.job.stop('shutdown')
    for (const end of this.#ends) end.hurry()
  }

  /** Handles a durable change of a run: an attempt that has lost its run has to stop. */
  onRunChanged(run: Run): void {
    const attempt = this.#attempts.get(run.id)
    if (attempt === undefined || isHolder(attempt, run)) return
    attempt.job.stop(run.state === 'cancelled' ? 'cancelled' : 'superseded')
  }

  /** Stops renewing leases. */
  [Symbol.dispose](): void {
    this.#leases[Symbol.dispose]()
  }

  #claimFor({ reserve = {} }: HandlerOptions): Claim {
    const { ids, now, options } = this.#options
    const atMs = now()
    const wanted = Object.entries(reserve).map(
      ([name, amount]) => [budgetDimension(name), { reservationId: ids.uuid() as ReservationId, amount }] as const,
    )
    return {
      owner: options.owner,
      expiresAtMs: atMs + options.leaseMs,
      attemptId: ids.uuid() as AttemptId,
      reserve: new Map(wanted),
      atMs,
    }
  }

  #work({ identity, claim: { reserve } }: Started, handler: Handler, options: HandlerOptions, slot: Slot): void {
    const version = options.version === undefined ? undefined : String(options.version)
    const { projection, answers, logger, times, spans } = this.#options
    const { runId, taskId } = identity
    const run = projection.run(runId)
    const task = projection.task(taskId)?.spec
    if (run === undefined || task === undefined) return this.#leave(runId, undefined, slot)
    const reservedAtStart = new Map(Array.from(reserve, ([dimension, { reservationId }]) => [dimension, reservationId]))
    const start = {
      reservedAtStart,
      slot: this.#slotOf(run, task, slot),
      codeVersion: version,
      log: { answers, logger, times, ...(spans !== undefined && { spans }) },
    }
    const attempt = new Attempt(identity, run, task, start, this.#attemptOptions)
    this.#attempts.set(runId, attempt)
    const lease = this.#leases.keep(attempt)
    const span = spans?.attempt({ ...identity, task, attemptNumber: run.attemptCount })
    // Anything that happened to the run since the claim became durable applies at once.
    this.onRunChanged(run)
    if (this.#isRetiring) attempt.job.windDown()
    if (this.#isClosing) attempt.job.stop('shutdown')
    attempt.job.start(
      () => {
        const work = (): unknown => handler(new AttemptContext(attempt, this.#options))
        return span === undefined ? work() : span.run(work)
      },
      (end) => this.#finish(attempt, end, { lease, slot, version }, span),
    )
  }

  /**
   * While a run waits, it holds no slot, and keeps its concurrency key only if it would keep it during a retry delay.
   */
  #slotOf(run: Run, spec: TaskSpec, slot: Slot): AttemptStart['slot'] {
    const { concurrencyKeyHoldPolicy } = spec.constraints
    if (concurrencyKeyOf(spec) === undefined || concurrencyKeyHoldPolicy !== 'release_on_retry') return slot
    const { keys } = this.#options
    return {
      giveBack: () => {
        slot.giveBack()
        keys.giveBack(run)
      },
      // Take the key first: whoever holds a slot must not wait for anything.
      takeAgain: async (options) => {
        await keys.takeAgain(run, options?.signal)
        await slot.takeAgain(options)
      },
    }
  }

  /** Makes durable whether an attempt does nothing but wait; if it is lost, that decides what happens to its run. */
  #onWaiting(attempt: Attempt, isWaiting: boolean): void {
    const { mutations, logger, now } = this.#options
    const { runId, attemptId, fencingToken } = attempt
    const change = mutations.transact((batch) => {
      const run = batch.view.run(runId)
      if (run?.currentAttemptId !== attemptId || (run.isWaiting === true) === isWaiting) return
      if (isWaiting && !attempt.log.isOpen(batch.view)) return
      batch.submit({ type: isWaiting ? 'attempt_wait' : 'attempt_go_on', runId, attemptId, fencingToken, atMs: now() })
    })
    change.catch((failure: unknown) =>
      logger.debug({ runId, error: messageOf(failure) }, 'the waiting state of a run could not be recorded'),
    )
    if (isWaiting && this.#isRetiring) attempt.job.stop('shutdown')
    if (!isWaiting) this.#stopIfExhausted(attempt)
  }

  #stopIfExhausted({ taskId, job }: Attempt): void {
    if (this.#options.projection.isBudgetExhausted(taskId)) job.stop('budget_exhausted')
  }

  #finish(attempt: Attempt, end: JobEnd<AbortCause>, held: Held, span: JobSpan | undefined): void {
    attempt.end()
    const { deadlines, logger, onLeftBehind } = this.#options
    const { runId, run, task, job } = attempt
    const report = attempt.reportOf(end)
    endAttemptSpan(span, report.outcome)
    if (report.outcome.result === 'success') this.#tellUnused(attempt, held)
    // Do this before the end is recorded, so that no other run takes the key in between.
    if (end.answer.type === 'none' && concurrencyKeyOf(task) !== undefined) onLeftBehind(run, job.finished)
    const recorded = new DurableEnd<EndOffer>(
      { report },
      {
        deadlines,
        logger,
        subject: { runId },
        offer: (offer, refusals) => this.#offer(attempt, offer, refusals),
        insteadOf: (offer, refusal, refusals) => insteadOf(offer, refusal, refusals, { runId, logger }),
        isFinal: (failure) => this.#isClosing && isLaneFailure(failure) && !isTooLargeForJournal(failure),
        mostRefusals,
        onSettled: (settlement) => this.#onRecorded(attempt, recorded, settlement, held),
      },
    )
    this.#ends.add(recorded)
  }

  #onRecorded(
    { runId, spending }: Attempt,
    end: DurableEnd<EndOffer>,
    { result, refusal }: EndSettlement,
    { lease, slot }: Held,
  ): void {
    const { logger } = this.#options
    if (result === 'given_up') logger.warn({ runId, ...faultFields(refusal) }, 'the end of an attempt was not accepted')
    this.#ends.delete(end)
    lease[Symbol.dispose]()
    this.#leave(runId, spending.refused, slot)
  }

  /**
   * Logs steps that new code no longer asks for: they were done for nothing, or will be done again under another name.
   */
  #tellUnused(attempt: Attempt, { version }: Held): void {
    const unused = attempt.unusedKeys()
    if (unused.length === 0) return
    const { runId, taskId, task } = attempt
    const fields = { runId, taskId, kind: task.kind, ...(version !== undefined && { version }), unused }
    this.#options.logger.warn(fields, 'a handler has not asked for steps that were recorded: its code has changed')
  }

  #offer(attempt: Attempt, offer: EndOffer, refusals: number): Promise<void> {
    const crowded = refusals === 0 ? attempt.crowdedAccount : undefined
    if (crowded === undefined) return this.#record(attempt, offer)
    return this.#closeSurplus(attempt, offer.report, crowded).then(() => this.#record(attempt, offer))
  }

  /**
   * Closes reservations that do not fit the end of the attempt, in the way the end would. After a crash in between, the
   * rest is still open.
   */
  async #closeSurplus(attempt: Attempt, report: AttemptReport, account: Account): Promise<void> {
    const { mutations, projection, now } = this.#options
    const { runId, taskId, fencingToken } = attempt
    for (let open = account.surplus(); open.length > 0; open = account.surplus()) {
      const spending = { ...unreported(open), settled: account.settled }
      await mutations.transact((batch) => {
        const atMs = now()
        const isHeld = batch.view.run(runId)?.lease?.fencingToken === fencingToken
        const unsettled = isHeld ? unsettledAfter(report) : unsettledOfCancelled(report)
        const touched = closeSpending(batch, taskId, spending, unsettled, atMs)
        fireForSpending(batch, projection, taskId, touched, atMs)
      })
      account.forget(open)
      await nextTurn()
    }
  }

  #record(attempt: Attempt, { report, consequence }: EndOffer): Promise<void> {
    const { mutations, projection, ids, delayOf, times, now } = this.#options
    return mutations.transact((batch) => {
      const atMs = now()
      const run = batch.view.run(attempt.runId)
      const { spending } = attempt
      if (run?.lease?.fencingToken === attempt.fencingToken) {
        const ending = { projection, ids, delayOf, times, atMs, consequence }
        return finishAttempt(batch, attempt, report, spending, ending)
      }
      // The run was cancelled meanwhile: its end no longer counts, but its spending does.
      if (run === undefined || !isTerminalRunState(run.state)) return
      const unsettled = unsettledOfCancelled(report)
      const take = consequence ?? orRefuse
      take(() => void closeSpending(batch, attempt.taskId, spending, unsettled, atMs))
    })
  }

  /** Renews the leases, all in one change. Resolves with the attempts that have lost theirs. */
  async #renew(attempts: readonly Attempt[]): Promise<readonly Attempt[]> {
    const { mutations, projection, options, now } = this.#options
    const { owner, leaseMs } = options
    const lost: Attempt[] = []
    await mutations.transact((batch) => {
      const atMs = now()
      const expiresAtMs = atMs + leaseMs
      for (const attempt of attempts) {
        const { runId, fencingToken } = attempt
        const lease = batch.view.run(runId)?.lease
        if (lease?.fencingToken === fencingToken && lease.expiresAtMs < expiresAtMs) {
          batch.submit({ type: 'lease_heartbeat', runId, owner, expiresAtMs, fencingToken, atMs })
        }
        // Whatever took the lease away counts once it is durable, since it may still be refused.
        if (projection.run(runId)?.lease?.fencingToken !== fencingToken) lost.push(attempt)
      }
    })
    return lost
  }

  #onNotStarted(runId: RunId, failure: unknown, slot: Slot): void {
    this.#attempts.delete(runId)
    slot.release()
    this.#options.onNotStarted(runId, failure)
  }

  #leave(runId: RunId, refused: RefusedAmount | undefined, slot: Slot): void {
    this.#attempts.delete(runId)
    slot.release()
    this.#options.onEnded(runId, refused)
  }
}

function windDown({ job }: Attempt): void {
  job.windDown()
  if (job.state === 'waiting') job.stop('shutdown')
}

function isHolder({ fencingToken }: Attempt, { state, lease }: Run): boolean {
  return state === 'running' && lease?.fencingToken === fencingToken
}

/**
 * What to submit instead of a refused end, so that no end is lost: first the same end without the refused consequences,
 * then a failure with the refusal as its cause, and finally that failure without consequences.
 */
function insteadOf(
  { report }: EndOffer,
  refusal: unknown,
  refusals: number,
  { runId, logger }: { readonly runId: RunId; readonly logger: Logger },
): EndOffer {
  const isTooLarge = isTooLargeForJournal(refusal)
  const tolerate: TakeConsequence = (step) => {
    try {
      step()
    } catch (cause) {
      logger.error({ runId, ...faultFields(cause) }, "the consequences of an attempt's end were refused")
    }
  }
  let isTold = false
  const leaveOut: TakeConsequence = () => {
    if (!isTold) logger.error({ runId }, "the consequences of an attempt's end were skipped")
    isTold = true
  }
  if (refusals === 0) return { report, consequence: isTooLarge ? leaveOut : tolerate }
  const reason = isTooLarge ? 'the end does not fit the journal' : 'the end was refused'
  const origin = { reason: 'refused', cause: errorDetailsOf(refusal) } as const
  const outcome = failed(`${reason}: ${messageOf(refusal)}`, 'terminal', origin)
  return {
    report: { outcome, isAnswered: report.isAnswered },
    consequence: refusals === 1 ? tolerate : leaveOut,
  }
}
