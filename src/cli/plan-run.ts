import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { OperationId, OperationOutcome, WaitAllSatisfied } from '../../machines/operation-vocabulary.js'
import type { ProcessRecords } from '../work/children/process-records.js'
import { defaultGraceMs } from '../work/children/child-process.js'
import { onAbort } from '../base/abort.js'
import { systemClock } from '../base/clock.js'
import { DeadlineQueue, type Deadline } from '../base/deadline-queue.js'
import { StatewardError, toError } from '../base/errors.js'
import { createUuidSource } from '../base/ids.js'
import { abortable, createDeferred, silence } from '../base/promises.js'
import type { WorkContext } from '../operations/execution.js'
import type { Runtime } from '../runtime.js'
import type { Session } from '../operations/session.js'
import { earlierRuns } from './earlier-runs.js'
import type { PlannedTool } from './plan.js'
import type { LoadedPlan } from './loaded-plan.js'
import type { RunEvent } from './run-events.js'
import type { RunPlanOptions } from './run-options.js'
import {
  reportOf,
  resultOf,
  type RunReport,
  type ToolProcessSummary,
  type ToolResult,
  type ToolRun,
} from './run-report.js'
import { runTool, ToolInterruptedError, type ToolRunOptions } from './run-tool.js'
import { Schedule, type ReadyTool } from './schedule.js'
import { sessionNameOf } from './session-name.js'
import { labelOf } from './tool-label.js'

/**
 * How many ended operations a session retains: more than the attempts of a plan, so that a finished one is never taken
 * for new.
 */
const maxCompleted = 65_536

/** One run of a plan on an open runtime: what earlier runs left, what is started now, and how everything ends. */
export class PlanRun {
  readonly #file: LoadedPlan
  readonly #runtime: Runtime
  readonly #options: RunPlanOptions
  readonly #deadlines: DeadlineQueue
  readonly #toolOptions: ToolRunOptions
  /** The last operation of each tool that this run started. */
  readonly #launched = new Map<string, ToolRun>()
  readonly #summaries = new Map<string, ToolProcessSummary>()
  /** Settles when a tool has ended for good, including its process. */
  readonly #running = new Map<string, Promise<void>>()
  readonly #broken = new AbortController()
  #schedule: Schedule

  constructor(file: LoadedPlan, runtime: Runtime, records: ProcessRecords, options: RunPlanOptions) {
    const { clock = systemClock, graceMs = defaultGraceMs, dataDir } = options
    this.#file = file
    this.#runtime = runtime
    this.#options = options
    this.#deadlines = new DeadlineQueue(clock)
    this.#schedule = new Schedule(file, new Map(), options)
    this.#toolOptions = {
      home: file.home,
      env: file.environment,
      clock,
      deadlines: this.#deadlines,
      graceMs,
      records,
      outputs: join(dataDir, 'outputs'),
      flush: () => this.#session.flush(),
      onEnd: ({ name }, summary) => this.#summaries.set(name, summary),
    }
  }

  /** Continues where earlier runs stopped, and waits for the end of everything it starts. */
  async toEnd(): Promise<RunReport> {
    const { plan } = this.#file
    const { fresh = false, dataDir } = this.#options
    await this.#cleanUp()
    if (fresh) await this.#runtime.deleteSession(this.#session.id, 'started over')
    const schedule = new Schedule(this.#file, earlierRuns(this.#session, plan.tools), this.#options)
    this.#schedule = schedule
    schedule.settleOpen()
    const isBlocked = schedule.isBlocked
    const left = isBlocked ? plan.tools : plan.tools.filter((tool) => !schedule.open.includes(tool))
    const before = left.map(({ name }) => this.#schedule.resultSoFar(name))
    this.#emit({
      type: 'opened',
      plan: plan.name,
      dataDir,
      tools: plan.tools.map(({ name }) => name),
      toRun: plan.tools.length - left.length,
      concurrency: plan.concurrency,
      before,
    })
    if (isBlocked) return this.#report(before, null)

    const stopListening = this.#listenToSignals()
    try {
      await this.#launchAll()
      return await this.#waitForAll()
    } finally {
      stopListening()
    }
  }

  /** Ends all operations, processes and timers. */
  async close(): Promise<void> {
    try {
      await this.#runtime.close({ policy: 'terminate', reason: 'the run was aborted' })
    } finally {
      // Ends all retry delays.
      this.#broken.abort(new StatewardError('channel_closed', 'the run is over', {}))
      await Promise.all(this.#running.values())
      this.#deadlines[Symbol.dispose]()
    }
  }

  get #session(): Session {
    return this.#runtime.session(sessionNameOf(this.#file.plan), { maxCompleted })
  }

  get #isStopping(): boolean {
    const { retire, terminate } = this.#options
    return retire?.aborted === true || terminate?.aborted === true || this.#broken.signal.aborted
  }

  /** The journal's lock is held, so every recorded process was left by a run that was killed. */
  async #cleanUp(): Promise<void> {
    const { records, clock, outputs } = this.#toolOptions
    const names = new Map<string, string>(this.#session.lost.map(({ id, displayName }) => [id, displayName]))
    for (const { operationId, killed, leftPids } of await records.reap(clock)) {
      this.#emit({ type: 'reaped', tool: names.get(operationId) ?? operationId, killed, leftPids })
    }
    rmSync(outputs, { recursive: true, force: true })
    mkdirSync(outputs)
  }

  /** Starts tools as they become ready, until none is left or the run has to stop. */
  async #launchAll(): Promise<void> {
    for (;;) {
      const room = this.#file.plan.concurrency - this.#running.size
      const ready = room > 0 && !this.#isStopping ? this.#schedule.takeReady() : undefined
      if (ready !== undefined) this.#launch(ready)
      else if (this.#running.size > 0) await this.#waitForOne()
      else return
    }
  }

  async #waitForOne(): Promise<void> {
    await abortable(Promise.race(this.#running.values()), this.#broken.signal)
  }

  #launch(ready: ReadyTool): void {
    const { name } = ready.tool
    const ended = this.#runToEnd(ready)
      .catch((failure: unknown) => this.#broken.abort(toError(failure)))
      .finally(() => this.#running.delete(name))
    this.#running.set(name, ended)
  }

  /** Runs the tool, and retries it after failures as often as the plan says. */
  async #runToEnd({ tool, attempt: first }: ReadyTool): Promise<void> {
    const { retries, retryDelayMs: delayMs } = tool
    for (let attempt = first; ; attempt += 1) {
      const { result, processGone } = await this.#attempt(tool, attempt)
      const isRetried = result.status === 'unexpected' && attempt <= retries && !this.#isStopping
      if (isRetried) this.#emit({ type: 'retrying', result, attempts: retries + 1, delayMs })
      else this.#ended(result)
      await processGone
      if (!isRetried) return
      await this.#pause(delayMs)
      if (this.#isStopping) return this.#ended(result)
    }
  }

  #ended(result: ToolResult): void {
    this.#emit({ type: 'ended', result })
    this.#schedule.ended(result)
    for (const settled of this.#schedule.settleOpen()) this.#emit({ type: 'ended', result: settled })
  }

  /** Runs one attempt. Resolves once its end is durable, with its result and a promise for the end of its process. */
  async #attempt(tool: PlannedTool, attempt: number): Promise<{ result: ToolResult; processGone: Promise<unknown> }> {
    const { name } = tool
    let work: Promise<unknown> = Promise.resolve()
    this.#summaries.delete(name)
    const { id, outcome } = this.#session.run(
      { kind: 'background_tool_op', displayName: name, sourceLabel: labelOf(tool, attempt) },
      (context) => {
        work = silence(this.#execute(tool, context))
        return work
      },
    )
    // Do this after the new attempt is recorded, so that one of the two is always known.
    const earlier = this.#schedule.earlier(name)
    if (earlier.type === 'lost') this.#session.forgetLost(earlier.operationIds)
    const run: ToolRun = { name, begun: 'now', operationId: id, attempt }
    this.#launched.set(name, run)
    this.#emit({ type: 'started', tool: name, operationId: id })
    const result = resultOf(run, await outcome, this.#summaries.get(name))
    return { result, processGone: Promise.allSettled([work]) }
  }

  async #execute(tool: PlannedTool, context: WorkContext): Promise<unknown> {
    const { name } = tool
    const progress: WorkContext['progress'] = (message, fraction) => {
      context.progress(message, fraction)
      this.#emit({ type: 'progress', tool: name, message, ...(fraction !== undefined && { fraction }) })
    }
    try {
      return await runTool(tool, { ...context, progress }, this.#toolOptions)
    } catch (error) {
      // A tool that was asked to stop, and did, has retired rather than failed.
      if (error instanceof ToolInterruptedError) await this.#session.operations.markRetired(context.id)
      throw error
    }
  }

  /** Resolves after the delay, or at once when the run has to stop. */
  async #pause(delayMs: number): Promise<void> {
    if (delayMs === 0 || this.#isStopping) return
    const { retire, terminate } = this.#options
    const over = createDeferred<void>()
    using _ = this.#deadlines.after(delayMs, () => over.resolve())
    const forgets = [retire, terminate, this.#broken.signal].map((signal) => onAbort(signal, () => over.resolve()))
    await over.promise
    for (const forget of forgets) forget()
  }

  /** Stops the run on the signals; the returned function removes the listeners. */
  #listenToSignals(): () => void {
    const { retire, terminate } = this.#options
    const { deadlines, graceMs } = this.#toolOptions
    let grace: Deadline | undefined
    const onTerminate = (): void => {
      this.#emit({ type: 'stopping', how: 'terminate' })
      this.#session.operations.terminateOwner('interrupted').catch((failure: unknown) => this.#broken.abort(failure))
    }
    const onRetire = (): void => {
      this.#emit({ type: 'stopping', how: 'retire' })
      for (const name of this.#running.keys()) this.#askToEnd(name)
      grace = deadlines.after(graceMs, onTerminate)
    }
    const forgets = [onAbort(retire, onRetire), onAbort(terminate, onTerminate)]
    return () => {
      grace?.[Symbol.dispose]()
      for (const forget of forgets) forget()
    }
  }

  #askToEnd(name: string): void {
    const run = this.#launched.get(name)
    if (run === undefined) return
    this.#session.operations.requestRetire(run.operationId).catch((refusal: unknown) => {
      // The operation has just ended, which is what the action would have requested.
      if (!StatewardError.is(refusal, 'invalid_transition')) this.#broken.abort(refusal)
    })
  }

  async #waitForAll(): Promise<RunReport> {
    const { tools } = this.#file.plan
    const ids = tools.flatMap(({ name }) => this.#operationOf(name) ?? [])
    const turnId = createUuidSource({ now: () => this.#toolOptions.clock.wallNow() }).uuid()
    const { outcomes, satisfied } = await this.#session.waitAll(turnId, ids, { signal: this.#broken.signal })
    await Promise.all(this.#running.values())
    const waited = new Map(outcomes.map(({ operationId, outcome }) => [operationId, outcome]))
    const left = this.#schedule.open.map(({ name }) => name)
    for (const name of left) this.#emit({ type: 'ended', result: this.#schedule.resultSoFar(name) })
    const results = tools.map(({ name }) => this.#finalResult(name, waited))
    return this.#report(results, satisfied)
  }

  /** The operation that records how the tool ended, of this run or an earlier one. */
  #operationOf(name: string): OperationId | undefined {
    const launched = this.#launched.get(name)
    if (launched !== undefined) return launched.operationId
    const earlier = this.#schedule.earlier(name)
    const isAdopted = earlier.type === 'ended' && this.#schedule.resultOf(name)?.begun === 'before'
    return isAdopted ? earlier.operationId : undefined
  }

  #finalResult(name: string, waited: ReadonlyMap<OperationId, OperationOutcome>): ToolResult {
    const run = this.#launched.get(name)
    const outcome = run && waited.get(run.operationId)
    // The result is known only now that the process is gone.
    return run && outcome ? resultOf(run, outcome, this.#summaries.get(name)) : this.#schedule.resultSoFar(name)
  }

  #report(tools: readonly ToolResult[], obligation: WaitAllSatisfied | null): RunReport {
    const { plan } = this.#file
    const { dataDir } = this.#options
    const cut = this.#runtime.recovery.cut ?? null
    return reportOf({ plan: plan.name, session: this.#session.id, dataDir, cut, tools, obligation })
  }

  #emit(event: RunEvent): void {
    this.#options.onEvent?.(event)
  }
}
