/**
 * A family that is killed: `family.js DIRECTORY PARTS WRITES`. It starts a parent with so many parts, every third of which
 * has a part itself, cancels the parent, and kills itself at the write of that number after that end was handed over; it
 * says `parent ID` once all are durable.
 */
import { writeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createDirectoryJournal } from '../../../src/journal/directory-journal.js'
import type { FileSystem } from '../../../src/journal/file-system.js'
import { nodeFileSystem } from '../../../src/journal/node-file-system.js'
import { createRuntime } from '../../../src/runtime.js'

const [directory = '', parts = '0', writes = '0'] = process.argv.slice(2)
let writesLeft = Number.POSITIVE_INFINITY

const mortal: FileSystem = {
  ...nodeFileSystem,
  async open(path, mode) {
    const file = await nodeFileSystem.open(path, mode)
    const write = file.write.bind(file)
    file.write = async (...given) => {
      writesLeft -= 1
      if (writesLeft < 0) process.kill(process.pid, 'SIGKILL')
      return write(...given)
    }
    return file
  },
}

const runtime = await createRuntime({ store: createDirectoryJournal({ directory, fileSystem: mortal }) })
const session = runtime.session('family')
const forever = (): Promise<never> => new Promise(() => {})
const parent = session.run('parent', forever)
for (let number = 0; number < Number(parts); number += 1) {
  const part = session.run('part', forever, { parent })
  if (number % 3 === 0) session.run('below', forever, { parent: part })
}
session.run('outlives', forever, { parent, outlivesParent: true })
await session.flush()
writeSync(1, `parent ${parent.id}\n`)
writesLeft = Number(writes)
void parent.cancel('stop')
// Nobody is left to kill it where all was written before its time came: the lane has settled then.
await session.operations.registerWatcher(parent.id)
while (session.operations.activeCount > 1) await nextTurn()
process.kill(process.pid, 'SIGKILL')
