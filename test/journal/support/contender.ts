/**
 * Contends for the lock of a directory, again and again, until it has held it often enough: `contender.js DIRECTORY
 * HOLDS`. While it holds the lock it leaves a file with its process number; finding the file of a running process
 * there means that two owners overlapped. The last hold of some ends in SIGKILL instead of a release; they say so in
 * their file first, because the kernel gives up the locks of a process that is killed before it reports it as ended.
 */
import { readFileSync, unlinkSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { systemClock } from '../../../src/base/clock.js'
import { StatewardError } from '../../../src/base/errors.js'
import { isPidInUse, readProcessStatus } from '../../../src/base/process-status.js'
import { acquireDirectoryLock, type DirectoryLock } from '../../../src/journal/directory-lock.js'
import { flock } from '../../../src/journal/kernel-lock.js'
import { nodeFileSystem } from '../../../src/journal/node-file-system.js'

const [directory = '', dies = '', hasKernelLock = ''] = process.argv.slice(2)
const mark = join(directory, 'inside')
/** In the file of an owner whose next instruction is its end. */
const killed = 'killed'
const options = {
  fileSystem: nodeFileSystem,
  directory,
  kernelLock: hasKernelLock === 'kernel' ? flock : async () => 'unavailable' as const,
  clock: systemClock,
  waitMs: 0,
}
const say = (line: string): void => void writeSync(1, `${line}\n`)

async function acquire(): Promise<DirectoryLock> {
  for (;;) {
    try {
      return await acquireDirectoryLock(options)
    } catch (error) {
      if (!StatewardError.is(error, 'journal_locked')) throw error
      await nextTurn()
    }
  }
}

/** One that was killed and only waits to be collected by its parent holds nothing any more. */
function isRunning(pid: number): boolean {
  return isPidInUse(pid) && readProcessStatus(pid)?.hasEnded !== true
}

function enter(): void {
  try {
    writeFileSync(mark, String(process.pid), { flag: 'wx' })
  } catch {
    const found = readFileSync(mark, 'utf8')
    if (found !== killed && isRunning(Number(found))) say(`overlap with ${found}`)
    writeFileSync(mark, String(process.pid))
  }
}

for (let hold = 0; hold < 5; hold += 1) {
  const lock = await acquire()
  enter()
  for (let turn = 0; turn < 20; turn += 1) await nextTurn()
  if (readFileSync(mark, 'utf8') !== String(process.pid)) say('somebody else came in')
  say('held')
  if (dies === 'dies' && hold === 4) {
    writeFileSync(mark, killed)
    process.kill(process.pid, 'SIGKILL')
  }
  unlinkSync(mark)
  await lock.release()
}
