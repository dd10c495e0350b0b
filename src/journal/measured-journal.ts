import type { Clock } from '../base/clock.js'
import { StatewardError } from '../base/errors.js'
import type { Instruments, Measure } from '../base/meter.js'
import type { Journal, JournalRecord, JournalSnapshot, JournalStore } from './journal.js'

/**
 * Wraps a store so that its journals are measured: records written, number and duration of syncs and compactions, and
 * failures.
 */
export function measuredStore(
  store: JournalStore,
  instruments: Instruments,
  clock: Pick<Clock, 'monotonicNow'>,
): JournalStore {
  return {
    open: async () => {
      const { journal, recovery } = await store.open()
      return { journal: new MeasuredJournal(journal, instruments, clock), recovery }
    },
  }
}

class MeasuredJournal implements Journal {
  readonly #journal: Journal
  readonly #clock: Pick<Clock, 'monotonicNow'>
  readonly #records: Measure
  readonly #syncs: Measure
  readonly #failures: Measure
  readonly #compactions: Measure
  /** The promise of the last append. Groups that share a sync share it. */
  #answer: Promise<void> | undefined

  constructor(journal: Journal, instruments: Instruments, clock: Pick<Clock, 'monotonicNow'>) {
    this.#journal = journal
    this.#clock = clock
    this.#records = instruments.counter('stateward.journal.records', '{record}', 'Records that were appended')
    this.#syncs = instruments.duration(
      'stateward.journal.sync.duration',
      'Time from the first record of a sync to its answer',
    )
    this.#failures = instruments.counter('stateward.journal.failures', '{failure}', 'Syncs and compactions that failed')
    this.#compactions = instruments.duration('stateward.journal.compaction.duration', 'Time to write a snapshot')
    instruments.level('stateward.journal.tail', '{record}', 'Records after the newest snapshot', (observe) =>
      observe(journal.tailLength),
    )
  }

  get nextSequence(): number {
    return this.#journal.nextSequence
  }

  get tailLength(): number {
    return this.#journal.tailLength
  }

  append(records: readonly JournalRecord[]): Promise<void> {
    const answer = this.#journal.append(records)
    if (records.length > 0) this.#records(records.length)
    if (answer !== this.#answer) {
      this.#answer = answer
      this.#measure(answer, this.#syncs, 'sync')
    }
    return answer
  }

  settled(): Promise<void> {
    return this.#journal.settled()
  }

  compact(snapshot: JournalSnapshot): Promise<void> {
    const answer = this.#journal.compact(snapshot)
    this.#measure(answer, this.#compactions, 'compaction')
    return answer
  }

  reopen(): Promise<void> {
    return this.#journal.reopen()
  }

  close(): Promise<void> {
    return this.#journal.close()
  }

  #measure(answer: Promise<void>, duration: Measure, operation: 'sync' | 'compaction'): void {
    const startedAt = this.#clock.monotonicNow()
    const finish = (attributes?: { readonly 'error.type': string }): void =>
      duration(this.#clock.monotonicNow() - startedAt, attributes)
    answer.then(
      () => finish(),
      (failure: unknown) => {
        const attributes = { 'error.type': StatewardError.is(failure) ? failure.code : 'unknown' }
        finish(attributes)
        this.#failures(1, { ...attributes, 'stateward.journal.operation': operation })
      },
    )
  }
}
