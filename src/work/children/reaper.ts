/**
 * The small program that ends the commands of a process which was killed: it is told on standard input which marks come
 * (`+NAME`) and go (`-NAME`), and when that ends, kills whatever bears one that is left.
 */
import { createInterface } from 'node:readline'
import { systemClock } from '../../base/clock.js'
import { killProcesses } from './marked-processes.js'
import { markOf } from './orphan-guard.js'

const names = new Set<string>()
for await (const line of createInterface(process.stdin)) {
  const name = line.slice(1)
  if (line.startsWith('+')) names.add(name)
  else names.delete(name)
}
for (const name of names) await killProcesses({ mark: markOf(name) }, systemClock)
