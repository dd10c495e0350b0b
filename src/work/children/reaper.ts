/**
 * A small program that ends the commands of a process that was killed. On standard input it is told which marks begin
 * (`+NAME`, and `+NAME PID START_TIME BOOT_ID` once their process is known) and which end (`-NAME`). When its input
 * ends, it kills whatever is left of marks that have not ended.
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
