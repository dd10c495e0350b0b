import { faultFields } from '../base/error-details.js'
import { join } from 'node:path'
import type { Logger } from '../base/logger.js'
import { FileSystemError, writeWhole, type FileSystem } from './file-system.js'

const zeros = Buffer.alloc(2 ** 20)

/** Suffix of unfinished files. Those that remain after a crash are removed at opening. */
export const temporarySuffix = '.tmp'

/** A file of zeros that will become a segment. */
export interface SpareSegment {
  readonly path: string
  readonly bytes: number
}

/**
 * Prepares the next segment while the current one is in use. Durable writes are cheap if they overwrite blocks that
 * exist already, and Node can only preallocate by writing.
 */
export class SpareSegments {
  readonly #fileSystem: FileSystem
  readonly #directory: string
  readonly #logger: Logger
  #pending: Promise<SpareSegment | undefined> | undefined
  #made = 0
  #closed = false

  constructor(fileSystem: FileSystem, directory: string, logger: Logger) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.#logger = logger
  }

  /** Starts preparing a spare in the background unless there is one. A failure is logged; `take` then tries again. */
  prepare(bytes: number): void {
    this.#pending ??= this.#make(bytes).catch((error: unknown) => {
      this.#logger.warn({ directory: this.#directory, ...faultFields(error) }, 'the next segment could not be prepared')
      return undefined
    })
  }

  /** Returns the spare if it has at least `minimum` bytes, otherwise a new one of `bytes`. The caller then owns it. */
  async take(minimum: number, bytes: number): Promise<SpareSegment> {
    const spare = await this.#pending
    this.#pending = undefined
    if (spare !== undefined && spare.bytes >= minimum) return spare
    if (spare !== undefined) await this.discard(spare)
    return this.#make(Math.max(minimum, bytes))
  }

  /** Stops preparing and removes the spare. */
  async close(): Promise<void> {
    this.#closed = true
    const spare = await this.#pending
    this.#pending = undefined
    if (spare !== undefined) await this.discard(spare)
  }

  /** Stops preparing without removing files: the directory may belong to another process. */
  async abandon(): Promise<void> {
    this.#closed = true
    await this.#pending
  }

  /** Removes a spare that could not be used. What cannot be removed now is removed at the next opening. */
  async discard({ path }: SpareSegment): Promise<void> {
    try {
      await this.#fileSystem.unlink(path)
    } catch (error) {
      if (FileSystemError.has(error, 'ENOENT')) return
      this.#logger.warn(
        { path, ...faultFields(error) },
        'a temporary file could not be removed and stays until the journal is reopened',
      )
    }
  }

  async #make(bytes: number): Promise<SpareSegment> {
    this.#made += 1
    const spare = { path: join(this.#directory, `spare-${this.#made}${temporarySuffix}`), bytes }
    const file = await this.#fileSystem.open(spare.path, 'create')
    try {
      // Synced slice by slice: one large flush would delay records that are written meanwhile.
      for (let position = 0; position < bytes && !this.#closed; position += zeros.length) {
        await writeWhole(file, zeros.subarray(0, bytes - position), position)
        await file.sync()
      }
    } catch (error) {
      await file.close()
      await this.discard(spare)
      throw error
    }
    await file.close()
    return spare
  }
}
