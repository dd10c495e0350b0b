import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { StatewardError } from '../base/errors.js'
import { nameSchema, optionsSchema, portSchema } from '../base/options.js'
import type { JournalError } from './errors.js'
import { examineDirectory } from './examine.js'
import { withIoErrors } from './failures.js'
import { FileSystemError, type FileSystem, type OpenFile, type ReadableFiles } from './file-system.js'
import type { JournalCut, JournalRecovery } from './journal.js'
import { readNewestLock, type LockContent } from './lock-file.js'
import { nodeFileSystem } from './node-file-system.js'
import { standingOf, type ProcessStanding } from './process-identity.js'
import { recoveryOf } from './recovery.js'
import { isKeptCut } from './repair.js'

/** Options of reading a journal. */
export interface ReadDirectoryJournalOptions {
  readonly directory: string
  /** For tests. Default the file system of Node. */
  readonly fileSystem?: FileSystem
}

/** The owner of a directory, as far as its lock file and this machine tell. */
export interface JournalOwner {
  readonly pid: number
  readonly host: string
  /** `unknown` for a process of another machine or container. */
  readonly standing: ProcessStanding
}

/** The content of a directory at one instant. Its files stay open, and so readable, until `close()`. */
export interface JournalReading extends AsyncDisposable {
  /**
   * The newest snapshot and the records after it, in the form that opening returns. May be iterated until `close()`.
   */
  readonly recovery: Omit<JournalRecovery, 'cut'>
  /** The sequence after the last one that was read. */
  readonly nextSequence: number
  /**
   * Set if the log ends too early: what opening would cut or refuse. Under a live owner, a `torn_write` is usually a
   * write in progress.
   */
  readonly brokenEnd?: Omit<JournalCut, 'keptIn'>
  /** Files with the bytes that earlier openings cut from the end of the log. */
  readonly cuts: readonly string[]
  /** Absent if the directory is not locked, or its lock file cannot be decoded. */
  readonly owner?: JournalOwner
  /** Closes the files. */
  close(): Promise<void>
}

const optionsOfReading = optionsSchema<ReadDirectoryJournalOptions>({
  directory: nameSchema,
  fileSystem: v.optional(portSchema<FileSystem>(['open'])),
})

/** How often reading starts again. An owner that writes and compacts removes files and leaves records half written. */
const maxAttempts = 20

/**
 * Reads the journal of a directory without owning it, whether or not its owner is alive. Takes no lock, writes
 * nothing and never disturbs the owner. The result is a consistent prefix of the log.
 *
 * Rejects with `journal_corrupt` for damage before a whole record, and with `journal_io`. Iterating throws
 * `journal_corrupt` with reason `decode_failure`, and `journal_io`.
 */
export function readDirectoryJournal(options: ReadDirectoryJournalOptions): Promise<JournalReading> {
  return withIoErrors(async () => {
    const { directory, fileSystem = nodeFileSystem } = decode(optionsOfReading, options, 'journal reading options')
    let previous: unknown
    for (let attempt = 1; ; attempt += 1) {
      const files = new HeldFiles(fileSystem)
      try {
        return await examine(files, directory)
      } catch (error) {
        await files.close()
        if (attempt === maxAttempts || !isPassing(error, previous)) throw error
        previous = error
      }
    }
  })
}

/**
 * The owner of a directory; absent as in a {@link JournalReading}. Reads the lock file alone. Rejects with `journal_io`.
 */
export function readDirectoryOwner(directory: string): Promise<JournalOwner | undefined> {
  return withIoErrors(async () => {
    const files = new HeldFiles(nodeFileSystem)
    try {
      const lock = await readLock(files, directory)
      return lock === undefined || lock.released ? undefined : ownerOf(lock)
    } finally {
      await files.close()
    }
  })
}

async function examine(files: HeldFiles, directory: string): Promise<JournalReading> {
  const lock = await readLock(files, directory)
  const findings = await examineDirectory(files, directory, lock?.closedAt ?? 0)
  const { brokenEnd: end } = findings
  return {
    recovery: recoveryOf(files, directory, findings),
    nextSequence: findings.nextSequence,
    ...(end && { brokenEnd: { cause: end.cause, file: end.path, ...end.damage, sequence: end.sequence } }),
    cuts: (await files.list(directory)).filter(isKeptCut).sort(),
    ...(lock !== undefined && !lock.released && { owner: ownerOf(lock) }),
    close: () => files.close(),
    [Symbol.asyncDispose]: () => files.close(),
  }
}

function ownerOf(lock: LockContent): JournalOwner {
  return { pid: lock.pid, host: lock.host, standing: standingOf(lock) }
}

async function readLock(files: ReadableFiles, directory: string): Promise<LockContent | undefined> {
  try {
    const { content } = await readNewestLock(files, directory)
    return content === 'gone' ? undefined : content
  } catch (error) {
    // Reading needs no lock, so an unreadable lock file does not prevent it.
    if (StatewardError.is(error, 'journal_lock_damaged')) return undefined
    throw error
  }
}

/** Whether trying again may help: a listed file is gone, or damage was not found in the same place twice. */
function isPassing(error: unknown, previous: unknown): boolean {
  if (FileSystemError.has(error, 'ENOENT')) return error.data.operation === 'open'
  if (!isCorrupt(error)) return false
  const isTheSame = isCorrupt(previous) && previous.data.file === error.data.file
  return !isTheSame || previous.data.offset !== error.data.offset
}

function isCorrupt(error: unknown): error is JournalError<'journal_corrupt'> {
  return StatewardError.is(error, 'journal_corrupt')
}

/** Keeps every opened file open, so that files that an owner removes meanwhile can still be read. */
class HeldFiles implements ReadableFiles {
  readonly #fileSystem: FileSystem
  readonly #files = new Map<string, OpenFile>()

  constructor(fileSystem: FileSystem) {
    this.#fileSystem = fileSystem
  }

  list(directory: string): Promise<string[]> {
    return this.#fileSystem.list(directory)
  }

  async open(path: string): Promise<OpenFile> {
    const file = this.#files.get(path) ?? (await this.#fileSystem.open(path, 'read'))
    this.#files.set(path, file)
    return {
      descriptor: file.descriptor,
      isAt: (name) => file.isAt(name),
      size: () => file.size(),
      read: (into, position) => file.read(into, position),
      readSync: (position, length) => file.readSync(position, length),
      write: (bytes, position) => file.write(bytes, position),
      sync: () => file.sync(),
      truncate: (length) => file.truncate(length),
      // Files are only closed all together.
      close: () => Promise.resolve(),
    }
  }

  readSync(path: string, position: number, length: number): Buffer {
    return this.#files.get(path)?.readSync(position, length) ?? this.#fileSystem.readSync(path, position, length)
  }

  async close(): Promise<void> {
    const files = [...this.#files.values()]
    this.#files.clear()
    const closings = await Promise.allSettled(files.map((file) => file.close()))
    for (const closing of closings) if (closing.status === 'rejected') throw closing.reason
  }
}
