import { JournalError } from '../../../src/journal/errors.js'
import type {
  Journal,
  JournalRecord,
  JournalSnapshot,
  JournalStore,
  ReplayedRecord,
} from '../../../src/journal/journal.js'
import { createDeferred, type Deferred } from '../../../src/base/promises.js'

interface Group {
  readonly records: readonly JournalRecord[]
  readonly deferred: Deferred<void>
}

/**
 * A journal that does nothing by itself: groups stay under way until the test says how they end.
 * Follows the port to the letter, including groups behind a failure and empty groups.
 */
export class ScriptedJournal implements Journal {
  /** Records that are on stable storage, with their sequences. */
  readonly stored: ReplayedRecord[] = []
  readonly snapshots: { readonly through: number; readonly rows: readonly JournalRecord[] }[] = []
  /** Thrown by the next `append`. */
  throwNext: Error | undefined
  /** Rejects the next `compact`. */
  failCompaction: Error | undefined
  /** What `reopen` waits for, if anything. */
  reopening: Promise<void> | undefined
  isClosed = false
  isPoisoned = false
  #queue: Group[] = []
  #last: Promise<void> = Promise.resolve()

  get nextSequence(): number {
    return this.stored.length + this.#queue.reduce((sum, { records }) => sum + records.length, 0) + 1
  }

  get tailLength(): number {
    return this.stored.length - (this.snapshots.at(-1)?.through ?? 0)
  }

  /** What has been handed over and not settled, group by group. */
  get underWay(): readonly (readonly JournalRecord[])[] {
    return this.#queue.map(({ records }) => records)
  }

  append(records: readonly JournalRecord[]): Promise<void> {
    const { throwNext } = this
    this.throwNext = undefined
    if (throwNext !== undefined) throw throwNext
    if (this.isClosed) throw new JournalError('journal_closed', {})
    if (this.isPoisoned) throw new JournalError('journal_poisoned', { cause: 'sync' })
    if (records.length === 0) return this.settled()
    const deferred = createDeferred<void>()
    this.#queue.push({ records: structuredClone(records), deferred })
    this.#last = deferred.promise
    return deferred.promise
  }

  settled(): Promise<void> {
    return this.#last.catch(() => {})
  }

  /** Everything under way reaches stable storage; or only the oldest `count` groups. */
  async sync(count = this.#queue.length): Promise<void> {
    for (const { records, deferred } of this.#queue.splice(0, count)) {
      for (const record of records) this.stored.push({ sequence: this.stored.length + 1, record })
      deferred.resolve()
    }
    await settleReactions()
  }

  /** The oldest group fails and takes everything behind it along. */
  async fail(code: 'journal_not_appended' | 'journal_durability_unknown'): Promise<void> {
    this.failUnnoticed(code)
    await settleReactions()
  }

  /** As {@link fail}, but returns before anybody can have noticed. */
  failUnnoticed(code: 'journal_not_appended' | 'journal_durability_unknown'): void {
    this.isPoisoned = code === 'journal_durability_unknown'
    const [first, ...behind] = this.#queue.splice(0)
    const error = new JournalError(code, { cause: 'scripted' })
    first?.deferred.reject(error)
    const consequence = this.isPoisoned ? new JournalError('journal_poisoned', { cause: 'scripted' }) : error
    for (const { deferred } of behind) deferred.reject(consequence)
  }

  /** Everything under way fails in the same way. */
  rejectAll(error: Error): void {
    for (const { deferred } of this.#queue.splice(0)) deferred.reject(error)
  }

  async compact({ through, rows }: JournalSnapshot): Promise<void> {
    if (this.failCompaction !== undefined) throw this.failCompaction
    if (through > this.stored.length) throw new Error(`snapshot through ${through} is not durable`)
    this.snapshots.push({ through, rows: [...rows] })
  }

  async reopen(): Promise<void> {
    await this.reopening
    this.isPoisoned = false
  }

  async close(): Promise<void> {
    await this.sync()
    this.isClosed = true
  }
}

/** Lets every reaction to what has happened run; a macrotask is enough, nothing here takes time. */
export async function settleReactions(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** A store whose one journal is the given one, holding what a previous life left. */
export function storeOf(
  journal: Journal,
  {
    rows,
    records = [],
  }: { readonly rows?: readonly JournalRecord[]; readonly records?: readonly JournalRecord[] } = {},
): JournalStore {
  return {
    open: async () => ({
      journal,
      recovery: {
        ...(rows !== undefined && { snapshot: { through: 0, rows } }),
        records: records.map((record, index) => ({ sequence: index + 1, record })),
      },
    }),
  }
}
