import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** What Linux reports about a process. On other systems there are no reports. */
export interface ProcessStatus {
  readonly pid: number
  /**
   * Clock ticks from boot to its start. Within one boot it distinguishes the process from a later one with the same
   * pid.
   */
  readonly startTime: string
  /** Id of its process group. */
  readonly group: number
  /** It has been killed or has exited, and waits to be collected by its parent. */
  readonly hasEnded: boolean
}

/** The status of a process; `undefined` when there is no process of this pid or the system does not report it. */
export function readProcessStatus(pid: number): ProcessStatus | undefined {
  const stat = readOrNothing(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  // The second field is the command in parentheses and may contain anything, so count from its end: proc(5).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, group, threads, startTime] = [fields[0], fields[2], fields[17], fields[19]]
  if (group === undefined || startTime === undefined) return undefined
  // A main thread that has exited is reported as a zombie even while other threads of the process run.
  const hasEnded = state === 'X' || (state === 'Z' && Number(threads) <= 1)
  return { pid, startTime, group: Number(group), hasEnded }
}

/** The id of the boot that start times are counted from; `undefined` where it is not known. */
export function readBootId(): string | undefined {
  return readOrNothing('/proc/sys/kernel/random/boot_id')?.trim()
}

/** The pid namespace of this process; pids are only comparable within one. `undefined` where it is not known. */
export function readPidNamespace(): string | undefined {
  try {
    // A /proc of another namespace shows other processes under our pids, so nothing in it could be trusted.
    return readlinkSync('/proc/self') === String(process.pid) ? readlinkSync('/proc/self/ns/pid') : undefined
  } catch {
    return undefined
  }
}

/** Every reported process that has not ended. */
export function listProcesses(): ProcessStatus[] {
  return readNames('/proc').flatMap((name) => {
    const status = /^\d+$/.test(name) ? readProcessStatus(Number(name)) : undefined
    return status === undefined || status.hasEnded ? [] : [status]
  })
}

/**
 * True when the process was started with this environment variable. False, too, when its environment is not readable.
 */
export function hasVariable(pid: number, name: string, value: string): boolean {
  const environment = readOrNothing(`/proc/${pid}/environ`)
  return environment !== undefined && environment.split('\0').includes(`${name}=${value}`)
}

/**
 * True when a process shows no environment at all. It was started without one, or it is just replacing its program by
 * another: until that is done, the system shows none.
 */
export function hasNoEnvironment(pid: number): boolean {
  return readOrNothing(`/proc/${pid}/environ`) === ''
}

/** The file that the process reads as its standard input; `undefined` when it is not readable. */
export function inputOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/0`)
  } catch {
    return undefined
  }
}

/** True when there is a process of this pid, whoever owns it. Works on every system. */
export function isPidInUse(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // Not being allowed to signal a process means that it exists.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

function readOrNothing(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    // The process has gone, is not readable, or there is no such file system: in each case nothing is known.
    return undefined
  }
}

function readNames(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
