import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '../base/clock.js'
import { JournalError, type JournalErrorData } from './errors.js'
import { FileSystemError, writeWhole, type FileSystem, type OpenFile } from './file-system.js'
import type { KernelLock, KernelLockOutcome } from './kernel-lock.js'
import {
  encodeLock,
  highestGeneration,
  lockGeneration,
  lockPath,
  readNewestLock,
  type LockContent,
} from './lock-file.js'
import { ownIdentity, standingOf } from './process-identity.js'

/** Options for taking the lock of a directory. */
export interface DirectoryLockOptions {
  readonly fileSystem: FileSystem
  readonly directory: string
  readonly kernelLock: KernelLock
  readonly clock: Clock
  /** How long to wait for the owner to release the directory, in milliseconds. */
  readonly waitMs: number
}

const claimPattern = /^lock-.*\.claim$/

/** How many changes of owner one contender follows before it gives up. */
const maxAttempts = 100

/** Milliseconds between two checks while waiting for a lock. */
const pollMs = 200

/**
 * The right to write to a directory, until it is released or the process ends.
 *
 * The lock is the lock file of the highest generation. The file stays open, so later writes can never reach another
 * owner's file, whatever its name then refers to.
 */
export class DirectoryLock {
  readonly #fileSystem: FileSystem
  readonly #directory: string
  readonly #generation: number
  readonly #file: OpenFile
  #content: LockContent

  constructor(fileSystem: FileSystem, directory: string, generation: number, file: OpenFile, content: LockContent) {
    this.#fileSystem = fileSystem
    this.#directory = directory
    this.#generation = generation
    this.#file = file
    this.#content = content
  }

  /** Last sequence of the log when it was last closed. A log that ends before it has lost records. */
  get closedAt(): number {
    return this.#content.closedAt
  }

  /** Throws `journal_lock_lost` if this owner no longer owns the directory, and file system errors. */
  async check(): Promise<void> {
    const file = lockPath(this.#directory, this.#generation)
    let names: readonly string[]
    try {
      names = await this.#fileSystem.list(this.#directory)
    } catch (error) {
      if (FileSystemError.has(error, 'ENOENT', 'ENOTDIR')) throw lostError(file, 'gone')
      throw error
    }
    if (highestGeneration(names) > this.#generation) throw lostError(file, 'superseded')
    if (!names.some((name) => lockGeneration(name) === this.#generation)) throw lostError(file, 'gone')
    if (!(await this.#file.isAt(file))) throw lostError(file, 'replaced')
  }

  /** Accepts that the log ends here although it was once longer. */
  async accept(closedAt: number): Promise<void> {
    await this.#write({ ...this.#content, closedAt })
  }

  /**
   * Releases the directory for the next owner. `closedAt` is the last sequence of the log; unchanged by default.
   * Throws `journal_lock_lost` and file system errors; the lock is then free once the process has ended.
   */
  async release(closedAt = this.closedAt): Promise<void> {
    try {
      await this.check()
      await this.#write({ ...this.#content, closedAt, released: true })
    } finally {
      await this.#file.close()
    }
  }

  /** Closes the lock file without touching the file that now has its name. */
  async abandon(): Promise<void> {
    await this.#file.close()
  }

  async #write(content: LockContent): Promise<void> {
    await writeWhole(this.#file, encodeLock(content), 0)
    await this.#file.sync()
    this.#content = content
  }
}

/**
 * Takes the lock of a directory. The owner is the process that created the lock file of the highest generation, as
 * long as it has not released it and holds the kernel lock on it or, where there is no kernel lock, as long as the
 * process runs. An owner whose state cannot be determined keeps the lock.
 *
 * Generations only grow: the file of the highest one is never removed, so a contender that was suspended for any
 * number of owners finds either its generation taken or a higher one next to it. Throws `journal_locked`,
 * `journal_lock_damaged` and file system errors.
 */
export async function acquireDirectoryLock(options: DirectoryLockOptions): Promise<DirectoryLock> {
  const { clock, waitMs } = options
  const deadline = clock.monotonicNow() + waitMs
  for (;;) {
    const outcome = await contend(options)
    if (outcome instanceof DirectoryLock) return outcome
    const left = deadline - clock.monotonicNow()
    if (left <= 0) throw lockedError(options.directory, outcome)
    await new Promise<void>((resolve) => clock.setTimeout(resolve, Math.min(pollMs, left)))
  }
}

/** The process that holds the lock, and whether it is known to run. */
interface Holder {
  readonly pid: number
  readonly host: string
  readonly owner: 'running' | 'unknown'
  readonly file: string
}

async function contend(options: DirectoryLockOptions): Promise<DirectoryLock | Holder> {
  const { fileSystem, directory } = options
  for (let attempt = 1; ; attempt += 1) {
    const newest = await readNewestLock(fileSystem, directory)
    const { path: file, content, generation } = newest
    const holder = content === 'gone' ? 'gone' : await holderOf(file, content, options)
    if (typeof holder === 'object') return holder
    if (holder === 'nobody' && content !== 'gone') {
      const lock = await claim(generation + 1, content?.closedAt ?? 0, options)
      if (lock !== undefined) return lock
    }
    if (attempt === maxAttempts) return { pid: 0, host: 'unknown', owner: 'running', file }
  }
}

/** The owner of a lock file. `gone`: the file was removed meanwhile, so its content no longer counts. */
async function holderOf(
  file: string,
  content: LockContent | undefined,
  { fileSystem, kernelLock }: DirectoryLockOptions,
): Promise<Holder | 'nobody' | 'gone'> {
  if (content === undefined || content.released) return 'nobody'
  const { pid, host, kernel } = content
  if (kernel) {
    const outcome = await tryLock(fileSystem, file, kernelLock)
    if (outcome === 'busy') return { pid, host, owner: 'running', file }
    if (outcome === 'gone') return 'gone'
    // Its owner has ended, in whatever way.
    if (outcome === 'locked') return 'nobody'
  }
  const owner = standingOf(content)
  return owner === 'ended' ? 'nobody' : { pid, host, owner, file }
}

/** Tests whether any process holds the kernel lock of a lock file. The lock is released at once. */
async function tryLock(
  fileSystem: FileSystem,
  path: string,
  kernelLock: KernelLock,
): Promise<KernelLockOutcome | 'gone'> {
  let file: OpenFile
  try {
    file = await fileSystem.open(path, 'update')
  } catch (error) {
    if (FileSystemError.has(error, 'ENOENT')) return 'gone'
    throw error
  }
  try {
    const outcome = await kernelLock(file.descriptor)
    // The lock of a file that has lost its name says nothing about the file that has the name now.
    return (await file.isAt(path)) ? outcome : 'gone'
  } finally {
    await file.close()
  }
}

/**
 * Creates the lock file of this generation and removes older ones. Returns `undefined` if another process has or had
 * this generation.
 */
async function claim(
  generation: number,
  closedAt: number,
  { fileSystem, directory, kernelLock }: DirectoryLockOptions,
): Promise<DirectoryLock | undefined> {
  const token = randomUUID()
  const temporary = join(directory, `lock-${token}.claim`)
  const file = await fileSystem.open(temporary, 'create')
  let isOwner = false
  try {
    // Locked and complete before it gets its name: no other process can lock it first or read half of it.
    const kernel = (await kernelLock(file.descriptor)) === 'locked'
    const content = { ...ownIdentity(), token, kernel, released: false, closedAt }
    await writeWhole(file, encodeLock(content), 0)
    await file.sync()
    isOwner = await giveName(fileSystem, file, { directory, temporary, generation })
    if (!isOwner) return undefined
    const lock = new DirectoryLock(fileSystem, directory, generation, file, content)
    await removeOlder(fileSystem, directory, generation, lock)
    return lock
  } finally {
    if (!isOwner) await file.close()
    await remove(fileSystem, temporary)
  }
}

/** Links the claim to its lock file name. True when it has become the valid lock file. */
async function giveName(
  fileSystem: FileSystem,
  file: OpenFile,
  { directory, temporary, generation }: { directory: string; temporary: string; generation: number },
): Promise<boolean> {
  const path = lockPath(directory, generation)
  try {
    await fileSystem.link(temporary, path)
  } catch (error) {
    // The claim itself is gone if a new owner has removed stale files meanwhile.
    if (FileSystemError.has(error, 'EEXIST', 'ENOENT')) return false
    throw error
  }
  if (highestGeneration(await fileSystem.list(directory)) === generation) return true
  // The file of an earlier owner of this generation has been removed, and later generations exist.
  if (await file.isAt(path)) await remove(fileSystem, path)
  return false
}

/**
 * Removes older lock files and claims. The highest lock file stays, whichever process owns it. If the others cannot
 * be removed, the lock is released.
 */
async function removeOlder(
  fileSystem: FileSystem,
  directory: string,
  generation: number,
  lock: DirectoryLock,
): Promise<void> {
  try {
    for (const name of await fileSystem.list(directory)) {
      const isOlder = (lockGeneration(name) ?? generation) < generation
      if (isOlder || claimPattern.test(name)) await remove(fileSystem, join(directory, name))
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function remove(fileSystem: FileSystem, path: string): Promise<void> {
  try {
    await fileSystem.unlink(path)
  } catch (error) {
    if (!FileSystemError.has(error, 'ENOENT')) throw error
  }
}

function lockedError(directory: string, { pid, host, owner, file }: Holder): JournalError<'journal_locked'> {
  return new JournalError('journal_locked', { directory, pid, host, owner, file })
}

function lostError(
  file: string,
  reason: JournalErrorData['journal_lock_lost']['reason'],
): JournalError<'journal_lock_lost'> {
  return new JournalError('journal_lock_lost', { file, reason })
}
