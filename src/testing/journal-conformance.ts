import assert from 'node:assert/strict'
import type { Journal, JournalRecord, JournalStore, OpenedJournal, ReplayedRecord } from '../journal/journal.js'

/** The two functions of a test runner that a suite needs; those of vitest, `node:test`, jest and mocha all fit. */
export interface SuiteFunctions {
  readonly describe: (name: string, define: () => void) => unknown
  readonly it: (name: string, run: () => Promise<void>) => unknown
}

/** A journal store under test. */
export interface JournalFixture {
  /** Empty at first. Opening it again after `close()` must return what was appended. */
  readonly store: JournalStore
  /** Removes the store after its test. */
  dispose?(): Promise<void>
}

/**
 * Defines a suite that every {@link JournalStore} must pass: numbering, atomic groups, the order of outcomes,
 * reopening, exclusive ownership, limits and compaction.
 *
 *     import { describe, it } from 'vitest'
 *     journalConformance({ describe, it }, 'my store', async () => ({ store: createMyStore() }))
 *
 * Failures are thrown as `AssertionError` of node:assert. What remains after a power failure cannot be checked here.
 */
export function journalConformance(
  { describe, it }: SuiteFunctions,
  name: string,
  createFixture: () => Promise<JournalFixture>,
): void {
  const test = (behaviour: string, run: (store: JournalStore) => Promise<void>): unknown =>
    it(behaviour, async () => {
      const fixture = await createFixture()
      try {
        await run(fixture.store)
      } finally {
        await fixture.dispose?.()
      }
    })

  describe(`${name} as a journal store`, () => {
    test('a new store is empty and numbers from 1', async (store) => {
      const { journal, recovery } = await store.open()
      assert.equal(recovery.snapshot, undefined)
      assert.deepEqual([...recovery.records], [])
      assert.equal(journal.nextSequence, 1)
      assert.equal(journal.tailLength, 0)
      await journal.close()
    })

    test('every kind of JSON value comes back as it was', async (store) => {
      await inJournal(store, (journal) => journal.append(everyKind))
      assert.deepEqual(await recordsOf(store), number(everyKind))
    })

    test('records are encoded during the call: later changes of the value do not reach the journal', async (store) => {
      const record = { count: 1 }
      await inJournal(store, async (journal) => {
        const appended = journal.append([record])
        record.count = 2
        await appended
      })
      assert.deepEqual(await recordsOf(store), number([{ count: 1 }]))
    })

    test('the sequence counts what is queued, at once', async (store) => {
      await inJournal(store, async (journal) => {
        const appended = [journal.append(['a']), journal.append(['b', 'c'])]
        assert.equal(journal.nextSequence, 4)
        await Promise.all(appended)
        assert.equal(journal.nextSequence, 4)
        assert.equal(journal.tailLength, 3)
      })
    })

    test('appends settle in the order of the calls', async (store) => {
      const settled: number[] = []
      await inJournal(store, async (journal) => {
        const appends = Array.from({ length: 50 }, (_, call) => journal.append([call]).then(() => settled.push(call)))
        await Promise.all(appends)
      })
      assert.deepEqual(settled, countTo(50))
    })

    test('settled waits for everything appended before', async (store) => {
      await inJournal(store, async (journal) => {
        let isDurable = false
        const appended = journal.append(['a']).then(() => {
          isDurable = true
          return isDurable
        })
        await journal.settled()
        assert.equal(isDurable, true)
        await appended
      })
    })

    test('an empty group leaves no record', async (store) => {
      await inJournal(store, (journal) => journal.append([]))
      assert.deepEqual(await recordsOf(store), [])
    })

    test('appending goes on with the next number after opening again', async (store) => {
      await inJournal(store, (journal) => journal.append(['a', 'b']))
      await inJournal(store, async (journal) => {
        assert.equal(journal.nextSequence, 3)
        await journal.append(['c'])
      })
      assert.deepEqual(await recordsOf(store), number(['a', 'b', 'c']))
    })

    test('closing writes what is queued', async (store) => {
      const { journal } = await store.open()
      const appended = journal.append(['a'])
      await journal.close()
      await appended
      assert.deepEqual(await recordsOf(store), number(['a']))
    })

    test('a closed journal refuses records and may be closed again', async (store) => {
      const { journal } = await store.open()
      await journal.close()
      await journal.close()
      assert.throws(() => journal.append(['late']), { code: 'journal_closed' })
      await assert.rejects(journal.compact({ through: 0, rows: [] }), { code: 'journal_closed' })
      await assert.rejects(journal.reopen(), { code: 'journal_closed' })
    })

    test('a second owner is refused until the first has closed', async (store) => {
      const { journal } = await store.open()
      await assert.rejects(store.open(), { code: 'journal_locked' })
      await journal.append(['a'])
      await journal.close()
      assert.deepEqual(await recordsOf(store), number(['a']))
    })

    test('a group beyond the limit leaves no trace', async (store) => {
      await inJournal(store, async (journal) => {
        const huge = 'x'.repeat(64 * 2 ** 20)
        assert.throws(() => journal.append(['small', huge]), { code: 'journal_record_too_large' })
        assert.equal(journal.nextSequence, 1)
        await journal.append(['a'])
      })
      assert.deepEqual(await recordsOf(store), number(['a']))
    })

    test('reopening a healthy journal changes nothing', async (store) => {
      await inJournal(store, async (journal) => {
        await journal.append(['a'])
        await journal.reopen()
        await journal.append(['b'])
      })
      assert.deepEqual(await recordsOf(store), number(['a', 'b']))
    })

    test('a snapshot takes the place of the records it contains', async (store) => {
      await inJournal(store, async (journal) => {
        await journal.append(['a', 'b', 'c', 'd'])
        await journal.compact({ through: 3, rows: ['row 1', { row: 2 }] })
        assert.equal(journal.tailLength, 1)
        await journal.append(['e'])
        assert.equal(journal.tailLength, 2)
      })
      await inRecovery(store, ({ recovery, journal }) => {
        assert.equal(recovery.snapshot?.through, 3)
        assert.deepEqual([...(recovery.snapshot?.rows ?? [])], ['row 1', { row: 2 }])
        assert.deepEqual([...recovery.records], number(['d', 'e'], 4))
        assert.equal(journal.nextSequence, 6)
        assert.equal(journal.tailLength, 2)
      })
    })

    test('records may be appended while a snapshot is written', async (store) => {
      const rows = countTo(20_000)
      await inJournal(store, async (journal) => {
        await journal.append(['a'])
        const compacted = journal.compact({ through: 1, rows })
        await Promise.all(countTo(20).map((record) => journal.append([record])))
        await compacted
      })
      await inRecovery(store, ({ recovery }) => {
        assert.deepEqual([...(recovery.snapshot?.rows ?? [])], rows)
        assert.deepEqual([...recovery.records], number(countTo(20), 2))
      })
    })

    test('the newest snapshot counts, and an empty one is one', async (store) => {
      await inJournal(store, async (journal) => {
        await journal.append(['a', 'b'])
        await journal.compact({ through: 1, rows: ['old'] })
        await journal.compact({ through: 2, rows: [] })
      })
      await inRecovery(store, ({ recovery, journal }) => {
        assert.equal(recovery.snapshot?.through, 2)
        assert.deepEqual([...(recovery.snapshot?.rows ?? [])], [])
        assert.deepEqual([...recovery.records], [])
        assert.equal(journal.nextSequence, 3)
      })
    })

    test('a snapshot that fails while its rows are read leaves everything as it was', async (store) => {
      await inJournal(store, async (journal) => {
        await journal.append(['a', 'b'])
        await journal.compact({ through: 1, rows: ['first'] })
        await assert.rejects(journal.compact({ through: 2, rows: failingRows() }), /rows ran dry/)
        assert.equal(journal.tailLength, 1)
      })
      await inRecovery(store, ({ recovery }) => {
        assert.deepEqual([...(recovery.snapshot?.rows ?? [])], ['first'])
        assert.deepEqual([...recovery.records], number(['b'], 2))
      })
    })

    test('a snapshot of records that are not durable, or behind the last one, is refused', async (store) => {
      await inJournal(store, async (journal) => {
        await journal.append(['a', 'b'])
        await journal.compact({ through: 2, rows: [] })
        await assert.rejects(journal.compact({ through: 3, rows: [] }), { code: 'invalid_input' })
        await assert.rejects(journal.compact({ through: 1, rows: [] }), { code: 'invalid_input' })
      })
    })
  })
}

const everyKind: readonly JournalRecord[] = [
  null,
  true,
  -0.5,
  1e300,
  '',
  'comma, "quote", \\ and \u0000\n',
  'ä ✓ 😀 \ud800',
  [],
  [1, [2]],
  {},
  { a: { b: [{}] } },
]

function number(records: readonly JournalRecord[], first = 1): ReplayedRecord[] {
  return records.map((record, index) => ({ sequence: first + index, record }))
}

function countTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}

function* failingRows(): Iterable<JournalRecord> {
  yield 'one'
  throw new Error('rows ran dry')
}

async function inJournal(store: JournalStore, use: (journal: Journal) => Promise<void>): Promise<void> {
  const { journal } = await store.open()
  try {
    await use(journal)
  } finally {
    await journal.close()
  }
}

async function inRecovery(store: JournalStore, use: (opened: OpenedJournal) => void): Promise<void> {
  const opened = await store.open()
  try {
    use(opened)
  } finally {
    await opened.journal.close()
  }
}

async function recordsOf(store: JournalStore): Promise<ReplayedRecord[]> {
  const { journal, recovery } = await store.open()
  const records = [...recovery.records]
  await journal.close()
  return records
}
