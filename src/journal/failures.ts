import { messageOf } from '../base/errors.js'
import { JournalError } from './errors.js'
import { FileSystemError } from './file-system.js'

/** The `journal_io` for a failed file operation; any other error is the same it was. */
export function ioError(error: unknown): unknown {
  if (!(error instanceof FileSystemError)) return error
  const { operation, path, errno } = error.data
  const data = { operation, file: path, cause: errno }
  return new JournalError('journal_io', `${operation} ${path} failed: ${errno}`, data, { cause: error })
}

/** The result of `work`, file errors told as `journal_io`. */
export async function withIoErrors<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    throw ioError(error)
  }
}

/** The write was refused and no trace of it is left. */
export function notAppended(error: unknown): JournalError<'journal_not_appended'> {
  const cause = messageOf(error)
  return new JournalError('journal_not_appended', `the write was refused: ${cause}`, { cause }, { cause: error })
}

/** Nobody can tell whether the records will be there after a crash. */
export function durabilityUnknown(error: unknown): JournalError<'journal_durability_unknown'> {
  const cause = messageOf(error)
  const text = `whether the records survive is unknown, reopen the journal: ${cause}`
  return new JournalError('journal_durability_unknown', text, { cause }, { cause: error })
}
