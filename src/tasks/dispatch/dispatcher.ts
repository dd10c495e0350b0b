import { createActor, waitFor, type Observer, type InspectionEvent } from 'xstate'
import { dispatcherMachine, type DispatcherActor } from '../../../machines/dispatcher.js'
import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { messageOf } from '../../base/errors.js'
import type { IdSource } from '../../base/ids.js'
import type { Logger } from '../../base/logger.js'
import { isRefusal, TaskError } from '../errors.js'
import type { TaskEvent } from '../events.js'
import type { RunId } from '../ids.js'
import type { CommitListener, TaskMutations } from '../mutations.js'
import type { Run } from '../run.js'
import type { Timestamp } from '../scalars.js'
import type { TaskProjection } from '../view.js'
import { ActorWatch } from './actor-watch.js'
import { recoverRun } from './attempt-batches.js'
import { AttemptPool, type RegisteredHandler } from './attempt-pool.js'
import type { AttemptRunner } from './attempt-runner.js'
import { retryDelay, type Random } from './backoff.js'
import { FollowUps } from './follow-ups.js'
import { checkHandler, type Handler, type HandlerOptions } from './handler.js'
import { resolveDispatchOptions, type DispatchOptions, type ResolvedDispatchOptions } from './options.js'
import { Promotion } from './promotion.js'
import { createSecondsClock } from './seconds-clock.js'
import { Selection } from './selection.js'

/** What a dispatcher is built on. */
export interface DispatcherOptions {
  readonly mutations: TaskMutations & { onCommit(listener: CommitListener): Disposable }
  readonly projection: TaskProjection
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly ids: IdSource
  readonly random: Random
  readonly runner: AttemptRunner
  readonly logger: Logger
  readonly inspect?: Observer<InspectionEvent> | ((event: InspectionEvent) => void)
  readonly options?: DispatchOptions
}

/** Milliseconds before what the journal refused is tried again. */
const retryDelayMs = 1000
/** The longest time to the next look at the wall clock, which may have been set forward meanwhile. */
const longestSleepMs = 60_000

/**
 * Starts what must run, when it may, and records how it ended.
 *
 * Every change goes through the authority in atomic batches. It wakes up for commits and for one
 * deadline, the next thing that is due; nothing is polled and no list of runs is scanned.
 */
export class Dispatcher {
  readonly now: () => Timestamp
  readonly #use: DispatcherOptions
  readonly #options: ResolvedDispatchOptions
  /** Made by `start`: a service without tasks has no dispatcher to look at. */
  #actor: DispatcherActor | undefined
  readonly #handlers = new Map<string, RegisteredHandler>()
  readonly #followUps: FollowUps
  readonly #promotion: Promotion
  readonly #pool: AttemptPool
  readonly #actors: ActorWatch
  readonly #recovering = new Set<RunId>()
  #selection: Selection | undefined
  #commits: Disposable | undefined
  #wake: Deadline | undefined
  #wakeAt: number | undefined
  #isPumpScheduled = false
  #isHoldingOff = false

  constructor(use: DispatcherOptions) {
    const { mutations, projection, clock, deadlines, ids, logger } = use
    this.#use = use
    this.#options = resolveDispatchOptions(use.options)
    const now = createSecondsClock(clock)
    this.now = now
    const onDelay = (): void => this.#holdOff()
    this.#followUps = new FollowUps({ mutations, projection, ids, now, logger, onDelay })
    this.#promotion = new Promotion({
      mutations,
      projection,
      now,
      onPromoting: (run) => this.#selection?.onPromoting(run),
      onFailure: (failure) => this.#onFailure(failure),
      onSettled: () => this.#schedulePump(),
    })
    this.#pool = new AttemptPool({
      ...use,
      options: this.#options,
      now,
      delayOf: this.#delayOf,
      onEnded: (runId) => this.#onEnded(runId),
      onNotStarted: (runId, failure) => this.#onNotStarted(runId, failure),
    })
    this.#actors = new ActorWatch({
      projection,
      clock,
      deadlines,
      now,
      onSilent: (actorId) => {
        void this.#settle(mutations.submit({ type: 'actor_deregister', actorId, timestamp: now() }))
      },
    })
  }

  /** Attempts being started, at work or being finished. */
  get attemptCount(): number {
    return this.#pool.size
  }

  /**
   * Registers the handler of a kind until the handle is disposed; runs of that kind that were waiting for it start.
   * Raises `invalid_input`, `handler_exists`, and `invalid_budget_dimension` or `zero_amount` for an amount to reserve.
   */
  handle(kind: string, handler: Handler, options: HandlerOptions = {}): Disposable {
    const decoded = checkHandler(kind, handler, options)
    if (this.#handlers.has(kind)) throw new TaskError('handler_exists', { kind })
    this.#handlers.set(kind, { handler, options: decoded })
    this.#selection?.unblock(`kind:${kind}`)
    this.#schedulePump()
    return { [Symbol.dispose]: () => void this.#handlers.delete(kind) }
  }

  /**
   * Takes back what an earlier process held, then dispatches until drained. The directory has one owner: whoever held
   * a lease under our name is gone. Leases of others are taken back when they expire.
   */
  async start(): Promise<void> {
    const { mutations, projection, inspect } = this.#use
    const actor = createActor(dispatcherMachine, inspect === undefined ? {} : { inspect })
    this.#actor = actor
    actor.start()
    actor.send({ type: 'start' })
    this.#commits = mutations.onCommit((events) => this.#observe(events))
    this.#actors.start()
    this.#promotion.recover()
    const abandoned = [...projection.leased()].filter(({ lease }) => lease?.owner === this.#options.owner)
    await Promise.all([...abandoned.map((run) => this.#recover(run)), this.#settle(this.#followUps.recover())])
    this.#selection = new Selection({ projection, handlers: this.#handlers, capabilities: this.#options.capabilities })
    actor.send({ type: 'recovered', paused: projection.engine.paused })
    this.#schedulePump()
  }

  /** Starts nothing any more and waits for running attempts; after `graceMs` they are told to stop and are put aside. */
  async drain(graceMs: number): Promise<void> {
    const grace = this.#use.deadlines.after(graceMs, () => this.#pool.shutDown())
    this.#actor?.send({ type: 'drain', attempts: this.#pool.size })
    if (this.#actor !== undefined) await waitFor(this.#actor, ({ status }) => status === 'done')
    grace[Symbol.dispose]()
    this.#commits?.[Symbol.dispose]()
    this.#wake?.[Symbol.dispose]()
    this.#actors[Symbol.dispose]()
  }

  /** Asks a running attempt to stop and be suspended. False when the run has none here. */
  requestSuspend(runId: RunId): boolean {
    return this.#pool.stop(runId, 'suspend_requested')
  }

  #observe(events: readonly TaskEvent[]): void {
    const { projection } = this.#use
    this.#selection?.unblock('commit')
    for (const event of events) {
      this.#followUps.observe(event)
      this.#actors.observe(event)
      this.#promotion.observe(event)
      this.#selection?.observe(event)
      switch (event.type) {
        case 'engine_paused':
          this.#actor?.send({ type: 'pause' })
          break
        case 'engine_resumed':
          this.#actor?.send({ type: 'resume' })
          break
        case 'budget_consumed':
        case 'budget_settled':
          this.#pool.stopExhausted()
          break
        default: {
          const run = 'runId' in event && event.runId !== undefined ? projection.run(event.runId) : undefined
          if (run !== undefined) this.#onRunChanged(run)
        }
      }
    }
    this.#schedulePump()
  }

  #onRunChanged(run: Run): void {
    this.#pool.onRunChanged(run)
    if (!this.#pool.has(run.id)) this.#selection?.onRunChanged(run)
  }

  #onEnded(runId: RunId): void {
    const run = this.#use.projection.run(runId)
    if (run !== undefined) this.#selection?.onRunChanged(run)
    this.#actor?.send({ type: 'attempt_ended', attempts: this.#pool.size })
    this.#schedulePump()
  }

  #onNotStarted(runId: RunId, failure: unknown): void {
    if (failure !== undefined) this.#onFailure(failure)
    this.#onEnded(runId)
    const run = this.#use.projection.run(runId)
    if (run?.state !== 'ready') return
    if (failure === undefined) this.#selection?.block(run, 'commit')
    else if (isRefusal(failure)) {
      this.#selection?.block(run, failure.code === 'budget_exceeded' ? 'reservation' : 'refusal')
    }
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
    const { value: state, status } = this.#actor?.getSnapshot() ?? { value: 'stopped', status: 'active' }
    if (status !== 'active' || state === 'recovering' || state === 'stopped' || this.#isHoldingOff) return
    this.#followUps.pay()
    if (state === 'draining') return
    const expired = Array.from(this.#use.projection.expiredLeases(this.now()))
    for (const run of expired) {
      if (!this.#pool.has(run.id)) void this.#recover(run)
    }
    if (state === 'running') {
      this.#promotion.run()
      this.#startReady()
    }
    this.#armWake(state === 'running')
  }

  #startReady(): void {
    while (this.#pool.size < this.#options.concurrency) {
      const chosen = this.#selection?.takeNext()
      if (chosen === undefined) return
      void this.#pool.start(chosen.run, chosen.registered)
    }
  }

  async #recover({ id: runId }: Run): Promise<void> {
    if (this.#recovering.has(runId)) return
    this.#recovering.add(runId)
    const { mutations, projection, ids } = this.#use
    const options = { projection, ids, delayOf: this.#delayOf, timestamp: this.now() }
    await this.#settle(mutations.transact((batch) => recoverRun(batch, runId, options)))
    this.#recovering.delete(runId)
  }

  readonly #delayOf = (attempt: number): number => retryDelay(this.#options.backoff, attempt, this.#use.random)

  async #settle(change: Promise<unknown>): Promise<void> {
    try {
      await change
    } catch (failure) {
      this.#onFailure(failure)
    }
  }

  /** A lost race is nothing to worry about; what the journal refused is tried again a little later. */
  #onFailure(failure: unknown): void {
    const { logger } = this.#use
    const cause = messageOf(failure)
    if (isRefusal(failure)) return logger.debug({ cause }, 'a change came too late')
    logger.warn({ cause }, 'a change is not durable, trying again')
    this.#holdOff()
  }

  /** Lets a lane that takes nothing rest for a moment instead of asking it again with every run there is. */
  #holdOff(): void {
    if (this.#isHoldingOff) return
    this.#isHoldingOff = true
    this.#use.deadlines.after(retryDelayMs, () => {
      this.#isHoldingOff = false
      this.#selection?.unblock('commit')
      this.#schedulePump()
    })
  }

  #armWake(isPromoting: boolean): void {
    const { projection, deadlines, clock } = this.#use
    const now = this.now()
    const promotionAt = isPromoting ? this.#promotion.nextDueAt() : undefined
    const times = [promotionAt, projection.nextLeaseExpiry()].filter((time) => time !== undefined && time > now)
    const wakeAt = times.length === 0 ? undefined : Math.min(...(times as number[]))
    if (wakeAt === this.#wakeAt) return
    this.#wake?.[Symbol.dispose]()
    this.#wakeAt = wakeAt
    if (wakeAt === undefined) return
    const delay = Math.min(Math.max(0, wakeAt * 1000 - clock.wallNow()), longestSleepMs)
    this.#wake = deadlines.after(delay, () => {
      this.#wakeAt = undefined
      this.#schedulePump()
    })
  }
}
