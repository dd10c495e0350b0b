import { describe, expect, it } from 'vitest'
import { createMemoryJournal } from '../../../src/journal/memory-journal.js'
import type { Journal, JournalRecord, JournalStore } from '../../../src/journal/journal.js'
import { createRuntime } from '../../../src/runtime.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import type { RetentionOptions } from '../../../src/tasks/index.js'

/** A store that counts what is written: records, and rows of snapshots. */
function countingStore(): { readonly store: JournalStore; readonly written: { records: number; snapshots: number } } {
  const inner = createMemoryJournal()
  const written = { records: 0, snapshots: 0 }
  const sizeOf = (record: JournalRecord): number => JSON.stringify(record).length
  const store: JournalStore = {
    async open() {
      const { journal, recovery } = await inner.open()
      const counted: Journal = {
        get nextSequence() {
          return journal.nextSequence
        },
        get tailLength() {
          return journal.tailLength
        },
        append(records) {
          for (const record of records) written.records += sizeOf(record)
          return journal.append(records)
        },
        compact({ through, rows }) {
          return journal.compact({ through, rows: counting(rows) })
        },
        settled: () => journal.settled(),
        reopen: () => journal.reopen(),
        close: () => journal.close(),
      }
      return { journal: counted, recovery }
    },
  }
  function* counting(rows: Iterable<JournalRecord>): Iterable<JournalRecord> {
    for (const row of rows) {
      written.snapshots += sizeOf(row)
      yield row
    }
  }
  return { store, written }
}

/** Bytes per task that are written for so many tasks, over such a history, in processes that live for 500 of them. */
async function volumeOf(history: number, retention?: RetentionOptions): Promise<{ all: number; snapshots: number }> {
  const { store, written } = countingStore()
  const clock = new SimulatedClock()
  for (let life = 0; life < history; life += 500) {
    const tasks = { concurrency: 64, ...(retention && { retention }) }
    await using runtime = await createRuntime({ store, clock, compactAfter: 300, tasks })
    runtime.tasks.handle('work', () => 'done')
    for (let group = 0; group < 500; group += 50) {
      await Promise.all(Array.from({ length: 50 }, async () => (await runtime.tasks.submit('work')).outcome()))
      clock.advance(1000)
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
    }
  }
  const perTask = (bytes: number): number => bytes / history
  return { all: perTask(written.records + written.snapshots), snapshots: perTask(written.snapshots) }
}

describe('what is written per task', () => {
  it('[T-309] is the same after ten times the history when what has ended is forgotten', async () => {
    const retention = { count: 200, tombstonesForMs: 5000 }
    const once = await volumeOf(1000, retention)
    const tenTimes = await volumeOf(10_000, retention)
    expect(once.snapshots).toBeGreaterThan(0)
    expect(tenTimes.all / once.all).toBeLessThanOrEqual(1.2)
  }, 60_000)

  it('[T-309] and stays below a constant, however long the history, when all of it is kept', async () => {
    const once = await volumeOf(1000)
    const tenTimes = await volumeOf(10_000)
    for (const { all, snapshots } of [once, tenTimes]) expect(all / (all - snapshots)).toBeLessThanOrEqual(4)
  }, 60_000)
})
