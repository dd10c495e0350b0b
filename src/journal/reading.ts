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

/** What is read. */
export interface ReadDirectoryJournalOptions {
  readonly directory: string
  /** For tests; the one of the process unless told. */
  readonly fileSystem?: FileSystem
}

/** Who owns a directory, as far as its lock file and this machine tell. */
export interface JournalOwner {
  readonly pid: number
  readonly host: string
  /** `unknown` for a process of another machine or container. */
  readonly standing: ProcessStanding
}

/** What a directory held at one instant. Its files stay open, and so readable, until it is closed. */
export interface JournalReading extends AsyncDisposable {
  /** The newest snapshot and the records after it, in the terms of opening; may be iterated until `close()`. */
  readonly recovery: Omit<JournalRecovery, 'cut'>
  /** The sequence after the last one that was read. */
  readonly nextSequence: number
  /**
   * Set when the log stops before its end: what opening would cut, or refuse. Under a live owner a `torn_write` is
   * as a rule one that is still under way.
   */
  readonly brokenEnd?: Omit<JournalCut, 'keptIn'>
  /** Files to which earlier openings have copied what they cut from the end of the log. */
  readonly cuts: readonly string[]
  /** Absent when nobody holds the lock, or its file cannot be understood. */
  readonly owner?: JournalOwner
  /** Lets go of the files. */
  close(): Promise<void>
}

const optionsOfReading = optionsSchema<ReadDirectoryJournalOptions>({
  directory: nameSchema,
  fileSystem: v.optional(portSchema<FileSystem>(['open'])),
})

/** An owner that writes and compacts takes files away and leaves records half seen: so often is looked again. */
const maxAttempts = 20

/**
 * Reads the journal of a directory without owning it, whether its owner lives or not: takes no lock, writes nothing and
 * is in nobody's way. What it gives is a consistent prefix of the log.
 *
 * Rejects with `journal_corrupt` for damage before a whole record, and `journal_io`. Iterating raises `journal_corrupt`
 * with reason `decode_failure`, and `journal_io`.
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
    // Reading needs no lock: what can be read is worth more than a refusal.
    if (StatewardError.is(error, 'journal_lock_damaged')) return undefined
    throw error
  }
}

/** A file that was listed and is gone; or damage that the next look does not find in the same place. */
function isPassing(error: unknown, previous: unknown): boolean {
  if (FileSystemError.has(error, 'ENOENT')) return error.data.operation === 'open'
  if (!isCorrupt(error)) return false
  const isTheSame = isCorrupt(previous) && previous.data.file === error.data.file
  return !isTheSame || previous.data.offset !== error.data.offset
}

function isCorrupt(error: unknown): error is JournalError<'journal_corrupt'> {
  return StatewardError.is(error, 'journal_corrupt')
}

/** Files that stay open once they were opened: what an owner removes meanwhile can still be read. */
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
      // Not before everything is closed.
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
