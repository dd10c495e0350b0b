import { faultFields } from '../base/error-details.js'
import { dirname, join } from 'node:path'
import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { StatewardError } from '../base/errors.js'
import { systemClock, type Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import {
  durationSchema,
  functionSchema,
  nameSchema,
  optionsSchema,
  portSchema,
  wholeNumberSchema,
} from '../base/options.js'
import { clockSchema, loggerSchema } from '../base/ports.js'
import { acquireDirectoryLock, type DirectoryLock, type DirectoryLockOptions } from './directory-lock.js'
import { examineDirectory, type Findings } from './examine.js'
import { JournalError } from './errors.js'
import { notAppended, withIoErrors } from './failures.js'
import { FileSystemError, type FileSystem } from './file-system.js'
import { encodeFrame, frameCapacity } from './frame.js'
import { GroupCommitJournal, type JournalBackend, type PendingFrame } from './group-commit.js'
import type { Journal, JournalSnapshot, JournalStore, OpenedJournal } from './journal.js'
import { flock, type KernelLock } from './kernel-lock.js'
import { nodeFileSystem } from './node-file-system.js'
import { repairDirectory } from './repair.js'
import { recoveryOf } from './recovery.js'
import { SegmentLog, type SegmentLogOptions } from './segment-log.js'
import { snapshotSequence, writeSnapshot, type SnapshotFile } from './snapshot-file.js'

/** Options of a journal in a directory. */
export interface DirectoryJournalOptions {
  /** The directory. Created if it is missing; its parent must exist. */
  readonly directory: string
  /** Size that segment files grow to, in bytes: 64 KiB to 256 MiB. Default 16 MiB. */
  readonly segmentBytes?: number
  /**
   * What opening does with a write that a crash cut short: `cut` copies its bytes to a separate file and continues
   * without them, `refuse` fails with `journal_corrupt`. Default `cut`.
   */
  readonly tornTail?: 'cut' | 'refuse'
  /**
   * What opening does when records at the end that may have been acknowledged are damaged or missing: `refuse` fails
   * with `journal_corrupt`, `cut` copies the bytes to a separate file and continues without these records. Damage
   * before a whole record is always refused. Default `refuse`.
   */
  readonly onDamage?: 'refuse' | 'cut'
  /**
   * How long opening waits for another owner to release the directory, in milliseconds, as in a rolling update. After
   * that it fails with `journal_locked`. Default 0.
   */
  readonly lockWaitMs?: number
  /** Receives a line for everything that was repaired or put off. */
  readonly logger?: Logger
  /** Measures `lockWaitMs` and the time between checks of the lock. Default the system clock. */
  readonly clock?: Clock
  /** For tests. Default the file system of Node. */
  readonly fileSystem?: FileSystem
  /** For tests. Default the command `flock`. */
  readonly kernelLock?: KernelLock
}

const minimumSegmentBytes = 64 * 1024
const maximumSegmentBytes = 256 * 2 ** 20
const defaultSegmentBytes = 16 * 2 ** 20

const optionsOfJournal = optionsSchema<DirectoryJournalOptions>({
  directory: nameSchema,
  segmentBytes: v.optional(wholeNumberSchema(minimumSegmentBytes, maximumSegmentBytes)),
  tornTail: v.optional(v.picklist(['cut', 'refuse'])),
  onDamage: v.optional(v.picklist(['cut', 'refuse'])),
  lockWaitMs: v.optional(durationSchema),
  logger: v.optional(loggerSchema),
  clock: v.optional(clockSchema),
  fileSystem: v.optional(portSchema<FileSystem>(['open'])),
  kernelLock: v.optional(functionSchema<KernelLock>()),
})

/** Bytes of write buffer kept between writes. */
const keptBufferBytes = 4 * 2 ** 20

/** Milliseconds after which a writer checks again that it still owns the directory. */
const lockCheckMs = 1000

/** What opening does with a broken end of the log. */
type Policies = Required<Pick<DirectoryJournalOptions, 'tornTail' | 'onDamage'>>

/**
 * Creates a store that keeps its journal in a directory. One process owns the directory at a time.
 *
 * Throws `invalid_input` for a wrong option. `open()` rejects with `journal_locked`, `journal_lock_damaged`,
 * `journal_corrupt` (nothing has been changed then) and `journal_io`. Iterating over the recovered data may throw
 * `journal_corrupt` with reason `decode_failure`, and `journal_io`. An owner that has lost its directory is poisoned
 * with `journal_lock_lost`, and `close()` fails with it, too.
 */
export function createDirectoryJournal(options: DirectoryJournalOptions): JournalStore {
  const decoded = decode(optionsOfJournal, options, 'journal options')
  const { directory, segmentBytes = defaultSegmentBytes, lockWaitMs = 0 } = decoded
  const { fileSystem = nodeFileSystem, clock = systemClock, kernelLock = flock } = decoded
  const { tornTail = 'cut', onDamage = 'refuse' } = decoded
  const logger = guardedLogger(decoded.logger)
  const logOptions = { directory, fileSystem, segmentBytes, logger }
  const lockOptions = { directory, fileSystem, kernelLock, clock, waitMs: lockWaitMs }
  return { open: () => withIoErrors(() => openDirectory(logOptions, lockOptions, { tornTail, onDamage })) }
}

async function openDirectory(
  options: SegmentLogOptions,
  lockOptions: DirectoryLockOptions,
  policies: Policies,
): Promise<OpenedJournal> {
  const { fileSystem, directory, logger } = options
  if (await fileSystem.makeDirectory(directory)) await fileSystem.syncDirectory(dirname(directory))
  const lock = await acquireDirectoryLock(lockOptions)
  try {
    const findings = await examineDirectory(fileSystem, directory, lock.closedAt)
    refuseBrokenEnd(findings, policies, lock.closedAt)
    const cut = await repairDirectory(fileSystem, directory, findings, logger)
    const last = findings.nextSequence - 1
    if (last < lock.closedAt) await lock.accept(last)
    const log = await SegmentLog.open(options, findings.segments, findings.position)
    return {
      journal: journalOver(
        new DirectoryBackend({ ...lockOptions, ...options }, log, lock, findings.snapshot),
        findings,
      ),
      recovery: { ...recoveryOf(fileSystem, directory, findings), ...(cut && { cut }) },
    }
  } catch (error) {
    await releaseAfterFailure(lock, options)
    throw error
  }
}

function refuseBrokenEnd({ brokenEnd }: Findings, { tornTail, onDamage }: Policies, closedAt: number): void {
  if (brokenEnd === undefined) return
  const { cause, path, damage, sequence } = brokenEnd
  if ((cause === 'torn_write' ? tornTail : onDamage) === 'cut') return
  const loss = { firstLost: sequence, closedAt }
  throw new JournalError('journal_corrupt', { file: path, ...damage, loss })
}

/** Failures of the release are only logged: the failure that led here is the one to report. */
async function releaseAfterFailure(lock: DirectoryLock, { logger, directory }: SegmentLogOptions): Promise<void> {
  try {
    await lock.release()
  } catch (error) {
    logger.error(
      { directory, ...faultFields(error) },
      'the lock could not be released and stays until this process ends',
    )
  }
}

function journalOver(backend: JournalBackend, { nextSequence, snapshot }: Findings): Journal {
  return new GroupCommitJournal(backend, { nextSequence, snapshotThrough: snapshot?.through ?? 0 })
}

class DirectoryBackend implements JournalBackend {
  readonly #options: SegmentLogOptions
  readonly #log: SegmentLog
  readonly #lock: DirectoryLock
  readonly #clock: Clock
  /** The newest snapshot. */
  #snapshot: SnapshotFile | undefined
  /** When the lock was last found in place, in monotonic milliseconds. */
  #checkedAt: number
  #loss: StatewardError | undefined
  #buffer = Buffer.allocUnsafe(0)

  constructor(
    options: SegmentLogOptions & { readonly clock: Clock },
    log: SegmentLog,
    lock: DirectoryLock,
    snapshot: SnapshotFile | undefined,
  ) {
    this.#options = options
    this.#log = log
    this.#lock = lock
    this.#clock = options.clock
    this.#snapshot = snapshot
    this.#checkedAt = options.clock.monotonicNow()
  }

  async write({ texts, firstSequence, count }: PendingFrame): Promise<void> {
    const text = texts.join(',')
    const buffer = this.#bufferFor(frameCapacity(text))
    const length = encodeFrame(buffer, { text, firstSequence, count })
    const isCheckDue = this.#clock.monotonicNow() - this.#checkedAt >= lockCheckMs
    if (isCheckDue || !this.#log.hasRoomFor(length)) await this.#checkBeforeWrite()
    await this.#log.append(buffer.subarray(0, length), firstSequence)
  }

  reopen(nextSequence: number): Promise<void> {
    return withIoErrors(async () => {
      await this.#checkLock()
      await this.#log.startOver(nextSequence)
    })
  }

  async compact(snapshot: JournalSnapshot): Promise<void> {
    const { fileSystem, directory, logger } = this.#options
    const written = await withIoErrors(async () => {
      await this.#checkLock()
      const previous = this.#snapshot
      return writeSnapshot(fileSystem, directory, snapshot, { previous, beforeNaming: () => this.#checkLock() })
    })
    this.#snapshot = written
    try {
      await this.#log.forget(snapshot.through)
      await removeReplacedSnapshots(fileSystem, directory, written)
    } catch (error) {
      // The snapshot is valid already. Files that remain are ignored, and removed at the next opening.
      logger.warn({ directory, ...faultFields(error) }, 'files replaced by a snapshot could not be removed')
    }
  }

  close(durableThrough: number): Promise<void> {
    return withIoErrors(async () => {
      try {
        await this.#checkLock()
      } catch (error) {
        await this.#log.abandon()
        await this.#lock.abandon()
        throw error
      }
      await this.#log.close()
      await this.#lock.release(durableThrough)
    })
  }

  /** A lost lock stays lost: another process may have written meanwhile, even if the lock is in place again. */
  async #checkLock(): Promise<void> {
    if (this.#loss !== undefined) throw this.#loss
    try {
      await this.#lock.check()
    } catch (error) {
      if (StatewardError.is(error, 'journal_lock_lost')) this.#loss = error
      throw error
    }
    this.#checkedAt = this.#clock.monotonicNow()
  }

  /** A check that fails with a file error says nothing about the lock, and nothing has been written. */
  async #checkBeforeWrite(): Promise<void> {
    try {
      await this.#checkLock()
    } catch (error) {
      throw error instanceof FileSystemError ? notAppended(error) : error
    }
  }

  /** Returns a buffer that is reused for every write; an unusually large frame gets its own. */
  #bufferFor(bytes: number): Buffer {
    if (bytes > keptBufferBytes) return Buffer.allocUnsafe(bytes)
    if (bytes > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(Math.min(keptBufferBytes, 2 * bytes))
    return this.#buffer
  }
}

/** Removes older snapshot files of which this snapshot uses no part. */
async function removeReplacedSnapshots(
  fileSystem: FileSystem,
  directory: string,
  { through, files }: SnapshotFile,
): Promise<void> {
  const replaced = (await fileSystem.list(directory)).filter((name) => {
    const older = snapshotSequence(name)
    return older !== undefined && older < through && !files.has(older)
  })
  for (const name of replaced) await fileSystem.unlink(join(directory, name))
  if (replaced.length > 0) await fileSystem.syncDirectory(directory)
}
