import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { type InvalidInputError, StatewardError } from '../../base/errors.js'
import type { JsonValue } from '../../base/json.js'
import {
  checkFunction,
  checkText,
  durationSchema,
  longestDurationMs,
  optionsSchema,
  recordSchema,
  textOf,
  wholeNumberSchema,
} from '../../base/options.js'
import type { DurableContext } from '../../work/durable-context.js'
import type { Rate } from '../../work/slots.js'
import { budgetDimension, type BudgetDimension, checkAmount } from '../budget.js'
import { TaskError } from '../errors.js'
import type { AttemptId, RunId, TaskId } from '../ids.js'
import type { RunState } from '../run.js'
import type { TaskPhase } from '../task.js'
import type { TaskSpec } from '../task-spec.js'
import { type Backoff, backoffSchema } from './options.js'
import type { SubmitInput } from './submission.js'

/**
 * The work of a kind of task. What it returns becomes the output of the run: text, bytes or a JSON value, perhaps with
 * bytes in it; what JSON would change on the way ends the run as `refused`. It may run again after a crash, with the same `runId` and a higher
 * `fencingToken`, so effects outside need one of them.
 *
 * Throwing means failure: {@link TerminalFailure} ends the run, anything else is retried as far as the
 * task's `maxAttempts` allow, {@link RetryLater} when it says. Returning {@link suspend} puts the run aside without counting the attempt.
 */
export type Handler = (context: HandlerContext) => unknown

/**
 * What a handler is given. What it looks at is made when it does: take members out by name, a spread copies none of them.
 */
export interface HandlerContext {
  readonly task: TaskSpec
  readonly taskId: TaskId
  /** The same in all attempts: use it as an idempotency key for effects. */
  readonly runId: RunId
  readonly attemptId: AttemptId
  /** From 1; suspended attempts do not count. */
  readonly attemptNumber: number
  /** When the run was due; for a repeating task, the occurrence that it stands for. */
  readonly scheduledAt: Date
  /** Grows with every lease. A store that remembers the highest token can refuse a superseded worker (T-145). */
  readonly fencingToken: number
  readonly payload: Uint8Array
  /**
   * The value that was submitted: text, a JSON value, or bytes. Throws `invalid_input` if the payload is not what its content type
   * says.
   */
  readonly input: unknown
  /** The payload read as UTF-8. */
  readonly text: () => string
  /** The payload read as JSON; throws `invalid_input` when it is not. */
  readonly json: () => JsonValue
  /** What the last attempt passed to `suspend`. */
  readonly resumeFrom: Uint8Array | undefined
  /** Aborts when the attempt must stop: cancelled, timed out, out of budget, superseded, or shut down. */
  readonly signal: AbortSignal
  /** Reports progress, shown in `runtime.jobs`. Throws `invalid_input` for a fraction that is not from 0 to 1. */
  readonly progress: (message: string, fraction?: number) => void
  /** Aborts when the runtime starts to close. There is time to finish until `signal` aborts. */
  readonly retiring: AbortSignal
  /**
   * Does something once for the run, whatever becomes of its attempts; see {@link DurableContext.step}. What it reserves and
   * spends is charged to budgets, and recorded with its result in one change. Also rejects with `budget_exceeded`, and with
   * `fencing_token_superseded` if another worker has taken the run over.
   */
  readonly step: DurableContext['step']
  /** Waits for `tasks.answer`; see {@link DurableContext.waitFor}. Meanwhile the run holds no slot. */
  readonly waitFor: DurableContext['waitFor']
  /** Waits for a number of milliseconds, over restarts; see {@link DurableContext.sleep}. */
  readonly sleep: DurableContext['sleep']
  /** Waits for an instant, over restarts; see {@link DurableContext.sleepUntil}. */
  readonly sleepUntil: DurableContext['sleepUntil']
  /** Runs a child of this task and waits for what it returns; see {@link DurableContext.call}. Meanwhile the run holds no slot. */
  readonly call: DurableContext['call']
  readonly budget: BudgetAccess
  /** Submits a child of this task. */
  readonly submit: (child: Omit<SubmitInput, 'parentTaskId'>) => Promise<TaskId>
  /** The children of this task as they are now. */
  readonly children: () => readonly ChildView[]
  /** The prerequisites of this task in the order of their declaration: `dependsOn`, then `after`. */
  readonly prerequisites: () => readonly PrerequisiteView[]
}

/** A task that another has waited for. */
export interface PrerequisiteView {
  readonly taskId: TaskId
  readonly kind: string
  /** How it has ended. */
  readonly status: TaskPhase
  /** What it has returned: text, bytes or a JSON value; `undefined` for nothing. */
  readonly output: unknown
  /** Why it failed. */
  readonly error?: string
}

/** One child of a task. */
export interface ChildView {
  readonly taskId: TaskId
  /** Empty for a child without runs. */
  readonly runs: readonly RunState[]
  /** True once the child can change no more; one without runs only once it is cancelled. */
  readonly isFinished: boolean
}

/** How to set an amount aside. */
export interface ReserveOptions {
  /** Gives up waiting in line when it aborts. */
  readonly signal?: AbortSignal
}

/** How a handler spends: nothing is spent that was not reserved, so a call that would exceed a budget never starts. */
export interface BudgetAccess {
  /**
   * Sets an amount aside before a call. What others have set aside is waited for in line, first come, first served, as
   * long as one of them works; the signals of the attempt and of the options end the wait with their reasons. A task
   * without a budget of this dimension is not limited.
   *
   * Rejects with `budget_exceeded` when so much is spent that a budget of the task or of an ancestor cannot bear the
   * amount, and when nobody who works could give it back: a handler never waits for what it holds itself. One that lets
   * this pass is suspended until the budget is replenished, or, where only reservations stood in the way, tried again
   * when they have gone. Rejects with `invalid_amount` and `invalid_input` for what is no amount or no option.
   */
  readonly reserve: (dimension: BudgetDimension | string, amount: number, options?: ReserveOptions) => Promise<Spending>
  /**
   * Says what the attempt has used; adds up, and becomes durable together with the end of the attempt. Settles what
   * was reserved for the attempt at its start; beyond that it is recorded even if it exceeds the limit.
   */
  readonly report: (dimension: BudgetDimension | string, amount: number) => void
  /** What the tightest budget has left; `undefined` without one. */
  readonly remaining: (dimension: BudgetDimension | string) => number | undefined
}

/**
 * An amount that was set aside. One that is still open when the attempt ends is spent in full, unless the handler
 * failed or suspended: then it is given back.
 */
export interface Spending {
  /** Records what was really spent, even if it is more; the rest is given back. */
  readonly settle: (amount: number) => Promise<void>
  /** Gives everything back. */
  readonly release: () => Promise<void>
}

/** How the runs of a kind are started. */
export interface HandlerOptions {
  /**
   * Amounts by dimension that every attempt sets aside before it starts; it waits for the budget when they cannot be
   * had. Settled at the end with what was reported, or in full.
   */
  readonly reserve?: Readonly<Record<string, number>>
  /** Names the state of its code, to be raised when its steps change; kept with the steps that it does. */
  readonly version?: string | number
  /** Attempts of this kind running at a time, within those of all kinds. Default: as many. */
  readonly concurrency?: number
  /** How often an attempt of this kind may start. Default: as often as there is a slot. */
  readonly rate?: Rate
  /** How long a failed run of this kind waits before its next attempt. Default: as all others. */
  readonly backoff?: Backoff
}

/** The fields of {@link HandlerOptions} that a definition has too. */
export const handlerFields = {
  reserve: v.optional(recordSchema(wholeNumberSchema(0))),
  version: v.optional(
    v.custom<string | number>(
      (input) => (typeof input === 'string' && input !== '') || Number.isSafeInteger(input),
      ({ input }) => `neither text nor a whole number: ${textOf(input)}`,
    ),
  ),
  concurrency: v.optional(wholeNumberSchema(1)),
  rate: v.optional(
    optionsSchema<Rate>({ starts: wholeNumberSchema(1), perMs: wholeNumberSchema(1, longestDurationMs) }),
  ),
  backoff: v.optional(backoffSchema),
} as const

const handlerOptionsSchema = optionsSchema<HandlerOptions>(handlerFields)

/**
 * The options of a registration, checked with what they belong to. Raises `invalid_input`, `empty_kind`,
 * `invalid_budget_dimension` or `zero_amount`.
 */
export function checkHandler(kind: string, handler: Handler, options: HandlerOptions): HandlerOptions {
  checkText('handler kind', kind)
  if (kind === '') throw new TaskError('empty_kind', {})
  checkFunction('handler', handler)
  const decoded = decode(handlerOptionsSchema, options, 'handler options')
  for (const [name, amount] of Object.entries(decoded.reserve ?? {})) checkAmount(budgetDimension(name), amount)
  return decoded
}

/** Thrown by a handler with code `terminal_failure`: no further attempt can help. */
export class TerminalFailure extends StatewardError<'terminal_failure', Record<string, never>> {
  override readonly name = 'TerminalFailure'

  constructor(message: string, options?: ErrorOptions) {
    super('terminal_failure', message, {}, options)
  }
}

/** What the schema of a definition has refused, with code `value_refused`: no further attempt can help. */
export class ValueRefused extends StatewardError<'value_refused', Record<string, never>> {
  override readonly name = 'ValueRefused'

  constructor(cause: InvalidInputError) {
    super('value_refused', cause.message, {}, { cause })
  }
}

/** Thrown by a handler with code `retry_later`: the attempt has failed, and the next one begins after so many milliseconds. */
export class RetryLater extends StatewardError<'retry_later', { readonly delayMs: number }> {
  override readonly name = 'RetryLater'

  /** Raises `invalid_input` for a delay that is not from 0 milliseconds to 25 years. */
  constructor(delayMs: number, message = `again in ${delayMs} milliseconds`, options?: ErrorOptions) {
    decode(durationSchema, delayMs, 'delay of RetryLater')
    super('retry_later', message, { delayMs }, options)
  }
}

/** The reason of an aborted handler signal, with code `attempt_aborted`. */
export class AttemptAborted extends StatewardError<'attempt_aborted', { readonly cause: AbortCause }> {
  override readonly name = 'AttemptAborted'

  constructor(cause: AbortCause) {
    super('attempt_aborted', `the attempt has to stop: ${cause}`, { cause })
  }
}

/** Why an attempt lost its right to go on. */
export type AbortCause = 'cancelled' | 'timeout' | 'budget_exhausted' | 'superseded' | 'shutdown' | 'suspend_requested'

const suspension = Symbol('stateward.suspension')

/** What {@link suspend} returns. */
export interface Suspension {
  readonly [suspension]: true
  readonly output: unknown
}

/** Returned by a handler that wants to go on later; `output` comes back as `resumeFrom`. */
export function suspend(output?: unknown): Suspension {
  return { [suspension]: true, output }
}

/** True for what {@link suspend} made. */
export function isSuspension(value: unknown): value is Suspension {
  return typeof value === 'object' && value !== null && suspension in value
}
