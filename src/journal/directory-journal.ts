import { dirname, join } from 'node:path'
import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { messageOf } from '../base/errors.js'
import { silentLogger, type Logger } from '../base/logger.js'
import { nameSchema, optionsSchema, portSchema, wholeNumberSchema } from '../base/options.js'
import { loggerSchema } from '../base/ports.js'
import { acquireDirectoryLock, type DirectoryLock } from './directory-lock.js'
import { examineDirectory, type Findings } from './examine.js'
import { withIoErrors } from './failures.js'
import type { FileSystem } from './file-system.js'
import { encodeFrame, frameCapacity } from './frame.js'
import { GroupCommitJournal, type JournalBackend, type PendingFrame } from './group-commit.js'
import type { Journal, JournalRecovery, JournalSnapshot, JournalStore, OpenedJournal } from './journal.js'
import { nodeFileSystem } from './node-file-system.js'
import { repairDirectory } from './repair.js'
import { replayParts } from './replay.js'
import { corruptError } from './segment.js'
import { SegmentLog, type SegmentLogOptions } from './segment-log.js'
import { snapshotRows, snapshotSequence, writeSnapshot } from './snapshot-file.js'

/** How a journal in a directory behaves. */
export interface DirectoryJournalOptions {
  /** Made when it is missing; the directory above it must exist. */
  readonly directory: string
  /** Size that segment files grow to, in bytes: 64 KiB to 256 MiB, 16 MiB unless told. */
  readonly segmentBytes?: number
  /**
   * What opening does with a write that a crash cut short: `cut` keeps its bytes in a file of their own and goes on
   * before them, `refuse` fails with `journal_corrupt`. Default `cut`.
   */
  readonly tornTail?: 'cut' | 'refuse'
  /** Hears of everything that was repaired or put off. */
  readonly logger?: Logger
  /** For tests; the one of the process unless told. */
  readonly fileSystem?: FileSystem
}

const minimumSegmentBytes = 64 * 1024
const maximumSegmentBytes = 256 * 2 ** 20
const defaultSegmentBytes = 16 * 2 ** 20

const optionsOfJournal = optionsSchema<DirectoryJournalOptions>({
  directory: nameSchema,
  segmentBytes: v.optional(wholeNumberSchema(minimumSegmentBytes, maximumSegmentBytes)),
  tornTail: v.optional(v.picklist(['cut', 'refuse'])),
  logger: v.optional(loggerSchema),
  fileSystem: v.optional(portSchema<FileSystem>(['open'])),
})

/** Bytes of write buffer kept between writes. */
const keptBufferBytes = 4 * 2 ** 20

/**
 * A store that keeps its journal in a directory of its own, owned by one process at a time.
 *
 * Raises `invalid_input` for a wrong option. `open()` raises `journal_locked`, `journal_corrupt` (nothing
 * was changed then), `journal_io`, and `invalid_input` for a lock file that cannot be understood; iterating over what was recovered may raise `journal_corrupt` with reason
 * `decode_failure`, and `journal_io`.
 */
export function createDirectoryJournal(options: DirectoryJournalOptions): JournalStore {
  const decoded = decode(optionsOfJournal, options, 'journal options')
  const { directory, segmentBytes = defaultSegmentBytes, tornTail = 'cut' } = decoded
  const { fileSystem = nodeFileSystem, logger = silentLogger } = decoded
  return { open: () => withIoErrors(() => openDirectory({ directory, fileSystem, segmentBytes, logger }, tornTail)) }
}

async function openDirectory(options: SegmentLogOptions, tornTail: 'cut' | 'refuse'): Promise<OpenedJournal> {
  const { fileSystem, directory, logger } = options
  if (await fileSystem.makeDirectory(directory)) await fileSystem.syncDirectory(dirname(directory))
  const lock = await acquireDirectoryLock(fileSystem, directory)
  try {
    const findings = await examineDirectory(fileSystem, directory)
    if (findings.tornTail !== undefined && tornTail === 'refuse') {
      throw corruptError(findings.tornTail.path, findings.tornTail.damage)
    }
    await repairDirectory(fileSystem, directory, findings, logger)
    const log = await SegmentLog.open(options, findings.segments, findings.position)
    return {
      journal: journalOver(new DirectoryBackend(options, log, lock), findings),
      recovery: recover(options, findings),
    }
  } catch (error) {
    await releaseAfterFailure(lock, options)
    throw error
  }
}

/** The failure that led here is the one to report. */
async function releaseAfterFailure(lock: DirectoryLock, { logger, directory }: SegmentLogOptions): Promise<void> {
  try {
    await lock.release()
  } catch (error) {
    logger.error({ directory, cause: messageOf(error) }, 'the lock stays until this process ends')
  }
}

function journalOver(backend: JournalBackend, { nextSequence, snapshot }: Findings): Journal {
  return new GroupCommitJournal(backend, { nextSequence, snapshotThrough: snapshot?.through ?? 0 })
}

function recover({ fileSystem }: SegmentLogOptions, { replay, snapshot }: Findings): JournalRecovery {
  const records = replayParts(fileSystem, replay, snapshot?.through ?? 0)
  if (snapshot === undefined) return { records }
  return { records, snapshot: { through: snapshot.through, rows: snapshotRows(fileSystem, snapshot) } }
}

class DirectoryBackend implements JournalBackend {
  readonly #options: SegmentLogOptions
  readonly #log: SegmentLog
  readonly #lock: DirectoryLock
  #buffer = Buffer.allocUnsafe(0)

  constructor(options: SegmentLogOptions, log: SegmentLog, lock: DirectoryLock) {
    this.#options = options
    this.#log = log
    this.#lock = lock
  }

  async write({ texts, firstSequence, count }: PendingFrame): Promise<void> {
    const text = texts.join(',')
    const buffer = this.#bufferFor(frameCapacity(text))
    const length = encodeFrame(buffer, { text, firstSequence, count })
    await this.#log.append(buffer.subarray(0, length), firstSequence)
  }

  reopen(nextSequence: number): Promise<void> {
    return withIoErrors(() => this.#log.startOver(nextSequence))
  }

  async compact(snapshot: JournalSnapshot): Promise<void> {
    const { fileSystem, directory, logger } = this.#options
    await withIoErrors(() => writeSnapshot(fileSystem, directory, snapshot))
    try {
      await this.#log.forget(snapshot.through)
      await removeOlderSnapshots(fileSystem, directory, snapshot.through)
    } catch (error) {
      // The snapshot counts already: what stays behind it is skipped and removed at the next opening.
      logger.warn({ directory, cause: messageOf(error) }, 'files that a snapshot has replaced could not be removed')
    }
  }

  close(): Promise<void> {
    return withIoErrors(async () => {
      await this.#log.close()
      await this.#lock.release()
    })
  }

  /** One buffer serves write after write; an unusually large frame gets one of its own. */
  #bufferFor(bytes: number): Buffer {
    if (bytes > keptBufferBytes) return Buffer.allocUnsafe(bytes)
    if (bytes > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(Math.min(keptBufferBytes, 2 * bytes))
    return this.#buffer
  }
}

async function removeOlderSnapshots(fileSystem: FileSystem, directory: string, through: number): Promise<void> {
  const older = (await fileSystem.list(directory)).filter((name) => (snapshotSequence(name) ?? through) < through)
  for (const name of older) await fileSystem.unlink(join(directory, name))
  if (older.length > 0) await fileSystem.syncDirectory(directory)
}
