import type { JsonValue } from '../base/json.js'
import type { CorruptionReason } from './errors.js'

/** A fact as the journal stores it: any JSON value. The journal never looks inside. */
export type JournalRecord = JsonValue

/** One record read back at opening. */
export interface ReplayedRecord {
  /** Position in the journal, from 1, without gaps. */
  readonly sequence: number
  readonly record: JournalRecord
}

/** A consistent picture of everything that records up to `through` produced. */
export interface JournalSnapshot {
  /** Every record with a sequence up to this one is contained in the rows. */
  readonly through: number
  /** State rows, written one by one so that no single value has to hold everything. */
  readonly rows: Iterable<JournalRecord>
}

/** What opening took away from the end of a journal, or found missing there. */
export interface JournalCut {
  /**
   * `torn_write`: a write that a crash cut short, so nothing that was acknowledged. `damage`: bytes that were a record
   * once. `missing_records`: records that were there when the journal was last closed. The last two only happen to
   * somebody who asked for it.
   */
  readonly cause: 'torn_write' | 'damage' | 'missing_records'
  /** The file that the log ends in now, or ended in. */
  readonly file: string
  /** Where it was cut, in bytes. */
  readonly offset: number
  /** What was wrong with the bytes there. */
  readonly reason: CorruptionReason
  /** The first sequence that is not there; the next record gets it. */
  readonly sequence: number
  /** The file that the bytes were copied to. */
  readonly keptIn?: string
}

/**
 * What opening a journal found. Both parts are decoded while iterating, once, before the next compaction: a store on
 * disk may then still raise `journal_corrupt` with reason `decode_failure`, and `journal_io`.
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
 * The durable log under the lane.
 *
 * Records are numbered from 1 in the order of `append` calls. What one call appends is atomic across a
 * crash: all of it is read back, or none. Everything queued while a sync runs shares the next sync, and
 * promises settle in the order of the calls.
 */
export interface Journal {
  /** Sequence the next appended record will get, everything already queued counted. */
  readonly nextSequence: number
  /**
   * Appends records as one atomic group; resolves once they are on stable storage.
   *
   * The records are encoded during the call, which throws at once, leaving no trace, with
   * `journal_record_too_large`, `journal_poisoned`, `journal_lock_lost` or `journal_closed`. The promise rejects with
   * `journal_not_appended` when the write was refused and taken back: every group queued behind it is
   * rejected too, and all of them may be appended again. It rejects with `journal_durability_unknown` when the
   * sync failed; groups queued behind it get `journal_poisoned`, and the journal is of no use until `reopen()`.
   * A store that can be taken away rejects with `journal_lock_lost` once it was: only closing is left then. An empty group resolves once everything before it has settled.
   */
  append(records: readonly JournalRecord[]): Promise<void>
  /** Resolves once everything appended so far has settled, whatever the outcome. */
  settled(): Promise<void>
  /**
   * Writes a snapshot and forgets records it contains. The rows are read lazily while writing and must not change.
   * A failure leaves the previous snapshot and every record in place. Rejects with `invalid_input` unless `through`
   * is durable and not behind the previous snapshot. Calls run one after another.
   */
  compact(snapshot: JournalSnapshot): Promise<void>
  /** Records after the newest snapshot: what opening would have to replay. */
  readonly tailLength: number
  /**
   * The way out of a poisoned journal: starts over on fresh file descriptors. Groups whose durability was unknown are
   * removed for good. Rejects when the storage still refuses, and may then be tried again; with `journal_lock_lost`
   * for good. Does nothing for a healthy journal.
   */
  reopen(): Promise<void>
  /** Writes what is queued, then releases the storage and its lock. */
  close(): Promise<void>
}

/** A journal together with what was in it. */
export interface OpenedJournal {
  readonly journal: Journal
  readonly recovery: JournalRecovery
}

/**
 * Where journals come from: the port that stores implement. `open` fails with `journal_locked` while
 * another owner is alive and with `journal_corrupt` when records may be missing.
 */
export interface JournalStore {
  open(): Promise<OpenedJournal>
}
