import * as restate from '@restatedev/restate-sdk'
import { systemClock } from '../base/clock.js'
import { errorDetailsOf, errorOfDetails, type ErrorDetails } from '../base/error-details.js'
import { InvalidInputError, StatewardError, type InvalidInput } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { ProcessError, type LeaseOwner, type ProcessDefinition } from '../processes/index.js'
import { childIdOf } from '../processes/run-log.js'
import { checkSize } from '../processes/scalars.js'
import { DurableContext, type StepOptions, type StepScope } from '../work/durable-context.js'
import type { DurableAnswer, DurableLog, DurableWait, RecordedWait } from '../work/durable-log.js'
import { decodeValue, encodeValue } from '../work/values.js'
import type { ProcessObject } from './process-object.js'
import { processesService } from './services.js'
import { startRequestOf } from './start.js'
import { refusalIn, type Answer, type Claim, type ClaimRequest } from './wire.js'

/** The object that holds the row of a run: the service that serves it, and its key there. */
export interface RowPlace {
  readonly service: string
  readonly key: string
}

/** Asks for the right to do a step; from inside the step, so that every attempt asks. */
export type ClaimStep = (place: RowPlace, request: ClaimRequest) => Promise<Claim>

/** What a {@link RunScope} is built on. */
export interface RunScopeOptions {
  readonly ctx: restate.WorkflowContext
  readonly id: string
  /** Where its row is. */
  readonly place: RowPlace
  readonly disposition: 'rerunnable' | 'owner_bound'
  /** The processes that it may call, by kind. */
  readonly definitions: ReadonlyMap<string, ProcessDefinition>
  readonly owner: LeaseOwner
  readonly claim: ClaimStep
}

/** How a step went, as the journal of the engine holds it. */
type StepRecord =
  | { readonly type: 'done'; readonly claim: Claim; readonly output?: JsonValue }
  | { readonly type: 'threw'; readonly claim: Claim; readonly error: ErrorDetails; readonly data?: JsonValue }
  | { readonly type: 'refused'; readonly refusal: string }

/**
 * What every run on the engine is given: the durable context of every room, whose steps are recorded by `ctx.run`, whose
 * questions and calls are awakeables, and whose times are timers of the engine.
 *
 * What is decided is decided inside of a step and recorded with it, what it threw included: the code around it sees the same
 * in every attempt, so that the journal fits.
 */
export class RunScope implements DurableLog {
  readonly #options: RunScopeOptions
  /** What its code is given; steps go through {@link RunScope.doStep}. */
  protected readonly durable: DurableContext
  readonly #waits = new Map<string, () => Promise<DurableAnswer>>()
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  /** The claim of the last step that is known. */
  #claim: Claim | undefined
  /** That of this attempt, which its steps share. */
  #claiming: Promise<Claim> | undefined
  #refusal: StatewardError | undefined
  #stepKeys = new Map<string, number>()

  constructor(options: RunScopeOptions) {
    const { ctx } = options
    this.#options = options
    this.#signal = AbortSignal.any([this.#stop.signal, ctx.request().attemptCompletedSignal])
    // The engine has no slots to give back: whether anything else goes on is nothing to it.
    const job = {
      signal: this.#signal,
      stepCount: 0,
      wait: <Value>(wait: () => Promise<Value>): Promise<Value> => wait(),
      step: <Value>(step: () => Promise<Value>): Promise<Value> => step(),
    }
    this.durable = new DurableContext({ job, log: this, clock: systemClock })
  }

  /** The how manyth start this is; 1 before anything was done. */
  get attempt(): number {
    return this.#claim?.attempt ?? 1
  }

  /** That of the step under way, or of the last one; 0 before anything was done. */
  get fencingToken(): number {
    return this.#claim?.fencingToken ?? 0
  }

  get signal(): AbortSignal {
    return this.#signal
  }

  /** Why it may not go on, whatever its code makes of that. */
  get refusal(): StatewardError | undefined {
    return this.#refusal
  }

  /** Aborts the signal, for the steps under way. */
  stop(reason: unknown): void {
    this.#stop.abort(reason)
  }

  /** A step of the durable context, done once; see {@link DurableContext.step}. */
  protected doStep<Output>(
    name: string,
    work: (scope: StepScope) => Output | PromiseLike<Output>,
    options?: StepOptions<Output>,
  ): Promise<Output> {
    // What is no function is refused there.
    if (typeof work !== 'function') return this.durable.step(name, work, options)
    return this.durable.step(name, (scope) => this.#run(name, work, scope), options)
  }

  /** The engine hands out what is recorded; here everything is asked for anew. */
  stepOf(): undefined {
    return undefined
  }

  waitOf(key: string): RecordedWait | undefined {
    return this.#waits.has(key) ? {} : undefined
  }

  /** What is recorded and not asked for is no longer the same code: the engine notices by itself. */
  keys(): readonly string[] {
    return []
  }

  /** It was recorded when it was run. */
  recordStep(): Promise<void> {
    return Promise.resolve()
  }

  /** Begins a wait without waiting for anything: what the journal holds must not hang on what comes first. */
  recordWait(key: string, wait: DurableWait): Promise<void> {
    this.#waits.set(key, this.#begin(key, wait))
    return Promise.resolve()
  }

  answerTo(key: string): Promise<DurableAnswer> {
    const wait = this.#waits.get(key)
    if (wait === undefined) throw new TypeError(`nobody began to wait for ${key}`)
    return wait()
  }

  #begin(key: string, wait: DurableWait): () => Promise<DurableAnswer> {
    const { ctx, id, place } = this.#options
    if (wait.type === 'time') {
      const slept = ctx.sleep(remainingMs(wait.untilMs))
      return async () => {
        await slept
        return { type: 'answered', value: undefined }
      }
    }
    if (wait.type === 'answer') {
      const { name, untilMs } = wait
      const { id: awakeable, promise } = ctx.awakeable<Answer>()
      const question = { id, name, awakeable }
      // Every object with rows is asked in the same way.
      const rows = { name: place.service } as ProcessObject
      ctx.objectSendClient(rows, place.key).ask(question)
      const answered = untilMs === undefined ? promise : promise.orTimeout(remainingMs(untilMs))
      return async () => {
        try {
          return { type: 'answered', value: (await answered).value }
        } catch (thrown) {
          if (!(thrown instanceof restate.TimeoutError)) throw thrown
        }
        const isTaken = !(await ctx.objectClient(rows, place.key).withdraw(question))
        return isTaken ? { type: 'answered', value: (await promise).value } : { type: 'timed_out' }
      }
    }
    const { kind, input } = wait
    const called = this.#options.definitions.get(kind)
    if (called === undefined) throw new ProcessError('process.kind_unknown', { kind })
    const { id: notify, promise } = ctx.awakeable<unknown>()
    const start = { ...startRequestOf(called, childIdOf(id, key), input), notify }
    // What is called is a process, beside whoever calls it.
    ctx.objectSendClient<ProcessObject>({ name: processesService }, place.key).start(start)
    return async () => answerOfOutput((await promise) as ChildOutput)
  }

  /** Does one step, or hears what an earlier attempt has recorded of it. */
  async #run<Output>(
    name: string,
    work: (scope: StepScope) => Output | PromiseLike<Output>,
    scope: StepScope,
  ): Promise<Output> {
    const { ctx } = this.#options
    const count = (this.#stepKeys.get(name) ?? 0) + 1
    this.#stepKeys.set(name, count)
    const key = count === 1 ? name : `${name}#${count}`
    let record: StepRecord
    try {
      record = await ctx.run<StepRecord>(key, async () => {
        let claim: Claim
        try {
          claim = await this.#claimStep(key)
        } catch (thrown) {
          if (StatewardError.is(thrown) && !thrown.code.startsWith('restate.'))
            return { type: 'refused', refusal: JSON.stringify({ code: thrown.code, data: thrown.data }) }
          // An outage: this attempt is tried again.
          throw thrown
        }
        this.#claim = claim
        try {
          const subject = `result of step ${name}`
          const output = encodeValue(await work(scope), subject)
          // The engine loses its worker over what is much larger, and the step would be done again and again.
          if (output !== undefined) checkSize(output, subject, '$')
          return { type: 'done', claim, ...(output !== undefined && { output }) }
        } catch (thrown) {
          // Told to stop because the attempt is over, it has not failed: another attempt does it.
          if (ctx.request().attemptCompletedSignal.aborted) throw thrown
          const data = thrown instanceof InvalidInputError ? (thrown.data as unknown as JsonValue) : undefined
          return { type: 'threw', claim, error: errorDetailsOf(thrown), ...(data !== undefined && { data }) }
        }
      })
    } catch (thrown) {
      // Cancelled while the step is under way.
      this.stop(thrown)
      throw thrown
    }
    if (record.type === 'refused') throw (this.#refusal = refusalIn(`stateward ${record.refusal}`) as StatewardError)
    if (record.claim.fencingToken >= this.fencingToken) this.#claim = record.claim
    if (record.type === 'threw') {
      if (record.data !== undefined) throw new InvalidInputError(record.data as unknown as InvalidInput)
      throw errorOfDetails(record.error)
    }
    return decodeValue(record.output) as Output
  }

  #claimStep(key: string): Promise<Claim> {
    const { id, place, disposition, owner, claim } = this.#options
    const asked = { id, owner, step: key, atMs: Math.trunc(systemClock.wallNow()) }
    if (disposition === 'owner_bound') return claim(place, asked)
    this.#claiming ??= claim(place, asked)
    return this.#claiming
  }
}

type ChildOutput = {
  readonly type: string
  readonly value?: JsonValue
  readonly code?: string
  readonly message?: string
}

/** What a process came to, as the answer to who called it. */
function answerOfOutput({ type, value, code, message }: ChildOutput): DurableAnswer {
  if (type === 'success') return { type: 'answered', value }
  return { type: 'failed', reason: code ?? type, message: message ?? `it is ${type}` }
}

function remainingMs(untilMs: number): number {
  return Math.max(0, Math.trunc(untilMs - systemClock.wallNow()))
}
