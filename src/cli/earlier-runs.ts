import type { OperationId, OperationOutcome } from '../../machines/operation-vocabulary.js'
import { unreachable } from '../base/errors.js'
import type { Session } from '../operations/session.js'
import type { PlannedTool } from './plan.js'
import { resultOf, type ToolResult } from './run-report.js'
import { definitionOf, parseLabel, type ToolLabel } from './tool-label.js'

/** What earlier runs of a plan left of one of its tools. */
export type EarlierRun =
  /** No run has begun it, or it was another tool then: its definition has changed since it ended. */
  | { readonly type: 'none' }
  /** It has ended by itself. */
  | { readonly type: 'ended'; readonly operationId: OperationId; readonly outcome: OperationOutcome }
  /** It was ended before it could finish. Counts whatever its definition was, for it may have left things half done. */
  | { readonly type: 'interrupted'; readonly operationId: OperationId; readonly outcome: OperationOutcome }
  /** The process that ran it was killed: how far it came is not known. */
  | { readonly type: 'lost'; readonly operationIds: readonly OperationId[] }

/** True when the tool was begun and did not come to an end of its own: only `--resume` begins it again. */
export function isUnfinished({ type }: EarlierRun): boolean {
  return type === 'lost' || type === 'interrupted'
}

/** What is reported of a tool that is not begun again. */
export function resultOfEarlier(name: string, earlier: EarlierRun): ToolResult {
  switch (earlier.type) {
    case 'none':
      return { name, status: 'not_started', begun: null, operationId: null, reason: 'was not started', process: null }
    case 'lost': {
      const operationId = earlier.operationIds.at(-1) ?? null
      return { name, status: 'lost', begun: 'before', operationId, reason: 'its run was killed', process: null }
    }
    case 'interrupted':
    case 'ended':
      return resultOf(name, 'before', earlier.operationId, earlier.outcome)
    default:
      return unreachable(earlier, 'earlier run')
  }
}

interface Ended {
  readonly label: ToolLabel
  readonly operationId: OperationId
  readonly outcome: OperationOutcome
}

/** Reads a recovered session: for each tool of the plan, what the last run that began it left behind. */
export function earlierRuns(session: Session, tools: readonly PlannedTool[]): ReadonlyMap<string, EarlierRun> {
  const lost = lostByName(session)
  const ended = lastEndByName(session)
  return new Map(tools.map((tool) => [tool.name, earlierRun(tool, lost.get(tool.name), ended.get(tool.name))]))
}

function earlierRun(tool: PlannedTool, lost: readonly OperationId[] | undefined, end: Ended | undefined): EarlierRun {
  if (lost !== undefined) return { type: 'lost', operationIds: lost }
  if (end === undefined) return { type: 'none' }
  const { operationId, outcome, label } = end
  if (outcome.type !== 'completed' && outcome.type !== 'failed') return { type: 'interrupted', operationId, outcome }
  return label.definition === definitionOf(tool) ? { type: 'ended', operationId, outcome } : { type: 'none' }
}

function lostByName({ lost }: Session): ReadonlyMap<string, readonly OperationId[]> {
  const byName = new Map<string, OperationId[]>()
  for (const { id, sourceLabel } of lost) {
    const name = parseLabel(sourceLabel)?.name
    if (name !== undefined) byName.set(name, [...(byName.get(name) ?? []), id])
  }
  return byName
}

/** The order of completions is the feed's: times and ids depend on a clock that may have been set back. */
function lastEndByName({ feed, operations }: Session): ReadonlyMap<string, Ended> {
  const byName = new Map<string, Ended>()
  for (const { operationId, outcome } of feed.since(0).entries) {
    const snapshot = operations.snapshot(operationId)
    const label = snapshot === undefined ? undefined : parseLabel(snapshot.sourceLabel)
    if (label !== undefined) byName.set(label.name, { label, operationId, outcome })
  }
  return byName
}
