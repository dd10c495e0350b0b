import * as v from 'valibot'
import { checkClock } from '../base/checked-clock.js'
import type { Clock } from '../base/clock.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { decode } from '../base/decode.js'
import { StatewardError } from '../base/errors.js'
import type { Feed } from '../base/feed.js'
import type { IdSource } from '../base/ids.js'
import type { Inspect } from '../base/inspection.js'
import { silentLogger, type Logger } from '../base/logger.js'
import type { Instruments } from '../base/meter.js'
import { abortableSchema, checkText, optionsSchema } from '../base/options.js'
import { silence } from '../base/promises.js'
import type { JobList } from '../work/job-list.js'
import type { Tracer } from '../work/job-span.js'
import type { Schema } from '../work/values.js'
import type { TaskAuthority } from './authority.js'
import { budgetDimension, type BudgetDimension } from './budget.js'
import { handlerOptionsOf, isDefinition, type TaskDefinition } from './definition.js'
import { type CancelAnswer, cancelOpenRun, cancelOpenTask } from './dispatch/cancellation.js'
import { Dispatcher } from './dispatch/dispatcher.js'
import type { Handler, HandlerOptions } from './dispatch/handler.js'
import type { DispatchOptions, Random } from './dispatch/options.js'
import { replenishInto } from './dispatch/replenishment.js'
import { reschedule } from './dispatch/reschedule.js'
import { retryInto } from './dispatch/retry.js'
import {
  decodeGraph,
  decodeSubmit,
  submitGraphInto,
  submissionOf,
  type SubmitArguments,
  type SubmitDefinition,
  type SubmitInput,
  submitInto,
  submitOnce,
  type SubmitTaskOptions,
  type Submitted,
  type TaskGraph,
} from './dispatch/submission.js'
import { submitWithin, TaskSpans, type TraceOfSubmission } from './dispatch/task-spans.js'
import { triggerAll } from './dispatch/triggers.js'
import { blockOfRun, type RunBlock } from './dispatch/why.js'
import { TaskError } from './errors.js'
import type { RunId, SubscriptionId, TaskId } from './ids.js'
import { OutcomeWaits } from './outcome-waits.js'
import type { TaskOutcome } from './outcome.js'
import { answerQuestion, type PendingQuestion, pendingQuestions, type QuestionsOptions } from './questions.js'
import { type RetentionOptions, resolveRetention } from './retention/options.js'
import { Retention } from './retention/retention.js'
import type { EventFilter } from './subscription.js'
import { type RunPolicy, runPolicySchema } from './task-spec.js'
import { TaskMetrics } from './task-metrics.js'
import { TaskLog } from './task-log.js'
import type { TaskEnd } from './task-end.js'
import { TaskHandle, type TaskHandlePort } from './task-handle.js'
import type { TaskProjection } from './view.js'

/** Options and dependencies of {@link Tasks}. */
export interface TasksOptions {
  readonly authority: TaskAuthority
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly ids: IdSource
  readonly random: Random
  readonly logger: Logger
  readonly inspect?: Inspect
  readonly dispatch?: DispatchOptions
  /** Definitions to register at once; dispatch begins if there are any. */
  readonly define?: readonly TaskDefinition[]
  /** How long ended tasks are kept. Default: all of them, for good. */
  readonly retention?: RetentionOptions
  /** Where attempts are listed while they run. */
  readonly jobs: JobList
  /** Opens one span per submission and attempt. */
  readonly tracer?: Tracer
  readonly instruments?: Instruments
}

/** How often a subscription releases runs. */
export interface SubscribeOptions {
  /** True: on every event. False, the default: once. */
  readonly rearm?: boolean
}

const subscribeSchema = optionsSchema<SubscribeOptions>({ rearm: v.optional(v.boolean()) })

/**
 * Tasks: submits them, runs them with the registered handlers, and reports how they ended.
 *
 * Dispatch begins with the first handler, or with {@link Tasks.start}. Everything that a call changes is one atomic
 * batch, which is durable once the call resolves. Calls reject with refusals, by `code`, if the current state does not
 * allow them, and with the lane's errors.
 */
export class Tasks {
  /** All commands, for hosts that drive runs themselves. */
  readonly authority: TaskAuthority
  readonly #use: TasksOptions
  readonly #waits: OutcomeWaits
  readonly #dispatcher: Dispatcher
  readonly #spans: TaskSpans | undefined
  readonly #commits: Disposable
  readonly #retention: Retention
  readonly #port: TaskHandlePort
  #starting: Promise<void> | undefined
  #isClosed = false

  constructor(use: TasksOptions) {
    this.#use = use
    this.authority = use.authority
    this.#waits = new OutcomeWaits(use.authority.projection)
    const { authority, dispatch, define = [], tracer, retention, ...rest } = use
    this.#spans = tracer === undefined ? undefined : new TaskSpans(tracer, use.logger)
    this.#dispatcher = new Dispatcher({
      ...rest,
      mutations: authority.own,
      projection: authority.projection,
      ...(dispatch !== undefined && { options: dispatch }),
      ...(this.#spans !== undefined && { spans: this.#spans }),
    })
    for (const { kind, handler, options } of define) this.#dispatcher.handle(kind, handler, handlerOptionsOf(options))
    this.#retention = new Retention({
      ...rest,
      mutations: authority.own,
      projection: authority.projection,
      now: this.#dispatcher.times.now,
      options: resolveRetention(retention),
    })
    this.#commits = use.authority.onCommit((commit) => {
      this.#waits.observe(commit.ended)
      this.#retention.observe(commit)
    })
    if (use.instruments !== undefined) {
      const metrics = new TaskMetrics(use.authority.projection, use.instruments)
      use.authority.onCommit((commit) => metrics.observe(commit))
    }
    if (use.logger !== silentLogger) {
      const log = new TaskLog(use.authority.projection, use.logger)
      use.authority.onCommit((commit) => log.observe(commit))
    }
    this.#port = {
      deadlines: use.deadlines,
      outcome: (taskId, options) => this.outcome(taskId, options),
      cancel: (taskId) => this.cancel(taskId),
      retry: (taskId, output) => silence(this.#retry(taskId, output)),
    }
    if (define.length > 0) void silence(this.start())
  }

  /** True once dispatch has started. */
  get isDispatching(): boolean {
    return this.#starting !== undefined
  }

  /** How many attempts may run in this process at a time, and how many are running. */
  get slots(): { readonly limit: number; readonly taken: number } {
    return this.#dispatcher.slots
  }

  /** The committed state, read-only. */
  get projection(): TaskProjection {
    return this.authority.projection
  }

  /**
   * The ends of tasks, numbered in order. A consumer that was away calls `since(n)`, or follows with
   * `entries({ after: n })` or `observe({ after: n })`. If rows that it has not seen are no longer kept
   * (`feedCapacity`), the latter two fail with `feed_gap` instead of skipping. Streams complete when the runtime
   * closes. A task that gets more runs after its end ends once more.
   */
  get feed(): Feed<TaskEnd> {
    return this.authority.feed
  }

  /**
   * Submits a task by its definition, or by the name of its kind, with its input. Resolves with a handle once the task
   * is durable. Rejects with `invalid_input`, with the error of a bad spec (such as `empty_kind`), and with refusals
   * (such as `key_in_use`, `unknown_task` or `depth_limit_exceeded`).
   *
   * With a single object, submits the task that the object describes, and resolves with its id.
   */
  submit<Input, Output>(
    definition: TaskDefinition<Input, Output>,
    ...given: SubmitArguments<Input>
  ): Promise<TaskHandle<Output>>
  submit(kind: string, input?: unknown, options?: SubmitTaskOptions): Promise<TaskHandle<unknown>>
  submit(task: SubmitInput & { readonly handler?: never }): Promise<TaskId>
  submit(
    task: TaskDefinition | string | SubmitInput,
    input?: unknown,
    options: SubmitTaskOptions = {},
  ): Promise<TaskHandle<unknown> | TaskId> {
    if (typeof task === 'string') return silence(this.#submitOf({ kind: task, options: {} }, input, options))
    if (isDefinition(task)) return silence(this.#submitOf(task, input, options))
    if (this.#spans !== undefined) return silence(this.#submitWithin(this.#spans, task))
    return this.authority.own.transact((batch) => submitInto(batch, decodeSubmit(task), this.#wall(), this.#use.ids))
  }

  /**
   * A handle for a known task; `undefined` if the task is unknown. Raises `kind_mismatch` if it is of another
   * definition or kind.
   */
  find<Output>(definition: TaskDefinition<unknown, Output> | string, taskId: TaskId): TaskHandle<Output> | undefined
  find(definition: TaskDefinition | string, taskId: TaskId): TaskHandle<unknown> | undefined {
    checkText('task id', taskId)
    const wanted = typeof definition === 'string' ? { kind: definition } : definition
    const found = this.projection.task(taskId)?.spec.kind ?? this.projection.tombstone(taskId)?.kind
    if (found === undefined) return undefined
    if (found !== wanted.kind) throw new TaskError('kind_mismatch', { taskId, expected: wanted.kind, found })
    return new TaskHandle({ ...wanted, id: taskId, isNew: false }, this.#port)
  }

  /**
   * Submits tasks that refer to one another by name: all of them, or none. Resolves with their ids by name. Rejects as
   * {@link Tasks.submit} does, and with `dependency_cycle`.
   */
  submitGraph<const Name extends string>(graph: TaskGraph<Name>): Promise<Readonly<Record<Name, TaskId>>> {
    return submitWithin(
      this.#spans,
      'graph',
      (trace) =>
        this.authority.own.transact((batch) =>
          submitGraphInto(batch, decodeGraph(graph), this.#wall(), this.#use.ids, trace),
        ),
      () => undefined,
    )
  }

  /**
   * Registers a definition, or the handler of a kind, and starts dispatching. Dispose the return value to remove the
   * handler; runs of its kind then wait. Raises `invalid_input`, `empty_kind`, `handler_exists`,
   * `invalid_budget_dimension`, `zero_amount` and `runtime_closed`.
   */
  handle(definition: TaskDefinition): Disposable
  handle(kind: string, handler: Handler, options?: HandlerOptions): Disposable
  handle(task: TaskDefinition | string, handler?: Handler, options: HandlerOptions = {}): Disposable {
    this.#checkOpen()
    const registration = isDefinition(task)
      ? this.#dispatcher.handle(task.kind, task.handler, handlerOptionsOf(task.options))
      : this.#dispatcher.handle(task, handler as Handler, options)
    void silence(this.start())
    return registration
  }

  /**
   * Starts dispatching: first takes back the runs of a dead process, then promotes and starts what is due. Resolves
   * once the runs are taken back; later calls return the same promise. Rejects with `runtime_closed`.
   */
  async start(): Promise<void> {
    this.#checkOpen()
    this.#starting ??= this.#dispatcher.start()
    await this.#starting
  }

  /**
   * Resolves with the outcome of a task once it has ended. Rejects with `unknown_task`, `no_longer_retained` if it was
   * forgotten, the signal's reason, or `channel_closed`.
   */
  outcome(taskId: TaskId, options: { readonly signal?: AbortSignal } = {}): Promise<TaskOutcome> {
    return silence(this.#outcome(taskId, options))
  }

  /**
   * Cancels a task and all its descendants; running handlers are told to stop. Does nothing if the task is already
   * cancelled or has ended, and says so. Rejects with `unknown_task`.
   */
  cancel(taskId: TaskId): Promise<CancelAnswer> {
    return this.authority.own.transact((batch) => {
      checkText('task id', taskId)
      return cancelOpenTask(batch, taskId, this.#now())
    })
  }

  /**
   * Forgets an ended task and all its descendants, with their runs, steps, waits, budgets and subscriptions, after
   * passing them to the archive of the retention options. For a while the runtime still knows that the task existed,
   * and its key stays taken; asking for its outcome then rejects with `no_longer_retained`. Does nothing if the task is
   * already forgotten. Rejects with `unknown_task`, with `task_not_ended`, with `task_in_use` if something that has not
   * ended refers to it, and with what the archive throws.
   */
  forget(taskId: TaskId): Promise<void> {
    return silence(this.#retention.forget(taskId))
  }

  /** Cancels one run of a task. Rejects with `unknown_run`. */
  cancelRun(runId: RunId): Promise<CancelAnswer> {
    const { ids } = this.#use
    return this.authority.own.transact((batch) => {
      checkText('run id', runId)
      const window = { projection: this.projection, wall: this.#dispatcher.times.wall, ids }
      return cancelOpenRun(batch, runId, this.#now(), window)
    })
  }

  /**
   * Submits a failed task again as a new task, which names the old one in `retryOf` and takes over its key. Resolves
   * with the handle of the new task. If the task was retried before, that is the handle of the same new task, with
   * `isNew` false. Rejects with `unknown_task`, `retry_requires_failed`, and `orphan_prevention` when its parent has
   * ended.
   */
  retry(taskId: TaskId): Promise<TaskHandle<unknown>> {
    return silence(this.#retry(taskId))
  }

  /** Why a run is not running, at this moment. Raises `unknown_run`. */
  why(runId: RunId): RunBlock {
    checkText('run id', runId)
    const run = this.projection.run(runId)
    if (run === undefined) throw new TaskError('unknown_run', { runId })
    return blockOfRun(this.projection, run, this.#wall(), (blocked) => this.#dispatcher.blockOf(blocked))
  }

  /**
   * Replaces the schedule of a repeating task from now on: runs that are not due yet are replaced by those of the new
   * schedule; runs that are due or in progress go on. Rejects with `unknown_task`, `task_not_repeating`,
   * `task_already_cancelled`, `task_already_ended`, `schedule_without_runs`, and with `invalid_input` and the
   * construction errors of a policy.
   */
  reschedule(taskId: TaskId, policy: RunPolicy): Promise<void> {
    return this.authority.own.transact((batch) => {
      checkText('task id', taskId)
      reschedule(batch, taskId, decode(runPolicySchema, policy, 'run policy'), this.#wall(), this.#use.ids)
    })
  }

  /**
   * Asks a running handler to stop, so that its run is suspended. Raises `run_suspend_requires_running` if it is not
   * running.
   */
  suspend(runId: RunId): void {
    checkText('run id', runId)
    const run = this.projection.run(runId)
    if (run === undefined) throw new TaskError('unknown_run', { runId })
    if (this.#dispatcher.requestSuspend(runId)) return
    throw new TaskError('run_suspend_requires_running', { runId, state: run.state })
  }

  /** Lets a suspended run continue. Rejects with `run_resume_requires_suspended`. */
  async resume(runId: RunId): Promise<void> {
    await this.authority.submit({ type: 'run_resume', runId, atMs: this.#now() })
  }

  /**
   * Answers a question that a handler asks with `waitFor`: the oldest open question of this name, or else the first one
   * asked later. Rejects with `unknown_task`, `question_already_answered`, `answer_too_late` when the task has ended,
   * and `invalid_input` if JSON cannot represent the value or the schema of the asking handler refuses it; the question
   * then stays open.
   */
  answer(taskId: TaskId, name: string, value?: unknown): Promise<void> {
    const { checkAnswer } = this.#dispatcher
    const use = { mutations: this.authority.own, projection: this.projection, checkAnswer, now: () => this.#now() }
    return silence(answerQuestion(use, taskId, name, value))
  }

  /** The open questions of handlers, oldest first, with who is asked. Raises `invalid_input`. */
  questions(options: QuestionsOptions = {}): readonly PendingQuestion[] {
    return pendingQuestions(this.projection, options)
  }

  /** Pauses promotion and dispatch, durably. Running attempts continue. */
  pauseEngine(): Promise<'paused' | 'already_paused'> {
    return this.authority.own.transact((batch) => {
      if (batch.view.engine.paused) return 'already_paused'
      batch.submit({ type: 'engine_pause', atMs: this.#now() })
      return 'paused'
    })
  }

  /** Resumes promotion and dispatch. */
  resumeEngine(): Promise<'resumed' | 'already_resumed'> {
    return this.authority.own.transact((batch) => {
      const { paused, pausedAtMs = 0 } = batch.view.engine
      if (!paused) return 'already_resumed'
      batch.submit({ type: 'engine_resume', atMs: Math.max(this.#now(), pausedAtMs) })
      return 'resumed'
    })
  }

  /**
   * Publishes a custom event. Resolves with the number of subscriptions that it triggered. Very many are triggered in
   * several groups: if the process crashes in between, publish again. Rejects with `invalid_input` or
   * `empty_custom_key`.
   */
  async publish(key: string): Promise<number> {
    checkText('event key', key)
    if (key === '') throw new TaskError('empty_custom_key', {})
    return triggerAll(this.authority.own, this.projection, { type: 'custom_event', key }, () => this.#now())
  }

  /**
   * Releases the earliest waiting run of a task when the event happens: once, or every time with `rearm`. Rejects with
   * `unknown_task` and `invalid_input`.
   */
  async subscribe(taskId: TaskId, filter: EventFilter, options: SubscribeOptions = {}): Promise<SubscriptionId> {
    const { rearm = false } = decode(subscribeSchema, options, 'subscribe options')
    const subscriptionId = this.#use.ids.uuid() as SubscriptionId
    const atMs = this.#now()
    await this.authority.submit({ type: 'subscription_create', subscriptionId, taskId, filter, rearm, atMs })
    return subscriptionId
  }

  /** Ends a subscription. Rejects with `unknown_subscription` or `subscription_already_cancelled`. */
  async unsubscribe(subscriptionId: SubscriptionId): Promise<void> {
    await this.authority.submit({ type: 'subscription_cancel', subscriptionId, atMs: this.#now() })
  }

  /**
   * Raises the limit of a task's budget. What was spent stays spent. Runs of this task and its descendants that were
   * suspended because of the budget become ready in the same change; if there are very many, the rest follow. Rejects
   * with `budget_not_allocated` or `budget_not_raised`.
   */
  replenish(taskId: TaskId, dimension: BudgetDimension | string, newLimit: number): Promise<void> {
    return this.authority.transact((batch) => {
      const replenishment = { taskId, dimension: budgetDimension(dimension), newLimit, atMs: this.#now() }
      replenishInto(batch, this.projection, replenishment)
    })
  }

  /**
   * Starts nothing more, waits `graceMs` milliseconds for running attempts, and suspends the rest. Waits for outcomes
   * reject.
   */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true
    try {
      await this.#starting
    } finally {
      try {
        await this.#dispatcher.drain(graceMs)
      } finally {
        this.#commits[Symbol.dispose]()
        this.#retention[Symbol.dispose]()
        this.authority.closeFeed()
        this.#waits.close(new StatewardError('channel_closed', 'the runtime was closed before the task ended', {}))
      }
    }
  }

  async #submitWithin(spans: TaskSpans, task: SubmitInput): Promise<TaskId> {
    const decoded = decodeSubmit(task)
    const submit = (trace: TraceOfSubmission): Promise<TaskId> =>
      this.authority.own.transact((batch) => submitInto(batch, { ...trace, ...decoded }, this.#wall(), this.#use.ids))
    return spans.submit(decoded.kind, submit, (taskId) => taskId)
  }

  async #submitOf(
    definition: SubmitDefinition & Pick<TaskDefinition, 'output'>,
    input: unknown,
    options: SubmitTaskOptions,
  ): Promise<TaskHandle<unknown>> {
    const submission = await submissionOf(definition, input, options)
    const { taskId: id, isNew } = await submitWithin(
      this.#spans,
      definition.kind,
      (trace) =>
        this.authority.own.transact((batch) =>
          submitOnce(batch, { ...trace, ...submission }, this.#wall(), this.#use.ids),
        ),
      ({ taskId }) => taskId,
    )
    return new TaskHandle({ ...definition, id, isNew }, this.#port)
  }

  async #retry<Output>(taskId: TaskId, output?: Schema<unknown, Output>): Promise<TaskHandle<Output>> {
    checkText('task id', taskId)
    const retry = (trace: TraceOfSubmission): Promise<Submitted> =>
      this.authority.own.transact((batch) => {
        const dimensions = Array.from(this.projection.budgetsOf(taskId), ({ dimension }) => dimension)
        return retryInto(batch, taskId, dimensions, this.#wall(), this.#use.ids, trace)
      })
    const kind = this.projection.task(taskId)?.spec.kind ?? 'unknown'
    const { taskId: id, isNew } = await submitWithin(this.#spans, kind, retry, (retried) => retried.taskId)
    return new TaskHandle({ id, kind, isNew, ...(output !== undefined && { output }) }, this.#port)
  }

  async #outcome(taskId: TaskId, options: { readonly signal?: AbortSignal }): Promise<TaskOutcome> {
    checkText('task id', taskId)
    const { signal } = decode(abortableSchema, options, 'wait options')
    return this.#waits.wait(taskId, signal)
  }

  /** The time of a caller's request; throws while the clock breaks its contract. */
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
