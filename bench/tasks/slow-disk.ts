import { setTimeout as pause } from 'node:timers/promises'
import type { FileSystem, OpenFile } from '../../src/journal/file-system.js'
import { nodeFileSystem } from '../../src/journal/node-file-system.js'

/** The file system of the process with durable writes that take so many milliseconds more: a disk farther away. */
export function slowDisk(milliseconds: number): FileSystem {
  return {
    ...nodeFileSystem,
    open: async (path, mode) => {
      const file = await nodeFileSystem.open(path, mode)
      return mode === 'durable' ? slowFile(file, milliseconds) : file
    },
  }
}

function slowFile(file: OpenFile, milliseconds: number): OpenFile {
  return {
    descriptor: file.descriptor,
    isAt: (path) => file.isAt(path),
    size: () => file.size(),
    read: (into, position) => file.read(into, position),
    readSync: (position, length) => file.readSync(position, length),
    async write(bytes, position) {
      const taken = await file.write(bytes, position)
      await pause(milliseconds)
      return taken
    },
    sync: () => file.sync(),
    truncate: (length) => file.truncate(length),
    close: () => file.close(),
  }
}
