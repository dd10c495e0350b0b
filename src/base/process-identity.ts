import { readdirSync, readFileSync } from 'node:fs'

/**
 * Which process a pid means. Pids are used again, so a pid that was written down proves nothing until
 * the start time, and the boot it is counted from, are compared too.
 */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks from boot to the start of the process. */
  readonly startTime: string
  readonly bootId: string
}

/** What the kernel says about a running process. */
export interface ProcessStatus extends ProcessIdentity {
  /** Id of its process group. */
  readonly group: number
  /** It has ended and only waits to be collected by its parent. */
  readonly isZombie: boolean
}

/** The status of a running process; `undefined` when there is none of this pid or the platform has no `/proc`. */
export function readProcessStatus(pid: number): ProcessStatus | undefined {
  const bootId = readOrNothing('/proc/sys/kernel/random/boot_id')?.trim()
  const stat = readOrNothing(`/proc/${pid}/stat`)
  if (bootId === undefined || stat === undefined) return undefined
  // The second field is the command in brackets and may hold anything, so count from its end: proc(5).
  const [state, , group, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const startTime = rest[16]
  if (group === undefined || startTime === undefined) return undefined
  return { pid, startTime, bootId, group: Number(group), isZombie: state === 'Z' || state === 'X' }
}

/** True when both mean the same run of the same process. */
export function isSameProcess(one: ProcessIdentity, other: ProcessIdentity): boolean {
  return one.pid === other.pid && one.startTime === other.startTime && one.bootId === other.bootId
}

/** Every process that can be seen, zombies aside; empty where the platform has no `/proc`. */
export function listProcesses(): ProcessStatus[] {
  return readNames('/proc').flatMap((name) => {
    const status = /^\d+$/.test(name) ? readProcessStatus(Number(name)) : undefined
    return status === undefined || status.isZombie ? [] : [status]
  })
}

/** True when the process was started with this variable; false too when its environment is not ours to read. */
export function hasVariable(pid: number, name: string, value: string): boolean {
  const environment = readOrNothing(`/proc/${pid}/environ`)
  return environment !== undefined && environment.split('\0').includes(`${name}=${value}`)
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
