import type { EndEvent } from '../../machines/operation-registry.js'
import { isTerminal, type OperationId } from '../../machines/operation-vocabulary.js'
import { outcomes } from './outcomes.js'
import { checkKey, readStatus } from './operation-row.js'
import type { OperationRecords } from './records.js'

/** Maximum size of a group of terminations in one journal append, in bytes; well below the limit. */
const groupBytes = 4 * 2 ** 20

/** Upper bound for the size of a journalled end without its reason. */
const bytesPerEnd = 512

/**
 * The ends of all live operations, in creation order (O-61), in groups that fit one journal append each. Operations
 * whose end is in progress are left out. Raises `invalid_input` for an invalid reason and `internal` for corrupt facts.
 */
export function terminations(records: OperationRecords, reason: string): EndEvent[][] {
  const outcome = outcomes.terminated(reason)
  return inTerminationGroups(liveIds(records), reason).map((ids) =>
    ids.map((id) => ({ type: 'operation.terminate', id, outcome })),
  )
}

/** Splits operations that end for this reason into groups that fit one journal append each. */
export function inTerminationGroups(ids: readonly OperationId[], reason: string): OperationId[][] {
  const perGroup = Math.max(1, Math.floor(groupBytes / (bytesPerEnd + 3 * reason.length)))
  const groups: OperationId[][] = []
  for (let next = 0; next < ids.length; next += perGroup) groups.push(ids.slice(next, next + perGroup))
  return groups
}

function liveIds(records: OperationRecords): OperationId[] {
  const ids: OperationId[] = []
  for (const [key, row] of records.rows) {
    const id = checkKey(key)
    if (isTerminal(readStatus(id, row)) || !records.isLive(id)) continue
    ids.push(id)
  }
  return ids.toSorted()
}
