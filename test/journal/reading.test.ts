import { readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { JournalRecord, JournalStore } from '../../src/journal/journal.js'
import { readDirectoryJournal, readDirectoryOwner, type JournalReading } from '../../src/journal/reading.js'
import { appendTo, forgetClosing, temporaryDirectory } from './support/directory.js'
import { FaultyFileSystem } from './support/faulty-file-system.js'
import { timeout } from './support/long.js'

let directory: string
let store: JournalStore
beforeEach(async () => {
  directory = await temporaryDirectory()
  store = createDirectoryJournal({ directory, segmentBytes: 64 * 1024 })
  await appendTo(store, ['one'], ['two', 'three'])
})

/** Everything about a directory that reading could change. */
async function traceOf(path: string): Promise<unknown> {
  const names = ['.', ...(await readdir(path)).sort()]
  const files = names.map(async (name) => {
    const { ino, size, mtimeMs, ctimeMs, nlink } = await stat(join(path, name))
    return { name, ino, size, mtimeMs, ctimeMs, nlink }
  })
  return Promise.all(files)
}

function contentOf({ recovery, nextSequence }: JournalReading): unknown {
  return {
    nextSequence,
    through: recovery.snapshot?.through,
    rows: [...(recovery.snapshot?.rows ?? [])],
    records: Array.from(recovery.records, ({ record }) => record),
  }
}

const whole = { nextSequence: 4, through: undefined, rows: [], records: ['one', 'two', 'three'] }

describe('reading a directory without owning it', () => {
  it('gives what opening gives, and leaves no trace', async () => {
    const before = await traceOf(directory)
    await using reading = await readDirectoryJournal({ directory })
    expect(contentOf(reading)).toEqual(whole)
    expect([reading.owner, reading.brokenEnd]).toEqual([undefined, undefined])
    await reading.close()
    expect(await traceOf(directory)).toEqual(before)
  })

  it('opens files for reading only, and lets go of each', async () => {
    const disk = new FaultyFileSystem()
    const reading = await readDirectoryJournal({ directory, fileSystem: disk })
    await reading.close()
    expect(new Set(disk.log.map((line) => line.split(' ')[0]))).toEqual(new Set(['list', 'open', 'read', 'close']))
    const count = (what: string): number => disk.log.filter((line) => line.startsWith(what)).length
    expect(count('close')).toBe(count('open'))
  })

  it('works beside a live owner and names it', async () => {
    const { journal } = await store.open()
    await journal.append(['four'])
    const before = await traceOf(directory)
    await using reading = await readDirectoryJournal({ directory })
    expect(contentOf(reading)).toEqual({ ...whole, nextSequence: 5, records: ['one', 'two', 'three', 'four'] })
    expect(reading.owner).toMatchObject({ pid: process.pid, standing: 'running' })
    expect(await readDirectoryOwner(directory)).toEqual(reading.owner)
    expect(await traceOf(directory)).toEqual(before)
    await journal.append(['five'])
    await journal.close()
    expect(await readDirectoryOwner(directory)).toBe(undefined)
  })

  it('shows the instant it was made, whatever the owner removes meanwhile', async () => {
    await using reading = await readDirectoryJournal({ directory })
    const { journal } = await store.open()
    const filler = 'x'.repeat(40_000)
    for (let group = 0; group < 4; group += 1) await journal.append([filler])
    await journal.compact({ through: 7, rows: ['row'] })
    expect(contentOf(reading)).toEqual(whole)
    await using later = await readDirectoryJournal({ directory })
    expect(contentOf(later)).toEqual({ nextSequence: 8, through: 7, rows: ['row'], records: [] })
    await journal.close()
  })

  it('tells a torn write of an owner that was killed, and does not cut it', async () => {
    await forgetClosing(directory)
    const file = join(directory, 'journal-0000000000000001.log')
    const bytes = await readFile(file)
    const offset = bytes.indexOf('"two"') - 24
    await writeFile(file, bytes.fill(0, offset + 30))
    const before = await traceOf(directory)
    await using reading = await readDirectoryJournal({ directory })
    expect(contentOf(reading)).toEqual({ ...whole, nextSequence: 2, records: ['one'] })
    expect(reading.brokenEnd).toEqual({ cause: 'torn_write', file, offset, reason: 'incomplete_payload', sequence: 2 })
    expect(await traceOf(directory)).toEqual(before)
  })

  it('tells what is missing, and gives the rest', async () => {
    await unlink(join(directory, 'journal-0000000000000001.log'))
    await using reading = await readDirectoryJournal({ directory })
    expect(reading.brokenEnd).toMatchObject({ cause: 'missing_records', file: directory, sequence: 1 })
    expect(contentOf(reading)).toMatchObject({ records: [] })
  })

  it('reads on beside a lock file that cannot be understood', async () => {
    await writeFile(join(directory, 'lock.9'), 'nonsense')
    await using reading = await readDirectoryJournal({ directory })
    expect(contentOf(reading)).toEqual(whole)
  })

  it('refuses damage before a whole record, and what is not there', async () => {
    const file = join(directory, 'journal-0000000000000001.log')
    const bytes = await readFile(file)
    bytes.write('X', 49)
    await writeFile(file, bytes)
    await expect(readDirectoryJournal({ directory })).rejects.toMatchObject({ code: 'journal_corrupt', data: { file } })
    await rm(directory, { recursive: true })
    await expect(readDirectoryJournal({ directory })).rejects.toMatchObject({
      code: 'journal_io',
      data: { operation: 'list', cause: 'ENOENT' },
    })
  })

  it('gives a whole prefix at any moment of an owner that writes and compacts', { timeout }, async () => {
    const { journal } = await store.open()
    const work = { through: 3, isWriting: true }
    const write = async (): Promise<void> => {
      while (work.isWriting) {
        const first = journal.nextSequence
        const group = Array.from(
          { length: 3 },
          (_, place): JournalRecord => ({ sequence: first + place, fill: 'y'.repeat(4000) }),
        )
        await journal.append(group)
        work.through = Math.max(work.through, first + 2)
        if (first % 5 === 0) await journal.compact({ through: first + 2, rows: [{ through: first + 2 }] })
      }
    }
    const writing = Promise.all([write(), write()])
    for (let look = 0; look < 150; look += 1) {
      const { through } = work
      await using reading = await readDirectoryJournal({ directory })
      const covered = reading.recovery.snapshot?.through ?? 0
      const rows = [...(reading.recovery.snapshot?.rows ?? [])]
      expect(rows).toEqual(covered === 0 ? [] : [{ through: covered }])
      const records = [...reading.recovery.records]
      expect(records.map(({ sequence }) => sequence)).toEqual(
        Array.from({ length: reading.nextSequence - 1 - covered }, (_, index) => covered + index + 1),
      )
      const own = records.filter(({ sequence }) => sequence > 3)
      expect(own.every(({ sequence, record }) => (record as { sequence: number }).sequence === sequence)).toBe(true)
      expect(reading.nextSequence).toBeGreaterThan(through)
    }
    work.isWriting = false
    await writing
    await journal.close()
  })
})
