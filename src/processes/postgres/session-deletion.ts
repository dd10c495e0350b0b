import type { Transaction } from '../../postgres/index.js'
import type { SessionDeleteReport } from '../grant.js'
import type { Statements } from './statements.js'

/** Removes every handle and wake target of a session, in one transaction. */
export async function deleteSession(
  transaction: Transaction,
  statements: Statements,
  sessionId: string,
): Promise<SessionDeleteReport> {
  const locked = (await transaction.query(statements.lockSession, [sessionId])).rows
  const running = new Set(locked.filter(({ status }) => status === 'running').map(idOf))
  const removed = (await transaction.query(statements.removeSessionGrants, [sessionId])).rows
  const affected = [...new Set(removed.map(idOf))].filter((id) => running.has(id)).sort()
  const granted = new Set((await transaction.query(statements.stillGranted, [affected])).rows.map(idOf))
  await transaction.query(statements.clearWakeTargets, [sessionId])
  return {
    sessionId,
    revokedHandleCount: removed.length,
    deletedWakeCount: 0,
    orphanedProcessIds: affected.filter((id) => !granted.has(id)),
    preservedProcessIds: affected.filter((id) => granted.has(id)),
  }
}

function idOf(row: Readonly<Record<string, unknown>>): string {
  return row['process_id'] as string
}
