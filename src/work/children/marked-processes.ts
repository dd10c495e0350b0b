import type { Clock } from '../../base/clock.js'
import {
  hasVariable,
  inputOf,
  listProcesses,
  readBootId,
  readProcessStatus,
  type ProcessStatus,
} from '../../base/process-status.js'

/**
 * A variable by which a process and everything that it starts are known, in whatever group or session: an environment is
 * inherited.
 */
export interface ProcessMark {
  readonly name: string
  readonly value: string
}

/** Which process it was: within one boot, pid and start time are never given twice. */
export interface ProcessIdentity {
  readonly pid: number
  readonly startTime: string
  readonly bootId: string
}

/** What to look for. */
export interface ProcessTraces {
  readonly mark: ProcessMark
  readonly recorded?: ProcessIdentity
  /** A file of their own that they were started to read from: its path without links. */
  readonly input?: string
}

/** What became of processes that were to end. */
export interface KilledProcesses {
  /** How many were still running and have been killed. */
  readonly killed: number
  /** Processes that may still run: killed without effect, or not to be told from a stranger on this system. */
  readonly leftPids: readonly number[]
}

/** Milliseconds between looking whether killed processes have gone, and how often to look. */
const pollMs = 5
const polls = 400

/** Which process has this pid now; `undefined` when there is none, or the system does not tell. */
export function identify(pid: number): ProcessIdentity | undefined {
  const [status, bootId] = [readProcessStatus(pid), readBootId()]
  return status === undefined || bootId === undefined ? undefined : { pid, startTime: status.startTime, bootId }
}

/** Whether this very process still runs, and not another one that got its pid. */
export function isStillRunning({ pid, startTime, bootId }: ProcessIdentity): boolean {
  const status = readProcessStatus(pid)
  return status !== undefined && !status.hasEnded && status.startTime === startTime && bootId === readBootId()
}

/**
 * The processes with this mark, identity or input, and whatever shares a group with one of them; never the group of the caller.
 * A process is told by its start time, its mark or its input, never by its pid alone.
 */
export function findProcesses({ mark, recorded, input }: ProcessTraces): ProcessStatus[] {
  const processes = listProcesses()
  const isRecordedBoot = recorded !== undefined && recorded.bootId === readBootId()
  const isRecorded = ({ pid, startTime }: ProcessStatus): boolean =>
    isRecordedBoot && pid === recorded.pid && startTime === recorded.startTime
  const isMarked = ({ pid }: ProcessStatus): boolean =>
    hasVariable(pid, mark.name, mark.value) || (input !== undefined && inputOf(pid) === input)
  const own = processes.filter((status) => isRecorded(status) || isMarked(status))
  const groups = new Set(own.map(({ group }) => group))
  groups.delete(readProcessStatus(process.pid)?.group ?? 0)
  return processes.filter(({ group }) => groups.has(group))
}

/** Kills them, again and again until none is left: they may start others meanwhile. Takes two seconds at most. */
export async function killProcesses(traces: ProcessTraces, clock: Clock): Promise<KilledProcesses> {
  const killed = new Set<number>()
  for (let poll = 0; poll < polls; poll += 1) {
    const running = findProcesses(traces)
    if (running.length === 0) return { killed: killed.size, leftPids: [] }
    for (const { pid } of running) {
      kill(pid)
      killed.add(pid)
    }
    await new Promise<void>((resolve) => clock.setTimeout(resolve, pollMs))
  }
  const leftPids = findProcesses(traces).map(({ pid }) => pid)
  return { killed: killed.size - leftPids.length, leftPids }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    // It ended by itself, or is not ours to kill; the next look tells which.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}
