import { messageOf, unreachable } from '../base/errors.js'
import { isUnfinished, resultOfEarlier, type EarlierRun } from './earlier-runs.js'
import { expandTool, isWanted } from './expand-tool.js'
import { orderByNeeds } from './needs.js'
import type { PlannedTool } from './plan.js'
import type { LoadedPlan } from './loaded-plan.js'
import { resultWithoutRun, type ToolResult } from './run-report.js'
import { TemplateError } from './template.js'
import { definitionOf } from './tool-label.js'
import type { ToolOutputs } from './tool-outputs.js'

/** What a run does with the results of earlier runs. */
export interface RerunOptions {
  /** Runs tools again that were lost or interrupted. */
  readonly resume?: boolean
  /** Runs tools again that ended differently from what the plan expects. */
  readonly retryFailed?: boolean
}

/** A tool that can be started now. */
export interface ReadyTool {
  /** With references replaced by values. */
  readonly tool: PlannedTool
  /** The attempt, from 1. */
  readonly attempt: number
}

interface Settled {
  readonly result: ToolResult
  /** True if it differs from what earlier runs left: the tools that need it are decided anew. */
  readonly isNew: boolean
  /** Position of an earlier end in the order of all ends; 0 if there is none. */
  readonly seq: number
}

type Decision =
  /** A tool that it needs has not ended yet. */
  | { readonly type: 'wait' }
  | { readonly type: 'start'; readonly ready: ReadyTool }
  | { readonly type: 'settle'; readonly settled: Settled }

/**
 * Decides what happens to each tool of a plan as the tools it needs end. An earlier end of a tool is kept as long as
 * its definition is the same and nothing that it needs has ended after it.
 */
export class Schedule {
  readonly #file: LoadedPlan
  readonly #earlier: ReadonlyMap<string, EarlierRun>
  readonly #options: RerunOptions
  readonly #settled = new Map<string, Settled>()
  readonly #outputs = new Map<string, ToolOutputs>()
  /** Tools that have neither a result nor been started, each after the tools it needs. */
  #open: readonly PlannedTool[]
  /** Open tools that are ready to start. */
  readonly #ready = new Map<string, ReadyTool>()

  constructor(file: LoadedPlan, earlier: ReadonlyMap<string, EarlierRun>, options: RerunOptions) {
    this.#file = file
    this.#earlier = earlier
    this.#options = options
    this.#open = orderByNeeds(file.plan.tools).ordered
  }

  /** True if nothing may be started, because tools were left unfinished and `resume` was not given. */
  get isBlocked(): boolean {
    return this.#options.resume !== true && [...this.#earlier.values()].some(isUnfinished)
  }

  /** Tools that have neither a result nor been started, in the order in which they will be. */
  get open(): readonly PlannedTool[] {
    return this.#open
  }

  /** The final result of a tool, once it is known. */
  resultOf(name: string): ToolResult | undefined {
    return this.#settled.get(name)?.result
  }

  /** The current result of a tool, final or not. */
  resultSoFar(name: string): ToolResult {
    const result = this.resultOf(name) ?? resultWithoutRun(name, 'not_started', 'was not started')
    return result.status === 'not_started' ? this.#unlessUnfinished(result) : result
  }

  /** What earlier runs left of a tool. */
  earlier(name: string): EarlierRun {
    return this.#earlier.get(name) ?? { type: 'none' }
  }

  /** Decides everything that can be decided without running a tool, and returns the results. */
  settleOpen(): ToolResult[] {
    const results: ToolResult[] = []
    const open: PlannedTool[] = []
    for (const tool of this.#open) {
      const decision: Decision = this.#ready.has(tool.name) ? { type: 'wait' } : this.#decide(tool)
      if (decision.type === 'settle') results.push(this.#settle(tool.name, decision.settled))
      else open.push(tool)
      if (decision.type === 'start') this.#ready.set(tool.name, decision.ready)
    }
    this.#open = open
    return results
  }

  /** The next tool to start; it then counts as started. */
  takeReady(): ReadyTool | undefined {
    const next = this.#open.find(({ name }) => this.#ready.has(name))
    if (next === undefined) return undefined
    const ready = this.#ready.get(next.name)
    this.#ready.delete(next.name)
    this.#open = this.#open.filter((tool) => tool !== next)
    return ready
  }

  /** Records the result of a tool that was started. */
  ended(result: ToolResult): void {
    this.#settle(result.name, { result, isNew: true, seq: 0 })
  }

  #settle(name: string, settled: Settled): ToolResult {
    const { result } = settled
    this.#settled.set(name, settled)
    if (result.process !== null) this.#outputs.set(name, result.process.outputs)
    return result
  }

  #decide(tool: PlannedTool): Decision {
    const needs = tool.needs.flatMap((name) => this.#settled.get(name) ?? [])
    if (needs.length < tool.needs.length) return { type: 'wait' }
    const isNew = needs.some((need) => need.isNew)
    const settle = (result: ToolResult): Decision => ({ type: 'settle', settled: { result, isNew, seq: 0 } })
    try {
      const obstacle = obstacleOf(tool, needs) ?? this.#unwanted(tool)
      if (obstacle !== undefined) return settle(this.#unlessUnfinished(obstacle))
      const expanded = expandTool(tool, this.#file, this.#outputs)
      return this.#decideStart(expanded, needs)
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error
      return settle(this.#unlessUnfinished(resultWithoutRun(tool.name, 'unexpected', messageOf(error))))
    }
  }

  #unwanted(tool: PlannedTool): ToolResult | undefined {
    if (isWanted(tool, this.#file, this.#outputs)) return undefined
    return resultWithoutRun(tool.name, 'skipped', `if: ${tool.if} does not hold`)
  }

  /** A tool that was left unfinished stays so until it is run again. */
  #unlessUnfinished(result: ToolResult): ToolResult {
    const earlier = this.earlier(result.name)
    return isUnfinished(earlier) ? resultOfEarlier(result.name, earlier) : result
  }

  #decideStart(tool: PlannedTool, needs: readonly Settled[]): Decision {
    const start = (attempt: number): Decision => ({ type: 'start', ready: { tool, attempt } })
    const earlier = this.earlier(tool.name)
    if (earlier.type !== 'ended' || earlier.definition !== definitionOf(tool)) return start(1)
    const isOutdated = needs.some(({ isNew, seq }) => isNew || seq > earlier.seq)
    if (isOutdated) return start(1)
    if (earlier.outcome.type === 'failed') {
      if (this.#options.retryFailed === true) return start(1)
      // The run was killed, or stopped, before it could retry.
      if (earlier.attempt <= tool.retries) return start(earlier.attempt + 1)
    }
    const result = resultOfEarlier(tool.name, earlier)
    return { type: 'settle', settled: { result, isNew: false, seq: earlier.seq } }
  }
}

/** Why the tool is not run, given the results of the tools it needs. */
function obstacleOf({ name, after }: PlannedTool, needs: readonly Settled[]): ToolResult | undefined {
  const failed = needs.find(({ result }) => !hasPassed(result))?.result
  switch (after) {
    case 'always':
      return undefined
    case 'failure':
      return failed === undefined ? resultWithoutRun(name, 'skipped', 'nothing that it needs has failed') : undefined
    case 'success':
      if (failed === undefined) return undefined
      return resultWithoutRun(name, 'not_started', `needs ${failed.name}, which ${failureOf(failed)}`)
    default:
      return unreachable(after, 'policy')
  }
}

/** A skipped tool counts as done: it holds up no others. */
function hasPassed({ status }: ToolResult): boolean {
  return status === 'as_expected' || status === 'skipped'
}

function failureOf({ status }: ToolResult): string {
  switch (status) {
    case 'unexpected':
      return 'failed'
    case 'interrupted':
      return 'was interrupted'
    case 'lost':
      return 'is lost'
    default:
      return 'was not started'
  }
}
