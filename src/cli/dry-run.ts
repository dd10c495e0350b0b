import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readDirectory } from '../directory-state.js'
import { earlierRuns, type EarlierRun } from './earlier-runs.js'
import { layoutFor, row } from './layout.js'
import type { Paint } from './paint.js'
import type { PlannedTool } from './plan.js'
import type { LoadedPlan } from './loaded-plan.js'
import { resultLines } from './report-text.js'
import type { ToolResult } from './run-report.js'
import { Schedule, type RerunOptions } from './schedule.js'
import { sessionNameOf } from './session-name.js'
import { count, plain, wrap } from './text.js'

/** Options of a dry run. */
export interface DryRunOptions extends RerunOptions {
  readonly dataDir: string
  /** Ignores all earlier runs of the plan. */
  readonly fresh?: boolean
}

/** What a run would do with one tool. */
export interface DryRunTool {
  readonly name: string
  /**
   * `run`: it would be started, depending on how the tools it needs end; `leave`: it would not be started, for the
   * reason in `result`.
   */
  readonly action: 'run' | 'leave'
  /** As written in the plan. */
  readonly command: string
  readonly args: readonly string[]
  readonly needs: readonly string[]
  /** The known result of a tool that is left. */
  readonly result: ToolResult | null
}

/** What a run would do, as `--dry-run --json` prints it. */
export interface DryRun {
  readonly plan: string
  readonly dataDir: string
  readonly concurrency: number
  /** True if nothing would be started because tools were lost or interrupted and `--resume` is missing. */
  readonly blocked: boolean
  /** True if another run is using the directory: tools reported as lost may be running. */
  readonly inUse: boolean
  /** In the order in which they would be started. */
  readonly tools: readonly DryRunTool[]
}

/**
 * Determines what a run would do, without doing it: reads the data directory without its lock, and does not create it.
 */
export async function dryRun(file: LoadedPlan, options: DryRunOptions): Promise<DryRun> {
  const { plan } = file
  const { dataDir } = options
  const { earlier, inUse } = await earlierRunsIn(file, options)
  const schedule = new Schedule(file, earlier, options)
  const inOrder = schedule.open
  schedule.settleOpen()
  const blocked = schedule.isBlocked
  const tools = inOrder.map((tool): DryRunTool => {
    const { name, command, args, needs } = tool
    const isRun = !blocked && schedule.open.includes(tool)
    const result = isRun ? null : schedule.resultSoFar(name)
    return { name, action: isRun ? 'run' : 'leave', command, args, needs, result }
  })
  return { plan: plan.name, dataDir, concurrency: plan.concurrency, blocked, inUse, tools }
}

async function earlierRunsIn(
  { plan }: LoadedPlan,
  { dataDir, fresh = false }: DryRunOptions,
): Promise<{ readonly earlier: ReadonlyMap<string, EarlierRun>; readonly inUse: boolean }> {
  const directory = join(dataDir, 'journal')
  if (!existsSync(directory)) return { earlier: new Map(), inUse: false }
  const { sessions, owner } = await readDirectory({ directory })
  const inUse = owner !== undefined && owner.standing !== 'ended'
  const session = fresh ? undefined : sessions.find(({ id }) => id === sessionNameOf(plan))
  return { earlier: session === undefined ? new Map() : earlierRuns(session, plan.tools), inUse }
}

/** The text of a dry run, for people. */
export function dryRunText(
  { plan, dataDir, concurrency, blocked, inUse, tools }: DryRun,
  columns: number,
  paint: Paint,
): string {
  const layout = layoutFor(
    tools.map(({ name }) => name),
    columns,
  )
  const toRun = tools.filter(({ action }) => action === 'run').length
  const head = `plan ${plan}: ${count(toRun, 'tool')} to run, ${concurrency} at once, data in ${plain(dataDir)}`
  const lines = wrap(head, columns)
  for (const tool of tools) {
    if (tool.result !== null) lines.push(...resultLines(tool.result, layout, paint))
    else lines.push(...row(layout, 'run', tool.name, callOf(tool)))
  }
  if (inUse) lines.push(...wrap('another run uses the data directory: what is lost here may be running there', columns))
  else if (blocked) lines.push(...wrap('tools did not finish: nothing is started without --resume or --fresh', columns))
  return lines.map((line) => `${line}\n`).join('')
}

function callOf({ command, args, needs }: Pick<PlannedTool, 'command' | 'args' | 'needs'>): string {
  const call = plain([command, ...args].map(quoted).join(' '))
  return needs.length === 0 ? call : `${call} (after ${needs.join(', ')})`
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
