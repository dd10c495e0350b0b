import type { Clock } from '../../base/clock.js'
import {
  hasNoEnvironment,
  hasVariable,
  inputOf,
  listProcesses,
  readBootId,
  readProcessStatus,
  type ProcessStatus,
} from '../../base/process-status.js'

/**
 * An environment variable by which a process and everything that it starts are recognised, in any group or session:
 * environments are inherited.
 */
export interface ProcessMark {
  readonly name: string
  readonly value: string
}

/** Identifies a process. Within one boot, no two processes have the same pid and start time. */
export interface ProcessIdentity {
  readonly pid: number
  readonly startTime: string
  readonly bootId: string
}

/** What to recognise processes by. */
export interface ProcessTraces {
  readonly mark: ProcessMark
  readonly recorded?: ProcessIdentity
  /** The real path of the file that is their standard input and nobody else's. */
  readonly input?: string
}

/** The result of killing processes. */
export interface KilledProcesses {
  /** How many were still running and have been killed. */
  readonly killed: number
  /**
   * Processes that may still run: they survived being killed, or cannot be told from unrelated processes on this
   * system.
   */
  readonly leftPids: readonly number[]
}

/** Milliseconds between checks whether killed processes are gone, and the number of checks. */
const pollMs = 5
const polls = 400
/** The number of checks for which a process without an environment may be one that is just replacing its program. */
const replacementPolls = 10

/** The process with this pid; `undefined` if there is none or the system does not report it. */
export function identify(pid: number): ProcessIdentity | undefined {
  const [status, bootId] = [readProcessStatus(pid), readBootId()]
  return status === undefined || bootId === undefined ? undefined : { pid, startTime: status.startTime, bootId }
}

/** Whether this very process still runs, and not another one with the same pid. */
export function isStillRunning({ pid, startTime, bootId }: ProcessIdentity): boolean {
  const status = readProcessStatus(pid)
  return status !== undefined && !status.hasEnded && status.startTime === startTime && bootId === readBootId()
}

/**
 * The processes with this mark, identity or input, and all members of their groups; never the caller's own group. A
 * process is recognised by its start time, its mark or its input, never by its pid alone.
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

/**
 * Kills the processes repeatedly until none is left, because they may start others meanwhile. Takes two seconds at
 * most.
 */
export async function killProcesses(traces: ProcessTraces, clock: Clock): Promise<KilledProcesses> {
  const killed = new Set<number>()
  let replacements = 0
  for (let poll = 0; poll < polls; poll += 1) {
    const running = findProcesses(traces)
    if (running.length === 0) {
      // A process that is just replacing its program shows no mark until it has.
      if (replacements === replacementPolls || !isAnyReplacing()) return { killed: killed.size, leftPids: [] }
      replacements += 1
    }
    for (const { pid } of running) {
      kill(pid)
      killed.add(pid)
    }
    await new Promise<void>((resolve) => clock.setTimeout(resolve, pollMs))
  }
  const leftPids = findProcesses(traces).map(({ pid }) => pid)
  return { killed: killed.size - leftPids.length, leftPids }
}

/** Whether a process may be replacing its program. Threads of the kernel, which have group 0, never do. */
function isAnyReplacing(): boolean {
  return listProcesses().some(({ pid, group }) => group !== 0 && hasNoEnvironment(pid))
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    // It has ended by itself, or we may not kill it. The next check tells which.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}
