import { basename } from 'node:path'
import {
  FileSystemError,
  type FileOperation,
  type FileSystem,
  type OpenFile,
} from '../../../src/journal/file-system.js'
import { nodeFileSystem } from '../../../src/journal/node-file-system.js'

/** A failure that the next fitting operation meets. */
export interface Fault {
  readonly operation: FileOperation
  readonly errno: string
  /** Text in the name of the file; any file unless told. For `rename` and `link` the new name counts. */
  readonly path?: string
  /** How many fitting operations succeed before. */
  readonly after?: number
  /** How many fitting operations fail; 1 unless told. */
  readonly times?: number
  /** For `write`: how many bytes are written all the same before the failure. */
  readonly written?: number
  /** For `write`: the write reports these bytes as taken instead of failing; the rest meets the next fault, if any. */
  readonly short?: boolean
}

/** Real files whose operations fail on request, and a record of what was done. */
export class FaultyFileSystem implements FileSystem {
  readonly #faults: { fault: Fault; skip: number; left: number }[] = []
  /** Every operation so far as `operation name`, the name without its directory. */
  readonly log: string[] = []
  /** Runs before every read. */
  onRead: (() => Promise<void>) | undefined
  readonly #open = new Set<FaultyFile>()

  /** Adds a fault; faults for the same operation apply in the order they were added. */
  fail(fault: Fault): void {
    this.#faults.push({ fault, skip: fault.after ?? 0, left: fault.times ?? 1 })
  }

  /** Forgets faults that have not struck. */
  heal(): void {
    this.#faults.length = 0
  }

  async open(...[path, mode]: Parameters<FileSystem['open']>): Promise<OpenFile> {
    this.#check('open', path)
    const file = new FaultyFile(await nodeFileSystem.open(path, mode), path, mode === 'durable', this)
    this.#open.add(file)
    return file
  }

  readSync(path: string, position: number, length: number): Buffer {
    this.#check('read', path)
    return nodeFileSystem.readSync(path, position, length)
  }

  async list(directory: string): Promise<string[]> {
    this.#check('list', directory)
    return nodeFileSystem.list(directory)
  }

  async rename(from: string, to: string): Promise<void> {
    this.#check('rename', to)
    await nodeFileSystem.rename(from, to)
    for (const file of this.#open) if (file.path === from) file.path = to
  }

  async link(existing: string, path: string): Promise<void> {
    this.#check('link', path)
    await nodeFileSystem.link(existing, path)
    for (const file of this.#open) if (file.path === existing) file.path = path
  }

  async unlink(path: string): Promise<void> {
    this.#check('unlink', path)
    return nodeFileSystem.unlink(path)
  }

  async makeDirectory(path: string): Promise<boolean> {
    this.#check('make_directory', path)
    return nodeFileSystem.makeDirectory(path)
  }

  async syncDirectory(path: string): Promise<void> {
    this.#check('sync_directory', path)
    return nodeFileSystem.syncDirectory(path)
  }

  /** The fault that strikes now, if any. */
  strike(operation: FileOperation, path: string): Fault | undefined {
    const name = basename(path)
    this.log.push(`${operation} ${name}`)
    const index = this.#faults.findIndex(
      ({ fault }) => fault.operation === operation && name.includes(fault.path ?? ''),
    )
    const armed = this.#faults[index]
    if (armed === undefined) return undefined
    if (armed.skip > 0) {
      armed.skip -= 1
      return undefined
    }
    armed.left -= 1
    if (armed.left === 0) this.#faults.splice(index, 1)
    return armed.fault
  }

  /** Stops following a file. */
  forget(file: FaultyFile): void {
    this.#open.delete(file)
  }

  #check(operation: FileOperation, path: string): void {
    const fault = this.strike(operation, path)
    if (fault !== undefined) throw new FileSystemError({ operation, path, errno: fault.errno })
  }
}

class FaultyFile implements OpenFile {
  /** Follows the file when it is renamed or linked. */
  path: string
  readonly #file: OpenFile
  readonly #durable: boolean
  readonly #faults: FaultyFileSystem

  constructor(file: OpenFile, path: string, durable: boolean, faults: FaultyFileSystem) {
    this.#file = file
    this.path = path
    this.#durable = durable
    this.#faults = faults
  }

  get descriptor(): number {
    return this.#file.descriptor
  }

  isAt(path: string): Promise<boolean> {
    return this.#file.isAt(path)
  }

  size(): Promise<number> {
    return this.#file.size()
  }

  readSync(position: number, length: number): Buffer {
    this.#check('read')
    return this.#file.readSync(position, length)
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    this.#check('read')
    await this.#faults.onRead?.()
    return this.#file.read(into, position)
  }

  async write(bytes: Uint8Array, position: number): Promise<number> {
    const fault = this.#faults.strike('write', this.path)
    if (fault !== undefined) {
      const taken = fault.written ?? 0
      if (taken > 0) await this.#file.write(bytes.subarray(0, taken), position)
      if (fault.short === true) return taken
      throw new FileSystemError({ operation: 'write', path: this.path, errno: fault.errno })
    }
    const taken = await this.#file.write(bytes, position)
    // A durable write is a write and a sync in one.
    if (this.#durable) this.#check('sync')
    return taken
  }

  async sync(): Promise<void> {
    this.#check('sync')
    return this.#file.sync()
  }

  async truncate(length: number): Promise<void> {
    this.#check('truncate')
    return this.#file.truncate(length)
  }

  async close(): Promise<void> {
    await this.#file.close()
    this.#faults.forget(this)
    this.#check('close')
  }

  #check(operation: FileOperation): void {
    const fault = this.#faults.strike(operation, this.path)
    if (fault !== undefined) throw new FileSystemError({ operation, path: this.path, errno: fault.errno })
  }
}
