import { hostname } from 'node:os'
import { isPidInUse, readBootId, readPidNamespace, readProcessStatus } from '../base/process-status.js'

/** Identifies a process uniquely, across machines. */
export interface ProcessIdentity {
  readonly pid: number
  /** Name of its machine or container. */
  readonly host: string
  /** When it started, in clock ticks since boot; missing if the system does not report it. */
  readonly startTime?: string | undefined
  /** The id of its machine's current boot; missing if the system does not report it. */
  readonly bootId?: string | undefined
  /** The namespace of its pid; missing if the system does not report it. */
  readonly pidNamespace?: string | undefined
}

/** `unknown`: this process cannot tell whether the other one runs. */
export type ProcessStanding = 'running' | 'ended' | 'unknown'

/** Limits the host name, so that an identity always fits a lock file. */
const maxHostLength = 64

/** The identity of this process. */
export function ownIdentity(): ProcessIdentity {
  return {
    pid: process.pid,
    host: hostname().slice(0, maxHostLength),
    startTime: readProcessStatus(process.pid)?.startTime,
    bootId: readBootId(),
    pidNamespace: readPidNamespace(),
  }
}

/**
 * Whether a process runs. It has `ended` if its pid is free or belongs to another process, or if its machine has
 * rebooted. For a process of another machine or pid namespace the answer is `unknown`.
 */
export function standingOf({ pid, host, startTime, bootId, pidNamespace }: ProcessIdentity): ProcessStanding {
  const own = ownIdentity()
  if (bootId !== own.bootId) {
    // Two boots of one machine. Boots of two machines cannot be compared.
    return bootId !== undefined && own.bootId !== undefined && host === own.host ? 'ended' : 'unknown'
  }
  if (pidNamespace !== own.pidNamespace) return 'unknown'
  // A system that reports its boot id reports its namespaces as well. For a system that reports neither, compare host
  // names.
  const isNeighbour = bootId === undefined ? host === own.host : pidNamespace !== undefined
  if (!isNeighbour) return 'unknown'
  return isRunning(pid, startTime) ? 'running' : 'ended'
}

/** A killed process that its parent has not collected has ended once its last thread has. */
function isRunning(pid: number, startTime: string | undefined): boolean {
  if (!isPidInUse(pid)) return false
  const status = readProcessStatus(pid)
  if (status === undefined) return true
  if (startTime !== undefined && status.startTime !== startTime) return false
  return !status.hasEnded
}
