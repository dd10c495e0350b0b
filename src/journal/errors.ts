import { StatewardError } from '../base/errors.js'

/** Why stored bytes were refused (T-53). */
export type CorruptionReason =
  | 'incomplete_header'
  | 'incomplete_payload'
  | 'unsupported_version'
  | 'crc_mismatch'
  | 'decode_failure'
  | 'sequence_gap'
  | 'missing_records'

/** Data of every journal error, by code. */
export interface JournalErrorData {
  /**
   * Somebody else holds the directory: a live process, or one of which it cannot be told from here whether it runs
   * (`owner` is `unknown` then). `file` is the lock file that names it.
   */
  journal_locked: {
    readonly directory: string
    readonly pid: number
    readonly host?: string
    readonly owner?: 'running' | 'unknown'
    readonly file?: string
  }
  /** The lock file cannot be understood, so nobody can tell who owns the directory. */
  journal_lock_damaged: { readonly file: string; readonly cause: string }
  /**
   * The directory does not belong to this owner any more: its lock file is `gone`, `replaced` by another file, or
   * `superseded` by one of a higher number. Nothing is written from then on.
   */
  journal_lock_lost: { readonly file: string; readonly reason: 'gone' | 'replaced' | 'superseded' }
  /** Stored bytes are damaged where records may follow, or were written by another version. Nothing was changed. */
  journal_corrupt: { readonly file: string; readonly offset: number; readonly reason: CorruptionReason }
  /** A record or group exceeds the size limit; nothing was queued. */
  journal_record_too_large: { readonly bytes: number; readonly limit: number }
  /** The write was refused and taken back; the same records may be appended again. */
  journal_not_appended: { readonly cause: string }
  /** The sync failed: the records may or may not survive. The journal is poisoned. */
  journal_durability_unknown: { readonly cause: string }
  /** An earlier failure poisoned the journal; `reopen()` is the way out. */
  journal_poisoned: { readonly cause: string }
  /** The journal was closed. */
  journal_closed: Record<string, never>
  /** The storage could not be opened, read, compacted or released. */
  journal_io: { readonly operation: string; readonly file: string; readonly cause: string }
}

/** Stable code of a {@link JournalError}. */
export type JournalErrorCode = keyof JournalErrorData

/** Raised by every journal; `code` says which stage failed and whether trying again makes sense. */
export class JournalError<Code extends JournalErrorCode = JournalErrorCode> extends StatewardError<
  Code,
  JournalErrorData[Code]
> {
  override readonly name = 'JournalError'
}
