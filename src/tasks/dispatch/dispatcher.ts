import { createActor } from 'xstate'
import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { messageOf, StatewardError } from '../../base/errors.js'
import type { IdSource } from '../../base/ids.js'
import type { Logger } from '../../base/logger.js'
import { createDeferred, silence } from '../../base/promises.js'
import { dispatcherMachine } from '../../../machines/dispatcher.js'
import { isRefusal } from '../errors.js'
import type { TaskEvent } from '../events.js'
import type { ActorId, AttemptId, RunId } from '../ids.js'
import type { TaskMutations } from '../mutations.js'
import { heartbeatTimeout } from '../actor.js'
import type { Run } from '../run.js'
import type { TaskProjection } from '../view.js'
import type { AttemptRunner } from './attempt-runner.js'
import { retryDelay, type Random } from './backoff.js'
import { finishAttempt, moveAll, recoverRun, startAttempt } from './batches.js'
import { FollowUps } from './follow-ups.js'
import { createHandlerContext } from './handler-context.js'
import type { Handler } from './handler.js'
import { ConcurrencyKeyGate } from './key-gate.js'
import { resolveDispatchOptions, type DispatchOptions, type ResolvedDispatchOptions } from './options.js'
import { createSecondsClock, RunningAttempt, type AttemptReport } from './running-attempt.js'
import { fireForRun } from './system-events.js'

/** What a dispatcher is built on. */
export interface DispatcherOptions {
  readonly mutations: TaskMutations & { onCommit(listener: (events: readonly TaskEvent[]) => void): Disposable }
  readonly projection: TaskProjection
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly ids: IdSource
  readonly random: Random
  readonly runner: AttemptRunner
  readonly logger: Logger
  readonly options?: DispatchOptions
}

/** Runs promoted in one batch, so that a long downtime does not make one giant record. */
const promotionChunk = 256
/** Milliseconds before what the journal refused is tried again. */
const retryAfterFailure = 1000

/**
 * Starts what must run, when it may, and records how it ended.
 *
 * Every change goes through the authority in atomic batches. It wakes up for commits and for one
 * deadline, the next thing that is due; nothing is polled and no list of runs is scanned.
 */
export class Dispatcher {
  readonly now: () => number
  readonly #use: DispatcherOptions
  readonly #options: ResolvedDispatchOptions
  readonly #actor = createActor(dispatcherMachine)
  readonly #handlers = new Map<string, Handler>()
  readonly #followUps: FollowUps
  readonly #attempts = new Map<RunId, RunningAttempt>()
  /** Runs with a batch of ours under way; the projection does not show it yet. */
  readonly #claimed = new Set<RunId>()
  readonly #actorDeadlines = new Map<ActorId, Deadline>()
  #keys: ConcurrencyKeyGate
  #commits: Disposable | undefined
  #wake: Deadline | undefined
  #isPumpScheduled = false
  #isPaying = false
  #drained = createDeferred<void>()

  constructor(use: DispatcherOptions) {
    this.#use = use
    this.#options = resolveDispatchOptions(use.options)
    this.now = createSecondsClock(use.clock)
    const { mutations, projection, ids } = use
    this.#followUps = new FollowUps({ mutations, projection, ids, now: this.now })
    this.#keys = new ConcurrencyKeyGate(projection)
    this.#actor.start()
  }

  /** Attempts at work. */
  get runningCount(): number {
    return this.#attempts.size
  }

  /** Registers the handler of a kind; runs of that kind that were waiting for it start. Replaces an earlier one. */
  handle(kind: string, handler: Handler): void {
    this.#handlers.set(kind, handler)
    this.#schedulePump()
  }

  /** Takes back what an earlier process held, then dispatches until drained. */
  async start(): Promise<void> {
    const { mutations, projection } = this.#use
    this.#actor.send({ type: 'start' })
    this.#commits = mutations.onCommit((events) => this.#observe(events))
    this.#followUps.recover()
    for (const { actorId } of projection.actors()) this.#watchActor(actorId)
    // The directory has one owner: whoever held a lease under our name in an earlier life is gone.
    const abandoned = [...projection.leased()].filter(({ lease }) => lease?.owner === this.#options.owner)
    await Promise.all(abandoned.map((run) => this.#recover(run)))
    this.#actor.send({ type: 'recovered' })
    this.#schedulePump()
  }

  /** Starts nothing any more and waits for running attempts; after `graceMs` they are told to stop and are put aside. */
  async drain(graceMs: number): Promise<void> {
    this.#actor.send({ type: 'drain' })
    const grace = this.#use.deadlines.after(graceMs, () => {
      for (const attempt of this.#attempts.values()) attempt.stop('shutdown')
    })
    this.#checkDrained()
    await this.#drained.promise
    grace[Symbol.dispose]()
    this.#commits?.[Symbol.dispose]()
    this.#wake?.[Symbol.dispose]()
    for (const deadline of this.#actorDeadlines.values()) deadline[Symbol.dispose]()
    this.#actor.send({ type: 'drained' })
  }

  /** Asks a running attempt to stop and be suspended. False when the run has none here. */
  requestSuspend(runId: RunId): boolean {
    const attempt = this.#attempts.get(runId)
    attempt?.stop('suspend_requested')
    return attempt !== undefined
  }

  get #isDispatching(): boolean {
    return this.#actor.getSnapshot().value === 'dispatching'
  }

  #observe(events: readonly TaskEvent[]): void {
    const { projection } = this.#use
    for (const event of events) {
      this.#followUps.observe(event)
      if ('runId' in event && event.runId !== undefined) this.#onRunChanged(event.runId)
      if (event.type === 'actor_registered' || event.type === 'actor_heartbeat') this.#watchActor(event.actorId)
      if (event.type === 'actor_deregistered') this.#unwatchActor(event.actorId)
      if (event.type !== 'budget_consumed' && event.type !== 'budget_settled') continue
      for (const attempt of this.#attempts.values()) {
        if (projection.isBudgetExhausted(attempt.identity.taskId)) attempt.stop('budget_exhausted')
      }
    }
    this.#schedulePump()
  }

  #onRunChanged(runId: RunId): void {
    const run = this.#use.projection.run(runId)
    if (run === undefined) return
    this.#keys.update(run)
    const attempt = this.#attempts.get(runId)
    if (attempt === undefined || attempt.isFinishing) return
    if (run.state === 'running' && run.lease?.fencingToken === attempt.identity.fencingToken) return
    attempt.stop(run.state === 'canceled' ? 'canceled' : 'superseded')
    this.#dropAttempt(attempt)
  }

  #schedulePump(): void {
    if (this.#isPumpScheduled) return
    this.#isPumpScheduled = true
    queueMicrotask(() => {
      this.#isPumpScheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    if (!this.#isDispatching) return
    const { projection } = this.#use
    this.#payFollowUps()
    for (const run of [...projection.expiredLeases(this.now())]) {
      if (!this.#attempts.has(run.id)) void this.#recover(run)
    }
    if (!projection.engine.paused) {
      this.#promote(projection.dueScheduled(this.now()), 'scheduled')
      this.#promote(projection.dueRetries(this.now()), 'retry_wait')
      this.#releaseTriggered()
      this.#startReady()
    }
    this.#armWake()
  }

  #payFollowUps(): void {
    if (this.#isPaying) return
    this.#isPaying = true
    this.#attemptTo('follow-ups', this.#followUps.pay()).finally(() => {
      this.#isPaying = false
    })
  }

  #promote(due: Iterable<Run>, from: 'scheduled' | 'retry_wait'): void {
    const runIds = this.#claim(due)
    for (let index = 0; index < runIds.length; index += promotionChunk) {
      const chunk = runIds.slice(index, index + promotionChunk)
      this.#submit(chunk, () =>
        this.#use.mutations.transact((batch) => moveAll(batch, chunk, from, 'ready', this.now())),
      )
    }
  }

  /** One trigger releases the earliest run that its dependencies let go, whatever time it was scheduled for (ruling D-16). */
  #releaseTriggered(): void {
    const { projection, mutations } = this.#use
    for (const { subscriptionId, taskId } of [...projection.triggeredSubscriptions()]) {
      if (projection.dependencyGate(taskId) !== 'open') continue
      const waiting = projection
        .runsOf(taskId)
        .filter(({ id, state }) => state === 'scheduled' && !this.#claimed.has(id))
      const [earliest] = waiting.toSorted((one, other) => one.scheduledAt - other.scheduledAt)
      if (earliest === undefined) continue
      const runIds = this.#claim([earliest])
      this.#submit(runIds, () =>
        mutations.transact((batch) => {
          if ((batch.view.subscription(subscriptionId)?.pendingTriggers ?? 0) === 0) return
          moveAll(batch, runIds, 'scheduled', 'ready', this.now())
          batch.submit({ type: 'subscription_consume', subscriptionId, runId: earliest.id, timestamp: this.now() })
        }),
      )
    }
  }

  #startReady(): void {
    let free = this.#options.concurrency - this.#attempts.size - this.#startingCount
    if (free <= 0) return
    const chosen: Run[] = []
    for (const run of this.#use.projection.ready()) {
      if (!this.#mayStart(run)) continue
      chosen.push(run)
      free -= 1
      if (free === 0) break
    }
    for (const run of chosen) void this.#start(run)
  }

  #startingCount = 0

  #mayStart(run: Run): boolean {
    const { projection } = this.#use
    if (this.#claimed.has(run.id) || run.lease !== undefined) return false
    const task = projection.task(run.taskId)
    if (task === undefined || task.canceledAt !== undefined || !this.#handlers.has(task.spec.kind)) return false
    const required = task.spec.constraints.requiredCapabilities ?? []
    if (!required.every((capability) => this.#options.capabilities.includes(capability))) return false
    if (projection.dependencyGate(run.taskId) !== 'open' || projection.isBudgetExhausted(run.taskId)) return false
    return this.#keys.tryAcquire(run)
  }

  async #start(run: Run): Promise<void> {
    const { mutations, ids } = this.#use
    const { owner, leaseSecs } = this.#options
    const [runId] = this.#claim([run])
    if (runId === undefined) return
    this.#startingCount += 1
    const timestamp = this.now()
    const claim = { owner, expiry: timestamp + leaseSecs, attemptId: ids.uuid() as AttemptId, timestamp }
    const started = await this.#submit([runId], () => mutations.transact((batch) => startAttempt(batch, runId, claim)))
    this.#startingCount -= 1
    if (started === undefined) {
      this.#keys.update(this.#use.projection.run(runId) ?? run)
      return this.#schedulePump()
    }
    const attempt = new RunningAttempt(started, this.#use.deadlines)
    this.#attempts.set(runId, attempt)
    // Whatever happened to the run since the batch became durable counts at once.
    this.#onRunChanged(runId)
    if (this.#attempts.has(runId)) await this.#work(attempt)
  }

  async #work(attempt: RunningAttempt): Promise<void> {
    const { projection, runner, mutations, ids } = this.#use
    const { runId, taskId } = attempt.identity
    const run = projection.run(runId)
    const task = projection.task(taskId)
    const handler = this.#handlers.get(task?.spec.kind ?? '')
    if (run === undefined || task === undefined || handler === undefined) return this.#dropAttempt(attempt)
    this.#keepLease(attempt)
    const report = await attempt.execute(
      () =>
        runner.run({ ...attempt.identity, task: task.spec, signal: attempt.signal }, async ({ signal, progress }) =>
          handler(
            createHandlerContext({
              attempt: attempt.identity,
              run,
              task: task.spec,
              signal,
              progress,
              mutations,
              projection,
              ids,
              now: this.now,
            }),
          ),
        ),
      task.spec.constraints.timeoutSecs,
    )
    if (this.#attempts.get(runId) !== attempt) return
    attempt.isFinishing = true
    await this.#finish(attempt, report)
  }

  /** Offers the end again until the journal takes it or somebody else holds the run: a completion is never lost. */
  async #finish(attempt: RunningAttempt, report: AttemptReport): Promise<void> {
    const { mutations, projection, deadlines, logger } = this.#use
    const { runId, taskId } = attempt.identity
    try {
      await mutations.transact((batch) => {
        const timestamp = this.now()
        const state = finishAttempt(batch, projection, attempt.identity, report, this.#delayOf, timestamp)
        fireForRun(batch, projection, taskId, state, timestamp)
      })
    } catch (failure) {
      if (!isRefusal(failure) && !StatewardError.is(failure, 'lane_closed')) {
        logger.warn({ runId, cause: messageOf(failure) }, 'the end of an attempt is not durable yet, trying again')
        deadlines.after(retryAfterFailure, () => void silence(this.#finish(attempt, report)))
        return
      }
      logger.info(
        { runId, cause: messageOf(failure) },
        'the end of an attempt was refused: the run is no longer its own',
      )
    }
    this.#dropAttempt(attempt)
  }

  #dropAttempt(attempt: RunningAttempt): void {
    attempt.release()
    const { runId } = attempt.identity
    if (this.#attempts.get(runId) === attempt) this.#attempts.delete(runId)
    const run = this.#use.projection.run(runId)
    if (run !== undefined) this.#keys.update(run)
    this.#checkDrained()
    this.#schedulePump()
  }

  #keepLease(attempt: RunningAttempt): void {
    const { owner, leaseSecs } = this.#options
    const { runId, fencingToken } = attempt.identity
    attempt.heartbeatAfter(Math.floor((leaseSecs * 1000 * 2) / 3), () => {
      const timestamp = this.now()
      const command = {
        type: 'lease_heartbeat',
        runId,
        owner,
        expiry: timestamp + leaseSecs,
        fencingToken,
        timestamp,
      } as const
      this.#attemptTo('heartbeat', this.#use.mutations.submit(command)).finally(() => {
        if (this.#attempts.get(runId) === attempt) this.#keepLease(attempt)
      })
    })
  }

  async #recover(run: Run): Promise<void> {
    const { mutations, projection } = this.#use
    const [runId] = this.#claim([run])
    if (runId === undefined) return
    await this.#submit([runId], () =>
      mutations.transact((batch) => {
        const timestamp = this.now()
        recoverRun(batch, projection, runId, this.#delayOf, timestamp)
        const state = batch.view.run(runId)?.state
        if (state === 'failed') fireForRun(batch, projection, run.taskId, state, timestamp)
      }),
    )
  }

  readonly #delayOf = (attempt: number): number => retryDelay(this.#options.backoff, attempt, this.#use.random)

  #claim(runs: Iterable<Run>): RunId[] {
    const claimed: RunId[] = []
    for (const { id } of runs) {
      if (this.#claimed.has(id)) continue
      this.#claimed.add(id)
      claimed.push(id)
    }
    return claimed
  }

  async #submit<Result>(runIds: readonly RunId[], submit: () => Promise<Result>): Promise<Result | undefined> {
    const result = await this.#attemptTo('dispatch', submit())
    for (const runId of runIds) this.#claimed.delete(runId)
    this.#schedulePump()
    return result
  }

  /** A lost race is nothing to worry about; what the journal refused is tried again with the next wake-up. */
  async #attemptTo<Result>(what: string, change: Promise<Result>): Promise<Result | undefined> {
    try {
      return await change
    } catch (failure) {
      const { logger, deadlines } = this.#use
      if (isRefusal(failure)) {
        logger.debug({ what, cause: messageOf(failure) }, 'a race was lost')
      } else if (this.#isDispatching) {
        logger.warn({ what, cause: messageOf(failure) }, 'a change is not durable, trying again')
        deadlines.after(retryAfterFailure, () => this.#schedulePump())
      }
      return undefined
    }
  }

  #armWake(): void {
    const { projection, deadlines, clock } = this.#use
    this.#wake?.[Symbol.dispose]()
    this.#wake = undefined
    const isPaused = projection.engine.paused
    const times = [
      isPaused ? undefined : projection.nextScheduledAt(),
      isPaused ? undefined : projection.nextRetryAt(),
      projection.nextLeaseExpiry(),
    ].filter((time) => time !== undefined && time > this.now()) as number[]
    if (times.length === 0) return
    const delay = Math.min(...times) * 1000 - clock.wallNow()
    this.#wake = deadlines.after(Math.max(0, delay), () => this.#schedulePump())
  }

  #watchActor(actorId: ActorId): void {
    this.#unwatchActor(actorId)
    const { projection, deadlines, clock, mutations } = this.#use
    const actor = projection.actor(actorId)
    if (actor === undefined || !projection.isActorActive(actorId)) return
    const seenAt = actor.lastHeartbeatAt ?? actor.registeredAt
    const deadAt = seenAt + heartbeatTimeout({ intervalSecs: actor.heartbeatIntervalSecs, timeoutMultiplier: 3 })
    const deadline = deadlines.after(Math.max(0, deadAt * 1000 - clock.wallNow()), () => {
      void this.#attemptTo(
        'actor timeout',
        mutations.submit({ type: 'actor_deregister', actorId, timestamp: this.now() }),
      )
    })
    this.#actorDeadlines.set(actorId, deadline)
  }

  #unwatchActor(actorId: ActorId): void {
    this.#actorDeadlines.get(actorId)?.[Symbol.dispose]()
    this.#actorDeadlines.delete(actorId)
  }

  #checkDrained(): void {
    if (this.#actor.getSnapshot().value === 'draining' && this.#attempts.size === 0) this.#drained.resolve()
  }
}
