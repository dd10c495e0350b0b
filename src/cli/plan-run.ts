import type { OperationId, WaitAllSatisfied } from '../../machines/operation-vocabulary.js'
import type { ProcessRecords } from '../work/children/process-records.js'
import { defaultGraceMs } from '../work/children/child-process.js'
import { onAbort } from '../base/abort.js'
import { systemClock } from '../base/clock.js'
import { DeadlineQueue, type Deadline } from '../base/deadline-queue.js'
import { StatewardError, toError } from '../base/errors.js'
import { createUuidSource } from '../base/ids.js'
import { abortable, silence } from '../base/promises.js'
import type { WorkContext } from '../operations/execution.js'
import type { Runtime } from '../runtime.js'
import type { Session } from '../operations/session.js'
import { earlierRuns, isUnfinished, resultOfEarlier, type EarlierRun } from './earlier-runs.js'
import type { PlanFile } from './plan-file.js'
import type { PlannedTool } from './plan.js'
import type { RunEvent } from './run-events.js'
import type { RunPlanOptions } from './run-plan-options.js'
import { reportOf, resultOf, type RunReport, type ToolProcessSummary, type ToolResult } from './run-report.js'
import { runTool, ToolInterruptedError, type ToolSurroundings } from './run-tool.js'
import { labelOf } from './tool-label.js'

/** Ended tools a session remembers; more than a plan can have, so that a finished one is never taken for new. */
const maxCompleted = 65_536

/** One run of a plan on an open runtime: what earlier runs left, what is started now, how all of it ends. */
export class PlanRun {
  readonly #file: PlanFile
  readonly #runtime: Runtime
  readonly #options: RunPlanOptions
  readonly #deadlines: DeadlineQueue
  readonly #surroundings: ToolSurroundings
  /** The operations that tell how tools ended, of this run or an earlier one. */
  readonly #operations = new Map<string, OperationId>()
  readonly #launched = new Map<string, OperationId>()
  readonly #summaries = new Map<string, ToolProcessSummary>()
  /** Settle when the operation has ended and its process too. */
  readonly #running = new Map<string, Promise<void>>()
  readonly #broken = new AbortController()
  #earlier: ReadonlyMap<string, EarlierRun> = new Map()

  constructor(file: PlanFile, runtime: Runtime, records: ProcessRecords, options: RunPlanOptions) {
    const { clock = systemClock, graceMs = defaultGraceMs } = options
    this.#file = file
    this.#runtime = runtime
    this.#options = options
    this.#deadlines = new DeadlineQueue(clock)
    this.#surroundings = {
      home: file.home,
      env: process.env,
      clock,
      deadlines: this.#deadlines,
      graceMs,
      records,
      flush: () => this.#session.flush(),
      onEnd: ({ name }, summary) => this.#summaries.set(name, summary),
    }
  }

  /** Goes on where earlier runs have stopped and waits for the end of everything begun. */
  async toEnd(): Promise<RunReport> {
    const { plan } = this.#file
    const { resume = false, fresh = false, dataDir } = this.#options
    await this.#reap()
    if (fresh) await this.#runtime.deleteSession(this.#session.id, 'started over')
    this.#earlier = earlierRuns(this.#session, plan.tools)
    const isBlocked = !resume && [...this.#earlier.values()].some(isUnfinished)
    const toRun = isBlocked ? [] : plan.tools.filter(({ name }) => this.#isToRun(name))
    const left = plan.tools.filter((tool) => !toRun.includes(tool))
    for (const { name } of left) this.#adopt(name)
    const before = left.map(({ name }) => this.#earlierResult(name))
    this.#emit({ type: 'opened', plan: plan.name, dataDir, toRun: toRun.length, concurrency: plan.concurrency, before })
    if (isBlocked) return this.#report(before, null)

    const disobey = this.#obeySignals()
    try {
      await this.#launchAll(toRun)
      return await this.#waitForAll()
    } finally {
      disobey()
    }
  }

  /** Leaves no operation, process or timer behind. */
  async close(): Promise<void> {
    try {
      await this.#runtime.close({ policy: 'terminate', reason: 'the run broke off' })
    } finally {
      await Promise.all(this.#running.values())
      this.#deadlines[Symbol.dispose]()
    }
  }

  get #session(): Session {
    return this.#runtime.session(`plan:${this.#file.plan.name}`, { maxCompleted })
  }

  /** The journal's lock is held by now: whatever is recorded was left by a run that has been killed. */
  async #reap(): Promise<void> {
    const { records, clock } = this.#surroundings
    const names = new Map<string, string>(this.#session.lost.map(({ id, displayName }) => [id, displayName]))
    for (const { operationId, killed, leftPids } of await records.reap(clock)) {
      this.#emit({ type: 'reaped', tool: names.get(operationId) ?? operationId, killed, leftPids })
    }
  }

  #isToRun(name: string): boolean {
    const earlier = this.#earlier.get(name)
    if (earlier?.type !== 'ended') return true
    return this.#options.retryFailed === true && earlier.outcome.type === 'failed'
  }

  /** Lets the end in an earlier run stand for the tool. */
  #adopt(name: string): void {
    const earlier = this.#earlier.get(name)
    if (earlier?.type === 'ended') this.#operations.set(name, earlier.operationId)
  }

  #earlierResult(name: string): ToolResult {
    return resultOfEarlier(name, this.#earlier.get(name) ?? { type: 'none' })
  }

  async #launchAll(tools: readonly PlannedTool[]): Promise<void> {
    for (const tool of tools) {
      while (this.#running.size >= this.#file.plan.concurrency) await this.#waitForOne()
      if (this.#options.retire?.aborted === true) return
      this.#launch(tool)
    }
  }

  async #waitForOne(): Promise<void> {
    await abortable(Promise.race(this.#running.values()), this.#broken.signal)
  }

  #launch(tool: PlannedTool): void {
    const { name } = tool
    let task: Promise<unknown> = Promise.resolve()
    const { id, outcome } = this.#session.run(
      { kind: 'background_tool_op', displayName: name, sourceLabel: labelOf(tool) },
      (context) => {
        task = silence(this.#execute(tool, context))
        return task
      },
    )
    // After the new attempt is on record, so that no moment knows of neither.
    const earlier = this.#earlier.get(name)
    if (earlier?.type === 'lost') this.#session.forgetLost(earlier.operationIds)
    this.#operations.set(name, id)
    this.#launched.set(name, id)
    this.#emit({ type: 'started', tool: name, operationId: id })
    const ended = outcome
      .then((end) => this.#emit({ type: 'ended', result: resultOf(name, 'now', id, end, this.#summaries.get(name)) }))
      .catch((failure: unknown) => this.#broken.abort(toError(failure)))
      .then(() => task)
      .then(ignore, ignore)
      .finally(() => this.#running.delete(name))
    this.#running.set(name, ended)
  }

  async #execute(tool: PlannedTool, context: WorkContext): Promise<unknown> {
    const { name } = tool
    const progress: WorkContext['progress'] = (message, percent) => {
      context.progress(message, percent)
      this.#emit({ type: 'progress', tool: name, message, ...(percent !== undefined && { percent }) })
    }
    try {
      return await runTool(tool, { ...context, progress }, this.#surroundings)
    } catch (error) {
      // What was asked to wind down and did has not failed: it has retired.
      if (error instanceof ToolInterruptedError) await this.#session.operations.markRetired(context.id)
      throw error
    }
  }

  /** Stops the run when asked to; the returned function ends that. */
  #obeySignals(): () => void {
    const { retire, terminate } = this.#options
    const { deadlines, graceMs } = this.#surroundings
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
    const id = this.#launched.get(name)
    if (id === undefined) return
    this.#session.operations.requestRetire(id).catch((refusal: unknown) => {
      // It has just ended, which is what it would have been asked for.
      if (!StatewardError.is(refusal, 'invalid_transition')) this.#broken.abort(refusal)
    })
  }

  async #waitForAll(): Promise<RunReport> {
    const { tools } = this.#file.plan
    const names = tools.map(({ name }) => name).filter((name) => this.#operations.has(name))
    const ids = names.flatMap((name) => this.#operations.get(name) ?? [])
    const turnId = createUuidSource({ now: () => this.#surroundings.clock.wallNow() }).uuid()
    const { outcomes, satisfied } = await this.#session.waitAll(turnId, ids, { signal: this.#broken.signal })
    await Promise.all(this.#running.values())
    const waited = new Map(outcomes.map(({ operationId, outcome }) => [operationId, outcome]))
    const results = tools.map(({ name }) => {
      const id = this.#operations.get(name)
      const outcome = id === undefined ? undefined : waited.get(id)
      if (id === undefined || outcome === undefined) return this.#earlierResult(name)
      return resultOf(name, this.#launched.has(name) ? 'now' : 'before', id, outcome, this.#summaries.get(name))
    })
    return this.#report(results, satisfied)
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

function ignore(): void {}
