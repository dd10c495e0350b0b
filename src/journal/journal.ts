import type { JsonValue } from '../base/json.js'
import type { CorruptionReason } from './errors.js'

/** A record as the journal stores it: any JSON value. The journal never looks inside. */
export type JournalRecord = JsonValue

/** A record read back at opening. */
export interface ReplayedRecord {
  /** Position in the journal, from 1, without gaps. */
  readonly sequence: number
  readonly record: JournalRecord
}

/** A consistent picture of the state that all records up to `through` produced. */
export interface JournalSnapshot {
  /** Every record with a sequence up to this one is contained in the rows. */
  readonly through: number
  /** The rows of the state, written one by one so that no single value has to hold everything. */
  readonly rows: Iterable<JournalRecord>
}

/** What opening removed from the end of a journal, or found missing there. */
export interface JournalCut {
  /**
   * `torn_write`: a write that a crash cut short; nothing in it had been acknowledged. `damage`: bytes that had been
   * a record. `missing_records`: records that existed when the journal was last closed. The last two only occur if
   * the caller allowed them.
   */
  readonly cause: 'torn_write' | 'damage' | 'missing_records'
  /** The file that the log ends in now, or ended in. */
  readonly file: string
  /** The offset of the cut, in bytes. */
  readonly offset: number
  /** What was wrong with the bytes there. */
  readonly reason: CorruptionReason
  /** The first missing sequence. The next record gets it. */
  readonly sequence: number
  /** The file that the bytes were copied to. */
  readonly keptIn?: string
}

/**
 * What opening a journal found. Both parts are decoded while iterating, once, before the next compaction. A store on
 * disk may then still throw `journal_corrupt` with reason `decode_failure`, and `journal_io`.
 */
export interface JournalRecovery {
  /** The newest whole snapshot, if any. */
  readonly snapshot?: JournalSnapshot
  /** Records that are not in the snapshot, in order. */
  readonly records: Iterable<ReplayedRecord>
  /** What was cut from the end of the log to open it, if anything. */
  readonly cut?: JournalCut
}

/**
 * The durable log underneath the lane.
 *
 * Records are numbered from 1 in the order of `append` calls. The records of one call are atomic across a crash: all
 * of them are read back, or none. Everything queued while a sync runs shares the next sync, and promises settle in
 * the order of the calls.
 */
export interface Journal {
  /** The sequence that the next appended record will get, after everything already queued. */
  readonly nextSequence: number
  /**
   * Appends records as one atomic group. Resolves once they are on stable storage.
   *
   * The records are encoded during the call. It throws at once, without a trace, with `invalid_input`,
   * `journal_record_too_large`, `journal_poisoned`, `journal_lock_lost` or `journal_closed`. The promise rejects with
   * `journal_not_appended` if the write was refused and taken back; every group queued behind it is rejected as well,
   * and all of them may be appended again. It rejects with `journal_durability_unknown` if the sync failed; groups
   * queued behind it reject with `journal_poisoned`, and the journal cannot be used until `reopen()`. A store that
   * can lose its lock rejects with `journal_lock_lost` once it has, and can then only be closed. An empty group
   * resolves once everything before it has settled.
   */
  append(records: readonly JournalRecord[]): Promise<void>
  /** Resolves once everything appended so far has settled, whatever the outcome. */
  settled(): Promise<void>
  /**
   * Writes a snapshot and removes the records it contains. The rows are read lazily while writing and must not
   * change. A failure leaves the previous snapshot and every record in place. Rejects with `invalid_input` unless
   * `through` is durable and not before the previous snapshot. Calls run one after another.
   */
  compact(snapshot: JournalSnapshot): Promise<void>
  /** Number of records after the newest snapshot: those that opening would have to replay. */
  readonly tailLength: number
  /**
   * Recovers a poisoned journal by starting over on fresh file descriptors. Groups whose durability was unknown are
   * permanently removed. Rejects if the storage still fails, and may then be called again; rejects with
   * `journal_lock_lost` for good. Does nothing for a healthy journal.
   */
  reopen(): Promise<void>
  /** Writes what is queued, then releases the storage and its lock. */
  close(): Promise<void>
}

/** A journal together with what was found in it. */
export interface OpenedJournal {
  readonly journal: Journal
  readonly recovery: JournalRecovery
}

/**
 * Opens journals: the port that stores implement. `open` rejects with `journal_locked` while another owner is alive,
 * and with `journal_corrupt` if records may be missing.
 */
export interface JournalStore {
  open(): Promise<OpenedJournal>
}
