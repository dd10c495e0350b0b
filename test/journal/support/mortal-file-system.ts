import type { FileSystem } from '../../../src/journal/file-system.js'
import { nodeFileSystem } from '../../../src/journal/node-file-system.js'

/** Ends this process as nothing can prevent. */
export function die(): never {
  process.kill(process.pid, 'SIGKILL')
  throw new Error('still alive')
}

/** Small, seeded, and good enough to spread what happens (xorshift): whole numbers from 0 up to, not including, a limit. */
export function createDice(seed: number): (limit: number) => number {
  let state = seed * 2_654_435_761 + 1
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

/** Real files; the process ends before, within or after one of the writes. */
export function mortalFileSystem(writes: number, upTo: (limit: number) => number): FileSystem {
  let writesLeft = writes
  return {
    ...nodeFileSystem,
    async open(path, mode) {
      const file = await nodeFileSystem.open(path, mode)
      return {
        descriptor: file.descriptor,
        isAt: (path) => file.isAt(path),
        size: () => file.size(),
        read: (into, position) => file.read(into, position),
        readSync: (position, length) => file.readSync(position, length),
        write: async (bytes, position) => {
          writesLeft -= 1
          if (writesLeft > 0) return file.write(bytes, position)
          const length = upTo(bytes.length + 1)
          if (length > 0) await file.write(bytes.subarray(0, length), position)
          return die()
        },
        sync: () => file.sync(),
        truncate: (length) => file.truncate(length),
        close: () => file.close(),
      }
    },
  }
}
