import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** What Linux tells of a process; elsewhere nothing here knows of any. */
export interface ProcessStatus {
  readonly pid: number
  /** Clock ticks from boot to its start. Tells it, within one boot, from a later process that got the same pid. */
  readonly startTime: string
  /** Id of its process group. */
  readonly group: number
  /** It has been killed or has exited and only waits to be collected by its parent. */
  readonly hasEnded: boolean
}

/** The status of a process; `undefined` when there is none of this pid or nothing is known of it. */
export function readProcessStatus(pid: number): ProcessStatus | undefined {
  const stat = readOrNothing(`/proc/${pid}/stat`)
  if (stat === undefined) return undefined
  // The second field is the command in brackets and may hold anything, so count from its end: proc(5).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, group, threads, startTime] = [fields[0], fields[2], fields[17], fields[19]]
  if (group === undefined || startTime === undefined) return undefined
  // A first thread that has exited says so while the others go on.
  const hasEnded = state === 'X' || (state === 'Z' && Number(threads) <= 1)
  return { pid, startTime, group: Number(group), hasEnded }
}

/** Identity of the boot that start times are counted from; `undefined` where it is not known. */
export function readBootId(): string | undefined {
  return readOrNothing('/proc/sys/kernel/random/boot_id')?.trim()
}

/** The pid namespace of this process, in which pids mean something; `undefined` where the system does not tell. */
export function readPidNamespace(): string | undefined {
  try {
    // A /proc of another namespace shows other processes under our pids: nothing it says would be true.
    return readlinkSync('/proc/self') === String(process.pid) ? readlinkSync('/proc/self/ns/pid') : undefined
  } catch {
    return undefined
  }
}

/** Every process that is known of and has not ended. */
export function listProcesses(): ProcessStatus[] {
  return readNames('/proc').flatMap((name) => {
    const status = /^\d+$/.test(name) ? readProcessStatus(Number(name)) : undefined
    return status === undefined || status.hasEnded ? [] : [status]
  })
}

/** True when the process was started with this variable; false too when its environment is not ours to read. */
export function hasVariable(pid: number, name: string, value: string): boolean {
  const environment = readOrNothing(`/proc/${pid}/environ`)
  return environment !== undefined && environment.split('\0').includes(`${name}=${value}`)
}

/** The file that the process reads as its standard input; `undefined` too when that is not ours to know. */
export function inputOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/0`)
  } catch {
    return undefined
  }
}

/** True when there is a process of this pid, ours or not; works on every system. */
export function isPidInUse(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // Not allowed to signal it means that it is there.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

function readOrNothing(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    // Gone in the meantime, not ours to read, or no such file system: each means that nothing is known.
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
