import * as v from 'valibot'
import { checkClock } from '../base/checked-clock.js'
import type { Clock } from '../base/clock.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { decode } from '../base/decode.js'
import { StatewardError } from '../base/errors.js'
import type { IdSource } from '../base/ids.js'
import type { Inspect } from '../base/inspection.js'
import type { Logger } from '../base/logger.js'
import { abortableSchema, checkText, optionsSchema } from '../base/options.js'
import { nextTurn, silence } from '../base/promises.js'
import type { JobList } from '../work/job-list.js'
import type { Tracer } from '../work/job-span.js'
import type { TaskAuthority } from './authority.js'
import { budgetDimension, type BudgetDimension } from './budget.js'
import { fillWindow } from './dispatch/cron-window.js'
import { Dispatcher } from './dispatch/dispatcher.js'
import type { Handler, HandlerOptions } from './dispatch/handler.js'
import type { DispatchOptions, Random } from './dispatch/options.js'
import { cancelRun, cancelTask, lineage, resumeRuns, suspendReasonOf } from './dispatch/runs.js'
import {
  decodeGraph,
  decodeSubmit,
  submitGraphInto,
  type SubmitInput,
  submitInto,
  type TaskGraph,
} from './dispatch/submission.js'
import { trigger } from './dispatch/triggers.js'
import { TaskError } from './errors.js'
import type { RunId, SubscriptionId, TaskId } from './ids.js'
import { OutcomeWaits } from './outcome-waits.js'
import type { TaskOutcome } from './outcome.js'
import { answerQuestion, type PendingQuestion, pendingQuestions, type QuestionsOptions } from './questions.js'
import { hasEnded } from './task.js'
import { isTerminalRunState } from './run.js'
import type { EventFilter } from './subscription.js'
import type { TaskProjection, TaskView } from './view.js'

/** What the door of the tasks room is built on. */
export interface TasksOptions {
  readonly authority: TaskAuthority
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly ids: IdSource
  readonly random: Random
  readonly logger: Logger
  readonly inspect?: Inspect
  readonly dispatch?: DispatchOptions
  /** Where attempts are listed while they run. */
  readonly jobs: JobList
  /** Opens one span per attempt. */
  readonly tracer?: Tracer
}

/** Subscriptions triggered in one batch. */
const triggersAtOnce = 1024
/** Suspended runs that are resumed in one batch with a replenishment, and that are looked at for it. */
const resumedAtOnce = 256
const lookedAtOnce = 4096

/** What cancelling met. */
export type CancelAnswer = 'cancelled' | 'already_cancelled' | 'already_ended'

/** How often a subscription releases. */
export interface SubscribeOptions {
  /** True: with every event; false, the default: once. */
  readonly rearm?: boolean
}

const subscribeSchema = optionsSchema<SubscribeOptions>({ rearm: v.optional(v.boolean()) })

/**
 * What must run: submits tasks, runs them with the registered handlers, and says how they ended.
 *
 * Dispatch begins with the first handler, or with {@link Tasks.start}. All that a call changes is one atomic batch and
 * durable once the call resolves. Calls reject with refusals of the state they meet, by `code`, and with the lane's errors.
 */
export class Tasks {
  /** The full set of commands, for hosts that drive runs themselves. */
  readonly authority: TaskAuthority
  readonly #use: TasksOptions
  readonly #waits: OutcomeWaits
  readonly #dispatcher: Dispatcher
  readonly #commits: Disposable
  #starting: Promise<void> | undefined
  #isClosed = false

  constructor(use: TasksOptions) {
    this.#use = use
    this.authority = use.authority
    this.#waits = new OutcomeWaits(use.authority.projection)
    const { authority, dispatch, ...rest } = use
    this.#dispatcher = new Dispatcher({
      ...rest,
      mutations: authority.own,
      projection: authority.projection,
      ...(dispatch !== undefined && { options: dispatch }),
    })
    this.#commits = use.authority.onCommit(({ ended }) => this.#waits.observe(ended))
  }

  /** True once dispatch has begun. */
  get isDispatching(): boolean {
    return this.#starting !== undefined
  }

  /** What is durable, with its indexes. */
  get projection(): TaskProjection {
    return this.authority.projection
  }

  /**
   * Submits a task with its runs, prerequisites, budgets and subscriptions. Rejects with `invalid_input`, construction
   * errors and refusals.
   */
  submit(input: SubmitInput): Promise<TaskId> {
    return this.authority.own.transact((batch) => submitInto(batch, decodeSubmit(input), this.#wall(), this.#use.ids))
  }

  /** Submits tasks that refer to one another by name; all of them, or none. Resolves with their ids by name. */
  submitGraph<const Name extends string>(graph: TaskGraph<Name>): Promise<Readonly<Record<Name, TaskId>>> {
    return this.authority.own.transact((batch) =>
      submitGraphInto(batch, decodeGraph(graph), this.#wall(), this.#use.ids),
    )
  }

  /**
   * Registers the handler of a kind and begins to dispatch. Dispose the handle to take it back; its runs then wait.
   * Raises `invalid_input`, `empty_kind`, `handler_exists`, `invalid_budget_dimension`, `zero_amount` and `runtime_closed`.
   */
  handle(kind: string, handler: Handler, options: HandlerOptions = {}): Disposable {
    this.#checkOpen()
    const registration = this.#dispatcher.handle(kind, handler, options)
    void silence(this.start())
    return registration
  }

  /**
   * Begins to dispatch: takes back what a process that died held, then promotes and starts what is due. Resolves once the
   * former is done; later calls share the first. Raises `runtime_closed`.
   */
  async start(): Promise<void> {
    this.#checkOpen()
    this.#starting ??= this.#dispatcher.start()
    await this.#starting
  }

  /** Resolves with the outcome of a task that has ended or when it does. Rejects with `unknown_task`, the signal's reason, or `channel_closed`. */
  outcome(taskId: TaskId, options: { readonly signal?: AbortSignal } = {}): Promise<TaskOutcome> {
    return silence(this.#outcome(taskId, options))
  }

  /**
   * Cancels a task; running handlers are told to stop, and what is below it follows. Cancelling what is cancelled or has
   * ended changes nothing. Rejects with `unknown_task`.
   */
  cancel(taskId: TaskId): Promise<CancelAnswer> {
    return this.authority.own.transact((batch) => {
      checkText('task id', taskId)
      const task = batch.view.task(taskId)
      if (task === undefined) throw new TaskError('unknown_task', { taskId })
      if (task.cancelledAtMs !== undefined) return 'already_cancelled'
      if (hasEnded(task)) return 'already_ended'
      cancelTask(batch, taskId, this.#now())
      return 'cancelled'
    })
  }

  /** Cancels one run. Rejects with `unknown_run`. */
  cancelRun(runId: RunId): Promise<CancelAnswer> {
    return this.authority.own.transact((batch) => {
      checkText('run id', runId)
      const run = batch.view.run(runId)
      if (run === undefined) throw new TaskError('unknown_run', { runId })
      if (run.state === 'cancelled') return 'already_cancelled'
      if (isTerminalRunState(run.state)) return 'already_ended'
      cancelRun(batch, runId, this.#now())
      fillWindow(batch, this.projection, run.taskId, this.#dispatcher.times.wall(), this.#use.ids)
      return 'cancelled'
    })
  }

  /** Asks the handler of a running run to stop, so that it is suspended. Raises `run_suspend_requires_running` for any other. */
  suspend(runId: RunId): void {
    checkText('run id', runId)
    const run = this.projection.run(runId)
    if (run === undefined) throw new TaskError('unknown_run', { runId })
    if (this.#dispatcher.requestSuspend(runId)) return
    throw new TaskError('run_suspend_requires_running', { runId, state: run.state })
  }

  /** Lets a suspended run go on. Rejects with `run_resume_requires_suspended`. */
  async resume(runId: RunId): Promise<void> {
    await this.authority.submit({ type: 'run_resume', runId, atMs: this.#now() })
  }

  /**
   * Answers what a handler asks with `waitFor`: its oldest open question of this name; the first that it will ask, when it
   * has asked none. Rejects with `unknown_task`, `question_already_answered`, `answer_too_late` when the task has ended, and
   * `invalid_input` for a value that has no form in JSON.
   */
  answer(taskId: TaskId, name: string, value?: unknown): Promise<void> {
    return silence(answerQuestion(this.authority.own, taskId, name, value, () => this.#now()))
  }

  /** What handlers ask and nobody has answered, oldest first: what does this service wait for, and whom? Raises `invalid_input`. */
  questions(options: QuestionsOptions = {}): readonly PendingQuestion[] {
    return pendingQuestions(this.projection, options)
  }

  /** Stops promotion and dispatch, durably; what runs goes on. */
  pauseEngine(): Promise<'paused' | 'already_paused'> {
    return this.authority.own.transact((batch) => {
      if (batch.view.engine.paused) return 'already_paused'
      batch.submit({ type: 'engine_pause', atMs: this.#now() })
      return 'paused'
    })
  }

  /** Lets promotion and dispatch go on. */
  resumeEngine(): Promise<'resumed' | 'already_resumed'> {
    return this.authority.own.transact((batch) => {
      const { paused, pausedAtMs = 0 } = batch.view.engine
      if (!paused) return 'already_resumed'
      batch.submit({ type: 'engine_resume', atMs: Math.max(this.#now(), pausedAtMs) })
      return 'resumed'
    })
  }

  /**
   * Tells of an event of the service's own. Resolves with how many subscriptions it has triggered. Very many are triggered
   * in several groups: if a crash comes in between, publish again. Rejects with `invalid_input` or `empty_custom_key`.
   */
  async publish(key: string): Promise<number> {
    checkText('event key', key)
    if (key === '') throw new TaskError('empty_custom_key', {})
    const armed = [...this.projection.subscriptionsFor({ type: 'custom_event', key })]
    let count = 0
    for (let from = 0; from < armed.length; from += triggersAtOnce) {
      if (from > 0) await nextTurn()
      const group = armed.slice(from, from + triggersAtOnce)
      count += await this.authority.own.transact((batch) => trigger(batch, group, this.#now()))
    }
    return count
  }

  /** Releases the earliest waiting run of a task when the event happens; once, or with `rearm` every time. */
  async subscribe(taskId: TaskId, filter: EventFilter, options: SubscribeOptions = {}): Promise<SubscriptionId> {
    const { rearm = false } = decode(subscribeSchema, options, 'subscribe options')
    const subscriptionId = this.#use.ids.uuid() as SubscriptionId
    const atMs = this.#now()
    await this.authority.submit({ type: 'subscription_create', subscriptionId, taskId, filter, rearm, atMs })
    return subscriptionId
  }

  /** Releases nothing any more. Rejects with `unknown_subscription` or `subscription_already_cancelled`. */
  async unsubscribe(subscriptionId: SubscriptionId): Promise<void> {
    await this.authority.submit({ type: 'subscription_cancel', subscriptionId, atMs: this.#now() })
  }

  /**
   * Raises the limit of a task's budget; what was spent stays spent. Runs that the budget had suspended, here and below,
   * are ready again with the same change; where they are very many, the others follow. Rejects with `budget_not_allocated` or `budget_not_raised`.
   */
  replenish(taskId: TaskId, dimension: BudgetDimension | string, newLimit: number): Promise<void> {
    return this.authority.transact((batch) => {
      const atMs = this.#now()
      batch.submit({ type: 'budget_replenish', taskId, dimension: budgetDimension(dimension), newLimit, atMs })
      resumeRuns(batch, this.#suspendedForBudget(batch.view, taskId), atMs)
    })
  }

  /** Starts nothing any more, waits `graceMs` for running attempts, and puts aside what is left. Waits for outcomes reject. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true
    try {
      await this.#starting
    } finally {
      try {
        await this.#dispatcher.drain(graceMs)
      } finally {
        this.#commits[Symbol.dispose]()
        this.#waits.close(new StatewardError('channel_closed', 'the runtime was closed before the task ended', {}))
      }
    }
  }

  async #outcome(taskId: TaskId, options: { readonly signal?: AbortSignal }): Promise<TaskOutcome> {
    checkText('task id', taskId)
    const { signal } = decode(abortableSchema, options, 'wait options')
    return this.#waits.wait(taskId, signal)
  }

  /** The first of them, those among them whose suspension is under way; the others follow the replenishment. */
  #suspendedForBudget(view: TaskView, taskId: TaskId): readonly RunId[] {
    const found: RunId[] = []
    let looked = 0
    for (const state of ['running', 'suspended'] as const) {
      for (const { id } of this.projection.runsIn(state)) {
        if (found.length === resumedAtOnce || ++looked > lookedAtOnce) return found
        const run = view.run(id)
        if (run?.state !== 'suspended' || suspendReasonOf(run) !== 'budget_exhausted') continue
        for (const { spec } of lineage(view, run.taskId)) if (spec.id === taskId) found.push(run.id)
      }
    }
    return found
  }

  /** For what a caller asks: refused while the clock breaks its contract. */
  #now(): number {
    checkClock(this.#use.clock)
    return this.#dispatcher.times.now()
  }

  #wall(): number {
    checkClock(this.#use.clock)
    return this.#dispatcher.times.wall()
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StatewardError('runtime_closed', 'the runtime is closed', {})
  }
}
