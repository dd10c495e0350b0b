import { describe, expect, it } from 'vitest'
import { silence } from '../../src/base/promises.js'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { JournalStore, ReplayedRecord } from '../../src/journal/journal.js'
import { Lane } from '../../src/lane/lane.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { appendTo, contentOf, temporaryDirectory } from '../journal/support/directory.js'
import { ScriptedJournal, storeOf } from './support/scripted-journal.js'
import { Tally } from './support/tally.js'

/** A tally for which every fact takes some time to take in. */
class SlowTally extends Tally {
  readonly #clock: SimulatedClock

  constructor(clock: SimulatedClock) {
    super()
    this.#clock = clock
  }

  override replay(fact: { readonly amount: number }): void {
    super.replay(fact)
    this.#clock.advance(5)
  }

  override restore(row: { readonly sum: number }): void {
    super.restore(row)
    this.#clock.advance(5)
  }
}

/** What `look` sees in each turn of the event loop until `work` is over. */
async function inEachTurn<Seen>(work: Promise<unknown>, look: () => Seen): Promise<Seen[]> {
  const seen: Seen[] = []
  const state = { isOver: false }
  const end = (): void => {
    state.isOver = true
  }
  work.then(end, end)
  while (!state.isOver) {
    await new Promise((resolve) => void setImmediate(resolve))
    if (!state.isOver) seen.push(look())
  }
  await work
  return seen
}

const added = ['tally', { amount: 1 }] as const

describe('opening a long journal', () => {
  it('lets others have their turn whenever ten milliseconds are over, among rows and among records', async () => {
    const clock = new SimulatedClock()
    const tally = new SlowTally(clock)
    const rows = [1, 2, 3, 4].map((sum) => ['tally', { sum }])
    const store = storeOf(new ScriptedJournal(), { rows, records: [added, added, added] })
    const opening = Lane.open({ store, clock, streamFor: () => tally })
    const seen = await inEachTurn(opening, () => tally.sum)
    expect([...new Set(seen)]).toEqual([2, 4, 6])
    expect(tally.sum).toBe(7)
  })

  it('does not keep a timer from firing', async () => {
    const timer = { isFired: false }
    setTimeout(() => {
      timer.isFired = true
    }, 1)
    let replayed = 0
    // Ends when the timer has fired; if nothing lets it, in the end all the same.
    function* records(): Iterable<ReplayedRecord> {
      while (!timer.isFired && replayed < 5_000_000)
        yield { sequence: (replayed += 1), record: ['tally', { amount: 0 }] }
    }
    const tally = new Tally()
    tally.replay = () => {}
    const store: JournalStore = {
      open: async () => ({ journal: new ScriptedJournal(), recovery: { records: records() } }),
    }
    await Lane.open({ store, streamFor: () => tally })
    expect(timer.isFired).toBe(true)
  })

  it('keeps others out until it is over, and leaves nothing behind when it breaks off', async () => {
    const directory = await temporaryDirectory()
    const store = createDirectoryJournal({ directory })
    const anotherStore = createDirectoryJournal({ directory })
    await appendTo(
      store,
      Array.from({ length: 100 }, () => [...added]),
    )
    const before = await contentOf(directory)
    const clock = new SimulatedClock()
    const broken = new SlowTally(clock)
    const state = { isAnswered: false, isLast: false }
    broken.replay = ({ amount }) => {
      if (state.isLast) throw new Error('the last one is too much')
      SlowTally.prototype.replay.call(broken, { amount })
    }
    // The last record comes once the other has its answer, however long that takes.
    function* prolonged(records: Iterable<ReplayedRecord>): Iterable<ReplayedRecord> {
      for (const record of records) {
        while (record.sequence === 100 && !state.isAnswered) yield record
        state.isLast = record.sequence === 100
        yield record
      }
    }
    const prolongedStore: JournalStore = {
      open: async () => {
        const { journal, recovery } = await store.open()
        return { journal, recovery: { ...recovery, records: prolonged(recovery.records) } }
      },
    }
    const opening = Lane.open({ store: prolongedStore, clock, streamFor: () => broken })
    let other: Promise<Lane> | undefined
    const seen = inEachTurn(opening, () => {
      if (broken.sum === 0 || other !== undefined) return
      other = silence(Lane.open({ store: anotherStore, streamFor: () => new Tally() }))
      const answered = (): void => {
        state.isAnswered = true
      }
      other.then(answered, answered)
    })
    await expect(seen).rejects.toThrow('the last one is too much')
    await expect(other).rejects.toMatchObject({ code: 'journal_locked' })
    expect(await contentOf(directory)).toEqual(before)
    const tally = new Tally()
    const lane = await Lane.open({ store, streamFor: () => tally })
    expect(tally.sum).toBe(100)
    await lane.close()
  })
})
