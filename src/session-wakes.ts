import { createHash } from 'node:crypto'
import { spellUuid } from './base/ids.js'
import type { SessionDirectory } from './operations/index.js'
import type { WakeHandler } from './processes/index.js'
import type { OperationId } from '../machines/operation-vocabulary.js'

/**
 * Wakes a session of this runtime: what the process has said ends there as a background operation, so that the completions of
 * the session, its turns and its idle wake learn of it like of any other. The operation is known by the wake: one that
 * is delivered again is there already. A session that does not exist keeps its wakes.
 */
export function wakeInSession(sessions: SessionDirectory): WakeHandler {
  return async ({ targetSessionId, wakeId, processId, eventType, input }) => {
    const session = sessions.find(targetSessionId)
    if (session === undefined) return false
    const id = operationOf(wakeId)
    if (session.operations.snapshot(id)?.terminal === true) return true
    const displayName = `${processId}: ${eventType}`
    const request = { id, kind: 'background_tool_op', sourceLabel: 'process', displayName } as const
    await session.run(request, () => ({ processId, eventType, input })).outcome
    return true
  }
}

/** The same operation for the same wake: a UUID of version 8, made of the hash of its id. */
function operationOf(wakeId: string): OperationId {
  const bytes = createHash('sha256').update(wakeId).digest().subarray(0, 16)
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  return spellUuid(bytes) as OperationId
}
