import type { DeadlineQueue } from '../../base/deadline-queue.js'
import { messageOf, StatewardError } from '../../base/errors.js'
import type { IdSource } from '../../base/ids.js'
import type { Logger } from '../../base/logger.js'
import { isLaneFailure, isTooLargeForJournal } from '../../lane/errors.js'
import { budgetDimension } from '../budget.js'
import type { AttemptId, ReservationId, RunId } from '../ids.js'
import type { TaskMutations } from '../mutations.js'
import { isTerminalRunState, type Run } from '../run.js'
import type { TaskProjection } from '../view.js'
import { Account } from './account.js'
import type { AttemptIdentity } from './attempt.js'
import { finishAttempt, startAttempt, type Claim, type EndingOptions } from './attempt-batches.js'
import type { AttemptRunner } from './attempt-runner.js'
import type { BudgetLine } from './budget-line.js'
import { firstOffer, nextOffer, type EndOffer } from './end-offer.js'
import type { AbortCause, Handler, HandlerOptions } from './handler.js'
import { createHandlerContext } from './handler-context.js'
import type { ResolvedDispatchOptions } from './options.js'
import { RunningAttempt } from './running-attempt.js'
import { closeSpending, type RefusedAmount } from './spending.js'
import { mayStart } from './start-conditions.js'
import type { TaskClock } from './task-clock.js'

/** A handler with how its runs are started. */
export interface RegisteredHandler {
  readonly handler: Handler
  readonly options: HandlerOptions
}

/** What a pool is built on. */
export interface AttemptPoolOptions {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly deadlines: DeadlineQueue
  readonly ids: IdSource
  readonly runner: AttemptRunner
  readonly logger: Logger
  readonly options: ResolvedDispatchOptions
  readonly now: () => number
  readonly times: TaskClock
  readonly delayOf: (effectiveAttempt: number) => number
  readonly line: BudgetLine
  /** Called when an attempt ends without its handler, if its run has a concurrency key; `ended` settles when the handler ends. */
  readonly onStraggler: (run: Run, ended: Promise<void>) => void
  /** Called when an attempt has ended and its run has left the pool, with what it was last refused. */
  readonly onEnded: (runId: RunId, refused: RefusedAmount | undefined) => void
  /** Called when a run has left the pool because it could not be claimed: by a failure, or by what is under way. */
  readonly onNotStarted: (runId: RunId, failure: unknown) => void
}

/** Milliseconds before an end that the journal did not take is offered again. */
const retryDelayMs = 1000

/** The attempts of this process: claims runs, lets their handlers work, keeps their leases and records how they ended. */
export class AttemptPool {
  readonly #use: AttemptPoolOptions
  /** Runs with an attempt; `undefined` until the claim is durable. */
  readonly #attempts = new Map<RunId, RunningAttempt | undefined>()
  /** Attempts whose end is on the way to the journal. */
  readonly #finishing = new Set<RunningAttempt>()
  #isClosing = false

  constructor(use: AttemptPoolOptions) {
    this.#use = use
  }

  /** Attempts being started, at work or being finished. */
  get size(): number {
    return this.#attempts.size
  }

  /** Runs with an attempt being started, at work or being finished. */
  get runIds(): Iterable<RunId> {
    return this.#attempts.keys()
  }

  /** True while a run is in the pool. */
  has(runId: RunId): boolean {
    return this.#attempts.has(runId)
  }

  /** Claims a ready run and sets its handler to work; never rejects. */
  async start(run: Run, registered: RegisteredHandler): Promise<void> {
    const { mutations, projection } = this.#use
    this.#attempts.set(run.id, undefined)
    let failure: unknown
    try {
      const started = await mutations.transact((batch) => {
        if (!mayStart(batch.view, projection, run.taskId)) return undefined
        const claim = this.#claimFor(registered.options)
        const identity = startAttempt(batch, run.id, claim)
        return identity === undefined ? undefined : { identity, claim }
      })
      if (started !== undefined) return await this.#work(started.identity, started.claim, registered.handler)
    } catch (cause) {
      failure = cause
    }
    this.#attempts.delete(run.id)
    this.#use.onNotStarted(run.id, failure)
  }

  /** Tells an attempt to stop; false when the run has none here. */
  stop(runId: RunId, cause: AbortCause): boolean {
    const attempt = this.#attempts.get(runId)
    attempt?.stop(cause)
    return attempt !== undefined
  }

  /** Tells every attempt to stop whose task has spent its budget. */
  stopExhausted(): void {
    for (const attempt of this.#attempts.values()) {
      if (attempt !== undefined && this.#use.projection.isBudgetExhausted(attempt.identity.taskId)) {
        attempt.stop('budget_exhausted')
      }
    }
  }

  /** Tells every attempt to stop because the process ends; from now on an end that the lane refuses is let go. */
  shutDown(): void {
    this.#isClosing = true
    for (const attempt of this.#attempts.values()) attempt?.stop('shutdown')
  }

  /** Takes a durable change of a run: an attempt that has lost it has to stop. */
  onRunChanged(run: Run): void {
    const attempt = this.#attempts.get(run.id)
    if (attempt === undefined || this.#finishing.has(attempt) || isHolder(attempt, run)) return
    attempt.stop(run.state === 'cancelled' ? 'cancelled' : 'superseded')
  }

  #claimFor({ reserve = {} }: HandlerOptions): Claim {
    const { ids, now, options } = this.#use
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

  async #work(identity: AttemptIdentity, { reserve }: Claim, handler: Handler): Promise<void> {
    const { projection, runner, deadlines } = this.#use
    const { runId, taskId } = identity
    const run = projection.run(runId)
    const task = projection.task(taskId)?.spec
    if (run === undefined || task === undefined) return this.#leave(runId)
    const attempt = new RunningAttempt(identity, task.constraints.timeoutMs, deadlines)
    this.#attempts.set(runId, attempt)
    const reservedAtStart = new Map(Array.from(reserve, ([dimension, { reservationId }]) => [dimension, reservationId]))
    const { signal } = attempt
    const account = new Account({ ...this.#use, attempt: identity, signal, reservedAtStart })
    this.#keepLease(attempt)
    // Whatever happened to the run since the claim became durable counts at once.
    this.onRunChanged(run)
    if (this.#isClosing) attempt.stop('shutdown')
    let scope = { signal, progress: (): void => {} } as Parameters<Parameters<AttemptRunner['run']>[1]>[0]
    let handlerEnded: Promise<void> | undefined
    const report = await attempt.execute(
      (work) =>
        runner.run({ ...identity, task, signal }, (given) => {
          scope = given
          return work()
        }),
      () => {
        const answer = handler(createHandlerContext({ ...this.#use, attempt: identity, run, task, scope, account }))
        if (task.constraints.concurrencyKey === undefined) return answer
        const onEnd = (): void => {
          handlerEnded = undefined
        }
        const promised = Promise.resolve(answer)
        handlerEnded = promised.then(onEnd, onEnd)
        return promised
      },
    )
    account[Symbol.dispose]()
    // Before the end is recorded: nobody may have the key in between.
    if (handlerEnded !== undefined) this.#use.onStraggler(run, handlerEnded)
    this.#finishing.add(attempt)
    await this.#finish(attempt, firstOffer(report), account)
  }

  /**
   * Offers the end until the journal takes it or somebody else has the run: a completion is never lost. An end that is
   * refused gives way to one that is not.
   */
  async #finish(attempt: RunningAttempt, offer: EndOffer, account: Account): Promise<void> {
    const { deadlines, logger } = this.#use
    const { runId } = attempt.identity
    try {
      await this.#recordEnd(attempt, offer, account)
    } catch (failure) {
      const cause = messageOf(failure)
      if (!isLaneFailure(failure) || isTooLargeForJournal(failure)) {
        const next = StatewardError.is(failure, 'lane_closed') ? undefined : nextOffer(offer, failure, logger)
        if (next !== undefined) {
          logger.error({ runId, cause }, 'the end of an attempt was refused')
          return this.#finish(attempt, next, account)
        }
      } else if (!this.#isClosing) {
        logger.warn({ runId, cause }, 'the end of an attempt is not durable yet, trying again')
        deadlines.after(retryDelayMs, () => void this.#finish(attempt, offer, account))
        return
      }
      logger.warn({ runId, cause }, 'the end of an attempt was not taken')
    }
    this.#finishing.delete(attempt)
    attempt.release()
    this.#leave(runId, account.refused)
  }

  async #recordEnd({ identity }: RunningAttempt, { report, follow }: EndOffer, account: Account): Promise<void> {
    const { mutations, now } = this.#use
    await mutations.transact((batch) => {
      const atMs = now()
      const run = batch.view.run(identity.runId)
      if (run?.lease?.fencingToken === identity.fencingToken) {
        return finishAttempt(batch, identity, report, account, { ...this.#endingAt(atMs), follow })
      }
      // Cancelled meanwhile: the end does not count any more, what was spent does.
      if (run === undefined || !isTerminalRunState(run.state)) return
      const unsettled = report.isAnswered ? 'given_back' : 'spent'
      follow(() => void closeSpending(batch, identity.taskId, account, unsettled, atMs))
    })
  }

  #endingAt(atMs: number): EndingOptions {
    const { projection, ids, delayOf, times } = this.#use
    return { projection, ids, delayOf, times, atMs }
  }

  #keepLease(attempt: RunningAttempt): void {
    const { options, mutations, logger, now } = this.#use
    const { owner, leaseMs } = options
    const { runId, fencingToken } = attempt.identity
    attempt.heartbeatAfter((leaseMs * 2) / 3, () => {
      const atMs = now()
      const expiresAtMs = atMs + leaseMs
      mutations
        .submit({ type: 'lease_heartbeat', runId, owner, expiresAtMs, fencingToken, atMs })
        .catch((failure: unknown) => logger.warn({ runId, cause: messageOf(failure) }, 'a heartbeat was not taken'))
        .finally(() => {
          if (this.#attempts.get(runId) === attempt) this.#keepLease(attempt)
        })
    })
  }

  #leave(runId: RunId, refused?: RefusedAmount): void {
    this.#attempts.delete(runId)
    this.#use.onEnded(runId, refused)
  }
}

function isHolder({ identity }: RunningAttempt, { state, lease }: Run): boolean {
  return state === 'running' && lease?.fencingToken === identity.fencingToken
}
