import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { createDirectoryJournal, type DirectoryJournalOptions } from '../../src/journal/directory-journal.js'
import type { Journal, JournalStore } from '../../src/journal/journal.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { temporaryDirectory, valuesOf } from './support/directory.js'
import { FaultyFileSystem } from './support/faulty-file-system.js'

let directory: string
let clock: SimulatedClock
let disk: FaultyFileSystem
let journal: Journal

/** Fills the first segment to the last bytes. */
const large = 'x'.repeat(65_000)

const storeWith = (options: Partial<DirectoryJournalOptions> = {}): JournalStore =>
  createDirectoryJournal({ directory, segmentBytes: 64 * 1024, clock, ...options })

beforeEach(async () => {
  directory = await temporaryDirectory()
  clock = new SimulatedClock()
  disk = new FaultyFileSystem()
  journal = (await storeWith({ fileSystem: disk }).open()).journal
  await journal.append(['mine'])
})

async function filesOf(path: string): Promise<Record<string, string>> {
  const names = await readdir(path).catch(() => [])
  const contents = await Promise.all(names.map((name) => readFile(join(path, name), 'latin1')))
  return Object.fromEntries(names.map((name, index) => [name, contents[index] ?? '']))
}

/** The directory is renamed away, and another owner has one of the same name. */
async function replaceDirectory(): Promise<Journal> {
  await rename(directory, `${directory}-old`)
  const { journal: other } = await storeWith().open()
  await other.append(['other'])
  return other
}

const lost = (reason: string): object => ({
  code: 'journal_lock_lost',
  data: { file: join(directory, 'lock.1'), reason },
})

describe('an owner whose directory is taken away', () => {
  it.each([
    ['deleted', 'gone', () => rm(directory, { recursive: true })],
    ['renamed', 'gone', () => rename(directory, `${directory}-old`)],
    ['given to another owner', 'superseded', () => writeFile(join(directory, 'lock.2'), '')],
  ])('notices within a second of writing: %s', async (_, reason, takeAway) => {
    await takeAway()
    clock.advance(999)
    await journal.append(['not noticed yet'])
    clock.advance(1)
    await expect(journal.append(['noticed'])).rejects.toMatchObject(lost(reason))
    expect(() => journal.append(['again'])).toThrow(expect.objectContaining(lost(reason)))
    await expect(journal.close()).rejects.toMatchObject(lost(reason))
  })

  it('notices before it begins a segment', async () => {
    await rm(directory, { recursive: true })
    await expect(journal.append([large, large])).rejects.toMatchObject(lost('gone'))
    expect(await filesOf(directory)).toEqual({})
    await expect(journal.close()).rejects.toMatchObject(lost('gone'))
  })

  it('notices before it writes a snapshot, and writes nothing from then on', async () => {
    const other = await replaceDirectory()
    const before = await filesOf(directory)
    await expect(journal.compact({ through: 1, rows: ['row'] })).rejects.toMatchObject(lost('replaced'))
    expect(() => journal.append(['more'])).toThrow(expect.objectContaining(lost('replaced')))
    expect(await filesOf(directory)).toEqual(before)
    await other.close()
    await expect(journal.close()).rejects.toMatchObject(lost('replaced'))
  })

  it('notices while it writes a snapshot, and removes nothing of the other', async () => {
    await journal.append([large])
    await journal.append([large])
    let other: Journal | undefined
    const rows = (function* () {
      yield 'row'
    })()
    disk.onRead = async () => {
      other ??= await replaceDirectory()
    }
    await expect(journal.compact({ through: 2, rows })).rejects.toMatchObject({
      code: expect.stringMatching(/^journal_/),
    })
    disk.onRead = undefined
    await other?.append([large])
    await other?.close()
    expect(await valuesOf(storeWith())).toEqual(['other', large])
    await expect(journal.close()).rejects.toMatchObject(lost('replaced'))
  })

  it('does not touch the files of the new owner when it closes', async () => {
    await journal.append([large])
    const other = await replaceDirectory()
    // As its own spare is called.
    await writeFile(join(directory, 'spare-2.tmp'), 'of the other')
    const before = await filesOf(directory)
    await expect(journal.close()).rejects.toMatchObject(lost('replaced'))
    expect(await filesOf(directory)).toEqual(before)
    await expect(storeWith().open()).rejects.toMatchObject({ code: 'journal_locked' })
    await other.close()
    expect(await valuesOf(storeWith())).toEqual(['other'])
  })

  it('does not come back, even when the directory does: somebody may have written meanwhile', async () => {
    await rename(directory, `${directory}-old`)
    clock.advance(1000)
    await expect(journal.append(['refused'])).rejects.toMatchObject(lost('gone'))
    await rename(`${directory}-old`, directory)
    await expect(journal.reopen()).rejects.toMatchObject(lost('gone'))
    expect(() => journal.append(['refused'])).toThrow(expect.objectContaining(lost('gone')))
    await expect(journal.close()).rejects.toMatchObject(lost('gone'))
    expect(await valuesOf(storeWith())).toEqual(['mine'])
  })

  it('is told when it reopens after a failed sync', async () => {
    disk.fail({ operation: 'sync', path: 'journal-', errno: 'EIO' })
    await expect(journal.append(['doubtful'])).rejects.toMatchObject({ code: 'journal_durability_unknown' })
    await rm(directory, { recursive: true })
    await mkdir(directory)
    await expect(journal.reopen()).rejects.toMatchObject(lost('gone'))
    expect(await filesOf(directory)).toEqual({})
    await expect(journal.close()).rejects.toMatchObject(lost('gone'))
  })
})

describe('a look at the lock', () => {
  it('that fails says nothing: the records are refused and may be appended again', async () => {
    clock.advance(1000)
    disk.fail({ operation: 'list', errno: 'EMFILE' })
    await expect(journal.append(['again'])).rejects.toMatchObject({ code: 'journal_not_appended' })
    await journal.append(['again'])
    await journal.close()
    expect(await valuesOf(storeWith())).toEqual(['mine', 'again'])
  })

  it('is taken once a second, not with every write', async () => {
    const looks = (): number => disk.log.filter((line) => line.startsWith('list')).length
    const before = looks()
    for (let write = 0; write < 20; write += 1) {
      clock.advance(100)
      await journal.append([write])
    }
    expect(looks() - before).toBe(2)
    await journal.close()
  })
})

describe('opening beside another owner', () => {
  it('waits as long as it is told', async () => {
    const waiting = storeWith({ lockWaitMs: 60_000 }).open()
    while (clock.pendingTimeouts === 0) await new Promise(setImmediate)
    await journal.close()
    clock.advance(1000)
    const { journal: next } = await waiting
    await next.append(['next'])
    await next.close()
    expect(await valuesOf(storeWith())).toEqual(['mine', 'next'])
  })

  it.each([
    ['lockWaitMs', { lockWaitMs: -1 }],
    ['lockWaitMs', { lockWaitMs: Number.NaN }],
    ['lockWaitMs', { lockWaitMs: '5' as unknown as number }],
    ['onDamage', { onDamage: 'ignore' as 'cut' }],
    ['tornTail', { tornTail: true as unknown as 'cut' }],
  ])('is refused with a wrong %s: %s', async (field, options) => {
    expect(() => storeWith(options)).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field }) }),
    )
    await journal.close()
  })
})

describe('a disk that cannot take a journal', () => {
  beforeEach(() => journal.close())

  it.each([
    ['no hard links', { operation: 'link', errno: 'EPERM' }, 'keep the journal on another one'],
    ['no hard links', { operation: 'link', errno: 'ENOTSUP' }, 'keep the journal on another one'],
    ['no space', { operation: 'write', path: 'lock-', errno: 'ENOSPC' }, 'free some space'],
    ['no quota left', { operation: 'write', path: 'lock-', errno: 'EDQUOT' }, 'free some space'],
    ['a read-only file system', { operation: 'open', path: 'lock-', errno: 'EROFS' }, 'mount it writable'],
    ['no permission', { operation: 'open', path: 'lock-', errno: 'EACCES' }, 'check who owns the directory'],
  ] as const)('is refused with what to do about it: %s', async (_, fault, advice) => {
    disk.fail(fault)
    await expect(storeWith({ fileSystem: disk }).open()).rejects.toMatchObject({
      code: 'journal_io',
      data: { operation: fault.operation, cause: fault.errno },
      message: expect.stringContaining(advice),
    })
    expect((await readdir(directory)).filter((name) => name.endsWith('.claim'))).toEqual([])
  })

  it('says what to do about a refused append too', async () => {
    const { journal: opened } = await storeWith({ fileSystem: disk }).open()
    disk.fail({ operation: 'write', path: 'journal-', errno: 'ENOSPC' })
    await expect(opened.append(['refused'])).rejects.toMatchObject({
      code: 'journal_not_appended',
      message: expect.stringContaining('free some space'),
    })
    await opened.close()
  })
})
