import { InvalidInputError } from '../base/errors.js'
import { textOf } from '../base/options.js'
import { silence } from '../base/promises.js'
import type { OperationId } from '../../machines/index.js'
import { checkProgress } from '../operations/admission.js'
import type { OperationProgress } from '../operations/index.js'
import { checkProgressSize } from './bounds.js'
import type { Callable, StepScope, WaitForOptions } from '../work/durable-context.js'
import type { Schema } from '../work/values.js'
import type { OperationRunContext, OperationStepScope } from './operation-definition.js'
import { RunScope, type RunScopeOptions } from './run-scope.js'

/** Sends a progress report. A report that arrives too late does not fail the step. */
export type SendReport = (report: OperationProgress & { readonly fencingToken: number }) => Promise<void>

type Report = Parameters<SendReport>[0]

/** Sends the reports of a step one at a time, always the latest, so that frequent reports delay nothing. */
class Reports {
  readonly #send: SendReport
  #latest: Report | undefined
  #sending: Promise<void> | undefined

  constructor(send: SendReport) {
    this.#send = send
  }

  add(report: Report): void {
    this.#latest = report
    this.#sending ??= this.#sendAll()
  }

  /** Resolves once no report is being sent. Never rejects. */
  async sent(): Promise<void> {
    await this.#sending
  }

  async #sendAll(): Promise<void> {
    for (let report = this.#latest; report !== undefined; report = this.#latest) {
      this.#latest = undefined
      await Promise.allSettled([this.#send(report)])
    }
    this.#sending = undefined
  }
}

/** The result of a step and the tokens it used. */
interface Accounted<Result> {
  readonly result?: Result
  readonly tokensUsed: number
}

/** The context of one run of an operation's work on the engine. */
export class OperationScope extends RunScope implements OperationRunContext {
  readonly id: OperationId
  readonly #report: SendReport
  #tokensUsed = 0

  constructor(options: RunScopeOptions & { readonly id: OperationId }, report: SendReport) {
    super(options)
    this.id = options.id
    this.#report = report
  }

  /** Tokens used by its steps, including those of earlier attempts. */
  get tokensUsed(): number {
    return this.#tokensUsed
  }

  readonly step = <Result>(
    name: string,
    work: (scope: OperationStepScope) => Result | PromiseLike<Result>,
  ): Promise<Result> => silence(this.#step(name, work))

  readonly sleep = (durationMs: number): Promise<void> => silence(this.durable.sleep(durationMs))

  readonly sleepUntil = (instant: Date | number): Promise<void> => silence(this.durable.sleepUntil(instant))

  readonly call = ((called: Callable<unknown, unknown> | string, input?: unknown): Promise<unknown> =>
    typeof called === 'string'
      ? silence(this.durable.call(called, input))
      : silence(this.durable.call(called, input))) as OperationRunContext['call']

  readonly waitFor = ((name: string, schema?: Schema, options: WaitForOptions = {}): Promise<unknown> =>
    silence(
      schema === undefined
        ? this.durable.waitFor(name, undefined, options)
        : this.durable.waitFor(name, schema, options),
    )) as OperationRunContext['waitFor']

  async #step<Result>(
    name: string,
    work: (scope: OperationStepScope) => Result | PromiseLike<Result>,
  ): Promise<Result> {
    if (typeof work !== 'function') return this.doStep(name, work)
    const { result, tokensUsed } = await this.doStep<Accounted<Result>>(name, async (scope) => {
      let used = 0
      const useTokens = (count: number): void => {
        if (!Number.isSafeInteger(count) || count < 0 || !Number.isSafeInteger(used + count)) {
          const reason = `not a whole number from 0: ${textOf(count)}`
          throw new InvalidInputError({ subject: 'token count', field: '$', reason })
        }
        used += count
      }
      const reports = new Reports(this.#report)
      const returned = await work(this.#scopeOf(scope, useTokens, reports))
      // What it has said is counted before its end.
      await reports.sent()
      return { ...(returned !== undefined && { result: returned }), tokensUsed: used }
    })
    this.#tokensUsed += tokensUsed
    return result as Result
  }

  #scopeOf({ signal }: StepScope, useTokens: OperationStepScope['useTokens'], reports: Reports): OperationStepScope {
    const { fencingToken } = this
    return {
      signal,
      fencingToken,
      useTokens,
      progress: (message, fraction) => {
        const progress = checkProgress({ message, ...(fraction !== undefined && { fraction }) })
        checkProgressSize(progress)
        reports.add({ ...progress, fencingToken })
      },
    }
  }
}
