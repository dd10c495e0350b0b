import { faultFields } from '../../base/error-details.js'
import { createActor, waitFor } from 'xstate'
import { type DispatcherActor, dispatcherMachine } from '../../../machines/dispatcher.js'
import type { Clock } from '../../base/clock.js'
import type { DeadlineQueue } from '../../base/deadline-queue.js'
import type { IdSource } from '../../base/ids.js'
import { followRoot, type Inspect, inspectOption } from '../../base/inspection.js'
import type { Logger } from '../../base/logger.js'
import { LoopShare } from '../../base/loop-share.js'
import { isLaneFailure } from '../../lane/errors.js'
import type { JobList } from '../../work/job-list.js'
import { Slots } from '../../work/slots.js'
import { isRefusal, TaskError } from '../errors.js'
import type { TaskEvent } from '../catalogue.js'
import type { RunId } from '../ids.js'
import type { CommitListener, TaskCommit, TaskMutations } from '../authority.js'
import type { Run } from '../run.js'
import { runsTakenBack } from '../task-lines.js'
import type { TaskProjection } from '../view.js'
import { ActorWatch } from './actors.js'
import { Answers, type CheckAnswer } from './answers.js'
import type { DelayOf } from './attempt-changes.js'
import { Attempts, type RegisteredHandler } from './attempts.js'
import { BudgetLine } from './budget-line.js'
import { CalendarWake } from './calendar-wake.js'
import { FittingMutations } from './fitting-mutations.js'
import { FollowUps } from './follow-ups.js'
import { checkHandler, type Handler, type HandlerOptions } from './handler.js'
import {
  type DispatchOptions,
  type Random,
  type ResolvedDispatchOptions,
  resolveDispatchOptions,
  retryDelay,
} from './options.js'
import type { DispatchBlock } from './block.js'
import { LeaseWatch } from './leases.js'
import { Promotion } from './promotion.js'
import { Recovery } from './recovery.js'
import { Selection } from './selection.js'
import type { RefusedAmount } from './spending.js'
import type { TaskSpans } from './task-spans.js'
import { createTaskClock, type TaskClock } from './task-clock.js'
import { WaitEnds } from './wait-ends.js'

/** Options and dependencies of a {@link Dispatcher}. */
export interface DispatcherOptions {
  readonly mutations: TaskMutations & { onCommit(listener: CommitListener): Disposable }
  readonly projection: TaskProjection
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly ids: IdSource
  readonly random: Random
  /** Where running attempts are listed. */
  readonly jobs: JobList
  readonly logger: Logger
  readonly inspect?: Inspect
  /** Traces attempts and what they submit. */
  readonly spans?: TaskSpans
  readonly options?: DispatchOptions
}

/** Milliseconds before a change that the journal refused is tried again. */
const retryDelayMs = 1000

/**
 * Starts runs when they may run, and records how they ended.
 *
 * Every change goes through the authority in atomic batches. The dispatcher wakes up for commits and for one deadline,
 * the next thing that is due; nothing is polled and no list of runs is scanned.
 *
 * One pass (`#pump`) goes through its parts in order: `FollowUps` runs what earlier changes left pending, expired
 * leases are taken back, `Promotion` puts runs in line whose time or event has come, `Selection` names the next run in
 * line that nothing blocks, and `Attempts` claims it and runs its handler; what cannot start yet is made ready. Each part
 * is notified of every durable event, records in O(1) what follows for it, and requests the next pass. For a task that
 * runs once: its submission is committed, a pass claims its run, its handler runs, and the commit of its end triggers
 * the pass that starts the next run.
 */
export class Dispatcher {
  /** The time of commands, and the time of the calendar. */
  readonly times: TaskClock
  readonly #options: DispatcherOptions
  readonly #resolved: ResolvedDispatchOptions
  /** Created by `start`: a service without tasks has no dispatcher to inspect. */
  #actor: DispatcherActor | undefined
  readonly #handlers = new Map<string, RegisteredHandler>()
  readonly #slots: Slots
  readonly #followUps: FollowUps
  readonly #fitting: FittingMutations
  readonly #promotion: Promotion
  readonly #line: BudgetLine
  readonly #attempts: Attempts
  readonly #answers: Answers
  readonly #waitEnds: WaitEnds
  readonly #actors: ActorWatch
  readonly #leases: LeaseWatch
  readonly #recovery: Recovery
  readonly #wake: CalendarWake
  readonly #share: LoopShare
  #selection: Selection | undefined
  #commits: Disposable | undefined
  #isPumpScheduled = false
  /** Since when runs are promoted on time, by the wall clock in epoch milliseconds. */
  #watchedSince = 0
  #isHoldingOff = false
  #isDraining = false

  constructor(options: DispatcherOptions) {
    const { mutations, projection, clock, deadlines, ids, logger, inspect, ...rest } = options
    this.#options = options
    this.#resolved = resolveDispatchOptions(options.options)
    const times = createTaskClock(clock)
    const { now, wall } = times
    this.times = times
    this.#share = new LoopShare(clock)
    this.#slots = new Slots({
      limit: this.#resolved.concurrency,
      clock,
      deadlines,
      onRoom: (kind) => {
        this.#selection?.onRoom(kind)
        this.#schedulePump()
      },
    })
    const onDelay = (): void => this.#holdOff()
    this.#followUps = new FollowUps({ mutations, projection, ids, now, wall, logger, onDelay })
    this.#fitting = new FittingMutations(mutations, (triggers) => this.#followUps.queueTriggers(triggers))
    this.#promotion = new Promotion({
      mutations,
      projection,
      deadlines,
      times,
      ids,
      watchedSince: () => this.#watchedSince,
      isAtWork: (runId) => this.#attempts.has(runId),
      onDue: (run) => this.#selection?.onDue(run),
      onFailure: (failure) => this.#onFailure(failure),
      onRoom: () => this.#schedulePump(),
    })
    this.#line = new BudgetLine({
      mutations,
      projection,
      now,
      attempts: () => this.#attempts.runIds,
      onMoved: () => {
        this.#selection?.unblock('reservation')
        this.#schedulePump()
      },
    })
    this.#answers = new Answers(projection)
    this.#waitEnds = new WaitEnds({
      mutations,
      projection,
      now,
      onFailure: (failure) => this.#onFailure(failure),
      onRoom: () => this.#schedulePump(),
    })
    this.#attempts = new Attempts({
      ...rest,
      ...(inspect !== undefined && { inspect }),
      mutations: this.#fitting,
      projection,
      clock,
      deadlines,
      ids,
      logger,
      options: this.#resolved,
      line: this.#line,
      now,
      times,
      delayOf: this.#delayOf,
      answers: this.#answers,
      keys: {
        giveBack: (run) => this.#selection?.giveKeyBack(run),
        takeAgain: async (run, signal) => this.#selection?.takeKeyAgain(run, signal),
      },
      onLeftBehind: (run, finished) => this.#selection?.keepKeyUntil(run, finished),
      onEnded: (runId, refused) => this.#onEnded(runId, refused),
      onNotStarted: (runId, failure) => this.#onNotStarted(runId, failure),
    })
    this.#leases = new LeaseWatch({
      projection,
      deadlines,
      times,
      isAtWork: (runId) => this.#attempts.has(runId),
      onExpired: () => this.#schedulePump(),
    })
    this.#recovery = new Recovery({
      mutations: this.#fitting,
      projection,
      ids,
      times,
      delayOf: this.#delayOf,
      leases: this.#leases,
      isAtWork: (runId) => this.#attempts.has(runId),
      onFailure: (failure) => this.#onFailure(failure),
    })
    this.#wake = new CalendarWake(deadlines, () => this.#schedulePump())
    this.#actors = new ActorWatch({
      projection,
      deadlines,
      times,
      onSilent: (actorId) => {
        void this.#reportFailure(mutations.submit({ type: 'actor_deregister', actorId, atMs: now() }))
      },
    })
  }

  /** How many attempts may run at a time, and how many are running. */
  get slots(): { readonly limit: number; readonly taken: number } {
    return { limit: this.#resolved.concurrency, taken: this.#slots.taken }
  }

  /** How many attempts are starting, running or ending. */
  get attemptCount(): number {
    return this.#attempts.size
  }

  /**
   * Registers the handler of a kind until the handle is disposed, and starts runs of that kind that were waiting for
   * it. Raises `invalid_input`, `handler_exists`, and `invalid_budget_dimension` or `zero_amount` for an amount to
   * reserve.
   */
  handle(kind: string, handler: Handler, options: HandlerOptions = {}): Disposable {
    const decoded = checkHandler(kind, handler, options)
    if (this.#handlers.has(kind)) throw new TaskError('handler_exists', { kind })
    const registered = { kind, handler, options: decoded }
    const { concurrency, rate } = decoded
    this.#handlers.set(kind, registered)
    this.#slots.configure(kind, { ...(concurrency !== undefined && { limit: concurrency }), ...(rate && { rate }) })
    this.#selection?.onHandler(kind)
    this.#schedulePump()
    return {
      [Symbol.dispose]: () => {
        // Disposing twice must not remove a handler that was registered since.
        if (this.#handlers.get(kind) === registered) this.#handlers.delete(kind)
      },
    }
  }

  /**
   * Takes back the runs of an earlier process, then dispatches until drained. The directory has one owner, so any
   * earlier holder of a lease under our name is gone. Leases of others are taken back when they expire.
   */
  async start(): Promise<void> {
    const { mutations, projection, clock, deadlines, logger, inspect } = this.#options
    this.#watchedSince = this.times.wall()
    const actor = createActor(dispatcherMachine, inspectOption(inspect, logger))
    this.#actor = actor
    followRoot(inspect, actor)
    actor.start()
    actor.send({ type: 'start' })
    this.#commits = mutations.onCommit((commit) => this.#observe(commit))
    this.#actors.start()
    this.#leases.start()
    this.#promotion.recover()
    this.#waitEnds.recover()
    const abandoned = [...projection.leased()].filter(({ lease }) => lease?.owner === this.#resolved.owner)
    await Promise.all([
      ...abandoned.map(({ id }) => this.#recovery.recover(id)),
      this.#reportFailure(this.#followUps.recover()),
    ])
    if (abandoned.length > 0) runsTakenBack(logger, { runs: abandoned.length })
    const { capabilities, stragglerLimitMs } = this.#resolved
    this.#selection = new Selection({
      projection,
      handlers: this.#handlers,
      slots: this.#slots,
      clock,
      capabilities,
      line: this.#line,
      isAtWork: (runId) => this.#attempts.has(runId),
      deadlines,
      stragglerLimitMs,
      logger,
      onRoom: () => this.#schedulePump(),
    })
    actor.send({ type: 'recovered', paused: projection.engine.paused })
    this.#schedulePump()
  }

  /**
   * Starts nothing more and waits for running attempts, which learn at once that the process will end. After `graceMs`
   * milliseconds they are told to stop, and their runs are suspended.
   */
  async drain(graceMs: number): Promise<void> {
    const grace = this.#options.deadlines.after(graceMs, () => this.#attempts.shutDown())
    this.#isDraining = true
    this.#actor?.send({ type: 'drain', attempts: this.#attempts.size })
    this.#attempts.retire()
    if (this.#actor !== undefined) await waitFor(this.#actor, ({ status }) => status === 'done')
    grace[Symbol.dispose]()
    this.#commits?.[Symbol.dispose]()
    this.#wake[Symbol.dispose]()
    this.#actors[Symbol.dispose]()
    this.#leases[Symbol.dispose]()
    this.#selection?.[Symbol.dispose]()
    this.#slots[Symbol.dispose]()
    this.#attempts[Symbol.dispose]()
    this.#promotion[Symbol.dispose]()
    this.#followUps[Symbol.dispose]()
  }

  /** Rejects with `invalid_input` for an answer that the asking attempt in this process would not accept. */
  readonly checkAnswer: CheckAnswer = (asked, value) => this.#answers.check(asked, value)

  /** Asks a running attempt to stop so that its run is suspended. False when the run has none in this process. */
  requestSuspend(runId: RunId): boolean {
    return this.#attempts.stop(runId, 'suspend_requested')
  }

  /** What prevents a waiting run from starting; `undefined` if it only waits for those before it. */
  blockOf(run: Run): DispatchBlock | undefined {
    const { value: state } = this.#actor?.getSnapshot() ?? { value: 'stopped' }
    if (this.#selection === undefined || (state !== 'running' && state !== 'paused')) return { by: 'dispatch' }
    if (state === 'paused') return { by: 'engine' }
    return run.state === 'ready' ? this.#selection.blockOf(run) : undefined
  }

  #observe({ events, ended }: TaskCommit): void {
    if (events.every((event) => this.#isBare(event))) {
      // More may be due, or the timer has to be set: a run that has begun no longer stands before the next one.
      if (this.#promotion.nextDueAt() !== undefined) this.#schedulePump()
      return
    }
    const { projection } = this.#options
    this.#selection?.unblock('commit')
    for (const runId of ended.runs) {
      const run = projection.run(runId)
      if (run === undefined) continue
      this.#followUps.onRunEnded(run)
      this.#promotion.onRunEnded(run)
      this.#selection?.onRunEnded(run)
    }
    for (const taskId of ended.tasks) this.#waitEnds.onTaskEnded(taskId)
    for (const event of events) {
      this.#answers.observe(event)
      this.#followUps.observe(event)
      this.#actors.observe(event)
      this.#leases.observe(event)
      this.#promotion.observe(event)
      this.#selection?.observe(event)
      switch (event.type) {
        case 'engine_paused':
          this.#actor?.send({ type: 'pause' })
          break
        case 'engine_resumed':
          this.#watchedSince = this.times.wall()
          this.#actor?.send({ type: 'resume' })
          break
        case 'budget_consumed':
        case 'budget_settled':
          this.#attempts.stopExhausted()
          break
        default: {
          if (event.type === 'attempt_ended' && hasSpent(event)) this.#attempts.stopExhausted()
          const run = 'runId' in event && event.runId !== undefined ? projection.run(event.runId) : undefined
          if (run !== undefined) this.#onRunChanged(run)
        }
      }
    }
    this.#line.look()
    const [event] = events
    // The end of an own attempt is followed by a pass as soon as its slot is free.
    const isOwnEnd = events.length === 1 && event?.type === 'attempt_ended' && this.#attempts.isEnding(event.runId)
    if (!isOwnEnd) this.#schedulePump()
  }

  /** True for an own attempt that has begun, and a step without cost: no run may start or has to stop because of it. */
  #isBare(event: TaskEvent): boolean {
    if (event.type === 'step_recorded') return !hasSpent(event)
    return event.type === 'attempt_begun' && event.reservations === undefined && this.#attempts.has(event.runId)
  }

  #onRunChanged(run: Run): void {
    this.#attempts.onRunChanged(run)
    if (!this.#attempts.has(run.id)) this.#selection?.onRunChanged(run)
  }

  #onEnded(runId: RunId, refused?: RefusedAmount): void {
    const run = this.#options.projection.run(runId)
    if (run !== undefined) {
      this.#leases.watch(run)
      if (refused !== undefined && run.state === 'ready') this.#selection?.waitFor(runId, refused)
      this.#selection?.onRunChanged(run)
    }
    this.#line.look()
    // Only a draining dispatcher listens, and sending to an actor has a cost.
    if (this.#isDraining) this.#actor?.send({ type: 'attempt_ended', attempts: this.#attempts.size })
    this.#schedulePump()
  }

  #onNotStarted(runId: RunId, failure: unknown): void {
    // A failure that no later attempt can resolve stays with its run; it must not delay the others.
    const isFault = failure !== undefined && !isRefusal(failure) && !isLaneFailure(failure)
    if (isFault) this.#options.logger.error({ runId, ...faultFields(failure) }, 'an attempt cannot be started')
    else if (failure !== undefined) this.#onFailure(failure)
    this.#onEnded(runId)
    const run = this.#options.projection.run(runId)
    if (run?.state !== 'ready' && run?.state !== 'scheduled') return
    if (failure === undefined) this.#selection?.block(run, 'commit')
    // What its budget could not cover is durable by now: selection finds out by itself whether the amount is available.
    else if (isFault || (isRefusal(failure) && failure.code !== 'budget_exceeded'))
      this.#selection?.block(run, 'refusal')
  }

  /**
   * Runs a pass soon; in a later turn of the event loop if there is so much work that timers and input would have to
   * wait.
   */
  #schedulePump(): void {
    if (this.#isPumpScheduled) return
    this.#isPumpScheduled = true
    const pump = (): void => {
      this.#isPumpScheduled = false
      this.#pump()
    }
    if (this.#share.isUsedUp) this.#share.nextTurn(pump)
    else queueMicrotask(pump)
  }

  #pump(): void {
    const { value: state, status } = this.#actor?.getSnapshot() ?? { value: 'stopped', status: 'active' }
    if (status !== 'active' || state === 'recovering' || state === 'stopped' || this.#isHoldingOff) return
    this.#followUps.run()
    if (state === 'draining') return
    const wall = this.times.wall()
    this.#recovery.run()
    this.#waitEnds.run(wall)
    if (state === 'running') {
      this.#promotion.run(wall)
      if (this.#startReady() === 'done') this.#promotion.promoteRest()
    }
    this.#wake.arm(wall, state === 'running' ? this.#promotion.nextDueAt() : undefined, this.#waitEnds.nextDueAt())
  }

  /** Starts what may start; `later` if there may be more after a turn of the event loop. */
  #startReady(): 'done' | 'later' {
    while (this.#slots.taken < this.#resolved.concurrency) {
      const chosen = this.#share.isUsedUp ? 'later' : this.#selection?.takeNext(() => this.#share.isUsedUp)
      if (chosen === undefined) return 'done'
      if (chosen === 'later') {
        this.#schedulePump()
        return 'later'
      }
      this.#attempts.start(chosen.run, chosen.registered, chosen.slot)
    }
    return 'done'
  }

  readonly #delayOf: DelayOf = (kind, attempt) => {
    const own = kind === undefined ? undefined : this.#handlers.get(kind)?.options.backoff
    return retryDelay(own ?? this.#resolved.backoff, attempt, this.#options.random)
  }

  async #reportFailure(change: Promise<unknown>): Promise<void> {
    try {
      await change
    } catch (failure) {
      this.#onFailure(failure)
    }
  }

  /** A lost race needs no attention; a change that the journal refused is tried again a little later. */
  #onFailure(failure: unknown): void {
    const { logger } = this.#options
    if (isRefusal(failure)) return logger.debug({ error: failure.message }, 'a change arrived too late')
    logger.warn(faultFields(failure), 'a change is not durable, trying again')
    this.#holdOff()
  }

  /** Pauses briefly while the lane accepts nothing, instead of trying every ready run. */
  #holdOff(): void {
    if (this.#isHoldingOff) return
    this.#isHoldingOff = true
    this.#options.deadlines.after(retryDelayMs, () => {
      this.#isHoldingOff = false
      this.#selection?.unblock('commit')
      this.#line.look()
      this.#schedulePump()
    })
  }
}

/** True if the event records spending. */
function hasSpent({
  settlements = [],
  consumptions = [],
}: Extract<TaskEvent, { type: 'attempt_ended' | 'step_recorded' }>): boolean {
  return settlements.length > 0 || consumptions.length > 0
}
