import { errorOfDetails } from '../../base/error-details.js'
import { messageOf } from '../../base/errors.js'
import type { IdSource } from '../../base/ids.js'
import type { JsonValue } from '../../base/json.js'
import type { Logger } from '../../base/logger.js'
import type {
  AwaitedAnswer,
  DurableAnswer,
  DurableLog,
  DurableWait,
  RecordedStep,
  RecordedWait,
  StepAmounts,
  WaitStart,
} from '../../work/durable-log.js'
import { decodeValue, encodeValue } from '../../work/values.js'
import type { TaskBatch, TaskMutations } from '../authority.js'
import { budgetDimension, checkSpent, type BudgetDimension } from '../budget.js'
import type { ReservationId, RunId, TaskId } from '../ids.js'
import { outcomeOf, outputValue } from '../outcome.js'
import { answerRefused } from '../task-lines.js'
import type { DurableWait as WaitRow, WaitSubject } from '../wait.js'
import type { TaskProjection, TaskView } from '../view.js'
import type { Account } from './account.js'
import type { Answers } from './answers.js'
import { checkHeld } from './attempt-changes.js'
import type { AttemptIdentity } from './attempt-report.js'
import { submitInto } from './submission.js'
import type { TaskClock } from './task-clock.js'
import { submitWithin, type TaskSpans, type TraceOfSubmission } from './task-spans.js'
import { fireForSpending } from './triggers.js'

/** Options and dependencies of an {@link AttemptLog}. */
export interface AttemptLogOptions {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly ids: IdSource
  readonly times: TaskClock
  readonly answers: Answers
  readonly logger: Logger
  /** Traces calls. */
  readonly spans?: TaskSpans
}

/**
 * The steps, waits and calls of a run, as one of its attempts reads and writes them. Every write requires the attempt's
 * lease.
 */
export class AttemptLog implements DurableLog {
  readonly #attempt: AttemptIdentity
  readonly #account: () => Account
  readonly #codeVersion: string | undefined
  readonly #options: AttemptLogOptions
  /** Reservations of steps in progress. */
  readonly #reserved = new Map<string, Map<BudgetDimension, { id: ReservationId; amount: number }>>()
  /** Keys of the waits that the attempt is waiting for. */
  readonly #awaited = new Set<string>()

  constructor(
    attempt: AttemptIdentity,
    account: () => Account,
    codeVersion: string | undefined,
    options: AttemptLogOptions,
  ) {
    this.#attempt = attempt
    this.#account = account
    this.#codeVersion = codeVersion
    this.#options = options
  }

  stepOf(key: string): RecordedStep | undefined {
    const step = this.#options.projection.step(this.#attempt.runId, key)
    return step && { output: parsed(step.output) }
  }

  waitOf(key: string): RecordedWait | undefined {
    const wait = this.#options.projection.wait(this.#attempt.runId, key)
    if (wait === undefined) return undefined
    return wait.end === undefined ? {} : { answer: this.#answerOf(wait) }
  }

  keys(): readonly string[] {
    return recordedKeys(this.#options.projection, this.#attempt.runId)
  }

  /** True while a wait of the attempt is open, including waits in flight. */
  isOpen(view: Pick<TaskView, 'wait'>): boolean {
    for (const key of this.#awaited) if (view.wait(this.#attempt.runId, key)?.end === undefined) return true
    return false
  }

  /** Takes over what a lost attempt reserved for the same step. */
  async reserveStep(key: string, amounts: StepAmounts): Promise<void> {
    const { projection } = this.#options
    const { runId } = this.#attempt
    const mine = new Map<BudgetDimension, { id: ReservationId; amount: number }>()
    this.#reserved.set(key, mine)
    const kept = new Map<BudgetDimension, { id: ReservationId; amount: number }>()
    for (const { step, dimension, reservationId: id, amount } of projection.reservationsOf(runId)) {
      if (step === key) kept.set(dimension, { id, amount })
    }
    try {
      for (const [name, amount] of Object.entries(amounts)) {
        const dimension = budgetDimension(name)
        const before = kept.get(dimension)
        if (before?.amount === amount) {
          this.#account().takeOver(before.id)
          mine.set(dimension, before)
          continue
        }
        if (before !== undefined) await this.#release([before.id])
        const id = await this.#account().reserveFor(key, dimension, amount)
        if (id !== undefined) mine.set(dimension, { id, amount })
      }
    } catch (refusal) {
      await this.releaseStep(key)
      throw refusal
    }
  }

  async releaseStep(key: string): Promise<void> {
    const open = this.#reserved.get(key)
    this.#reserved.delete(key)
    if (open === undefined || open.size === 0) return
    try {
      await this.#release(Array.from(open.values(), ({ id }) => id))
    } catch (failure) {
      // The end of the attempt, or of its run, closes the reservation.
      const { runId } = this.#attempt
      this.#options.logger.debug(
        { runId, step: key, error: messageOf(failure) },
        'the reservation of a step is not released yet',
      )
    }
  }

  async recordStep(key: string, output: JsonValue | undefined, spent: StepAmounts | undefined): Promise<void> {
    const { mutations, projection, times } = this.#options
    const { runId, taskId, fencingToken } = this.#attempt
    const reserved = this.#reserved.get(key)
    await mutations.transact((batch) => {
      checkHeld(batch, this.#attempt)
      const atMs = times.now()
      const amounts = amountsOf(reserved, spent)
      const { settlements, consumptions } = this.#closing(batch, amounts, reserved)
      batch.submit({
        type: 'step_record',
        runId,
        key,
        ...(output !== undefined && { output: JSON.stringify(output) }),
        ...(this.#codeVersion !== undefined && { codeVersion: this.#codeVersion }),
        ...(settlements.length > 0 && { settlements }),
        ...(consumptions.length > 0 && { consumptions }),
        fencingToken,
        atMs,
      })
      fireForSpending(batch, projection, taskId, [...amounts.keys()], atMs)
    })
    this.#reserved.delete(key)
    if (reserved !== undefined) this.#account().forget(Array.from(reserved.values(), ({ id }) => id))
  }

  async settleStep(key: string, spent: StepAmounts | undefined): Promise<void> {
    const { mutations, projection, times, logger } = this.#options
    const { runId, taskId } = this.#attempt
    const reserved = this.#reserved.get(key)
    try {
      await mutations.transact((batch) => {
        checkHeld(batch, this.#attempt)
        const atMs = times.now()
        const amounts = amountsOf(reserved, isCountable(spent) ? spent : {})
        const { settlements, consumptions } = this.#closing(batch, amounts, reserved)
        for (const settlement of settlements) batch.submit({ type: 'budget_settle', ...settlement, atMs })
        for (const consumption of consumptions) batch.submit({ type: 'budget_consume', taskId, ...consumption, atMs })
        fireForSpending(batch, projection, taskId, [...amounts.keys()], atMs)
      })
    } catch (failure) {
      // The reservation stays, and the end of the run counts it.
      logger.debug({ runId, step: key, cause: messageOf(failure) }, 'the spending of a step is not recorded yet')
      return
    }
    this.#reserved.delete(key)
    if (reserved !== undefined) this.#account().forget(Array.from(reserved.values(), ({ id }) => id))
  }

  async recordWait(key: string, wait: DurableWait, start: WaitStart): Promise<void> {
    if (wait.type !== 'call') return void (await this.#recordWait(key, wait, start))
    await submitWithin(
      this.#options.spans,
      wait.kind,
      (trace) => this.#recordWait(key, wait, start, trace),
      (childTaskId) => childTaskId,
    )
  }

  /** Resolves with the id of the task that a call submitted. */
  #recordWait(
    key: string,
    wait: DurableWait,
    { isWaiting }: WaitStart,
    trace: TraceOfSubmission = {},
  ): Promise<TaskId | undefined> {
    const { mutations, times } = this.#options
    const { runId, fencingToken } = this.#attempt
    return mutations.transact((batch) => {
      checkHeld(batch, this.#attempt)
      const subject: WaitSubject =
        wait.type === 'call' ? { type: 'call', childTaskId: this.#call(batch, wait, trace, times.wall()) } : wait
      batch.submit({
        type: 'wait_begin',
        runId,
        key,
        subject,
        ...(isWaiting && { isWaiting }),
        fencingToken,
        atMs: times.now(),
      })
      return subject.type === 'call' ? subject.childTaskId : undefined
    })
  }

  async answerTo(key: string, options: AwaitedAnswer): Promise<DurableAnswer> {
    this.#awaited.add(key)
    try {
      return this.#answerOf(await this.#options.answers.next(this.#attempt.runId, key, options))
    } finally {
      this.#awaited.delete(key)
    }
  }

  answerRefused(name: string, refusal: Error): void {
    const { taskId, runId } = this.#attempt
    answerRefused(this.#options.logger, { taskId, runId, name, error: messageOf(refusal) })
  }

  /**
   * How a step's spending is recorded: as settlements of what it reserved, and as consumption of what it did not, if a
   * budget counts that.
   */
  #closing(
    batch: TaskBatch,
    amounts: ReadonlyMap<BudgetDimension, number>,
    reserved: ReadonlyMap<BudgetDimension, { readonly id: ReservationId }> | undefined,
  ): {
    readonly settlements: readonly { reservationId: ReservationId; amount: number }[]
    readonly consumptions: readonly { dimension: BudgetDimension; amount: number }[]
  } {
    const settlements: { reservationId: ReservationId; amount: number }[] = []
    const consumptions: { dimension: BudgetDimension; amount: number }[] = []
    for (const [dimension, amount] of amounts) {
      const reservationId = reserved?.get(dimension)?.id
      if (reservationId !== undefined) settlements.push({ reservationId, amount })
      else if (amount > 0 && batch.view.budgetsFor(this.#attempt.taskId, dimension).length > 0)
        consumptions.push({ dimension, amount })
    }
    return { settlements, consumptions }
  }

  #call(
    batch: TaskBatch,
    { kind, input, limits }: Extract<DurableWait, { type: 'call' }>,
    trace: TraceOfSubmission,
    atMs: number,
  ): TaskId {
    const { ids } = this.#options
    const parentTaskId = this.#attempt.taskId
    const called = { kind, parentTaskId, payload: decodeValue(input), ...trace, ...(limits && { constraints: limits }) }
    return submitInto(batch, called, atMs, ids)
  }

  #answerOf({ subject, end }: WaitRow): DurableAnswer {
    if (end?.type === 'timed_out') return { type: 'timed_out' }
    if (subject.type === 'call') return this.#resultOf(subject.childTaskId)
    return { type: 'answered', value: parsed(end?.type === 'answered' ? end.value : undefined) }
  }

  #resultOf(childTaskId: TaskId): DurableAnswer {
    const outcome = outcomeOf(this.#options.projection, childTaskId)
    if (outcome?.status === 'completed') return { type: 'answered', value: encodeValue(outputValue(outcome), 'result') }
    const reason = outcome?.reason ?? 'failed'
    const thrown = outcome?.cause
    return {
      type: 'failed',
      reason,
      message: outcome?.error ?? reason,
      ...(thrown !== undefined && { cause: errorOfDetails(thrown) }),
    }
  }

  async #release(reservationIds: readonly ReservationId[]): Promise<void> {
    const { mutations, times } = this.#options
    await mutations.transact((batch) => {
      checkHeld(batch, this.#attempt)
      for (const reservationId of reservationIds) {
        if (batch.view.reservation(reservationId) === undefined) continue
        batch.submit({ type: 'budget_release', reservationId, atMs: times.now() })
      }
    })
    this.#account().forget(reservationIds)
  }
}

/** The keys of all steps and waits that attempts of a run have recorded. */
export function recordedKeys(projection: Pick<TaskProjection, 'stepsOf' | 'waitsOf'>, runId: RunId): readonly string[] {
  const keys: string[] = []
  for (const { key } of projection.stepsOf(runId)) keys.push(key)
  for (const { key } of projection.waitsOf(runId)) keys.push(key)
  return keys
}

/** What a step spent: what it states, or else what it reserved. Raises `invalid_amount`. */
function amountsOf(
  reserved: ReadonlyMap<BudgetDimension, { readonly amount: number }> | undefined,
  spent: StepAmounts = {},
): ReadonlyMap<BudgetDimension, number> {
  const amounts = new Map<BudgetDimension, number>()
  for (const [dimension, { amount }] of reserved ?? []) amounts.set(dimension, amount)
  for (const [name, amount] of Object.entries(spent)) {
    const dimension = budgetDimension(name)
    checkSpent(dimension, amount)
    amounts.set(dimension, amount)
  }
  return amounts
}

/** True if the stated spending of a step can be recorded. */
function isCountable(spent: StepAmounts | undefined): spent is StepAmounts {
  try {
    amountsOf(undefined, spent)
    return true
  } catch {
    return false
  }
}

function parsed(text: string | undefined): JsonValue | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as JsonValue)
}
