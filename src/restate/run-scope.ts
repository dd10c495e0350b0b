import * as restate from '@restatedev/restate-sdk'
import { systemClock } from '../base/clock.js'
import { StatewardError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { ProcessError, type LeaseOwner, type ProcessDefinition } from '../processes/index.js'
import { childIdOf } from '../processes/keys.js'
import { checkSize } from '../processes/scalars.js'
import { DurableContext, type StepOptions, type StepScope } from '../work/durable-context.js'
import type { DurableAnswer, DurableLog, DurableWait, RecordedWait } from '../work/durable-log.js'
import { decodeValue, encodeValue } from '../work/values.js'
import type { ProcessObject } from './process-object.js'
import type { EngineWaits } from './engine-waits.js'
import { processesService } from './services.js'
import { startRequestOf } from './start.js'
import { errorOf, thrownOf, type Thrown } from './thrown.js'
import { refusalIn, type Answer, type Claim, type ClaimRequest } from './wire.js'

/** The object that holds the row of a run: its service and key. */
export interface RowPlace {
  readonly service: string
  readonly key: string
}

/** Claims the right to do a step. Called inside the step, so that every attempt asks. */
export type ClaimStep = (place: RowPlace, request: ClaimRequest) => Promise<Claim>

/** Resolves once the row of a run has ended. Rejects with the signal's reason, and if nobody can be asked. */
export type RowEnded = (place: RowPlace, id: string, idempotencyKey: string, signal: AbortSignal) => Promise<void>

/** Options of a {@link RunScope}. */
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
  readonly ended: RowEnded
  /** Takes everything that is awaited from the engine. */
  readonly waits: EngineWaits
}

/** The result of a step, as recorded in the engine's journal. */
type StepRecord =
  | { readonly type: 'done'; readonly claim: Claim; readonly output?: JsonValue }
  | ({ readonly type: 'threw'; readonly claim: Claim } & Thrown)
  | { readonly type: 'refused'; readonly refusal: string }

/**
 * The base of every run on the engine: the durable context of all rooms, with steps recorded by `ctx.run`, questions
 * and calls as awakeables, and timers of the engine.
 *
 * Decisions are made inside steps and recorded with them, including thrown errors. The code around a step sees the same
 * values in every attempt, so the journal matches.
 */
export class RunScope implements DurableLog {
  readonly #options: RunScopeOptions
  /** The durable context for its code. Steps go through {@link RunScope.doStep}. */
  protected readonly durable: DurableContext
  readonly #waits = new Map<string, () => Promise<DurableAnswer>>()
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  /** The claim of the last finished step. */
  #claim: Claim | undefined
  /** The claim of this attempt, shared by its steps. */
  #claiming: Promise<Claim> | undefined
  #refusal: StatewardError | undefined
  #stepKeys = new Map<string, number>()
  #isWatched = false

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

  /** Which start this is. 1 before anything was done. */
  get attempt(): number {
    return this.#claim?.attempt ?? 1
  }

  /** The token of the step in progress, or of the last one. 0 before anything was done. */
  get fencingToken(): number {
    return this.#claim?.fencingToken ?? 0
  }

  /** Whoever reads it learns of a cancel outside of steps, too, for which the engine's library is of no use. */
  get signal(): AbortSignal {
    if (!this.#isWatched) void this.#watchEnd()
    this.#isWatched = true
    return this.#signal
  }

  /** The refusal to continue, even if its code caught it. */
  get refusal(): StatewardError | undefined {
    return this.#refusal
  }

  /** Aborts the signal of steps in progress. */
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

  /** Always `undefined`: the engine itself returns recorded steps. */
  stepOf(): undefined {
    return undefined
  }

  waitOf(key: string): RecordedWait | undefined {
    return this.#waits.has(key) ? {} : undefined
  }

  /** Always empty: the engine itself detects steps that are recorded but no longer requested. */
  keys(): readonly string[] {
    return []
  }

  /** Does nothing: `ctx.run` has recorded the step. */
  recordStep(): Promise<void> {
    return Promise.resolve()
  }

  /** Starts a wait without awaiting anything: the order of the journal must not depend on what happens first. */
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
    const { ctx, id, place, waits } = this.#options
    if (wait.type === 'time') {
      const slept = ctx.sleep(remainingMs(wait.untilMs))
      return async () => {
        await waits.on(slept)
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
          return { type: 'answered', value: (await waits.on(answered)).value }
        } catch (thrown) {
          if (!(thrown instanceof restate.TimeoutError)) throw thrown
        }
        const isTaken = !(await waits.on(ctx.objectClient(rows, place.key).withdraw(question)))
        return isTaken ? { type: 'answered', value: (await waits.on(promise)).value } : { type: 'timed_out' }
      }
    }
    const { kind, input } = wait
    const called = this.#options.definitions.get(kind)
    if (called === undefined) throw new ProcessError('process.kind_unknown', { kind })
    const { id: notify, promise } = ctx.awakeable<unknown>()
    const start = { ...startRequestOf(called, childIdOf(ctx.key, key), input), notify }
    // What is called is a process, beside whoever calls it.
    ctx.objectSendClient<ProcessObject>({ name: processesService }, place.key).start(start)
    return async () => answerOfOutput((await waits.on(promise)) as ChildOutput)
  }

  /** Runs one step, or returns what an earlier attempt recorded. */
  async #run<Output>(
    name: string,
    work: (scope: StepScope) => Output | PromiseLike<Output>,
    scope: StepScope,
  ): Promise<Output> {
    const { ctx, waits } = this.#options
    const count = (this.#stepKeys.get(name) ?? 0) + 1
    this.#stepKeys.set(name, count)
    const key = count === 1 ? name : `${name}#${count}`
    let record: StepRecord
    try {
      const recorded = ctx.run<StepRecord>(key, async () => {
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
          return { type: 'threw', claim, ...thrownOf(thrown) }
        }
      })
      record = await waits.on(recorded)
    } catch (thrown) {
      // Cancelled while the step is under way.
      this.stop(thrown)
      throw thrown
    }
    if (record.type === 'refused') throw (this.#refusal = refusalIn(`stateward ${record.refusal}`) as StatewardError)
    if (record.claim.fencingToken >= this.fencingToken) this.#claim = record.claim
    if (record.type === 'threw') throw errorOf(record)
    return decodeValue(record.output) as Output
  }

  /** Never rejects. */
  async #watchEnd(): Promise<void> {
    const { ctx, place, id, ended } = this.#options
    try {
      await ended(place, id, ctx.request().id, this.#signal)
      this.stop(new restate.CancelledError())
    } catch {
      // This attempt is over, or nobody can be asked: then the next step or wait learns of it.
    }
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

/** The output of a called process, as an answer. */
function answerOfOutput({ type, value, code, message }: ChildOutput): DurableAnswer {
  if (type === 'success') return { type: 'answered', value }
  return { type: 'failed', reason: code ?? type, message: message ?? `it is ${type}` }
}

function remainingMs(untilMs: number): number {
  return Math.max(0, Math.trunc(untilMs - systemClock.wallNow()))
}
