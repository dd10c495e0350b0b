import { readFileSync } from 'node:fs'

/** What tells a process from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number
  /** When it started, in clock ticks since boot; missing where the system does not tell. */
  readonly startTime?: string | undefined
  /** Which boot of the machine it belongs to; missing where the system does not tell. */
  readonly bootId?: string | undefined
}

interface ProcessStatus {
  readonly state: string
  readonly threads: number
  readonly startTime: string
}

/** The identity of this process. */
export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, startTime: readStatus(process.pid)?.startTime, bootId: readBootId() }
}

/**
 * True unless the process has surely ended: its number is gone or belongs to another process, or the machine was
 * started anew. A killed process that its parent has not collected yet has ended once its last thread has.
 */
export function isRunning({ pid, startTime, bootId }: ProcessIdentity): boolean {
  if (bootId !== undefined && differs(readBootId(), bootId)) return false
  if (!hasNumber(pid)) return false
  const status = readStatus(pid)
  if (status === undefined) return true
  if (startTime !== undefined && differs(status.startTime, startTime)) return false
  return !(status.state === 'Z' && status.threads <= 1)
}

function differs(known: string | undefined, expected: string): boolean {
  return known !== undefined && known !== expected
}

function hasNumber(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Not allowed to signal it means that it is there.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** From /proc/<pid>/stat: the name in parentheses may hold anything, so fields count from the last parenthesis. */
function readStatus(pid: number): ProcessStatus | undefined {
  const text = readText(`/proc/${pid}/stat`)
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, threads, startTime] = [fields?.[0], fields?.[17], fields?.[19]]
  if (state === undefined || threads === undefined || startTime === undefined) return undefined
  return { state, threads: Number(threads), startTime }
}

function readBootId(): string | undefined {
  return readText('/proc/sys/kernel/random/boot_id')?.trim()
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Only Linux has these files; without them the number of the process has to do.
    return undefined
  }
}
