import { createHash } from 'node:crypto'
import { spellUuid } from './base/ids.js'
import type { SessionDirectory } from './operations/index.js'
import type { WakeHandler } from './processes/index.js'
import type { OperationId } from '../machines/operation-vocabulary.js'

/**
 * Wakes a session of this runtime. The event of the process becomes a completed background operation in the session, so
 * its completions, turns and idle wake treat it like any other. The operation id is derived from the wake, so a wake
 * that is delivered twice creates one operation. A wake for a session that does not exist is kept.
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

/** Derives the operation id from the wake: a UUID of version 8, made from the hash of the wake's id. */
function operationOf(wakeId: string): OperationId {
  const bytes = createHash('sha256').update(wakeId).digest().subarray(0, 16)
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  return spellUuid(bytes) as OperationId
}
