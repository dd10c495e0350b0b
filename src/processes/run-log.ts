import type { Clock } from '../base/clock.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { messageOf, StatewardError } from '../base/errors.js'
import { onAbort } from '../base/abort.js'
import { isSameJson } from '../base/json-copy.js'
import type { JsonValue } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { abortable, createDeferred } from '../base/promises.js'
import type { DurableAnswer, DurableLog, DurableWait, RecordedStep, RecordedWait } from '../work/durable-log.js'
import type { Awaiter } from './awaiter.js'
import { ProcessError } from './errors.js'
import { childIdOf, signalWaitKey } from './keys.js'
import type { AwaitOutput, NoLongerRetained } from './output.js'
import type { Patiently } from './patience.js'
import type { ProcessRecord, WaitKind, WaitState } from './record.js'
import type { RunContext } from './runner.js'
import {
  answerKeyOf,
  answerOf,
  answerPrefix,
  answerRow,
  keyOf,
  placeOf,
  rowOfOutput,
  stepRow,
  waitRow,
  type BegunWait,
  type OtherAnswerRow,
  type WaitRow,
} from './run-log-row.js'
import { takeName, type ProcessId } from './scalars.js'

/** What the log of a run needs. */
export interface RunLogTools {
  readonly awaiter: Awaiter
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  readonly patiently: Patiently
  /** Starts a process that another one calls, unless it already exists. */
  readonly startChild: (childId: ProcessId, kind: string, input: JsonValue, parent: ProcessRecord) => Promise<void>
}

/**
 * The recorded steps and waits of a process, for one of its runs. They are written to its log under its lease if it is
 * rerunnable (P-200). An owner-bound process runs only once, so its steps are kept in memory only.
 *
 * A wait is recorded as a step, and so is its answer once taken, so that a restarted run gets the same answers: the nth
 * wait for a signal takes the next signal that no earlier wait took. While a single wait is all that the run does, the
 * record shows it, and the process need not be run until the wait is over. With several waits the record shows none,
 * and a host that finds the process without an owner runs it again up to its waits.
 */
export class RunLog implements DurableLog, Disposable {
  readonly #context: RunContext
  readonly #tools: RunLogTools
  readonly #isKept: boolean
  readonly #steps = new Map<string, RecordedStep>()
  readonly #waits = new Map<string, BegunWait>()
  readonly #answers = new Map<string, DurableAnswer>()
  /** The last signal taken and how many were taken, by event type. */
  readonly #taken = new Map<string, { readonly sequence: number; readonly count: number }>()
  /** The waits in progress, and how to abort each. */
  readonly #pending = new Map<string, { readonly begun: BegunWait; readonly left: AbortController }>()
  #isOver = false
  /** The wait that the record shows. */
  #shown: WaitState | undefined
  /** Serializes changes of the shown wait. */
  #showing: Promise<unknown> = Promise.resolve()

  private constructor(context: RunContext, tools: RunLogTools) {
    this.#context = context
    this.#tools = tools
    this.#isKept = context.record.disposition === 'rerunnable'
    this.#shown = context.record.wait
  }

  /** Opens the log with what earlier runs have recorded. */
  static async open(context: RunContext, tools: RunLogTools): Promise<RunLog> {
    const log = new RunLog(context, tools)
    const { firstStarted } = context.record
    if (log.#isKept && (firstStarted?.attempt ?? 1) > 1) await log.#load()
    return log
  }

  stepOf(key: string): RecordedStep | undefined {
    // Checked before the step is executed: a name that cannot be recorded is refused in time.
    takeName(placeOf(key).name, 'name of a step')
    return this.#steps.get(key)
  }

  waitOf(key: string): RecordedWait | undefined {
    const begun = this.#waits.get(key)
    if (begun === undefined) return undefined
    const answer = this.#answers.get(key)
    if (answer !== undefined) return { answer }
    const { wait } = begun
    const isOver = wait.type === 'time' && wait.untilMs <= this.#nowMs()
    return isOver ? { answer: { type: 'answered', value: undefined } } : {}
  }

  *keys(): Iterable<string> {
    yield* this.#steps.keys()
    yield* this.#waits.keys()
  }

  async recordStep(key: string, output: JsonValue | undefined): Promise<void> {
    const step: RecordedStep = { output }
    await this.#keep(key, stepRow.write(output === undefined ? {} : { output }))
    this.#steps.set(key, step)
  }

  async recordWait(key: string, wait: DurableWait): Promise<void> {
    // Cleared first: a record that shows one of two waits would keep other hosts from running the process when the
    // other wait ends.
    await this.resume()
    const begun: BegunWait = { sinceMs: this.#nowMs(), wait: await this.#rowOf(key, wait) }
    await this.#keep(key, waitRow.write(begun))
    this.#waits.set(key, begun)
  }

  async answerTo(key: string, { signal }: { readonly signal: AbortSignal }): Promise<DurableAnswer> {
    if (this.#isOver) return never()
    const begun = this.#waits.get(key) as BegunWait
    const left = new AbortController()
    if (signal.aborted) left.abort(signal.reason)
    const forget = onAbort(signal, () => left.abort(signal.reason))
    this.#pending.set(key, { begun, left })
    let answer: DurableAnswer
    try {
      // Shown a moment later, when it is known whether the run does anything else.
      this.#show().catch((failure: unknown) => this.#reportUnshown(failure))
      answer = await this.#await(key, begun.wait, left.signal)
    } catch (failure) {
      if (this.#isOver && !signal.aborted) return never()
      throw failure
    } finally {
      forget()
      this.#pending.delete(key)
    }
    if (this.#isOver) return never()
    // A run that was told to stop does not get here, so its wait stays in the record and the process need not be run
    // before it is over.
    await this.#show()
    return answer
  }

  /**
   * Ends the waits that the run left behind, such as the losing side of a race. Their promises stay pending, because
   * nobody is left to receive an answer (P-275).
   */
  [Symbol.dispose](): void {
    this.#isOver = true
    for (const { left } of this.#pending.values()) left.abort(runIsOver)
  }

  /** Removes the wait from the record, because the run has work to do. */
  async resume(): Promise<void> {
    await this.#show({ isWorking: true })
  }

  async #load(): Promise<void> {
    const { store, record } = this.#context
    const steps = await this.#tools.patiently(() => store.recordedSteps(record.id))
    const signals: (readonly [string, number])[] = []
    for (const step of steps) {
      const key = keyOf(step.name, step.ordinal)
      const stored = 'result' in step ? step.result : undefined
      const subject = `step ${key} of process ${record.id}`
      if (key.startsWith('step:')) this.#steps.set(key, { output: stepRow.read(stored, subject).output })
      else if (!key.startsWith(answerPrefix)) this.#waits.set(key, waitRow.read(stored, subject))
      else {
        const waitKey = key.slice(answerPrefix.length)
        const answer = answerRow.read(stored, subject)
        if (answer.type === 'signal') signals.push([waitKey, answer.sequence])
        else this.#answers.set(waitKey, answerOf(answer))
      }
    }
    await Promise.all(signals.map(([key, sequence]) => this.#loadSignal(key, sequence)))
  }

  async #loadSignal(key: string, sequence: number): Promise<void> {
    const { store, record } = this.#context
    const wait = this.#waits.get(key)?.wait
    const eventType = wait?.type === 'answer' ? signalType(wait.name) : ''
    const { patiently } = this.#tools
    const event = wait && (await patiently(() => store.firstEventAfter(record.id, eventType, sequence - 1)))
    if (event?.sequence !== sequence) {
      const reason = `no signal ${sequence} for ${key} of process ${record.id}`
      throw new ProcessError('process.stored_invalid', { field: 'sequence', reason })
    }
    this.#take(key, eventType, sequence, event.payload)
  }

  /** Takes a signal as the answer to a wait. */
  #take(key: string, eventType: string, sequence: number, payload: JsonValue): void {
    const before = this.#taken.get(eventType)
    const last = Math.max(before?.sequence ?? 0, sequence)
    this.#taken.set(eventType, { sequence: last, count: (before?.count ?? 0) + 1 })
    this.#answers.set(key, { type: 'answered', value: payload })
  }

  async #rowOf(key: string, wait: DurableWait): Promise<WaitRow> {
    const { record } = this.#context
    switch (wait.type) {
      case 'time':
        return wait
      case 'answer': {
        const eventType = signalType(wait.name)
        if (record.eventTypes.some(({ name }) => name === eventType)) return wait
        throw new ProcessError('process.event_undeclared', { processId: record.id, eventType })
      }
      case 'call': {
        const processId = childIdOf(record.id, key)
        const { startChild, patiently } = this.#tools
        await patiently(() => startChild(processId, wait.kind, wait.input ?? null, record))
        return { type: 'process', processId }
      }
    }
  }

  async #await(key: string, wait: WaitRow, signal: AbortSignal): Promise<DurableAnswer> {
    switch (wait.type) {
      case 'time':
        await this.#until(wait.untilMs, signal)
        return { type: 'answered', value: undefined }
      case 'answer':
        return this.#awaitSignal(key, signalType(wait.name), wait.untilMs, signal)
      case 'process':
        return this.#answer(key, rowOfOutput(await this.#endOf(wait.processId, signal)))
    }
  }

  async #awaitSignal(
    key: string,
    eventType: string,
    untilMs: number | undefined,
    signal: AbortSignal,
  ): Promise<DurableAnswer> {
    const { awaiter, patiently } = this.#tools
    const after = this.#taken.get(eventType)?.sequence ?? 0
    try {
      const { sequence, payload } = await patiently(() => {
        const timeoutMs = untilMs === undefined ? undefined : Math.max(0, untilMs - this.#nowMs())
        const bounds = { signal, ...(timeoutMs !== undefined && { timeoutMs }) }
        return awaiter.awaitEvent(this.#processId, eventType, after, bounds)
      }, signal)
      await this.#keep(answerKeyOf(key), answerRow.write({ type: 'signal', sequence }))
      this.#take(key, eventType, sequence, payload)
      return { type: 'answered', value: payload }
    } catch (error) {
      if (!StatewardError.is(error, 'process.await_timeout')) throw error
      return this.#answer(key, { type: 'timed_out' })
    }
  }

  async #endOf(processId: ProcessId, signal: AbortSignal): Promise<AwaitOutput | NoLongerRetained | undefined> {
    try {
      const { awaiter, patiently } = this.#tools
      return await patiently(() => awaiter.awaitTerminal(processId, { signal }), signal)
    } catch (error) {
      if (StatewardError.is(error, 'process.unknown')) return undefined
      throw error
    }
  }

  async #answer(key: string, row: OtherAnswerRow): Promise<DurableAnswer> {
    await this.#keep(answerKeyOf(key), answerRow.write(row))
    const answer = answerOf(row)
    this.#answers.set(key, answer)
    return answer
  }

  /** Checks again after each timer, because the wall clock may have been behind. */
  async #until(untilMs: number, signal: AbortSignal): Promise<void> {
    for (let left = untilMs - this.#nowMs(); left > 0; left = untilMs - this.#nowMs()) {
      const over = createDeferred<void>()
      const deadline = this.#tools.deadlines.after(left, () => over.resolve())
      try {
        await abortable(over.promise, signal)
      } finally {
        deadline[Symbol.dispose]()
      }
    }
  }

  async #keep(key: string, result: JsonValue): Promise<void> {
    if (!this.#isKept) return
    const context = this.#context
    await this.#tools.patiently(() => context.store.recordStep(context.lease(), { ...placeOf(key), result }))
  }

  /** Updates the wait that the record shows. */
  #show({ isWorking = false }: { readonly isWorking?: boolean } = {}): Promise<void> {
    const shown = this.#showing.then(() => this.#showNow(isWorking ? undefined : this.#onlyWait()))
    this.#showing = shown.catch(() => {})
    return shown
  }

  async #showNow(wait: WaitState | undefined): Promise<void> {
    if (!this.#isKept || isSameWait(wait, this.#shown)) return
    const { store } = this.#context
    await this.#tools.patiently(() => {
      const options = { lease: this.#context.lease() }
      if (wait === undefined) return store.clearWait(this.#processId, options)
      return store.setWait(this.#processId, wait, options)
    })
    this.#shown = wait
  }

  /** The wait to show: the only thing the run is doing, and one whose end other hosts can recognize. */
  #onlyWait(): WaitState | undefined {
    const [only, ...others] = this.#pending.values()
    if (only === undefined || others.length > 0 || this.#context.job.stepCount > 0) return undefined
    const { sinceMs, wait } = only.begun
    const kind = this.#kindOf(wait)
    return kind && { sinceMs, kind }
  }

  #kindOf(wait: WaitRow): WaitKind | undefined {
    switch (wait.type) {
      case 'time':
        return { type: 'timer', untilMs: wait.untilMs }
      case 'process':
        return wait
      case 'answer': {
        // Either a signal or a timeout can end it, and the record has room for only one.
        if (wait.untilMs !== undefined) return undefined
        const eventType = signalType(wait.name)
        const ordinal = (this.#taken.get(eventType)?.count ?? 0) + 1
        return { type: 'signal', name: wait.name, eventType, key: this.#waitKey(wait.name, ordinal), ordinal }
      }
    }
  }

  #waitKey(name: string, ordinal: number): string {
    return signalWaitKey(this.#processId, name, ordinal)
  }

  #reportUnshown(failure: unknown): void {
    const fields = { processId: this.#processId, cause: messageOf(failure) }
    this.#tools.logger.debug(fields, 'the record does not say that the process waits')
  }

  get #processId(): ProcessId {
    return this.#context.record.id
  }

  #nowMs(): number {
    return Math.trunc(this.#tools.clock.wallNow())
  }
}

/**
 * The reason for aborting waits of an ended run. One shared error that nobody sees, because creating one per wait is
 * expensive.
 */
const runIsOver = new Error('the run is over')

function never(): Promise<never> {
  return new Promise(() => {})
}

function signalType(name: string): string {
  return `signal.${name}`
}

function isSameWait(one: WaitState | undefined, other: WaitState | undefined): boolean {
  return isSameJson(one as unknown as JsonValue | undefined, other as unknown as JsonValue | undefined)
}
