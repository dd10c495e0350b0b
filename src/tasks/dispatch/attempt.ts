import type { Clock } from '../../base/clock.js'
import type { DeadlineQueue } from '../../base/deadline-queue.js'
import { errorDetailsOf } from '../../base/error-details.js'
import { messageOf, StatewardError, unreachable } from '../../base/errors.js'
import type { Inspect } from '../../base/inspection.js'
import { DurableContext } from '../../work/durable-context.js'
import type { JobList } from '../../work/job-list.js'
import { Job, type JobEnd, type JobOptions } from '../../work/job.js'
import { type AttemptOutcome, failed, succeeded, suspended, timedOut } from '../attempt-outcome.js'
import type { BudgetDimension } from '../budget.js'
import { contentOf } from '../content.js'
import type { AttemptId, ReservationId, RunId, TaskId } from '../ids.js'
import type { Run } from '../run.js'
import type { TaskSpec } from '../task-spec.js'
import { Account, type AccountOptions } from './account.js'
import { AttemptLog, recordedKeys, type AttemptLogOptions } from './attempt-log.js'
import type { AttemptIdentity, AttemptReport, SuspendReason } from './attempt-report.js'
import { type AbortCause, AttemptAborted, isSuspension, type RetryLater } from './handler.js'
import type { AttemptSpending } from './spending.js'

/** What all attempts of a process share. */
export interface AttemptOptions extends Omit<AccountOptions, 'attempt' | 'signal' | 'reservedAtStart'> {
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly jobs: JobList
  readonly inspect?: Inspect
  /**
   * Milliseconds that a handler has to return after it was told to stop, before its attempt ends without it (T-175).
   */
  readonly cooperationMs: number
  /** Called when an attempt begins to do nothing but wait, and when it goes on. */
  readonly onWaiting: (attempt: Attempt, isWaiting: boolean) => void
}

/** What starting one attempt needs. */
export interface AttemptStart {
  readonly reservedAtStart: ReadonlyMap<BudgetDimension, ReservationId>
  readonly slot: NonNullable<JobOptions<AbortCause>['slot']>
  /** Version of its handler's code. */
  readonly codeVersion: string | undefined
  readonly log: Omit<AttemptLogOptions, 'mutations' | 'projection' | 'ids'>
}

/** One attempt in this process: its job, its spending, and what its end means for its run. */
export class Attempt implements AttemptIdentity {
  readonly runId: RunId
  readonly taskId: TaskId
  readonly attemptId: AttemptId
  readonly fencingToken: number
  /** The run when the attempt started. */
  readonly run: Run
  readonly task: TaskSpec
  readonly job: Job<AbortCause>
  readonly #options: AttemptOptions
  readonly #start: AttemptStart
  #log: AttemptLog | undefined
  #durable: DurableContext | undefined
  #account: Account | undefined
  #isOver = false

  constructor(
    { runId, taskId, attemptId, fencingToken }: AttemptIdentity,
    run: Run,
    task: TaskSpec,
    start: AttemptStart,
    options: AttemptOptions,
  ) {
    this.runId = runId
    this.taskId = taskId
    this.attemptId = attemptId
    this.fencingToken = fencingToken
    this.run = run
    this.task = task
    this.#options = options
    this.#start = start
    const { clock, deadlines, jobs, inspect, cooperationMs, onWaiting } = options
    const { kind, metadata, constraints } = task
    this.job = new Job<AbortCause>({
      id: attemptId,
      room: 'tasks',
      kind,
      displayName: metadata.description ?? kind,
      owner: taskId,
      clock,
      deadlines,
      jobs,
      reasonOf: abortedFor,
      graceMs: cooperationMs,
      slot: start.slot,
      onWaiting: (isWaiting) => onWaiting(this, isWaiting),
      ...(constraints.timeoutMs !== undefined && { timeoutMs: constraints.timeoutMs, timeoutCause: 'timeout' }),
      ...(inspect !== undefined && { inspect }),
    })
  }

  /** Identifies its lease in the log. */
  get id(): RunId {
    return this.runId
  }

  /** Called when its lease was lost. */
  readonly onLost = (): void => this.job.stop('superseded')

  /** Its steps and waits; created when its handler first uses them. */
  get durable(): DurableContext {
    if (this.#durable === undefined) {
      const { job } = this
      this.#durable = new DurableContext({ job, log: this.log, clock: this.#options.clock })
    }
    return this.#durable
  }

  get log(): AttemptLog {
    this.#log ??= new AttemptLog(this, () => this.account, this.#start.codeVersion, {
      ...this.#options,
      ...this.#start.log,
    })
    return this.#log
  }

  /** Keys that earlier attempts recorded and this one has not used. Costs nothing for a run without steps. */
  unusedKeys(): readonly string[] {
    return this.#durable?.unused() ?? recordedKeys(this.#options.projection, this.runId)
  }

  /** Its budget account; created when its handler first uses it. */
  get account(): Account {
    if (this.#account === undefined) {
      const { job } = this
      this.#account = new Account({
        ...this.#options,
        attempt: this,
        signal: () => job.signal,
        reservedAtStart: this.#start.reservedAtStart,
      })
      if (this.#isOver) this.#account[Symbol.dispose]()
    }
    return this.#account
  }

  /** What it may have spent, as far as known. */
  get spending(): AttemptSpending {
    return this.#account ?? startedWith(this.#start.reservedAtStart)
  }

  /** Its account, if more reservations are open than can be closed together with its end. */
  get crowdedAccount(): Account | undefined {
    return this.#account !== undefined && this.#account.surplus().length > 0 ? this.#account : undefined
  }

  /** True once it has an end. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Marks the end of the attempt, after which it spends nothing. */
  end(): void {
    this.#isOver = true
    this.#account?.[Symbol.dispose]()
  }

  /** What the end of its job means for its run. */
  reportOf({ answer, stopCause }: JobEnd<AbortCause>): AttemptReport {
    const { timeoutMs } = this.task.constraints
    const timeout = stopCause === 'timeout' && timeoutMs !== undefined ? timedOut(timeoutMs) : undefined
    if (answer.type === 'returned') return answerReport(answer.value, stopCause, timeout)
    const isAnswered = answer.type === 'threw'
    if (timeout !== undefined) return { outcome: timeout, isAnswered }
    const suspendReason = suspensionFor(stopCause)
    if (suspendReason !== undefined) return { outcome: suspended(), suspendReason, isAnswered }
    const thrown: unknown = isAnswered ? answer.thrown : abortedFor(stopCause ?? 'superseded')
    if (this.#account?.hasRefused(thrown) === true) {
      return { outcome: suspended(), suspendReason: 'budget_exhausted', isAnswered }
    }
    const isRefused = StatewardError.is(thrown, 'value_refused')
    const failureClass = isRefused || StatewardError.is(thrown, 'terminal_failure') ? 'terminal' : 'retryable'
    const reason = isRefused ? 'refused' : isAnswered ? 'threw' : 'lost'
    const outcome = failed(messageOf(thrown), failureClass, { reason, cause: errorDetailsOf(thrown) })
    return { outcome, isAnswered, ...(StatewardError.is(thrown, 'retry_later') && retryAfter(thrown)) }
  }
}

/** The delay of a {@link RetryLater}, possibly of another copy of the package. */
function retryAfter({ data }: StatewardError): Pick<AttemptReport, 'retryAfterMs'> {
  const { delayMs } = data as RetryLater['data']
  return delayMs >= 0 ? { retryAfterMs: delayMs } : {}
}

/** A result that cannot be encoded is a final failure: the work is done, and would give the same result again. */
function answerReport(
  answer: unknown,
  stopCause: AbortCause | undefined,
  timeout: AttemptOutcome | undefined,
): AttemptReport {
  try {
    if (isSuspension(answer)) {
      const outcome = suspended(contentOf(answer.output, 'output')?.bytes)
      return { outcome, suspendReason: suspensionFor(stopCause) ?? 'handler', isAnswered: true }
    }
    const content = contentOf(answer, 'output')
    return { outcome: timeout ?? succeeded(content?.bytes, content?.contentType), isAnswered: true }
  } catch (refusal) {
    const error = `the output cannot be recorded: ${messageOf(refusal)}`
    const outcome = timeout ?? failed(error, 'terminal', { reason: 'refused', cause: errorDetailsOf(refusal) })
    return { outcome, isAnswered: true }
  }
}

function abortedFor(cause: AbortCause): AttemptAborted {
  return new AttemptAborted(cause)
}

/** The reason to suspend the run, for causes after which it is to go on later. */
function suspensionFor(cause: AbortCause | undefined): SuspendReason | undefined {
  switch (cause) {
    case 'budget_exhausted':
      return 'budget_exhausted'
    case 'suspend_requested':
      return 'requested'
    case 'shutdown':
      return 'shutdown'
    case 'cancelled':
    case 'superseded':
    case 'timeout':
    case undefined:
      return undefined
    default:
      return unreachable(cause, 'abort cause')
  }
}

const nothing: AttemptSpending['settled'] & AttemptSpending['reported'] = new Map()

/** The spending of an attempt whose handler has not used its budget. */
function startedWith(reservedAtStart: ReadonlyMap<BudgetDimension, ReservationId>): AttemptSpending {
  return {
    reservationIds: [...reservedAtStart.values()],
    reservedAtStart,
    settled: nothing,
    refused: undefined,
    reported: nothing,
  }
}
