import { readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { StatewardError } from '../../src/base/errors.js'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { Journal, JournalRecord, JournalSnapshot, JournalStore } from '../../src/journal/journal.js'
import { appendTo, contentOf, namesIn, recordsOf, temporaryDirectory } from './support/directory.js'
import { FaultyFileSystem } from './support/faulty-file-system.js'
import { createDice } from './support/mortal-file-system.js'

let directory: string
let disk: FaultyFileSystem
let store: JournalStore
const filler = 'x'.repeat(40_000)

beforeEach(async () => {
  directory = await temporaryDirectory()
  disk = new FaultyFileSystem()
  store = createDirectoryJournal({ directory, fileSystem: disk, segmentBytes: 64 * 1024 })
})

async function inJournal<Value>(use: (journal: Journal) => Promise<Value>): Promise<Value> {
  const { journal } = await store.open()
  try {
    return await use(journal)
  } finally {
    await journal.close()
  }
}

async function stateAfterOpening(): Promise<unknown> {
  const { journal, recovery } = await store.open()
  const rows = recovery.snapshot && [...recovery.snapshot.rows]
  const state = {
    through: recovery.snapshot?.through,
    rows,
    records: Array.from(recovery.records, ({ record }) => record),
  }
  await journal.close()
  return state
}

async function refusalOf(): Promise<unknown> {
  const before = await contentOf(directory)
  const error: unknown = await store.open().catch((thrown: unknown) => thrown)
  expect(await contentOf(directory)).toEqual(before)
  return StatewardError.is(error, 'journal_corrupt') ? error.data : error
}

async function change(name: string, edit: (bytes: Buffer) => Buffer | void): Promise<string> {
  const path = join(directory, name)
  const bytes = await readFile(path)
  await writeFile(path, edit(bytes) ?? bytes)
  return path
}

const flip = (bytes: Buffer, offset: number): void => void bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset)
const snapshotOf = (through: number, ...rows: JournalRecord[]): JournalSnapshot => ({ through, rows })
const three = 'snapshot-0000000000000003.rows'

describe('compaction', () => {
  it('removes the segments whose records are all in the snapshot, and older snapshots', async () => {
    await inJournal(async (journal) => {
      for (const value of ['a', 'b', 'c', 'd']) await journal.append([value, filler])
      await journal.compact(snapshotOf(3, 'first'))
      expect((await namesIn(directory)).filter((name) => !name.startsWith('spare'))).toEqual([
        'journal-0000000000000003.log',
        'journal-0000000000000005.log',
        'journal-0000000000000007.log',
        three,
      ])
      await journal.compact(snapshotOf(7, 'second'))
    })
    expect(await namesIn(directory)).toEqual(['journal-0000000000000007.log', 'snapshot-0000000000000007.rows'])
    expect(await stateAfterOpening()).toEqual({ through: 7, rows: ['second'], records: [filler] })
  })

  it('keeps numbering on when no record is left', async () => {
    await inJournal(async (journal) => {
      await journal.append(['a', 'b', 'c'])
      await journal.compact(snapshotOf(3, 'row'))
    })
    await rm(join(directory, 'journal-0000000000000001.log'))
    await appendTo(store, ['d'])
    expect(await recordsOf(store)).toEqual([{ sequence: 4, record: 'd' }])
  })

  it('writes rows slice by slice and lets the event loop run in between', async () => {
    const loop = { turns: 0, isCounting: true }
    const count = async (): Promise<void> => {
      while (loop.isCounting) {
        await nextTurn()
        loop.turns += 1
      }
    }
    const rows = Array.from({ length: 200 }, (_, index) => `${index}${filler}`)
    await inJournal(async (journal) => {
      await journal.append(['a', 'b', 'c'])
      const counted = count()
      await journal.compact({ through: 3, rows })
      loop.isCounting = false
      await counted
    })
    // 200 rows of 40 kB make over 30 slices.
    expect(loop.turns).toBeGreaterThan(30)
    expect(await stateAfterOpening()).toEqual({ through: 3, rows, records: [] })
  })

  it.each([
    ['cannot be created', { operation: 'open', path: 'snapshot', errno: 'ENOSPC' }],
    ['cannot be written', { operation: 'write', path: 'snapshot', errno: 'ENOSPC', written: 10 }],
    ['cannot be synced', { operation: 'sync', path: 'snapshot', errno: 'EIO' }],
    ['cannot be read back', { operation: 'read', path: 'snapshot', errno: 'EIO' }],
    ['cannot be named', { operation: 'rename', path: 'snapshot', errno: 'EIO' }],
  ] as const)('[T-65] a snapshot that %s leaves the old one, every record and no file behind', async (_, fault) => {
    await inJournal(async (journal) => {
      await journal.append(['a', 'b', 'c'])
      await journal.compact(snapshotOf(1, 'old'))
      const before = await namesIn(directory)
      disk.fail(fault)
      await expect(journal.compact(snapshotOf(3, 'new'))).rejects.toMatchObject({ code: 'journal_io' })
      expect(await namesIn(directory)).toEqual(before)
      expect(journal.tailLength).toBe(2)
      await journal.append(['d'])
    })
    expect(await stateAfterOpening()).toEqual({ through: 1, rows: ['old'], records: ['b', 'c', 'd'] })
  })

  it('counts although what it replaced cannot be removed; the next opening removes it', async () => {
    await inJournal(async (journal) => {
      for (const value of ['a', 'b']) await journal.append([value, filler])
      disk.fail({ operation: 'unlink', path: 'journal-', errno: 'EACCES' })
      await journal.compact(snapshotOf(3, 'row'))
      expect(journal.tailLength).toBe(1)
    })
    expect(await namesIn(directory)).toContain('journal-0000000000000001.log')
    expect(await stateAfterOpening()).toEqual({ through: 3, rows: ['row'], records: [filler] })
    expect(await namesIn(directory)).toEqual(['journal-0000000000000003.log', three])
  })

  it('refuses a row that no frame can hold', async () => {
    await inJournal(async (journal) => {
      await journal.append(['a'])
      await expect(journal.compact(snapshotOf(1, 'x'.repeat(33 * 2 ** 20)))).rejects.toMatchObject({
        code: 'journal_record_too_large',
      })
    })
  })
})

describe('a snapshot', () => {
  beforeEach(() =>
    inJournal(async (journal) => {
      await journal.append(['a', 'b', 'c'])
      await journal.compact(snapshotOf(3, 'row 1', 'row 2'))
      await journal.append(['d', 'e'])
    }),
  )

  it('[T-67] and the records after it come back together', async () => {
    expect(await stateAfterOpening()).toEqual({ through: 3, rows: ['row 1', 'row 2'], records: ['d', 'e'] })
  })

  it.each([
    ['cut short', (bytes: Buffer) => bytes.subarray(0, -1)],
    ['without its rows', (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 24), bytes.subarray(-24)])],
    ['without its end', (bytes: Buffer) => bytes.subarray(0, -24)],
    ['with a flipped bit in a row', (bytes: Buffer) => flip(bytes, 50)],
    ['with a flipped bit in its mark', (bytes: Buffer) => flip(bytes, 12)],
    ['that is empty', () => Buffer.alloc(0)],
    ['with bytes behind its end', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('x')])],
  ])('[T-66] %s is passed over while the records it replaced are there', async (_, edit) => {
    await change(three, edit)
    expect(await stateAfterOpening()).toEqual({
      through: undefined,
      rows: undefined,
      records: ['a', 'b', 'c', 'd', 'e'],
    })
  })

  it('[T-66] that is missing is no loss while the records are there', async () => {
    await unlink(join(directory, three))
    expect(await stateAfterOpening()).toEqual({
      through: undefined,
      rows: undefined,
      records: ['a', 'b', 'c', 'd', 'e'],
    })
  })

  it('of another version is refused although the records are there', async () => {
    const file = await change(three, (bytes) => void bytes.writeUInt8(1, 8))
    expect(await refusalOf()).toEqual({ file, offset: 0, reason: 'unsupported_version' })
  })

  it('that is damaged is refused once a record it replaced is gone', async () => {
    await inJournal(async (journal) => {
      for (const value of ['f', 'g']) await journal.append([value, filler])
      await journal.compact(snapshotOf(7, 'row'))
    })
    const file = await change('snapshot-0000000000000007.rows', (bytes) => flip(bytes, 50))
    expect(await refusalOf()).toEqual({ file, offset: 24, reason: 'crc_mismatch' })
    await rm(join(directory, 'journal-0000000000000008.log'))
    expect(await refusalOf()).toEqual({ file, offset: 24, reason: 'crc_mismatch' })
  })

  it('that is missing is a gap once a record it replaced is gone', async () => {
    await inJournal(async (journal) => {
      for (const value of ['f', 'g']) await journal.append([value, filler])
      await journal.compact(snapshotOf(7, 'row'))
    })
    await unlink(join(directory, 'snapshot-0000000000000007.rows'))
    const [first] = (await readdir(directory)).filter((name) => name.startsWith('journal-'))
    expect(await refusalOf()).toEqual({ file: join(directory, first ?? ''), offset: 0, reason: 'sequence_gap' })
  })

  it('ahead of a segment that has lost its mark is refused, also by an owner who gives damage up', async () => {
    store = createDirectoryJournal({ directory, onDamage: 'cut' })
    const file = await change('journal-0000000000000001.log', (bytes) => void bytes.fill(0))
    expect(await refusalOf()).toEqual({ file, offset: 0, reason: 'decode_failure' })
  })

  it('[T-68] ahead of the records that are left is refused, ahead of none it is used', async () => {
    await inJournal((journal) => journal.compact(snapshotOf(5, 'all')))
    const segment = 'journal-0000000000000001.log'
    const file = await change(segment, (bytes) => void bytes.fill(0, bytes.indexOf('"d"') - 24))
    expect(await refusalOf()).toMatchObject({ file, reason: 'sequence_gap' })
    await unlink(file)
    expect(await stateAfterOpening()).toEqual({ through: 5, rows: ['all'], records: [] })
    await appendTo(store, ['f'])
    expect(await recordsOf(store)).toEqual([{ sequence: 6, record: 'f' }])
  })
})

describe('a snapshot after another one', () => {
  const rowsOf = (from: number, count: number): string[] =>
    Array.from({ length: count }, (_, index) => `row ${from + index} ${filler.slice(0, 300)}`)
  const snapshotsIn = async (): Promise<string[]> =>
    (await namesIn(directory)).filter((name) => name.startsWith('snapshot'))
  const bytesIn = async (name = ''): Promise<number> => (await stat(join(directory, name))).size
  const compact = (rows: JournalRecord[]): Promise<void> =>
    inJournal(async (journal) => {
      await journal.append(['record'])
      await journal.compact({ through: journal.nextSequence - 1, rows })
    })
  const name = (through: number): string => `snapshot-${String(through).padStart(16, '0')}.rows`
  const rowsRead = async (): Promise<unknown> => ((await stateAfterOpening()) as { readonly rows: unknown }).rows

  it('holds what has changed, and shares the rest with it', async () => {
    const rows = rowsOf(0, 4000)
    await compact(rows)
    const whole = await bytesIn(name(1))
    const changed = [
      ...rows.slice(0, 1000),
      'another',
      ...rows.slice(1001, 2000),
      ...rows.slice(2010),
      ...rowsOf(4000, 100),
    ]
    await compact(changed)
    expect(await snapshotsIn()).toEqual([name(1), name(2)])
    // 112 of 4,000 rows, the parts in which they stand, and the places of all parts.
    expect(await bytesIn(name(2))).toBeLessThan(whole / 8)
    expect(await rowsRead()).toEqual(changed)
    await compact(changed)
    expect(await bytesIn(name(3))).toBeLessThan(whole / 50)
    expect(await rowsRead()).toEqual(changed)
  })

  it('writes again what is left of a file that is used by less than half, and removes that', async () => {
    const rows = rowsOf(0, 2000)
    await compact(rows)
    const left = [...rows.slice(0, 800), ...rowsOf(2000, 100)]
    await compact(left)
    expect(await snapshotsIn()).toEqual([name(2)])
    expect(await rowsRead()).toEqual(left)
    const most = [...left.slice(0, 500), ...rowsOf(3000, 100)]
    await compact(most)
    expect(await snapshotsIn()).toEqual([name(2), name(3)])
    expect(await rowsRead()).toEqual(most)
  })

  it('may contain the same records', async () => {
    await compact(rowsOf(0, 200))
    await inJournal((journal) => journal.compact({ through: 1, rows: rowsOf(0, 100) }))
    await inJournal((journal) => journal.compact({ through: 1, rows: rowsOf(0, 200) }))
    expect(await snapshotsIn()).toEqual([name(1)])
    expect(await rowsRead()).toEqual(rowsOf(0, 200))
  })

  it.each([
    ['damaged', (bytes: Buffer) => flip(bytes, 5000), { offset: 24, reason: 'crc_mismatch' }],
    ['cut short', (bytes: Buffer) => bytes.subarray(0, 5000), { offset: 24, reason: 'incomplete_payload' }],
  ] as const)('is refused when a file that it shares is %s, which is named', async (_, edit, damage) => {
    await compact(rowsOf(0, 200))
    await compact(rowsOf(0, 201))
    await rm(join(directory, 'journal-0000000000000001.log'))
    const file = await change(name(1), edit)
    expect(await refusalOf()).toEqual({ file, ...damage })
    await unlink(file)
    expect(await refusalOf()).toEqual({ file, offset: 0, reason: 'missing_records' })
  })

  it('is passed over with what it shares while the records are there', async () => {
    await compact(rowsOf(0, 200))
    await compact(rowsOf(0, 201))
    await unlink(join(directory, name(1)))
    expect(await stateAfterOpening()).toEqual({ through: undefined, rows: undefined, records: ['record', 'record'] })
  })

  it('comes back whatever has changed, and never takes much more than twice its size', async () => {
    let rows = rowsOf(0, 300)
    let next = 300
    const upTo = createDice(7)
    for (let round = 0; round < 25; round += 1) {
      const from = upTo(rows.length)
      const gone = upTo(3) === 0 ? upTo(rows.length) : upTo(4)
      const made = rowsOf(next, upTo(120))
      next += 120
      rows = [...rows.slice(0, from), ...made.slice(0, 2), ...rows.slice(from + gone), ...made.slice(2)]
      await compact(rows)
      expect(await rowsRead()).toEqual(rows)
      let bytes = 0
      for (const file of await snapshotsIn()) bytes += await bytesIn(file)
      // At least half of each file is in use; the rest is headers and places.
      expect(bytes).toBeLessThan(2.2 * JSON.stringify(rows).length + 10_000)
    }
  })
})
