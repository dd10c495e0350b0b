import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import * as v from 'valibot'
import { decodeJson } from '../base/decode.js'
import { JournalError } from './errors.js'
import { FileSystemError, readWhole, writeWhole, type FileSystem } from './file-system.js'
import { isRunning, ownIdentity } from './process-identity.js'

/** The right to write to a directory, until it is released or the process ends. */
export interface DirectoryLock {
  /** Lets the next owner in. Raises file system errors; the lock is then free once the process has ended. */
  release(): Promise<void>
}

/** All lock files have this length, so that releasing one overwrites it in place, even on a full disk. */
const contentBytes = 512

const content = v.strictObject({
  pid: v.pipe(v.number(), v.integer(), v.minValue(1)),
  startTime: v.optional(v.string()),
  bootId: v.optional(v.string()),
  token: v.string(),
  released: v.boolean(),
})

type LockContent = v.InferOutput<typeof content>

const namePattern = /^lock\.(\d+)$/
const claimPattern = /^lock-.*\.claim$/

/** A busy directory changes hands at most this often while one contender looks at it. */
const maxAttempts = 100

/**
 * Takes the lock of a directory. The owner is whoever made the lock file with the highest generation, as long as it
 * has not released it and its process runs.
 *
 * Generations only ever grow: the highest file is never removed, so a contender that slept through any number of
 * owners finds either its generation taken or a higher one beside it. Raises `journal_locked`, and file system errors.
 */
export async function acquireDirectoryLock(fileSystem: FileSystem, directory: string): Promise<DirectoryLock> {
  // Tells contenders apart; it is no part of any history.
  const own: LockContent = { ...ownIdentity(), token: randomUUID(), released: false }
  let newest: NewestLock | undefined
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    newest = await newestLock(fileSystem, directory)
    if (newest.owner === 'gone') continue
    if (newest.owner !== undefined && !newest.owner.released && isRunning(newest.owner)) break
    const generation = newest.generation + 1
    if (!(await claim(fileSystem, directory, generation, own))) continue
    const path = lockPath(directory, generation)
    const lock = { release: () => overwrite(fileSystem, path, { ...own, released: true }) }
    try {
      await removeOlder(fileSystem, directory, generation)
    } catch (error) {
      await lock.release()
      throw error
    }
    return lock
  }
  const pid = typeof newest?.owner === 'object' ? newest.owner.pid : 0
  throw new JournalError('journal_locked', `${directory} is in use by process ${pid}`, { directory, pid })
}

interface NewestLock {
  /** 0 when nobody has ever held the lock. */
  readonly generation: number
  /** `gone` when a newer owner removed the file while it was looked at. */
  readonly owner?: LockContent | 'gone'
}

async function newestLock(fileSystem: FileSystem, directory: string): Promise<NewestLock> {
  const generation = await highestGeneration(fileSystem, directory)
  if (generation === 0) return { generation }
  const path = lockPath(directory, generation)
  try {
    const text = (await readWhole(fileSystem, path)).toString()
    return { generation, owner: decodeJson(content, text, { subject: `lock file ${path}`, maxBytes: contentBytes }) }
  } catch (error) {
    if (FileSystemError.has(error, 'ENOENT')) return { generation, owner: 'gone' }
    throw error
  }
}

/**
 * Makes the lock file of this generation, unless somebody else has or had it. It appears under its name complete: a
 * reader never sees half of it.
 */
async function claim(
  fileSystem: FileSystem,
  directory: string,
  generation: number,
  own: LockContent,
): Promise<boolean> {
  const temporary = join(directory, `lock-${own.token}.claim`)
  const path = lockPath(directory, generation)
  const file = await fileSystem.open(temporary, 'create')
  try {
    await writeWhole(file, encode(own), 0)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await fileSystem.link(temporary, path)
  } catch (error) {
    // The claim itself is gone when a new owner has tidied up meanwhile.
    if (FileSystemError.has(error, 'EEXIST') || FileSystemError.has(error, 'ENOENT')) return false
    throw error
  } finally {
    await remove(fileSystem, temporary)
  }
  if ((await highestGeneration(fileSystem, directory)) === generation) return true
  // The file of an earlier owner of this generation had been removed: its successors are beyond it.
  await remove(fileSystem, path)
  return false
}

async function highestGeneration(fileSystem: FileSystem, directory: string): Promise<number> {
  let highest = 0
  for (const name of await fileSystem.list(directory)) highest = Math.max(highest, generationOf(name) ?? 0)
  return highest
}

/** The highest file stays, whoever it belongs to. */
async function removeOlder(fileSystem: FileSystem, directory: string, generation: number): Promise<void> {
  for (const name of await fileSystem.list(directory)) {
    const other = generationOf(name)
    if (claimPattern.test(name) || (other !== undefined && other < generation)) {
      await remove(fileSystem, join(directory, name))
    }
  }
}

function generationOf(name: string): number | undefined {
  const match = namePattern.exec(name)
  return match === null ? undefined : Number(match[1])
}

async function overwrite(fileSystem: FileSystem, path: string, own: LockContent): Promise<void> {
  const file = await fileSystem.open(path, 'update')
  try {
    await writeWhole(file, encode(own), 0)
  } finally {
    await file.close()
  }
}

async function remove(fileSystem: FileSystem, path: string): Promise<void> {
  try {
    await fileSystem.unlink(path)
  } catch (error) {
    if (!FileSystemError.has(error, 'ENOENT')) throw error
  }
}

function encode(own: LockContent): Buffer {
  return Buffer.from(JSON.stringify(own).padEnd(contentBytes))
}

function lockPath(directory: string, generation: number): string {
  return join(directory, `lock.${generation}`)
}
