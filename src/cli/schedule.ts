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

/** What a run does with what earlier runs have left. */
export interface RerunOptions {
  /** Runs tools again that were lost or interrupted. */
  readonly resume?: boolean
  /** Runs tools again that had ended differently from what the plan expects. */
  readonly retryFailed?: boolean
}

/** A tool that can be started now. */
export interface ReadyTool {
  /** Expanded. */
  readonly tool: PlannedTool
  /** Which attempt this is, from 1. */
  readonly attempt: number
}

interface Settled {
  readonly result: ToolResult
  /** It differs from what earlier runs have left: whatever needs it is decided anew. */
  readonly isNew: boolean
  /** Place of an earlier end in the order of all ends; 0 without one. */
  readonly seq: number
}

type Decision =
  /** Something that it needs has not ended yet. */
  | { readonly type: 'wait' }
  | { readonly type: 'start'; readonly ready: ReadyTool }
  | { readonly type: 'settle'; readonly settled: Settled }

/**
 * What becomes of the tools of a plan, decided one after another as those end that they need. An earlier end of a tool
 * stands as long as its definition is the same and nothing that it needs has ended after it.
 */
export class Schedule {
  readonly #file: LoadedPlan
  readonly #earlier: ReadonlyMap<string, EarlierRun>
  readonly #options: RerunOptions
  readonly #settled = new Map<string, Settled>()
  readonly #outputs = new Map<string, ToolOutputs>()
  /** Tools that are neither settled nor started; what is needed comes before what needs it. */
  #open: readonly PlannedTool[]
  /** Open tools that wait for nothing any more. */
  readonly #ready = new Map<string, ReadyTool>()

  constructor(file: LoadedPlan, earlier: ReadonlyMap<string, EarlierRun>, options: RerunOptions) {
    this.#file = file
    this.#earlier = earlier
    this.#options = options
    this.#open = orderByNeeds(file.plan.tools).ordered
  }

  /** Whether nothing may be started, because something was left half done and nobody has said to go on. */
  get isBlocked(): boolean {
    return this.#options.resume !== true && [...this.#earlier.values()].some(isUnfinished)
  }

  /** Tools that are neither settled nor started, in the order in which they are going to be. */
  get open(): readonly PlannedTool[] {
    return this.#open
  }

  /** What became of the tool, once that is known. */
  resultOf(name: string): ToolResult | undefined {
    return this.#settled.get(name)?.result
  }

  /** What can be said of the tool now, settled or not. */
  resultSoFar(name: string): ToolResult {
    const result = this.resultOf(name) ?? resultWithoutRun(name, 'not_started', 'was not started')
    return result.status === 'not_started' ? this.#unlessUnfinished(result) : result
  }

  /** What earlier runs have left of the tool. */
  earlier(name: string): EarlierRun {
    return this.#earlier.get(name) ?? { type: 'none' }
  }

  /** Settles what can be settled without running anything, and returns what became of that. */
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

  /** The next tool to start; it counts as started then. */
  takeReady(): ReadyTool | undefined {
    const next = this.#open.find(({ name }) => this.#ready.has(name))
    if (next === undefined) return undefined
    const ready = this.#ready.get(next.name)
    this.#ready.delete(next.name)
    this.#open = this.#open.filter((tool) => tool !== next)
    return ready
  }

  /** Says how a tool ended that was started. */
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

  /** What was left half done stays so until it is run again. */
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
      // The run was killed, or stopped, before it could try again.
      if (earlier.attempt <= tool.retries) return start(earlier.attempt + 1)
    }
    const result = resultOfEarlier(tool.name, earlier)
    return { type: 'settle', settled: { result, isNew: false, seq: earlier.seq } }
  }
}

/** Why the tool is not run, given what became of those that it needs. */
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

/** Skipped is as good as done: what a plan leaves out holds nothing up. */
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
