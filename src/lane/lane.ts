import { faultFields } from '../base/error-details.js'
import { systemClock, type Clock } from '../base/clock.js'
import { messageOf, StatewardError, toError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { LoopShare } from '../base/loop-share.js'
import { guardedLogger } from '../base/observers.js'
import { createDeferred, silence, type Deferred } from '../base/promises.js'
import type { Journal, JournalCut, JournalRecord, JournalStore } from '../journal/journal.js'
import { Compaction } from './compaction.js'
import { LaneError } from './errors.js'
import { HealthKeeper, type LaneHealth } from './health.js'
import { replayInto } from './replay.js'
import type { LaneStream, Staged } from './types.js'

/** Options of a {@link Lane}. */
export interface LaneOptions {
  /** Where facts become durable. Without a store, the append and sync stages are skipped and the rest is unchanged. */
  readonly store?: JournalStore
  /** Returns the stream that owns records of this name, creating it on first use. `undefined` refuses the journal. */
  readonly streamFor: (name: string) => LaneStream | undefined
  /**
   * Number of records after which a snapshot is written and the journal shortened; at least a third of the rows of the last
   * snapshot, so that a large state is not encoded too often. Default 100,000.
   */
  readonly compactAfter?: number
  readonly logger?: Logger
  /** Decides when opening, and callers without a journal, yield to the event loop. Default the system clock. */
  readonly clock?: Pick<Clock, 'monotonicNow'>
}

/** A group passed to the journal that has not settled. */
interface Pending {
  readonly kind: 'group'
  readonly sequence: number
  /** Noted facts, which are visible already and are appended again if the write is taken back; otherwise none. */
  readonly notes: readonly JournalRecord[]
  /** Absent for noted facts. */
  readonly submit?: {
    readonly stream: LaneStream
    readonly staged: Staged<unknown>
    readonly deferred: Deferred<unknown>
  }
  /** Set once a failure, its own or an earlier one, has settled this group. */
  failure?: LaneError
}

/** A refusal that may depend on the groups before it. */
interface Refusal {
  readonly kind: 'refusal'
  readonly reason: Error
  readonly deferred: Deferred<never>
}

/** Groups and refusals that settle with one promise of the journal, in the order of the calls. */
interface Batch {
  readonly answer: Promise<void>
  readonly entries: (Pending | Refusal)[]
  /** Resolves once every entry has settled, whatever the outcome. */
  readonly settled: Promise<void>
  state: 'waiting' | 'settling' | 'settled'
}

const none: readonly JournalRecord[] = []

/**
 * The only way to make a durable change: validate, append, sync, apply, publish.
 *
 * Decisions are validated one after another against the committed state plus the decisions in progress. They share
 * syncs and become visible strictly in order. No observer sees a change that a crash can undo. After a failed sync
 * the lane refuses work until {@link Lane.reopen}.
 */
export class Lane {
  readonly #journal: Journal | undefined
  readonly #streams: Map<string, LaneStream>
  readonly #compaction: Compaction | undefined
  readonly #health: HealthKeeper
  readonly #logger: Logger
  /** Groups that the journal has not settled, oldest first. */
  readonly #pending = new Set<Pending>()
  /** Noted facts that a refused write took back. They go first with the next append. */
  #notesToRepeat: JournalRecord[] = []
  /** The batch of the newest group. */
  #lastBatch: Batch | undefined
  /** Streams whose memory is behind the journal. */
  readonly #behind = new Set<LaneStream>()
  /** Limits how long callers run within a turn that no write to a journal ends. */
  readonly #share: LoopShare
  #closing: Promise<void> | undefined
  /** What opening cut from the end of the journal, if anything. */
  readonly cut: JournalCut | undefined

  private constructor(
    journal: Journal | undefined,
    streams: Map<string, LaneStream>,
    options: LaneOptions,
    { snapshotRows = 0, cut }: { readonly snapshotRows?: number; readonly cut?: JournalCut | undefined } = {},
  ) {
    this.#journal = journal
    this.cut = cut
    this.#streams = streams
    this.#logger = guardedLogger(options.logger)
    this.#health = new HealthKeeper(this.#logger)
    this.#share = new LoopShare(options.clock ?? systemClock)
    if (journal === undefined) return
    this.#compaction = new Compaction({
      journal,
      streams: () => streams.values(),
      appliedThrough: () => this.#appliedThrough(journal),
      after: options.compactAfter,
      snapshotRows,
      logger: this.#logger,
      clock: options.clock ?? systemClock,
    })
  }

  /**
   * Opens the journal and replays it into every stream found in it, yielding to the event loop regularly.
   *
   * Throws the errors of {@link JournalStore.open}, `lane_unknown_stream`, and whatever a stream throws for a record
   * that it refuses. The journal is then released unchanged.
   */
  static async open(options: LaneOptions): Promise<Lane> {
    const streams = new Map<string, LaneStream>()
    if (options.store === undefined) return new Lane(undefined, streams, options)
    const { journal, recovery } = await options.store.open()
    let snapshotRows: number
    try {
      snapshotRows = await replayInto(streams, recovery, options.streamFor, new LoopShare(options.clock ?? systemClock))
    } catch (cause) {
      await journal.close()
      throw cause
    }
    return new Lane(journal, streams, options, { snapshotRows, cut: recovery.cut })
  }

  /** True if facts reach stable storage before they become visible. */
  get isDurable(): boolean {
    return this.#journal !== undefined
  }

  /** Whether the lane takes work. A poisoned lane names the first failure. */
  get health(): LaneHealth {
    return this.#health.current
  }

  /**
   * The position of the journal: the sequence of the next record, and the number of records after the newest
   * snapshot. `undefined` without a journal.
   */
  get position(): Pick<Journal, 'nextSequence' | 'tailLength'> | undefined {
    const journal = this.#journal
    return journal && { nextSequence: journal.nextSequence, tailLength: journal.tailLength }
  }

  /** Throws `lane_poisoned`, `lane_lost` or `lane_closed` if the lane takes no work. */
  check(): void {
    const { unusable } = this.#health
    if (unusable !== undefined) throw unusable
  }

  /** Adds a stream that was not in the journal. Throws `lane_stream_exists` if the name is in use. */
  attach(stream: LaneStream): void {
    if (this.#streams.has(stream.name)) {
      throw new LaneError('lane_stream_exists', { stream: stream.name })
    }
    this.#streams.set(stream.name, stream)
  }

  /** Leaves a stream out of later snapshots. Its records disappear with the next one. */
  detach(stream: LaneStream): void {
    this.#streams.delete(stream.name)
  }

  /**
   * Makes one decision durable.
   *
   * `decide` runs during the call and sees every decision made before it, durable or not. If it throws, that is the
   * refusal. Rejects with the refusal, `lane_not_appended`, `lane_durability_unknown`, `lane_apply_failed`,
   * `lane_poisoned`, `lane_lost` or `lane_closed`. A promise that is not awaited never causes an unhandled rejection.
   * Decisions that settle immediately resolve in a later turn of the event loop once callers have used up their share
   * of this one, so that an endless caller does not block everything else.
   */
  submit<Result>(stream: LaneStream, decide: () => Staged<Result>): Promise<Result> {
    const { unusable } = this.#health
    if (unusable !== undefined) return rejected(unusable)
    let staged: Staged<Result>
    try {
      staged = decide()
    } catch (refusal) {
      return this.refuse(toError(refusal))
    }
    if (this.#journal === undefined) return this.#commitInMemory(stream, staged)
    const deferred = createDeferred<Result>()
    const records = staged.facts.map((fact) => [stream.name, fact])
    try {
      this.#append(this.#journal, records, { stream, staged, deferred: deferred as Deferred<unknown> })
    } catch (cause) {
      staged.discard()
      return rejected(
        this.#health.noticePoison(cause) ? (this.#health.unusable ?? notAppended(cause)) : notAppended(cause),
      )
    }
    return deferred.promise
  }

  /**
   * Journals a fact that is visible already and that no caller waits for. A crash may lose it. It keeps its place
   * among later submits, and is appended again if the journal takes a write back. Throws `journal_record_too_large`.
   */
  note(stream: LaneStream, fact: JsonObject): void {
    if (this.#journal === undefined || this.health.status === 'closed') return
    const record: JournalRecord = [stream.name, fact]
    try {
      if (this.health.status === 'open') return this.#append(this.#journal, [record])
    } catch (cause) {
      if (!this.#health.noticePoison(cause)) throw cause
    }
    this.#notesToRepeat.push(record)
  }

  /**
   * Rejects with `refusal` once everything that it may depend on is durable. If that fails, rejects with the lane's
   * failure instead.
   */
  refuse(refusal: Error): Promise<never> {
    const batch = this.#lastBatch
    if (this.#pending.size === 0 || batch === undefined || batch.state === 'settled')
      return this.#share.isUsedUp ? silence(this.#share.turn().then(() => rejected(refusal))) : rejected(refusal)
    const deferred = createDeferred<never>()
    batch.entries.push({ kind: 'refusal', reason: refusal, deferred })
    return deferred.promise
  }

  /** Resolves once everything submitted or noted so far has settled, whatever the outcome. */
  async settled(): Promise<void> {
    if (this.#pending.size > 0) await this.#lastBatch?.settled
  }

  /**
   * Recovers a poisoned lane: changes whose durability was unknown are permanently removed from the journal, and
   * noted facts are appended again. Rejects with the journal's error, and may then be tried again. Rejects
   * permanently with `lane_lost`, and with `lane_apply_failed`, because a change that was only partly applied can
   * only be restored by reading the journal back.
   */
  async reopen(): Promise<void> {
    if (!this.#health.isBroken) return
    this.#health.checkMendable()
    try {
      await this.#journal?.reopen()
    } catch (cause) {
      this.#health.noticePoison(cause)
      throw cause
    }
    if (this.health.status === 'closed') return
    // A change whose sync was in progress may have failed to apply meanwhile.
    this.#health.checkMendable()
    this.#health.reopened()
    if (this.#journal !== undefined) this.#repeatNotes(this.#journal)
  }

  /** Writes a snapshot of every stream and shortens the journal. Calls while one is running share it. */
  compact(): Promise<void> {
    return this.health.status === 'open' ? silence(this.#compact()) : Promise.resolve()
  }

  /**
   * Refuses new work, waits until everything in progress has settled, and releases the journal. All callers share one
   * close.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #compact(): Promise<void> {
    try {
      await this.#compaction?.run()
    } catch (cause) {
      this.#health.noticePoison(cause)
      throw cause
    }
  }

  async #close(): Promise<void> {
    this.#health.close()
    await this.settled()
    await this.#compaction?.running?.catch(() => {})
    if (this.#journal === undefined) return
    try {
      this.#repeatNotes(this.#journal)
    } catch (cause) {
      const lost = this.#notesToRepeat.length
      this.#logger.warn(
        { lost, ...faultFields(cause) },
        'facts that nobody awaited did not reach the journal, because it has failed',
      )
    }
    await this.#journal.close()
  }

  #commitInMemory<Result>(stream: LaneStream, staged: Staged<Result>): Promise<Result> {
    let result: Result
    try {
      result = staged.commit()
    } catch (fault) {
      return rejected(this.#applyFailed(stream, toError(fault)))
    }
    this.#publish(staged)
    if (!this.#share.isUsedUp) return Promise.resolve(result)
    const turn: Promise<unknown> = this.#share.turn()
    return (result === undefined ? turn : turn.then(() => result)) as Promise<Result>
  }

  /** The change stands whatever its observers do. An exception of one is logged and affects nothing else. */
  #publish(staged: Staged<unknown>): void {
    try {
      staged.publish?.()
    } catch (cause) {
      this.#logger.error({ ...faultFields(cause) }, 'an observer of the lane threw')
    }
  }

  #append(journal: Journal, records: readonly JournalRecord[], submit?: Pending['submit']): void {
    this.#repeatNotes(journal)
    this.#appendGroup(journal, records, submit)
  }

  #appendGroup(journal: Journal, records: readonly JournalRecord[], submit?: Pending['submit']): void {
    const sequence = journal.nextSequence
    const batch = this.#batchOf(journal.append(records))
    // A decision is not held by its records as well: it may wait long for its sync.
    const pending: Pending =
      submit === undefined
        ? { kind: 'group', sequence, notes: records }
        : { kind: 'group', sequence, notes: none, submit }
    this.#pending.add(pending)
    batch.entries.push(pending)
  }

  /** Groups that share a promise of the journal settle together, with one reaction for all of them. */
  #batchOf(answer: Promise<void>): Batch {
    const last = this.#lastBatch
    if (last?.answer === answer && last.state === 'waiting') return last
    const settled = answer.then(
      () => this.#settle(batch),
      (cause: unknown) => this.#settle(batch, toError(cause)),
    )
    const batch: Batch = { answer, entries: [], settled, state: 'waiting' }
    this.#lastBatch = batch
    return batch
  }

  #settle(batch: Batch, cause?: Error): void {
    batch.state = 'settling'
    let failure: LaneError | undefined
    // A refusal may be added while the groups before it settle.
    for (const entry of batch.entries) {
      if (entry.kind === 'refusal') {
        entry.deferred.reject(failure ?? entry.reason)
        continue
      }
      if (entry.failure === undefined && cause !== undefined) this.#onFailure(entry, cause)
      // An empty group cannot fail in the journal, but a failure of the groups before it may have failed it as well.
      failure = entry.failure
      if (failure === undefined) this.#onDurable(entry)
    }
    batch.state = 'settled'
    if (cause === undefined) this.#compactWhenDue()
  }

  #repeatNotes(journal: Journal): void {
    while (this.#notesToRepeat.length > 0) {
      this.#appendGroup(journal, this.#notesToRepeat.slice(0, 1))
      this.#notesToRepeat.shift()
    }
  }

  #onDurable(pending: Pending): void {
    this.#pending.delete(pending)
    if (pending.submit !== undefined) this.#commit(pending.submit)
  }

  #compactWhenDue(): void {
    if (this.#compaction?.isDue !== true) return
    this.compact().catch((cause: unknown) => {
      this.#logger.error({ ...faultFields(cause) }, 'a snapshot failed; the journal keeps every record')
    })
  }

  #commit({ stream, staged, deferred }: NonNullable<Pending['submit']>): void {
    // It was decided on the result of the change that could not be applied.
    if (this.#behind.has(stream)) return deferred.reject(this.#health.applyFault)
    try {
      deferred.resolve(staged.commit())
    } catch (fault) {
      return deferred.reject(this.#applyFailed(stream, toError(fault)))
    }
    this.#publish(staged)
  }

  /**
   * The first failure settles everything in progress at once, so that no retry is validated against decisions that
   * will fail.
   */
  #onFailure(failed: Pending, cause: Error): void {
    const isTakenBack = StatewardError.is(cause, 'journal_not_appended')
    const first = isTakenBack ? notAppended(cause) : this.#health.durabilityUnknown(cause)
    const behind = isTakenBack ? first : (this.#health.unusable ?? first)
    const doomed = [...this.#pending]
    this.#pending.clear()
    for (const pending of doomed) pending.failure = pending === failed ? first : behind
    for (const { submit } of doomed.toReversed()) submit?.staged.discard()
    this.#notesToRepeat = [...doomed.flatMap(({ notes }) => notes), ...this.#notesToRepeat]
    for (const { submit, failure } of doomed) submit?.deferred.reject(failure)
  }

  #applyFailed(stream: LaneStream, cause: Error): StatewardError {
    this.#behind.add(stream)
    return this.#health.applyFailed(cause)
  }

  /** Everything up to here is committed. Later noted facts may be, too, which replay tolerates. */
  #appliedThrough(journal: Journal): number {
    const [oldest] = this.#pending
    return (oldest?.sequence ?? journal.nextSequence) - 1
  }
}

function notAppended(cause: unknown): LaneError {
  return new LaneError('lane_not_appended', { cause: messageOf(cause) }, { cause })
}

function rejected(reason: Error): Promise<never> {
  return silence(Promise.reject(reason))
}
