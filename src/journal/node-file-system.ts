import * as fs from 'node:fs'
import { mkdir, readdir, rename, link, stat, unlink } from 'node:fs/promises'
import { promisify } from 'node:util'
import { makeDirectory } from '../base/make-directory.js'
import { withIoErrors } from './failures.js'
import { FileSystemError, type FileOperation, type FileSystem, type OpenFile, type OpenMode } from './file-system.js'

const { O_CREAT, O_DSYNC, O_EXCL, O_RDONLY, O_RDWR } = fs.constants

/**
 * Opens files so that each write syncs. This saves one system call per write and is the fastest way to make bytes
 * durable in Node. Only used on Linux: elsewhere the flag is missing or does not include the drive's cache.
 */
const syncsOnWrite = process.platform === 'linux' && O_DSYNC !== undefined

const flags: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  create: O_RDWR | O_CREAT | O_EXCL,
  update: O_RDWR,
  durable: syncsOnWrite ? O_RDWR | O_DSYNC : O_RDWR,
}

const openDescriptor = promisify(fs.open)
const closeDescriptor = promisify(fs.close)
const statDescriptor = promisify(fs.fstat)
const truncateDescriptor = promisify(fs.ftruncate)
const syncDescriptor = promisify(fs.fdatasync)

/** The file system of Node. */
export const nodeFileSystem: FileSystem = {
  async open(path, mode) {
    const descriptor = await attempt('open', path, openDescriptor(path, flags[mode], 0o600))
    return new NodeFile(descriptor, path, mode === 'durable')
  },
  readSync(path, position, length) {
    try {
      const descriptor = fs.openSync(path, O_RDONLY)
      try {
        return readFrom(descriptor, position, length)
      } finally {
        fs.closeSync(descriptor)
      }
    } catch (error) {
      throw failure('read', path, error)
    }
  },
  list: (directory) => attempt('list', directory, readdir(directory)),
  rename: (from, to) => attempt('rename', to, rename(from, to)),
  link: (existing, path) => attempt('link', path, link(existing, path)),
  unlink: (path) => attempt('unlink', path, unlink(path)),
  async makeDirectory(path) {
    try {
      await attempt('make_directory', path, mkdir(path))
      return true
    } catch (error) {
      if (FileSystemError.has(error, 'EEXIST')) return false
      throw error
    }
  },
  async syncDirectory(path) {
    // Windows cannot open a directory, and makes names durable by itself.
    if (process.platform === 'win32') return
    const descriptor = await attempt('sync_directory', path, openDescriptor(path, O_RDONLY))
    try {
      await attempt('sync_directory', path, promisify(fs.fsync)(descriptor))
    } finally {
      await attempt('close', path, closeDescriptor(descriptor))
    }
  },
}

/** Uses callbacks instead of `FileHandle`, which is measurably slower at one record per write. */
class NodeFile implements OpenFile {
  readonly descriptor: number
  readonly #path: string
  readonly #durable: boolean

  constructor(descriptor: number, path: string, durable: boolean) {
    this.descriptor = descriptor
    this.#path = path
    this.#durable = durable
  }

  async isAt(path: string): Promise<boolean> {
    const own = await attempt('read', this.#path, statDescriptor(this.descriptor, { bigint: true }))
    try {
      // As big integers: file numbers of some systems do not fit a double.
      const named = await attempt('read', path, stat(path, { bigint: true }))
      return named.dev === own.dev && named.ino === own.ino
    } catch (error) {
      if (FileSystemError.has(error, 'ENOENT', 'ENOTDIR')) return false
      throw error
    }
  }

  async size(): Promise<number> {
    const { size } = await attempt('read', this.#path, statDescriptor(this.descriptor))
    return size
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.descriptor, into, 0, into.length, position, (error, taken) => {
        if (error === null) resolve(taken)
        else reject(failure('read', this.#path, error))
      })
    })
  }

  readSync(position: number, length: number): Buffer {
    try {
      return readFrom(this.descriptor, position, length)
    } catch (error) {
      throw failure('read', this.#path, error)
    }
  }

  async write(bytes: Uint8Array, position: number): Promise<number> {
    const taken = await this.#write(bytes, position)
    if (this.#durable && !syncsOnWrite) await this.sync()
    return taken
  }

  sync(): Promise<void> {
    return attempt('sync', this.#path, syncDescriptor(this.descriptor))
  }

  truncate(length: number): Promise<void> {
    return attempt('truncate', this.#path, truncateDescriptor(this.descriptor, length))
  }

  close(): Promise<void> {
    return attempt('close', this.#path, closeDescriptor(this.descriptor))
  }

  #write(bytes: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.write(this.descriptor, bytes, 0, bytes.length, position, (error, taken) => {
        if (error !== null) reject(failure(this.#stageOf(error), this.#path, error))
        else if (taken === 0 && bytes.length > 0) reject(failure('write', this.#path, { code: 'ENOSPC' }))
        else resolve(taken)
      })
    })
  }

  /** A syncing write reports both stages in one result. `EIO` may come from the sync, so it is taken as one. */
  #stageOf(error: NodeJS.ErrnoException): FileOperation {
    return this.#durable && syncsOnWrite && error.code === 'EIO' ? 'sync' : 'write'
  }
}

/** Reads in a loop: one call may return less than there is. */
function readFrom(descriptor: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let filled = 0
  while (filled < length) {
    const taken = fs.readSync(descriptor, bytes, filled, length - filled, position + filled)
    if (taken === 0) break
    filled += taken
  }
  return bytes.subarray(0, filled)
}

/** Creates a directory and its parents. Rejects with `journal_io`. */
export function makeDirectories(path: string): Promise<void> {
  return withIoErrors(async () => {
    await attempt('make_directory', path, makeDirectory(path))
  })
}

async function attempt<Value>(operation: FileOperation, path: string, work: Promise<Value>): Promise<Value> {
  try {
    return await work
  } catch (error) {
    throw failure(operation, path, error)
  }
}

function failure(operation: FileOperation, path: string, cause: unknown): FileSystemError {
  const errno = (cause as NodeJS.ErrnoException).code ?? 'UNKNOWN'
  return new FileSystemError({ operation, path, errno }, { cause })
}
