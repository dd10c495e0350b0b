import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import type { StatewardError } from '../base/errors.js'

/** Why stored bytes were refused (T-53). */
export type CorruptionReason =
  | 'incomplete_header'
  | 'incomplete_payload'
  | 'unsupported_version'
  | 'crc_mismatch'
  | 'decode_failure'
  | 'sequence_gap'
  | 'missing_records'

/** The owner of a directory, as far as it is known. */
interface Holder {
  readonly directory: string
  readonly pid: number
  readonly host?: string
  readonly owner?: 'running' | 'unknown'
  readonly file?: string
}

interface Corruption {
  readonly file: string
  readonly offset: number
  readonly reason: CorruptionReason
  /**
   * The records lost at a broken end; such an end may be cut. `closedAt` is the last sequence at the last clean
   * close, or 0.
   */
  readonly loss?: { readonly firstLost: number; readonly closedAt: number }
}

interface Failed {
  readonly cause: string
  /** What may help, where it is known. */
  readonly advice?: string
}

const messages = {
  /**
   * Another process owns the directory. It is alive or, if `owner` is `unknown`, this process cannot tell whether it
   * still runs. `file` is the lock file that names the owner.
   */
  journal_locked: ({ directory, pid, host, owner, file }: Holder) => {
    const holder = `process ${pid}${host === undefined ? '' : ` of ${host}`}`
    return owner === 'unknown'
      ? `${directory} was taken by ${holder}, and this process cannot tell whether that is still running: ` +
          `wait (lockWaitMs), or make sure that it has ended and remove ${file} by hand`
      : `${directory} is in use by ${holder}: wait (lockWaitMs), or stop that process`
  },
  /** The lock file cannot be decoded, so the owner of the directory is unknown. */
  journal_lock_damaged: ({ file, cause }: { readonly file: string; readonly cause: string }) =>
    `${file} is damaged: ${cause}; make sure that no process uses the directory, then remove the file`,
  /**
   * This process no longer owns the directory: its lock file is `gone`, `replaced` by another file, or `superseded`
   * by one with a higher number. Nothing more is written.
   */
  journal_lock_lost: ({
    file,
    reason,
  }: {
    readonly file: string
    readonly reason: 'gone' | 'replaced' | 'superseded'
  }) => `${file} is ${reason}: this process no longer owns the directory, and writes nothing to it`,
  /**
   * Stored bytes are damaged where records may follow, or were written by another version. Nothing has been changed.
   */
  journal_corrupt: ({ file, offset, reason, loss }: Corruption) => {
    const isShort = loss !== undefined && loss.closedAt >= loss.firstLost
    const lost = isShort ? `, and records ${loss.firstLost} to ${loss.closedAt} are gone` : ''
    const way =
      loss === undefined ? '' : ", or open it with onDamage: 'cut' (--cut-damage) to go on without what is lost"
    return `${file} is damaged at ${offset} (${reason})${lost}; nothing was changed: restore it from a copy${way}`
  },
  /** A record or group exceeds the size limit. Nothing was queued. */
  journal_record_too_large: ({ bytes, limit }: { readonly bytes: number; readonly limit: number }) =>
    `${bytes} bytes exceed the ${limit} that one append may take: store large values elsewhere`,
  /** The write was refused and taken back. The same records may be appended again. */
  journal_not_appended: ({ cause, advice }: Failed) => `the write was refused: ${withAdvice(cause, advice)}`,
  /** The sync failed, so the records may or may not survive. The journal is poisoned. */
  journal_durability_unknown: ({ cause }: Failed) =>
    `whether the records survive is unknown, reopen the journal: ${cause}`,
  /** An earlier failure poisoned the journal. Call `reopen()` to recover. */
  journal_poisoned: ({ cause }: Failed) => `the journal must be reopened first: ${cause}`,
  /** The journal was closed. */
  journal_closed: () => 'the journal is closed',
  /** The storage could not be opened, read, compacted or released. */
  journal_io: ({ operation, file, cause, advice }: Failed & { readonly operation: string; readonly file: string }) =>
    `${operation} ${file} failed: ${withAdvice(cause, advice)}`,
}

function withAdvice(cause: string, advice: string | undefined): string {
  return advice === undefined ? cause : `${cause}; ${advice}`
}

/** Data of every journal error, by code. */
export type JournalErrorData = ErrorDataOf<typeof messages>

/** Stable code of a {@link JournalError}. */
export type JournalErrorCode = keyof JournalErrorData

/**
 * Thrown by every journal. `code` says which stage failed and whether trying again makes sense. The message is
 * derived from `data`.
 */
export const JournalError = defineErrors('JournalError', messages)
export type JournalError<Code extends JournalErrorCode = JournalErrorCode> = StatewardError<
  Code,
  JournalErrorData[Code]
>
