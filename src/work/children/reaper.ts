/**
 * The small program that ends the commands of a process which was killed: it is told on standard input which marks come
 * (`+NAME`, and `+NAME PID START_TIME BOOT_ID` once it is known which process bears it) and go (`-NAME`), and when that ends,
 * kills whatever is left of those that have not gone.
 */
import { createInterface } from 'node:readline'
import { systemClock } from '../../base/clock.js'
import { killProcesses, type ProcessIdentity } from './marked-processes.js'
import { markOf } from './orphan-guard.js'

const marks = new Map<string, ProcessIdentity | undefined>()
for await (const line of createInterface(process.stdin)) {
  const [name = '', pid, startTime, bootId] = line.slice(1).split(' ')
  if (!line.startsWith('+')) marks.delete(name)
  else if (startTime === undefined || bootId === undefined) marks.set(name, undefined)
  else marks.set(name, { pid: Number(pid), startTime, bootId })
}
for (const [name, recorded] of marks)
  await killProcesses({ mark: markOf(name), ...(recorded && { recorded }) }, systemClock)
