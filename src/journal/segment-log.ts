import { faultFields } from '../base/error-details.js'
import { join } from 'node:path'
import type { Logger } from '../base/logger.js'
import { durabilityUnknown, notAppended } from './failures.js'
import { FileSystemError, readWhole, writeWhole, type FileSystem, type OpenFile } from './file-system.js'
import { encodeMark } from './mark.js'
import { corruptError, readSegment, segmentHeaderBytes, segmentName } from './segment.js'
import { SpareSegments } from './spare-segment.js'

/** An existing segment, identified by its first sequence. */
export interface SegmentFile {
  readonly firstSequence: number
  readonly path: string
}

/** The segment being written to. */
interface Current extends SegmentFile {
  /** Length of the file, in bytes. */
  readonly capacity: number
  /** Offset of the next frame. Everything before it is durable. */
  position: number
}

/** Where writing continues after opening. */
export interface SegmentPosition {
  readonly position: number
  readonly capacity: number
}

/** Options of a {@link SegmentLog}. */
export interface SegmentLogOptions {
  readonly fileSystem: FileSystem
  readonly directory: string
  /** Size that segments grow to, in bytes. */
  readonly segmentBytes: number
  readonly logger: Logger
}

/** The first segment is small, so that a new journal opens quickly. Each further one is larger by this factor. */
const firstSegmentBytes = 2 ** 20
const growth = 4

/**
 * The segment files as one log that frames are appended to.
 *
 * A frame is one durable write at a known position. What a failed write left is overwritten with zeros, and a file
 * whose sync has failed is never synced again (T-26, T-59).
 */
export class SegmentLog {
  readonly #options: SegmentLogOptions
  readonly #fileSystem: FileSystem
  readonly #spares: SpareSegments
  readonly #segments: SegmentFile[]
  #current: Current | undefined
  /** The open file of the current segment. */
  #file: OpenFile | undefined

  private constructor(
    options: SegmentLogOptions,
    segments: readonly SegmentFile[],
    current?: { readonly segment: Current; readonly file: OpenFile },
  ) {
    this.#options = options
    this.#fileSystem = options.fileSystem
    this.#segments = [...segments]
    this.#current = current?.segment
    this.#file = current?.file
    this.#spares = new SpareSegments(options.fileSystem, options.directory, options.logger)
  }

  /** Continues after the last of `segments`, at `position`. */
  static async open(
    options: SegmentLogOptions,
    segments: readonly SegmentFile[],
    position: SegmentPosition | undefined,
  ): Promise<SegmentLog> {
    const last = segments.at(-1)
    if (last === undefined || position === undefined) return new SegmentLog(options, segments)
    const file = await options.fileSystem.open(last.path, 'durable')
    return new SegmentLog(options, segments, { segment: { ...last, ...position }, file })
  }

  /**
   * Appends one frame. Resolves once it is on stable storage. Rejects with `journal_not_appended` if nothing of it is
   * left, and with `journal_durability_unknown` if that is uncertain.
   */
  async append(frame: Buffer, firstSequence: number): Promise<void> {
    const { current, file } = await this.#roomFor(frame.length, firstSequence)
    try {
      await writeWhole(file, frame, current.position)
    } catch (error) {
      throw await this.#takeBack(file, current.position, frame.length, error)
    }
    current.position += frame.length
    if (current.position * growth > current.capacity) this.#spares.prepare(this.#nextSegmentBytes())
  }

  /** Permanently cuts everything after the last durable frame and begins a new segment, on fresh descriptors. */
  async startOver(nextSequence: number): Promise<void> {
    if (this.#current !== undefined) {
      const { path, firstSequence, position } = this.#current
      await this.#closeFile()
      await cutFile(this.#fileSystem, path, position)
      const content = await readSegment(await readWhole(this.#fileSystem, path), firstSequence)
      if (content.damage !== undefined) throw corruptError(path, content.damage)
      if (content.nextSequence !== nextSequence) throw corruptError(path, { offset: position, reason: 'sequence_gap' })
    }
    await this.#rotate(0, nextSequence)
  }

  /** Removes the segments whose records all have sequences up to `through`, oldest first; never the last one. */
  async forget(through: number): Promise<void> {
    let forgotten = false
    for (;;) {
      const [oldest, next] = this.#segments
      if (oldest === undefined || next === undefined || next.firstSequence > through + 1) break
      await this.#fileSystem.unlink(oldest.path)
      this.#segments.shift()
      forgotten = true
    }
    if (forgotten) await this.#fileSystem.syncDirectory(this.#options.directory)
  }

  /** True if a frame of this many bytes fits the current segment. Otherwise it begins a new one. */
  hasRoomFor(bytes: number): boolean {
    const current = this.#current
    return current !== undefined && this.#file !== undefined && current.position + bytes <= current.capacity
  }

  /** Closes the files without changing any name: the directory may belong to another process. */
  async abandon(): Promise<void> {
    await this.#spares.abandon()
    await this.#closeFile()
  }

  /** Closes the files and removes the spare segment. */
  async close(): Promise<void> {
    await this.#spares.close()
    await this.#closeFile()
  }

  async #roomFor(bytes: number, firstSequence: number): Promise<{ current: Current; file: OpenFile }> {
    const current = this.#current
    const file = this.#file
    if (current !== undefined && file !== undefined && current.position + bytes <= current.capacity) {
      return { current, file }
    }
    try {
      return await this.#rotate(bytes, firstSequence)
    } catch (error) {
      throw notAppended(error)
    }
  }

  /**
   * Makes a new segment with room for `bytes` the current one. If it cannot be prepared, the current one stays in
   * use. If it is uncertain whether its name is durable, nothing is written until a later rotation succeeds: a
   * segment without records is replaced by one of the same name, and its descriptor would then write to a file that
   * has no name.
   */
  async #rotate(bytes: number, firstSequence: number): Promise<{ current: Current; file: OpenFile }> {
    const spare = await this.#spares.take(segmentHeaderBytes + bytes, this.#nextSegmentBytes())
    const path = join(this.#options.directory, segmentName(firstSequence))
    let file: OpenFile | undefined
    try {
      file = await this.#fileSystem.open(spare.path, 'durable')
      // The mark is written before the name: a segment that can be found always has one.
      await writeWhole(file, encodeMark('segment', firstSequence), 0)
      await this.#closeFile()
      await this.#fileSystem.rename(spare.path, path)
      await this.#fileSystem.syncDirectory(this.#options.directory)
    } catch (error) {
      await this.#closeQuietly(file)
      await this.#spares.discard(spare)
      throw error
    }
    if (this.#segments.at(-1)?.firstSequence === firstSequence) this.#segments.pop()
    this.#segments.push({ firstSequence, path })
    const current = { firstSequence, path, capacity: spare.bytes, position: segmentHeaderBytes }
    this.#current = current
    this.#file = file
    return { current, file }
  }

  async #takeBack(file: OpenFile, position: number, bytes: number, error: unknown): Promise<Error> {
    if (!(error instanceof FileSystemError) || error.data.operation === 'sync') return durabilityUnknown(error)
    try {
      await writeWhole(file, Buffer.alloc(bytes), position)
    } catch (second) {
      const { directory } = this.#options
      this.#options.logger.error({ directory, ...faultFields(second) }, 'a refused write could not be rolled back')
      return durabilityUnknown(error)
    }
    return notAppended(error)
  }

  #nextSegmentBytes(): number {
    const capacity = this.#current?.capacity ?? 0
    return Math.min(this.#options.segmentBytes, Math.max(firstSegmentBytes, capacity * growth))
  }

  #closeFile(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    return this.#closeQuietly(file)
  }

  /** Ignores failures: the writes of the file have been synced or given up already. */
  async #closeQuietly(file: OpenFile | undefined): Promise<void> {
    try {
      await file?.close()
    } catch (error) {
      this.#options.logger.warn({ ...faultFields(error) }, 'a segment could not be closed')
    }
  }
}

/** Shortens a file to `length` bytes, durably, and verifies the result. */
export async function cutFile(fileSystem: FileSystem, path: string, length: number): Promise<void> {
  const file = await fileSystem.open(path, 'update')
  try {
    await file.truncate(length)
    await file.sync()
    const size = await file.size()
    if (size !== length) throw new FileSystemError({ operation: 'truncate', path, errno: 'EIO' })
  } finally {
    await file.close()
  }
}
