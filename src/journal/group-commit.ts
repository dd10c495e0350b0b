import { InvalidInputError, messageOf, StatewardError } from '../base/errors.js'
import { createDeferred, type Deferred } from '../base/promises.js'
import { encodeGroup } from './encode-group.js'
import { JournalError } from './errors.js'
import type { Journal, JournalRecord, JournalSnapshot } from './journal.js'

/** Groups that share one write and one sync. */
export interface PendingFrame {
  /** One text per group: its records joined by commas. */
  readonly texts: string[]
  readonly firstSequence: number
  /** Number of records in all groups. */
  count: number
}

/** The storage behind a {@link GroupCommitJournal}. */
export interface JournalBackend {
  /**
   * Resolves once the frame is on stable storage. Rejects with `journal_not_appended` if no trace of it is left; with
   * any other error it may or may not survive. Never called again before it has settled.
   */
  write(frame: PendingFrame): Promise<void>
  /** Permanently removes everything after the last resolved write, and gets ready to write again. */
  reopen(nextSequence: number): Promise<void>
  /** Replaces the records through `snapshot.through` by the snapshot. */
  compact(snapshot: JournalSnapshot): Promise<void>
  /** Releases the storage. Records through `durableThrough` are in it and must be found at the next opening. */
  close(durableThrough: number): Promise<void>
}

/** The position of a journal after opening. */
export interface JournalPosition {
  readonly nextSequence: number
  /** Last sequence contained in the newest snapshot; 0 if there is none. */
  readonly snapshotThrough: number
}

interface Batch extends PendingFrame {
  units: number
  /** One promise for all groups: they settle together, and reactions run in the order of the `append` calls. */
  readonly deferred: Deferred<void>
}

/** Length in UTF-16 units beyond which a frame takes no further group. */
const frameTarget = 2 ** 20

/**
 * The rules that every journal shares: numbering, one write for everything queued during the previous one, outcomes
 * in the order of the calls, and what is allowed after a failure.
 */
export class GroupCommitJournal implements Journal {
  readonly #backend: JournalBackend
  readonly #queue: Batch[] = []
  #nextSequence: number
  #durableThrough: number
  #snapshotThrough: number
  #last: Promise<void> = Promise.resolve()
  #draining = false
  /** Why the journal takes nothing: a lost lock, which is final, or a failure that `reopen()` can clear. */
  #broken: JournalError<'journal_lock_lost' | 'journal_poisoned'> | undefined
  #reopening: Promise<void> | undefined
  #compacting: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(backend: JournalBackend, { nextSequence, snapshotThrough }: JournalPosition) {
    this.#backend = backend
    this.#nextSequence = nextSequence
    this.#durableThrough = nextSequence - 1
    this.#snapshotThrough = snapshotThrough
  }

  get nextSequence(): number {
    return this.#nextSequence
  }

  get tailLength(): number {
    return this.#durableThrough - this.#snapshotThrough
  }

  append(records: readonly JournalRecord[]): Promise<void> {
    this.#refuseUnlessUsable()
    if (records.length === 0) return this.settled()
    const text = encodeGroup(records)
    const batch = this.#batchFor(text.length)
    batch.texts.push(text)
    batch.units += text.length
    batch.count += records.length
    this.#nextSequence += records.length
    return batch.deferred.promise
  }

  settled(): Promise<void> {
    return this.#last.catch(() => {})
  }

  compact(snapshot: JournalSnapshot): Promise<void> {
    const run = async (): Promise<void> => {
      this.#refuseUnlessUsable()
      this.#checkThrough(snapshot.through)
      try {
        await this.#backend.compact(snapshot)
      } catch (error) {
        // Any other failure of a snapshot leaves the log intact.
        if (isLoss(error)) this.#broken = error
        throw error
      }
      this.#snapshotThrough = snapshot.through
    }
    const compaction = this.#compacting.then(run)
    this.#compacting = compaction.catch(() => {})
    return compaction
  }

  reopen(): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(closedError())
    if (this.#broken === undefined) return Promise.resolve()
    this.#reopening ??= this.#reopen().finally(() => {
      this.#reopening = undefined
    })
    return this.#reopening
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #refuseUnlessUsable(): void {
    if (this.#closing !== undefined) throw closedError()
    if (this.#broken !== undefined) throw this.#broken
  }

  #checkThrough(through: number): void {
    if (Number.isSafeInteger(through) && through >= this.#snapshotThrough && through <= this.#durableThrough) return
    const reason = `${through} is not between ${this.#snapshotThrough} (last snapshot) and ${this.#durableThrough} (durable)`
    throw new InvalidInputError({ subject: 'journal snapshot', field: 'through', reason })
  }

  /** The batch that a group of this length joins: the last one not yet being written, or a new one. */
  #batchFor(units: number): Batch {
    const last = this.#queue.at(-1)
    if (last !== undefined && last.units + units <= frameTarget) return last
    const batch: Batch = {
      texts: [],
      firstSequence: this.#nextSequence,
      count: 0,
      units: 0,
      deferred: createDeferred(),
    }
    this.#queue.push(batch)
    this.#last = batch.deferred.promise
    if (!this.#draining) {
      this.#draining = true
      // Deferred to later in this turn, so that callers woken together share the first write, too.
      setImmediate(() => void this.#drain())
    }
    return batch
  }

  async #drain(): Promise<void> {
    for (let batch = this.#queue.shift(); batch !== undefined; batch = this.#queue.shift()) {
      try {
        await this.#backend.write(batch)
      } catch (error) {
        this.#fail(batch, error)
        continue
      }
      this.#durableThrough = batch.firstSequence + batch.count - 1
      batch.deferred.resolve()
    }
    this.#draining = false
  }

  #fail(batch: Batch, error: unknown): void {
    this.#nextSequence = batch.firstSequence
    const queued = this.#queue.splice(0)
    batch.deferred.reject(error)
    let consequence = error
    if (!StatewardError.is(error, 'journal_not_appended')) {
      this.#broken = isLoss(error) ? error : poisonedError(messageOf(error))
      consequence = this.#broken
    }
    for (const { deferred } of queued) deferred.reject(consequence)
  }

  async #reopen(): Promise<void> {
    await this.settled()
    try {
      await this.#backend.reopen(this.#nextSequence)
    } catch (error) {
      if (isLoss(error)) this.#broken = error
      throw error
    }
    this.#broken = undefined
  }

  async #close(): Promise<void> {
    await this.settled()
    await this.#compacting
    await this.#reopening?.catch(() => {})
    await this.#backend.close(this.#durableThrough)
  }
}

function isLoss(error: unknown): error is JournalError<'journal_lock_lost'> {
  return StatewardError.is(error, 'journal_lock_lost')
}

function closedError(): JournalError<'journal_closed'> {
  return new JournalError('journal_closed', {})
}

function poisonedError(cause: string): JournalError<'journal_poisoned'> {
  return new JournalError('journal_poisoned', { cause })
}
