import { join } from 'node:path'
import * as v from 'valibot'
import { decodeJson } from '../base/decode.js'
import { StatewardError } from '../base/errors.js'
import { JournalError } from './errors.js'
import { FileSystemError, readWhole, type ReadableFiles } from './file-system.js'

/**
 * All lock files have this length, so that a file can be overwritten in place: as one sector, and even on a full
 * disk.
 */
const contentBytes = 512

const content = v.strictObject({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  host: v.string(),
  startTime: v.optional(v.string()),
  bootId: v.optional(v.string()),
  pidNamespace: v.optional(v.string()),
  /** Distinguishes contenders. */
  token: v.string(),
  /** Whether the owner holds the kernel lock of this file while it runs. */
  kernel: v.boolean(),
  released: v.boolean(),
  /** Last sequence of the log when it was last closed. An intact log never ends before it. */
  closedAt: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
})

/** The content of a lock file. */
export type LockContent = v.InferOutput<typeof content>

/** The lock file of the highest generation, which is the valid one. */
export interface NewestLock {
  /** 0 if the directory has never been locked. */
  readonly generation: number
  readonly path: string
  /** `gone` if a newer owner removed the file while it was being read; missing for generation 0. */
  readonly content?: LockContent | 'gone'
}

const namePattern = /^lock\.(\d+)$/

/** The path of the lock file of a generation. */
export function lockPath(directory: string, generation: number): string {
  return join(directory, `lock.${generation}`)
}

/** The generation in a lock file's name; `undefined` for another file. */
export function lockGeneration(name: string): number | undefined {
  const match = namePattern.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** The highest generation among the names of a directory; 0 if there is none. */
export function highestGeneration(names: readonly string[]): number {
  return names.reduce((highest, name) => Math.max(highest, lockGeneration(name) ?? 0), 0)
}

/** Reads the valid lock file. Throws `journal_lock_damaged` and file system errors. */
export async function readNewestLock(files: ReadableFiles, directory: string): Promise<NewestLock> {
  const generation = highestGeneration(await files.list(directory))
  const path = lockPath(directory, generation)
  if (generation === 0) return { generation, path }
  const read = async (): Promise<LockContent> => decodeLock((await readWhole(files, path)).toString(), path)
  try {
    try {
      return { generation, path, content: await read() }
    } catch (error) {
      if (!StatewardError.is(error, 'journal_lock_damaged')) throw error
      // Its owner may be overwriting it right now, so read it once more.
      return { generation, path, content: await read() }
    }
  } catch (error) {
    if (FileSystemError.has(error, 'ENOENT')) return { generation, path, content: 'gone' }
    throw error
  }
}

/** Encodes the content of a lock file. */
export function encodeLock(lock: LockContent): Buffer {
  const bytes = Buffer.alloc(contentBytes, ' ')
  bytes.write(JSON.stringify(lock))
  return bytes
}

function decodeLock(text: string, file: string): LockContent {
  try {
    return decodeJson(content, text, { subject: 'lock file', maxBytes: contentBytes })
  } catch (error) {
    if (!StatewardError.is(error, 'invalid_input')) throw error
    throw new JournalError('journal_lock_damaged', { file, cause: error.message }, { cause: error })
  }
}
