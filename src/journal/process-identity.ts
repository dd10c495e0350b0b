import { hostname } from 'node:os'
import { isPidInUse, readBootId, readPidNamespace, readProcessStatus } from '../base/process-status.js'

/** What tells a process from every other one, on this machine and elsewhere. */
export interface ProcessIdentity {
  readonly pid: number
  /** Name of its machine or container. */
  readonly host: string
  /** When it started, in clock ticks since boot; missing where the system does not tell. */
  readonly startTime?: string | undefined
  /** Which boot of which machine it belongs to; missing where the system does not tell. */
  readonly bootId?: string | undefined
  /** Where its pid means something; missing where the system does not tell. */
  readonly pidNamespace?: string | undefined
}

/** `unknown`: nothing here tells whether the process runs. */
export type ProcessStanding = 'running' | 'ended' | 'unknown'

/** So that an identity always fits a lock file. */
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
 * Whether a process runs. It has `ended` when its number is gone or belongs to another process, or its machine was
 * started anew. Of a process of another machine or in another pid namespace nothing can be told.
 */
export function standingOf({ pid, host, startTime, bootId, pidNamespace }: ProcessIdentity): ProcessStanding {
  const own = ownIdentity()
  if (bootId !== own.bootId) {
    // Two boots of one machine; those of two machines say nothing about each other.
    return bootId !== undefined && own.bootId !== undefined && host === own.host ? 'ended' : 'unknown'
  }
  if (pidNamespace !== own.pidNamespace) return 'unknown'
  // A system that tells its boot tells its namespaces too; one that tells neither has only a name.
  const isNeighbour = bootId === undefined ? host === own.host : pidNamespace !== undefined
  if (!isNeighbour) return 'unknown'
  return isRunning(pid, startTime) ? 'running' : 'ended'
}

/** A killed process that its parent has not collected yet has ended once its last thread has. */
function isRunning(pid: number, startTime: string | undefined): boolean {
  if (!isPidInUse(pid)) return false
  const status = readProcessStatus(pid)
  if (status === undefined) return true
  if (startTime !== undefined && status.startTime !== startTime) return false
  return !status.hasEnded
}
