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
 * The work of a kind of task. The return value becomes the output of the run: text, bytes or a JSON value, which may
 * contain bytes; a value that JSON would change ends the run as `refused`. A handler may run again after a crash, with
 * the same `runId` and a higher `fencingToken`, so external effects need one of them.
 *
 * Throwing means failure: {@link TerminalFailure} ends the run; anything else is retried as far as the task's
 * `maxAttempts` allow, after {@link RetryLater} when it says. Returning {@link suspend} suspends the run without
 * counting the attempt.
 */
export type Handler = (context: HandlerContext) => unknown

/**
 * The context of a handler. Its members are created when they are first used: destructure them by name, since a spread
 * copies none of them.
 */
export interface HandlerContext {
  readonly task: TaskSpec
  readonly taskId: TaskId
  /** The same in all attempts: use it as an idempotency key for external effects. */
  readonly runId: RunId
  readonly attemptId: AttemptId
  /** From 1; suspended attempts do not count. */
  readonly attemptNumber: number
  /** When the run was due; for a repeating task, the occurrence. */
  readonly scheduledAt: Date
  /** Grows with every lease. A store that remembers the highest token can refuse a superseded worker (T-145). */
  readonly fencingToken: number
  readonly payload: Uint8Array
  /**
   * The submitted value: text, a JSON value, or bytes. Throws `invalid_input` if the payload does not match its content
   * type.
   */
  readonly input: unknown
  /** The payload read as UTF-8. */
  readonly text: () => string
  /** The payload read as JSON; throws `invalid_input` when it is not. */
  readonly json: () => JsonValue
  /** What the previous attempt passed to `suspend`. */
  readonly resumeFrom: Uint8Array | undefined
  /** Aborts when the attempt must stop: cancelled, timed out, out of budget, superseded, or shut down. */
  readonly signal: AbortSignal
  /** Reports progress, shown in `runtime.jobs`. Throws `invalid_input` for a fraction that is not from 0 to 1. */
  readonly progress: (message: string, fraction?: number) => void
  /** Aborts when the runtime starts to close. There is time to finish until `signal` aborts. */
  readonly retiring: AbortSignal
  /**
   * Does something once for the run, across all its attempts; see {@link DurableContext.step}. What it reserves and
   * spends is charged to budgets, and recorded with its result in one change. Also rejects with `budget_exceeded`, and
   * with `fencing_token_superseded` if another worker has taken the run over.
   */
  readonly step: DurableContext['step']
  /** Waits for `tasks.answer`; see {@link DurableContext.waitFor}. The run holds no slot meanwhile. */
  readonly waitFor: DurableContext['waitFor']
  /** Waits for a number of milliseconds, across restarts; see {@link DurableContext.sleep}. */
  readonly sleep: DurableContext['sleep']
  /** Waits until an instant, across restarts; see {@link DurableContext.sleepUntil}. */
  readonly sleepUntil: DurableContext['sleepUntil']
  /**
   * Runs a child of this task and waits for its result; see {@link DurableContext.call}. The run holds no slot
   * meanwhile.
   */
  readonly call: DurableContext['call']
  readonly budget: BudgetAccess
  /** Submits a child of this task. */
  readonly submit: (child: Omit<SubmitInput, 'parentTaskId'>) => Promise<TaskId>
  /** The current children of this task. */
  readonly children: () => readonly ChildView[]
  /** The prerequisites of this task in the order of their declaration: `dependsOn`, then `after`. */
  readonly prerequisites: () => readonly PrerequisiteView[]
}

/** A prerequisite of a task, which has ended. */
export interface PrerequisiteView {
  readonly taskId: TaskId
  readonly kind: string
  /** How it ended. */
  readonly status: TaskPhase
  /** What it returned: text, bytes or a JSON value; `undefined` for nothing. */
  readonly output: unknown
  /** Why it failed. */
  readonly error?: string
}

/** One child of a task. */
export interface ChildView {
  readonly taskId: TaskId
  /** Empty for a child without runs. */
  readonly runs: readonly RunState[]
  /** True once the child has ended; one without runs ends only when it is cancelled. */
  readonly isFinished: boolean
}

/** Options for reserving an amount. */
export interface ReserveOptions {
  /** Stops waiting in line when it aborts. */
  readonly signal?: AbortSignal
}

/** How a handler spends. Nothing is spent that was not reserved, so a call that would exceed a budget never starts. */
export interface BudgetAccess {
  /**
   * Reserves an amount before a call. If others have reserved it, waits in line, first come, first served, as long as
   * one of them is working. The signals of the attempt and of the options end the wait with their reasons. A task
   * without a budget of this dimension is not limited.
   *
   * Rejects with `budget_exceeded` when a budget of the task or of an ancestor has too much spent to cover the amount,
   * or when no working attempt could give it back: a handler never waits for what it holds itself. A handler that lets
   * this error through is suspended until the budget is replenished, or, if only reservations were in the way, tried
   * again when they are gone. Rejects with `invalid_amount` and `invalid_input` for an invalid amount or option.
   */
  readonly reserve: (dimension: BudgetDimension | string, amount: number, options?: ReserveOptions) => Promise<Spending>
  /**
   * Reports what the attempt has used. Amounts add up, and become durable with the end of the attempt. They settle what
   * was reserved at the start of the attempt; anything beyond that is recorded even if it exceeds the limit.
   */
  readonly report: (dimension: BudgetDimension | string, amount: number) => void
  /** The least that any budget of this dimension has left; `undefined` without one. */
  readonly remaining: (dimension: BudgetDimension | string) => number | undefined
}

/**
 * A reserved amount. If it is still open when the attempt ends, it counts as spent in full, unless the handler failed
 * or suspended: then it is given back.
 */
export interface Spending {
  /** Records what was actually spent, even if it is more; the rest is given back. */
  readonly settle: (amount: number) => Promise<void>
  /** Gives the whole amount back. */
  readonly release: () => Promise<void>
}

/** How runs of a kind are started. */
export interface HandlerOptions {
  /**
   * Amounts by dimension that every attempt reserves before it starts; it waits until the budget has them. At the end,
   * they are settled with what was reported, or else in full.
   */
  readonly reserve?: Readonly<Record<string, number>>
  /** Version of the handler's code; change it when its steps change. Recorded with each step. */
  readonly version?: string | number
  /** How many attempts of this kind may run at a time, within the limit for all kinds. Default: no further limit. */
  readonly concurrency?: number
  /** How often an attempt of this kind may start. Default: whenever there is a slot. */
  readonly rate?: Rate
  /** Delay between attempts of a failed run of this kind. Default: that of the runtime. */
  readonly backoff?: Backoff
}

/** The fields of {@link HandlerOptions} that a definition also has. */
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
 * Checks the options of a registration with its kind and handler. Raises `invalid_input`, `empty_kind`,
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

/** Raised with code `value_refused` when a schema of the definition refuses a value: no further attempt can help. */
export class ValueRefused extends StatewardError<'value_refused', Record<string, never>> {
  override readonly name = 'ValueRefused'

  constructor(cause: InvalidInputError) {
    super('value_refused', cause.message, {}, { cause })
  }
}

/**
 * Thrown by a handler with code `retry_later`: the attempt has failed, and the next one starts after `delayMs`
 * milliseconds.
 */
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

/** Why an attempt has to stop. */
export type AbortCause = 'cancelled' | 'timeout' | 'budget_exhausted' | 'superseded' | 'shutdown' | 'suspend_requested'

const suspension = Symbol('stateward.suspension')

/** The return value of {@link suspend}. */
export interface Suspension {
  readonly [suspension]: true
  readonly output: unknown
}

/** Return this from a handler to go on later; the next attempt gets `output` as `resumeFrom`. */
export function suspend(output?: unknown): Suspension {
  return { [suspension]: true, output }
}

/** True for return values of {@link suspend}. */
export function isSuspension(value: unknown): value is Suspension {
  return typeof value === 'object' && value !== null && suspension in value
}
