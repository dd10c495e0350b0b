import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StatewardError } from '../../src/base/errors.js'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { Journal, JournalRecord, JournalStore } from '../../src/journal/journal.js'
import { contentOf, forgetClosing, namesIn, recordsOf, temporaryDirectory, valuesOf } from './support/directory.js'
import { FaultyFileSystem } from './support/faulty-file-system.js'
import { isLong, timeout } from './support/long.js'

const numRuns = isLong ? 5_000 : 60

/** Some are long enough to fill a segment. */
const record: fc.Arbitrary<JournalRecord> = fc.oneof(
  { weight: 4, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 50_000 }).map((length) => 'y'.repeat(length)) },
)
const group = fc.array(record, { minLength: 1, maxLength: 4 })

/** JSON as it comes back: -0 is written as 0. */
const asWritten = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const storeIn = (directory: string): JournalStore => createDirectoryJournal({ directory, segmentBytes: 64 * 1024 })

describe('whatever is appended', () => {
  it('comes back in order, over any number of segments, openings and snapshots', { timeout }, async () => {
    const session = fc.record({ groups: fc.array(group, { maxLength: 6 }), compacts: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(session, { minLength: 1, maxLength: 4 }), async (sessions) => {
        const store = storeIn(await temporaryDirectory())
        const expected: unknown[] = []
        for (const { groups, compacts } of sessions) {
          const { journal } = await store.open()
          await Promise.all(groups.map((records) => journal.append(records)))
          expected.push(...groups.flat())
          if (compacts) await journal.compact({ through: expected.length, rows: expected as JournalRecord[] })
          await journal.close()
        }
        const { journal, recovery } = await store.open()
        const rows = [...(recovery.snapshot?.rows ?? [])]
        const records = [...recovery.records]
        await journal.close()
        expect([...rows, ...records.map((replayed) => replayed.record)]).toEqual(asWritten(expected))
        expect(records.map(({ sequence }) => sequence)).toEqual(
          expected.slice(rows.length).map((_, index) => rows.length + index + 1),
        )
      }),
      { numRuns, endOnFailure: true },
    )
  })
})

describe('a write that tore anywhere', () => {
  it('leaves exactly the groups before it, and the journal goes on; a file that ends early is damage', {
    timeout,
  }, async () => {
    const groups = fc.array(group, { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(groups, group, fc.nat(), fc.boolean(), async (durable, last, cut, inSpace) => {
        const directory = await temporaryDirectory()
        const store = storeIn(directory)
        const { journal } = await store.open()
        for (const records of durable) await journal.append(records)
        const before = await contentOf(directory)
        await journal.append(last)
        await journal.close()
        const torn = join(directory, (await namesIn(directory)).filter((name) => name.endsWith('.log')).at(-1) ?? '')
        const bytes = await readFile(torn)
        const name = torn.slice(directory.length + 1)
        // The mark of a new segment is durable before the segment has its name.
        const start = Math.max(24, endOfData(Buffer.from(before[name] ?? '', 'latin1'), 24))
        const end = endOfData(bytes, 24)
        const keep = start + (cut % (end - start))
        await writeFile(torn, inSpace ? bytes.fill(0, keep) : bytes.subarray(0, keep))
        await forgetClosing(directory)
        if (!inSpace && keep > start) {
          await expect(store.open()).rejects.toMatchObject({ code: 'journal_corrupt' })
          const cutting = createDirectoryJournal({ directory, segmentBytes: 64 * 1024, onDamage: 'cut' })
          expect(await valuesOf(cutting)).toEqual(asWritten(durable.flat()))
        }
        expect(await valuesOf(store)).toEqual(asWritten(durable.flat()))
        const successor = await store.open()
        await successor.journal.append(['next'])
        await successor.journal.close()
        expect((await recordsOf(store)).at(-1)).toEqual({ sequence: durable.flat().length + 1, record: 'next' })
      }),
      { numRuns, endOnFailure: true },
    )
  })
})

describe('any single flipped bit', () => {
  it('never costs a record, and is never answered with wrong ones: the log is whole or refused', {
    timeout,
  }, async () => {
    const directory = await temporaryDirectory()
    const { journal } = await storeIn(directory).open()
    for (const value of ['one', 'two', 'three', 'four']) await journal.append([{ value }, value])
    await journal.close()
    const source = join(directory, 'journal-0000000000000001.log')
    const whole = await valuesOf(storeIn(directory))
    const used = endOfData(await readFile(source), 24)
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.nat(8 * (used + 200) - 1), async (bit) => {
        run += 1
        const damaged = `${directory}-${run}`
        await mkdir(damaged)
        const copy = join(damaged, 'journal-0000000000000001.log')
        await copyFile(source, copy)
        const bytes = await readFile(copy)
        bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
        await writeFile(copy, bytes)
        const outcome = await valuesOf(storeIn(damaged)).catch((error: unknown) => error)
        const isRefused = StatewardError.is(outcome, 'journal_corrupt')
        expect(isRefused ? whole : outcome).toEqual(whole)
      }),
      { numRuns: 4 * numRuns },
    )
  })
})

describe('a disk that fails now and then', () => {
  it('never loses an acknowledged group, never keeps a refused one, and leaves no gap', { timeout }, async () => {
    const fault = fc.record({
      operation: fc.constantFrom('write', 'sync', 'rename', 'truncate', 'open', 'sync_directory' as const),
      errno: fc.constantFrom('ENOSPC', 'EIO'),
      after: fc.nat(12),
      written: fc.nat(40),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fault, { maxLength: 6 }),
        fc.array(group, { minLength: 4, maxLength: 14 }),
        async (faults, groups) => {
          const disk = new FaultyFileSystem()
          const directory = await temporaryDirectory()
          const store = createDirectoryJournal({ directory, fileSystem: disk, segmentBytes: 64 * 1024 })
          const { journal } = await store.open()
          for (const each of faults) disk.fail(each)
          const acknowledged = await appendAll(journal, groups)
          disk.heal()
          await reopenUntilHealthy(journal)
          await journal.close()
          const records = await recordsOf(store)
          expect(records.map(({ sequence }) => sequence)).toEqual(records.map((_, index) => index + 1))
          expect(records.map((replayed) => replayed.record)).toEqual(asWritten(acknowledged.flat()))
        },
      ),
      { numRuns, endOnFailure: true },
    )
  })
})

/** Appends groups two at a time, reopening where that is needed; gives back the acknowledged ones. */
async function appendAll(journal: Journal, groups: readonly JournalRecord[][]): Promise<JournalRecord[][]> {
  const acknowledged: JournalRecord[][] = []
  const attempt = async (records: JournalRecord[]): Promise<void> => {
    try {
      await journal.append(records)
      acknowledged.push(records)
    } catch (error) {
      if (!StatewardError.is(error)) throw error
    }
  }
  for (let index = 0; index < groups.length; index += 2) {
    await Promise.all(groups.slice(index, index + 2).map(attempt))
    await journal.reopen().catch((error: unknown) => {
      if (!StatewardError.is(error, 'journal_io')) throw error
    })
  }
  return acknowledged
}

async function reopenUntilHealthy(journal: Journal): Promise<void> {
  await journal.settled()
  await journal.reopen()
}

function endOfData(bytes: Buffer, start: number): number {
  let end = bytes.length
  while (end > start && bytes[end - 1] === 0) end -= 1
  return end
}
