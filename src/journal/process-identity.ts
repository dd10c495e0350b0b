import { isPidInUse, readBootId, readProcessStatus } from '../base/process-status.js'

/** What tells a process from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number
  /** When it started, in clock ticks since boot; missing where the system does not tell. */
  readonly startTime?: string | undefined
  /** Which boot of the machine it belongs to; missing where the system does not tell. */
  readonly bootId?: string | undefined
}

/** The identity of this process. */
export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, startTime: readProcessStatus(process.pid)?.startTime, bootId: readBootId() }
}

/**
 * True unless the process has surely ended: its number is gone or belongs to another process, or the machine was
 * started anew. A killed process that its parent has not collected yet has ended once its last thread has.
 */
export function isRunning({ pid, startTime, bootId }: ProcessIdentity): boolean {
  if (bootId !== undefined && differs(readBootId(), bootId)) return false
  if (!isPidInUse(pid)) return false
  const status = readProcessStatus(pid)
  if (status === undefined) return true
  if (startTime !== undefined && differs(status.startTime, startTime)) return false
  return !status.hasEnded
}

function differs(known: string | undefined, expected: string): boolean {
  return known !== undefined && known !== expected
}
