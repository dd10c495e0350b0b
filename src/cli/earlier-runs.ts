import type { OperationId, OperationOutcome } from '../../machines/operation-vocabulary.js'
import { unreachable } from '../base/errors.js'
import type { ReadableSession } from '../directory-state.js'
import type { PlannedTool } from './plan.js'
import { resultOf, resultWithoutRun, type ToolResult } from './run-report.js'
import { parseLabel, type ToolLabel } from './tool-label.js'

/** What earlier runs of a plan left of one of its tools, whatever its definition was then. */
export type EarlierRun =
  /** No run has started it. */
  | { readonly type: 'none' }
  /** It ended by itself. */
  | EarlierEnd<'ended'>
  /** It was stopped before it could finish, and may have left work half done. */
  | EarlierEnd<'interrupted'>
  /** The process that ran it was killed: how far it got is unknown. */
  | { readonly type: 'lost'; readonly operationIds: readonly OperationId[] }

/** How the last run of a tool ended. */
export interface EarlierEnd<Type extends 'ended' | 'interrupted'> extends Omit<ToolLabel, 'name'> {
  readonly type: Type
  readonly operationId: OperationId
  readonly outcome: OperationOutcome
  /** Position in the order of all ends. */
  readonly seq: number
}

/** True when the tool was started and did not end by itself: only `--resume` starts it again. */
export function isUnfinished({ type }: EarlierRun): boolean {
  return type === 'lost' || type === 'interrupted'
}

/** The reported result of a tool that is not started again. */
export function resultOfEarlier(name: string, earlier: EarlierRun): ToolResult {
  switch (earlier.type) {
    case 'none':
      return resultWithoutRun(name, 'not_started', 'was not started')
    case 'lost': {
      const operationId = earlier.operationIds.at(-1) ?? null
      return {
        ...resultWithoutRun(name, 'not_started', 'its run was killed'),
        status: 'lost',
        begun: 'before',
        operationId,
      }
    }
    case 'interrupted':
    case 'ended': {
      const { operationId, attempt, outcome } = earlier
      return resultOf({ name, begun: 'before', operationId, attempt }, outcome)
    }
    default:
      return unreachable(earlier, 'earlier run')
  }
}

/** Reads a recovered session: for each tool of the plan, what the last run that started it left behind. */
export function earlierRuns(session: ReadableSession, tools: readonly PlannedTool[]): ReadonlyMap<string, EarlierRun> {
  const ended = lastEnds(session)
  const lost = lostByName(session)
  const earlierRun = (name: string): EarlierRun => {
    const operationIds = lost.get(name)
    return operationIds === undefined ? (ended.get(name) ?? { type: 'none' }) : { type: 'lost', operationIds }
  }
  return new Map(tools.map(({ name }) => [name, earlierRun(name)]))
}

function lostByName({ lost }: ReadableSession): ReadonlyMap<string, readonly OperationId[]> {
  const byName = new Map<string, OperationId[]>()
  for (const { id, sourceLabel } of lost) {
    const name = parseLabel(sourceLabel)?.name
    if (name !== undefined) byName.set(name, [...(byName.get(name) ?? []), id])
  }
  return byName
}

/** Uses the order of the feed: times and ids depend on a clock that may have been set back. */
function lastEnds({ feed, operations }: ReadableSession): ReadonlyMap<string, EarlierRun> {
  const byName = new Map<string, EarlierRun>()
  for (const { operationId, outcome, seq } of feed.since(0).entries) {
    const snapshot = operations.snapshot(operationId)
    const label = snapshot === undefined ? undefined : parseLabel(snapshot.sourceLabel)
    if (label === undefined) continue
    const { name, ...made } = label
    const type = outcome.type === 'completed' || outcome.type === 'failed' ? 'ended' : 'interrupted'
    byName.set(name, { type, ...made, operationId, outcome, seq })
  }
  return byName
}
