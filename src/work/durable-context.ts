import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.js'
import { InvalidInputError, isList, StatewardError } from '../base/errors.js'
import { epochMs } from '../base/instant.js'
import { checkFields, checkFunction, longestDurationMs, textOf } from '../base/options.js'
import { canonicalText, type JsonValue } from '../base/json.js'
import type { AwaitedAnswer, CallLimits, DurableAnswer, DurableLog, DurableWait, StepAmounts } from './durable-log.js'
import type { Job } from './job.js'
import { checkValue, decodeValue, encodeValue, isSchema, type OutputOf, type Schema } from './values.js'

/** Data of the errors of durable work, by code. */
export interface DurableErrorData {
  /** A step or question of this name is already in progress. Use a different name. */
  name_in_flight: { readonly name: string }
  /** No answer came in time. */
  wait_timed_out: { readonly name: string }
  /** Called work ended without a result. */
  call_failed: { readonly kind: string; readonly reason: string }
}

/** Thrown by a {@link DurableContext}. */
export class DurableError<Code extends keyof DurableErrorData = keyof DurableErrorData> extends StatewardError<
  Code,
  DurableErrorData[Code]
> {
  override readonly name = 'DurableError'
}

/** The argument of a step's function. */
export interface StepScope {
  /** Aborts when the execution is told to stop. */
  readonly signal: AbortSignal
}

/** Options of a step. */
export interface StepOptions<Output> {
  /** Amounts to reserve before the step. A step that could exceed a budget is not run. */
  readonly reserve?: StepAmounts
  /** Returns what the step really cost, which is recorded with its result. Default: everything that was reserved. */
  readonly spent?: (output: Output) => StepAmounts
}

/** Options of waiting for an answer. */
export interface WaitForOptions {
  /**
   * Milliseconds after which the wait rejects with `wait_timed_out`, counted from when the question was first asked.
   */
  readonly timeoutMs?: number
  /** The person or system that is asked. Shown with the question. */
  readonly whom?: string
}

/** Work that can be called by its definition. */
export interface Callable<Input, Output> {
  readonly kind: string
  /** Checks the input. The input is passed on unchanged. */
  readonly input?: Schema<Input, unknown>
  readonly output?: Schema<unknown, Output>
  readonly options?: CallLimits
}

/** Options of a {@link DurableContext}. */
export interface DurableContextOptions {
  readonly job: Pick<Job, 'signal' | 'wait' | 'step' | 'stepCount'>
  readonly log: DurableLog
  readonly clock: Clock
}

/** The longest name of a step or question, in UTF-16 units. */
export const longestDurableName = 200

/**
 * Steps, waits and calls that are done once and whose results survive the process.
 *
 * An execution that starts again, after a crash, a failure or a suspension, runs the same code from the top. Results
 * recorded by an earlier execution are returned instead of being computed again, so the code must ask for the same
 * things in the same order. Steps and waits are identified by name: the first `draft` is `step:draft`, the next one
 * `step:draft#2`. Two of one name at the same time are refused, because their order would be undefined. A call is
 * identified by its kind and its input. While an execution only waits, its slot is free for others and its timeout
 * does not advance.
 *
 *     const plan = await context.step('plan', ({ signal }) => model.plan(topic, { signal }))
 *     const { approved } = await context.waitFor('approval', Approval, { timeoutMs: 86_400_000 })
 *     const parts = await Promise.all(plan.map((topic) => context.call(section, { topic })))
 */
export class DurableContext {
  readonly #options: DurableContextOptions
  /** How often each name has been asked for. */
  readonly #asked = new Map<string, number>()
  readonly #inFlight = new Set<string>()
  readonly #used = new Set<string>()
  /** Waits that are being recorded in the log. */
  #beginning = 0

  constructor(options: DurableContextOptions) {
    this.#options = options
  }

  /**
   * Runs a function once. Resolves with its result once that is durable, and with the same value in every later
   * execution. An error that it throws is not recorded. Rejects with that error, with `name_in_flight`, with
   * `invalid_input` for a bad name or a result that cannot be stored as JSON, and with refusals of the room.
   */
  async step<Output>(
    name: string,
    work: (scope: StepScope) => Output | PromiseLike<Output>,
    options: StepOptions<Output> = {},
  ): Promise<Output> {
    checkFunction('step', work)
    checkFields('step options', options, stepFields)
    const { reserve, spent } = options
    if (reserve !== undefined) checkAmounts('reserve', reserve)
    if (spent !== undefined) checkFunction('spent of step options', spent)
    return this.#named('step', name, async (key) => {
      const { job, log } = this.#options
      const recorded = log.stepOf(key)
      if (recorded !== undefined) return decodeValue(recorded.output) as Output
      return job.step(async () => {
        if (reserve !== undefined) await log.reserveStep?.(key, reserve)
        let output: Output
        try {
          output = await work({ signal: job.signal })
        } catch (thrown) {
          if (reserve !== undefined) await log.releaseStep?.(key)
          throw thrown
        }
        let amounts: StepAmounts | undefined
        try {
          amounts = spent?.(output)
          if (spent !== undefined) checkAmounts('spent', amounts)
          const encoded = encodeValue(output, `result of step ${name}`)
          await log.recordStep(key, encoded, amounts)
          // The same value that every later execution will get.
          return decodeValue(encoded) as Output
        } catch (refusal) {
          // The step was done all the same.
          await log.settleStep?.(key, amounts)
          throw refusal
        }
      })
    })
  }

  /**
   * Asks a question and waits for its answer, which may have been given before. If an answer was recorded without
   * being checked and the schema refuses it now, it is dropped and the question asked again, if the room supports
   * that; otherwise the wait rejects with `invalid_input`. Also rejects with `wait_timed_out`, and with the errors of
   * {@link DurableContext.step}.
   */
  waitFor(name: string, schema?: undefined, options?: WaitForOptions): Promise<unknown>
  waitFor<Answer extends Schema>(name: string, schema: Answer, options?: WaitForOptions): Promise<OutputOf<Answer>>
  async waitFor(name: string, schema?: Schema, options: WaitForOptions = {}): Promise<unknown> {
    if (schema !== undefined && !isSchema(schema))
      throw invalid('schema', `speaks no Standard Schema: ${textOf(schema)}`)
    checkFields('waitFor options', options, waitForFields)
    const { timeoutMs, whom } = options
    if (timeoutMs !== undefined) checkDuration('timeoutMs', timeoutMs)
    if (whom !== undefined) checkName('whom', whom)
    return this.#named('wait', name, async (key) => {
      const wait: DurableWait = {
        type: 'answer',
        name,
        ...(timeoutMs !== undefined && { untilMs: Math.trunc(this.#wallNow() + timeoutMs) }),
        ...(whom !== undefined && { whom }),
      }
      const check = (value: unknown) => (schema === undefined ? value : checkValue(schema, value, `answer to ${name}`))
      const { log } = this.#options
      for (let refused = 0; ; refused += 1) {
        const askedAs = refused === 0 ? key : this.#askedAgain(key, refused)
        const answer = await this.#answerTo(askedAs, wait, schema && (async (value) => void (await check(value))))
        if (answer.type !== 'answered') throw new DurableError('wait_timed_out', `nobody answered ${name}`, { name })
        try {
          return await check(decodeValue(answer.value))
        } catch (refusal) {
          if (log.answerRefused === undefined || !(refusal instanceof InvalidInputError)) throw refusal
          // Reported once: later executions find that the question has been asked again.
          if (log.waitOf(askedAgainAs(key, refused + 1)) === undefined) log.answerRefused(name, refusal)
        }
      }
    })
  }

  /** Waits until an instant, given as a `Date` or epoch milliseconds. The instant of the first execution counts. */
  async sleepUntil(instant: Date | number): Promise<void> {
    const untilMs = epochMs(instant)
    const awayMs = Math.abs(untilMs - this.#wallNow())
    if (!(awayMs <= longestDurationMs))
      throw invalid(
        'instant',
        `expected epoch milliseconds within 25 years from now, got ${textOf(Number.isFinite(untilMs) ? untilMs : instant)}`,
      )
    await this.#answerTo(this.#numbered('sleep'), { type: 'time', untilMs: Math.trunc(untilMs) })
  }

  /** Waits for this many milliseconds, counted from the first execution that gets here. */
  async sleep(durationMs: number): Promise<void> {
    checkDuration('durationMs', durationMs)
    const untilMs = Math.trunc(this.#wallNow() + durationMs)
    await this.#answerTo(this.#numbered('sleep'), { type: 'time', untilMs })
  }

  /**
   * Starts other work, by its definition or its kind, and resolves with its result. It is started only once, whatever
   * happens to this execution. Rejects with `call_failed` if it ends without a result, and with `invalid_input` for
   * an input or result that its schema refuses.
   */
  call(kind: string, input?: unknown): Promise<unknown>
  call<Input, Output>(callable: Callable<Input, Output>, input: Input): Promise<Output>
  async call(called: Callable<unknown, unknown> | string, input?: unknown): Promise<unknown> {
    const callable: Callable<unknown, unknown> = typeof called === 'string' ? { kind: called } : called
    if (typeof callable !== 'object' || callable === null) throw invalid('kind', `nothing to call: ${textOf(callable)}`)
    const { kind } = callable
    if (typeof kind !== 'string' || kind === '') throw invalid('kind', `not the name of a kind: ${textOf(kind)}`)
    if (callable.input !== undefined) await checkValue(callable.input, input, `input of ${kind}`)
    // The input is passed on unchanged: the worker applies the schema again.
    const encoded = encodeValue(input, `input of ${kind}`)
    const { maxAttempts, timeoutMs, maxLosses } = callable.options ?? {}
    const limits = {
      ...(maxAttempts !== undefined && { maxAttempts }),
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(maxLosses !== undefined && { maxLosses }),
    }
    // A kind that is too long for a key is replaced by its digest, so that everything that can be started can be
    // called.
    const key = this.#numbered(`call:${isDurableName(kind) ? kind : digestOf(kind)}:${digestOf(encoded)}`)
    const answer = await this.#answerTo(key, { type: 'call', kind, input: encoded, limits })
    if (answer.type !== 'answered') {
      const { reason, message, cause } =
        answer.type === 'failed' ? answer : { reason: 'timed_out', message: 'timed out', cause: undefined }
      const text = `${kind} ended without a result: ${message}`
      throw new DurableError('call_failed', text, { kind, reason }, cause && { cause })
    }
    const value = decodeValue(answer.value)
    return callable.output === undefined ? value : checkValue(callable.output, value, `result of ${kind}`)
  }

  /** Keys that earlier executions recorded and this one has not asked for: things that the code no longer does. */
  unused(): readonly string[] {
    return Array.from(this.#options.log.keys()).filter((key) => !this.#used.has(key))
  }

  async #answerTo(key: string, wait: DurableWait, check?: AwaitedAnswer['check']): Promise<DurableAnswer> {
    const { job, log } = this.#options
    const recorded = log.waitOf(key)
    if (recorded?.answer !== undefined) return recorded.answer
    if (recorded === undefined) await job.step(() => this.#begin(key, wait))
    return job.wait(() => log.answerTo(key, { signal: job.signal, ...(check && { check }) }))
  }

  /** The execution only waits if every step in progress is the recording of a wait. */
  async #begin(key: string, wait: DurableWait): Promise<void> {
    const { job, log } = this.#options
    this.#beginning += 1
    try {
      await log.recordWait(key, wait, { isWaiting: job.stepCount === this.#beginning })
    } finally {
      this.#beginning -= 1
    }
  }

  async #named<Result>(prefix: string, name: string, run: (key: string) => Promise<Result>): Promise<Result> {
    checkName('name', name)
    const base = `${prefix}:${name}`
    if (this.#inFlight.has(base)) {
      throw new DurableError('name_in_flight', `${name} is already in progress: give each a name of its own`, { name })
    }
    this.#inFlight.add(base)
    try {
      return await run(this.#numbered(base))
    } finally {
      this.#inFlight.delete(base)
    }
  }

  #numbered(base: string): string {
    const count = (this.#asked.get(base) ?? 0) + 1
    this.#asked.set(base, count)
    const key = count === 1 ? base : `${base}#${count}`
    this.#used.add(key)
    return key
  }

  #askedAgain(key: string, refused: number): string {
    const askedAs = askedAgainAs(key, refused)
    this.#used.add(askedAs)
    return askedAs
  }

  #wallNow(): number {
    return Math.trunc(this.#options.clock.wallNow())
  }
}

/**
 * The key of a question whose answer was refused this many times. A later question of the same name has a different
 * key.
 */
function askedAgainAs(key: string, refused: number): string {
  return `${key.includes('#') ? key : `${key}#1`}.${refused}`
}

const control = /\p{Cc}/u

const stepFields = new Set(['reserve', 'spent'])
const waitForFields = new Set(['timeoutMs', 'whom'])

function invalid(field: string, reason: string): InvalidInputError {
  return new InvalidInputError({ subject: 'durable context', field, reason })
}

/** A promise has no amounts and would count as nothing. The room checks names and values of the amounts. */
function checkAmounts(field: string, amounts: unknown): void {
  if (typeof amounts === 'object' && amounts !== null && !isList(amounts) && !('then' in amounts)) return
  throw invalid(field, `expected amounts by dimension, got ${textOf(amounts)}`)
}

function isDurableName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name !== '' &&
    name.length <= longestDurableName &&
    !control.test(name) &&
    !name.includes('#')
  )
}

function checkName(field: string, name: unknown): void {
  if (isDurableName(name)) return
  throw invalid(
    field,
    `expected 1 to ${longestDurableName} characters without control characters and "#", got ${textOf(name)}`,
  )
}

function checkDuration(field: string, value: unknown): void {
  if (typeof value === 'number' && value >= 0 && value <= longestDurationMs) return
  throw invalid(field, `expected milliseconds from 0 to 25 years, got ${textOf(value)}`)
}

/** A digest of a JSON value, the same for equal values whatever the order of their keys. */
function digestOf(value: JsonValue | undefined): string {
  return createHash('sha256')
    .update(value === undefined ? '' : canonicalText(value))
    .digest('hex')
    .slice(0, 32)
}
