import { faultFields } from '../base/error-details.js'
import type { Logger } from '../base/logger.js'
import { createDeferred, silence, type Deferred } from '../base/promises.js'
import { commitsUnread, commitUnreadable, logWentBack } from './cluster-lines.js'
import type { ClusterSource, ClusterView, SharedCommit } from './cluster-source.js'
import type { SignedAttempt } from './admin/index.js'
import { NodeError } from './errors.js'
import type { AdminAuditRecord } from './records.js'

/** How far a node has read the log of its cluster, durably. */
export interface ClusterPosition {
  readonly clusterId: string
  readonly sequence: number
}

/** The circumstances of judging a shared commit. */
export interface SharedJudgement {
  /** Becomes durable together with the effects of the commit. */
  readonly position: ClusterPosition
  /** When the source received it; its freshness is judged by this instant. */
  readonly judgedAtMs: number
  /** Milliseconds since then; durations in the event are shortened by it. */
  readonly ageMs: number
}

/** Who obeys the commits of a log. */
export interface CommitReader {
  /** Folds or refuses a shared commit; resolves once that is durable. */
  judge(attempt: SignedAttempt, judgement: SharedJudgement): Promise<AdminAuditRecord>
  /** Makes a position durable without folding anything. */
  pass(position: ClusterPosition): Promise<void>
  /** Where an earlier life stopped reading. */
  position(): ClusterPosition | undefined
}

/** Options of a {@link ClusterLog}. */
export interface ClusterLogOptions {
  readonly source: Pick<ClusterSource, 'commitsAfter'>
  readonly reader: CommitReader
  readonly logger: Logger
  /** Rejects when the source does not answer in time. */
  readonly inTime: <Value>(answer: Promise<Value>) => Promise<Value>
}

const pageSize = 100

/**
 * The log of commits that the nodes of a cluster share, as one node reads it: from where it stood, in order, each
 * commit once (N-520 to N-524).
 */
export class ClusterLog {
  readonly #options: ClusterLogOptions
  readonly #waiting = new Map<number, Deferred<AdminAuditRecord>[]>()
  /** How this life has judged the latest commits. */
  readonly #judged = new Map<number, AdminAuditRecord>()
  #view: ClusterView | undefined
  #position: ClusterPosition | undefined
  #reading: Promise<void> | undefined
  /** Reading has failed, and that was logged. */
  #isUnread = false
  #isClosed = false

  constructor(options: ClusterLogOptions) {
    this.#options = options
  }

  /** Continues where an earlier life stopped. Call it once, before anything else. */
  begin(): void {
    this.#position = this.#options.reader.position()
  }

  /** The position as of now, for {@link ClusterLog.follow}. */
  get position(): ClusterPosition | undefined {
    return this.#position
  }

  /** Reads on if the view shows more. `readBefore` is the position from before the view was asked for. */
  follow(view: ClusterView, readBefore: ClusterPosition | undefined): void {
    this.#view = view
    this.#lookBack(view, readBefore)
    // A log whose end is not known is read, which tells what is wrong with it.
    if (this.#positionIn(view) < (view.lastSequence ?? Infinity)) this.#readSoon()
  }

  /** How this life has judged a commit, if that is still known. */
  judged(sequence: number): AdminAuditRecord | undefined {
    return this.#judged.get(sequence)
  }

  /** Whether this node is past the commit in the log of the latest view. */
  wasRead(sequence: number): boolean {
    return this.#position?.clusterId === this.#view?.clusterId && sequence <= (this.#position?.sequence ?? 0)
  }

  /** Resolves with the record of a commit once it was read. Rejects with `node.loop_closed` and `node.stored_invalid`. */
  untilJudged(sequence: number): Promise<AdminAuditRecord> {
    const judged = createDeferred<AdminAuditRecord>()
    silence(judged.promise)
    if (this.#isClosed) judged.reject(new NodeError('node.loop_closed', {}))
    else this.#waiting.set(sequence, [...(this.#waiting.get(sequence) ?? []), judged])
    return judged.promise
  }

  /** Reads nothing any more, and rejects everybody who waits for a commit. */
  close(): void {
    this.#isClosed = true
    for (const waiting of this.#waiting.values()) {
      for (const { reject } of waiting) reject(new NodeError('node.loop_closed', {}))
    }
    this.#waiting.clear()
  }

  /** Resolves once nothing is being read. */
  async settled(): Promise<void> {
    await this.#reading
  }

  #positionIn({ clusterId }: ClusterView): number {
    // Positions in the log of another cluster have no meaning here.
    return this.#position?.clusterId === clusterId ? this.#position.sequence : 0
  }

  /**
   * A log that ends before the position read so far has lost commits, for instance because a backup was restored, and
   * gives their numbers to others now. Commits accepted before are not accepted again.
   */
  #lookBack({ clusterId, lastSequence: last }: ClusterView, readBefore: ClusterPosition | undefined): void {
    if (last === undefined || readBefore?.clusterId !== clusterId || readBefore.sequence <= last) return
    const { sequence: read } = readBefore
    logWentBack(this.#options.logger, { read, last })
    this.#position = { clusterId, sequence: 0 }
    this.#judged.clear()
  }

  #readSoon(): void {
    this.#reading ??= this.#read()
      .catch((cause: unknown) => {
        if (!this.#isUnread && !this.#isClosed) commitsUnread(this.#options.logger, faultFields(cause))
        this.#isUnread = true
      })
      .finally(() => {
        this.#reading = undefined
      })
  }

  /** Reads on from the current position, page by page, while heartbeats continue. */
  async #read(): Promise<void> {
    const { source, inTime } = this.#options
    for (;;) {
      const view = this.#view
      if (view === undefined || this.#isClosed) return
      const page = await inTime(source.commitsAfter(this.#positionIn(view), pageSize))
      this.#isUnread = false
      if (page.length === 0) return
      for (const commit of page) {
        if (this.#isClosed) return
        // Starts over if the log turned out to be another one.
        if (!(await this.#take(commit, view.clusterId))) break
      }
    }
  }

  /**
   * Takes each commit once, in order; its effects and the position become durable together. False when it does not
   * follow the position.
   */
  async #take({ sequence, sharedAtMs, readAtMs, attempt }: SharedCommit, clusterId: string): Promise<boolean> {
    const { reader, logger } = this.#options
    const before = this.#position
    const position: ClusterPosition = { clusterId, sequence }
    let record: AdminAuditRecord | undefined
    if (attempt === undefined) {
      commitUnreadable(logger, { sequence })
      await reader.pass(position)
    } else {
      const ageMs = Math.max(0, readAtMs - sharedAtMs)
      record = await reader.judge(attempt, { position, judgedAtMs: sharedAtMs, ageMs })
    }
    if (this.#position !== before) return false
    this.#position = position
    if (record !== undefined) this.#judged.set(sequence, record)
    if (this.#judged.size > pageSize) this.#judged.delete(this.#judged.keys().next().value as number)
    const waiting = this.#waiting.get(sequence) ?? []
    this.#waiting.delete(sequence)
    for (const { resolve, reject } of waiting) {
      if (record !== undefined) resolve(record)
      else reject(new NodeError('node.stored_invalid', { field: 'attempt', reason: `no commit under ${sequence}` }))
    }
    return true
  }
}
