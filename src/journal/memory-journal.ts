import * as v from 'valibot'
import { systemClock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import { LoopShare, visitInTurns } from '../base/loop-share.js'
import { JournalError } from './errors.js'
import { GroupCommitJournal, type JournalBackend, type PendingFrame } from './group-commit.js'
import type { JournalRecord, JournalRecovery, JournalSnapshot, JournalStore, OpenedJournal } from './journal.js'

/** A {@link JournalStore} that keeps everything in memory and can simulate the failures of a disk. */
export interface MemoryJournalStore extends JournalStore {
  /**
   * Simulates a power cut. The open journal is gone; groups that had not settled reject with `journal_closed` and are
   * missing when the store is opened again.
   */
  crash(): void
  /**
   * Makes the next write fail. `write`: it is refused and taken back. `sync`: the records may or may not survive, and
   * the journal is poisoned; `reopen()` removes them, a crash before that keeps them.
   */
  failNext(stage: 'write' | 'sync'): void
}

const stageSchema = v.picklist(['write', 'sync'])

interface StoredFrame {
  readonly firstSequence: number
  readonly count: number
  readonly payload: string
  /** False after a failed sync. */
  readonly durable: boolean
}

/**
 * Creates a store that lives as long as the process, for tests and for services that want the rules of the journal
 * without a disk. `open()` after `close()` or `crash()` returns the records again.
 */
export function createMemoryJournal(): MemoryJournalStore {
  return new MemoryStore()
}

class MemoryStore implements MemoryJournalStore {
  #frames: StoredFrame[] = []
  #snapshot: { readonly through: number; readonly rows: readonly string[] } | undefined
  #owner: MemoryBackend | undefined
  #failure: 'write' | 'sync' | undefined

  async open(): Promise<OpenedJournal> {
    if (this.#owner !== undefined) {
      throw new JournalError('journal_locked', { directory: 'memory', pid: process.pid })
    }
    const backend: MemoryBackend = new MemoryBackend({
      write: (frame) => this.#write(frame),
      dropUncertain: () => {
        this.#frames = this.#frames.filter(({ durable }) => durable)
      },
      compact: (through, rows) => {
        this.#snapshot = { through, rows }
        this.#frames = this.#frames.filter(({ firstSequence, count }) => firstSequence + count - 1 > through)
      },
      release: () => {
        if (this.#owner === backend) this.#owner = undefined
      },
    })
    this.#owner = backend
    const snapshotThrough = this.#snapshot?.through ?? 0
    const last = this.#frames.at(-1)
    const nextSequence = last === undefined ? snapshotThrough + 1 : last.firstSequence + last.count
    return { journal: new GroupCommitJournal(backend, { nextSequence, snapshotThrough }), recovery: this.#recover() }
  }

  crash(): void {
    this.#owner?.crash()
    this.#owner = undefined
    this.#frames = this.#frames.map((frame) => ({ ...frame, durable: true }))
  }

  failNext(stage: 'write' | 'sync'): void {
    decode(stageSchema, stage, 'stage to fail')
    this.#failure = stage
  }

  #write({ texts, firstSequence, count }: PendingFrame): void {
    const failure = this.#failure
    this.#failure = undefined
    if (failure === 'write') {
      throw new JournalError('journal_not_appended', { cause: 'no space' })
    }
    this.#frames.push({ firstSequence, count, payload: texts.join(','), durable: failure === undefined })
    if (failure === 'sync') {
      throw new JournalError('journal_durability_unknown', { cause: 'the sync failed' })
    }
  }

  #recover(): JournalRecovery {
    const snapshot = this.#snapshot
    const records = replay([...this.#frames], snapshot?.through ?? 0)
    if (snapshot === undefined) return { records }
    return { records, snapshot: { through: snapshot.through, rows: parseEach(snapshot.rows) } }
  }
}

interface MemoryStorage {
  write(frame: PendingFrame): void
  dropUncertain(): void
  compact(through: number, rows: readonly string[]): void
  release(): void
}

class MemoryBackend implements JournalBackend {
  readonly #storage: MemoryStorage
  readonly #share = new LoopShare(systemClock)
  #crashed = false

  constructor(storage: MemoryStorage) {
    this.#storage = storage
  }

  async write(frame: PendingFrame): Promise<void> {
    this.#refuseAfterCrash()
    this.#storage.write(frame)
  }

  async reopen(): Promise<void> {
    this.#refuseAfterCrash()
    this.#storage.dropUncertain()
  }

  async compact({ through, rows }: JournalSnapshot): Promise<void> {
    const texts: string[] = []
    await visitInTurns(rows, this.#share, (row) => texts.push(JSON.stringify(row)))
    this.#refuseAfterCrash()
    this.#storage.compact(through, texts)
  }

  async close(): Promise<void> {
    this.#storage.release()
  }

  crash(): void {
    this.#crashed = true
  }

  #refuseAfterCrash(): void {
    if (this.#crashed) throw new JournalError('journal_closed', {})
  }
}

function* replay(frames: readonly StoredFrame[], through: number): JournalRecovery['records'] {
  for (const { firstSequence, payload } of frames) {
    const records = JSON.parse(`[${payload}]`) as readonly JournalRecord[]
    let sequence = firstSequence
    for (const record of records) {
      if (sequence > through) yield { sequence, record }
      sequence += 1
    }
  }
}

function* parseEach(texts: readonly string[]): Iterable<JournalRecord> {
  for (const text of texts) yield JSON.parse(text) as JournalRecord
}
