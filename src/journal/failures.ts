import { messageOf } from '../base/errors.js'
import { JournalError } from './errors.js'
import { FileSystemError } from './file-system.js'

/** Converts a failed file operation to `journal_io`. Any other error is returned unchanged. */
export function ioError(error: unknown): unknown {
  if (!(error instanceof FileSystemError)) return error
  const { operation, path, errno } = error.data
  return new JournalError('journal_io', { operation, file: path, cause: errno, ...adviceOn(error) }, { cause: error })
}

/** What to do about a failed file operation, where something is known to help. */
function adviceOn({ data: { operation, errno } }: FileSystemError): { readonly advice?: string } {
  if (operation === 'link' && noLinkErrors.has(errno)) {
    return { advice: 'the lock needs hard links, which this file system refuses: keep the journal on another one' }
  }
  const advice = adviceByErrno.get(errno)
  return advice === undefined ? {} : { advice }
}

const noLinkErrors: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'UNKNOWN'])

const notAllowed = 'check who owns the directory and what this user may do in it'
const full = 'the disk is full: free some space and try again'
const adviceByErrno: ReadonlyMap<string, string> = new Map([
  ['ENOSPC', full],
  ['EDQUOT', full],
  ['EROFS', 'the disk is read-only: mount it writable, or read without owning it with readDirectoryJournal()'],
  ['EACCES', notAllowed],
  ['EPERM', notAllowed],
])

/** The result of `work`. File errors become `journal_io`. */
export async function withIoErrors<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    throw ioError(error)
  }
}

/** The error for a write that was refused and left no trace. */
export function notAppended(error: unknown): JournalError<'journal_not_appended'> {
  const cause = messageOf(error)
  const advice = error instanceof FileSystemError ? adviceOn(error) : {}
  return new JournalError('journal_not_appended', { cause, ...advice }, { cause: error })
}

/** The error for a write whose records may or may not survive a crash. */
export function durabilityUnknown(error: unknown): JournalError<'journal_durability_unknown'> {
  return new JournalError('journal_durability_unknown', { cause: messageOf(error) }, { cause: error })
}
