import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { Journal, JournalStore } from '../../src/journal/journal.js'
import { namesIn, recordsOf, temporaryDirectory, valuesOf } from './support/directory.js'
import { FaultyFileSystem } from './support/faulty-file-system.js'

/** The code of every outcome, in order; `ok` for a success. */
async function outcomes(...appends: readonly Promise<void>[]): Promise<unknown[]> {
  const results = await Promise.allSettled(appends)
  return results.map((result) => (result.status === 'fulfilled' ? 'ok' : result.reason.code))
}

let directory: string
let disk: FaultyFileSystem
let store: JournalStore
let journal: Journal

beforeEach(async () => {
  directory = await temporaryDirectory()
  disk = new FaultyFileSystem()
  store = createDirectoryJournal({ directory, fileSystem: disk, segmentBytes: 64 * 1024 })
  journal = (await store.open()).journal
  await journal.append(['before'])
})

async function valuesAfterClose(): Promise<unknown> {
  await journal.close()
  disk.heal()
  return valuesOf(store)
}

const log = 'journal-'

describe('a refused write', () => {
  it.each([
    ['no space', { errno: 'ENOSPC' }],
    ['an I/O error before the sync', { errno: 'EIO' }],
    ['half of the bytes written', { errno: 'ENOSPC', written: 20 }],
  ])('[T-59] is taken back and leaves the journal usable: %s', async (_, fault) => {
    disk.fail({ operation: 'write', path: log, ...fault })
    expect(await outcomes(journal.append(['refused']))).toEqual(['journal_not_appended'])
    expect(journal.nextSequence).toBe(2)
    expect(await outcomes(journal.append(['again']))).toEqual(['ok'])
    expect(await valuesAfterClose()).toEqual(['before', 'again'])
  })

  it('[T-59] after a short write that cannot be completed leaves no byte of it', async () => {
    disk.fail({ operation: 'write', path: log, errno: '', written: 30, short: true })
    disk.fail({ operation: 'write', path: log, errno: 'ENOSPC' })
    expect(await outcomes(journal.append(['refused']))).toEqual(['journal_not_appended'])
    await journal.close()
    const strict = createDirectoryJournal({ directory, tornTail: 'refuse' })
    expect(await valuesOf(strict)).toEqual(['before'])
  })

  it('that was only short is completed', async () => {
    disk.fail({ operation: 'write', path: log, errno: '', written: 30, short: true })
    expect(await outcomes(journal.append(['whole']))).toEqual(['ok'])
    expect(await valuesAfterClose()).toEqual(['before', 'whole'])
  })

  it('[T-55] rejects every group behind it too, and their numbers are given again without a gap', async () => {
    disk.fail({ operation: 'write', path: log, errno: 'ENOSPC' })
    // Each takes a frame of its own.
    const large = 'x'.repeat(2 ** 20)
    const refused = await outcomes(...['a', 'b', 'c'].map((value) => journal.append([value, large])))
    expect(refused).toEqual(Array.from({ length: 3 }, () => 'journal_not_appended'))
    expect(journal.nextSequence).toBe(2)
    await journal.append(['d'])
    await journal.close()
    expect(await recordsOf(store)).toEqual([
      { sequence: 1, record: 'before' },
      { sequence: 2, record: 'd' },
    ])
  })

  it('[T-59] that cannot be taken back poisons the journal', async () => {
    disk.fail({ operation: 'write', path: log, errno: 'EIO', written: 20, times: 2 })
    expect(await outcomes(journal.append(['refused']))).toEqual(['journal_durability_unknown'])
    expect(() => journal.append(['more'])).toThrow(expect.objectContaining({ code: 'journal_poisoned' }))
    await journal.reopen()
    await journal.append(['after'])
    expect(await valuesAfterClose()).toEqual(['before', 'after'])
  })

  it('names its cause', async () => {
    disk.fail({ operation: 'write', path: log, errno: 'ENOSPC' })
    await expect(journal.append(['refused'])).rejects.toMatchObject({
      data: { cause: expect.stringContaining('ENOSPC') },
      cause: { code: 'file_system', data: { operation: 'write', errno: 'ENOSPC' } },
    })
  })
})

describe('a failed sync', () => {
  beforeEach(() => disk.fail({ operation: 'sync', path: log, errno: 'EIO' }))

  it('leaves durability unknown and refuses everything until the journal is reopened, naming the first failure', async () => {
    const large = 'x'.repeat(2 ** 20)
    expect(await outcomes(journal.append(['doubtful', large]), journal.append(['queued', large]))).toEqual([
      'journal_durability_unknown',
      'journal_poisoned',
    ])
    expect(() => journal.append(['later'])).toThrow(
      expect.objectContaining({ code: 'journal_poisoned', data: { cause: expect.stringContaining('EIO') } }),
    )
    await expect(journal.compact({ through: 1, rows: [] })).rejects.toMatchObject({ code: 'journal_poisoned' })
    await journal.close()
  })

  it('is never followed by another write or sync on the same descriptor', async () => {
    await outcomes(journal.append(['doubtful']))
    const failedAt = disk.log.length
    await journal.reopen()
    await journal.append(['after'])
    const name = 'journal-0000000000000001.log'
    const onSegment = disk.log.slice(failedAt).filter((line) => line.endsWith(name))
    expect(onSegment.slice(0, 4)).toEqual([`close ${name}`, `open ${name}`, `truncate ${name}`, `sync ${name}`])
    await journal.close()
  })

  it('removes the records in doubt for good when the journal is reopened, and goes on in a new segment', async () => {
    await outcomes(journal.append(['doubtful', 'too']))
    await journal.reopen()
    expect(journal.nextSequence).toBe(2)
    expect(await namesIn(directory)).toEqual(['journal-0000000000000001.log', 'journal-0000000000000002.log'])
    await journal.append(['after'])
    await journal.close()
    expect(await recordsOf(store)).toEqual([
      { sequence: 1, record: 'before' },
      { sequence: 2, record: 'after' },
    ])
  })

  it.each([
    ['cutting fails', { operation: 'truncate', errno: 'EIO' }],
    ['syncing the cut fails', { operation: 'sync', path: log, errno: 'EIO' }],
    ['the new segment cannot be made', { operation: 'open', path: 'spare', errno: 'ENOSPC' }],
    ['the new segment cannot be named', { operation: 'rename', errno: 'EIO' }],
    ['the new name cannot be made durable', { operation: 'sync_directory', errno: 'EIO' }],
  ] as const)('can be reopened at the second attempt when %s', async (_, fault) => {
    await outcomes(journal.append(['doubtful']))
    disk.fail(fault)
    await expect(journal.reopen()).rejects.toMatchObject({ code: 'journal_io' })
    expect(() => journal.append(['more'])).toThrow(expect.objectContaining({ code: 'journal_poisoned' }))
    await journal.reopen()
    await journal.append(['after'])
    expect(await valuesAfterClose()).toEqual(['before', 'after'])
  })

  it('of the very first frame of a segment is undone as well', async () => {
    disk.heal()
    await journal.append(['x'.repeat(65_000)])
    disk.fail({ operation: 'sync', path: 'journal-0000000000000003', errno: 'EIO' })
    expect(await outcomes(journal.append(['y'.repeat(65_000)]))).toEqual(['journal_durability_unknown'])
    await journal.reopen()
    await journal.append(['after'])
    expect(await valuesAfterClose()).toEqual(['before', 'x'.repeat(65_000), 'after'])
  })

  it('may leave the records in place when the process ends before it is reopened', async () => {
    expect(await outcomes(journal.append(['doubtful']))).toEqual(['journal_durability_unknown'])
    expect(await valuesAfterClose()).toEqual(['before', 'doubtful'])
  })
})

describe('a segment that cannot be made', () => {
  const large = 'x'.repeat(64_000)

  beforeEach(async () => {
    await journal.append([large])
    await journal.settled()
  })

  it.each([
    ['created', { operation: 'open', path: 'spare', errno: 'ENOSPC', times: 2 }],
    ['filled', { operation: 'write', path: 'spare', errno: 'ENOSPC', times: 2 }],
    ['named', { operation: 'rename', errno: 'EIO' }],
    ['made durable', { operation: 'sync_directory', errno: 'EIO' }],
  ] as const)('refuses the records and leaves the journal usable when it cannot be %s', async (_, fault) => {
    disk.fail(fault)
    const refusals: unknown[] = []
    // A spare that was prepared before the fault began may serve one more segment.
    for (let attempt = 0; attempt < 3 && refusals.length === 0; attempt += 1) {
      refusals.push(...(await outcomes(journal.append([large]))).filter((outcome) => outcome !== 'ok'))
    }
    expect(refusals).toEqual(['journal_not_appended'])
    disk.heal()
    const last = journal.nextSequence
    await journal.append(['after'])
    await journal.append([large])
    await journal.append(['end'])
    await journal.close()
    const values = await recordsOf(store)
    expect(values.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: last + 2 }, (_unused, index) => index + 1),
    )
    expect(values.filter(({ record }) => record !== large).map(({ record }) => record)).toEqual([
      'before',
      'after',
      'end',
    ])
  })
})

describe('a segment without records that is to be replaced by a larger one of the same name', () => {
  // Fills a segment to the last bytes: one more record beside it does not fit.
  const large = 'x'.repeat(65_480)

  beforeEach(async () => {
    disk.fail({ operation: 'write', path: 'journal-0000000000000002', errno: 'ENOSPC' })
    expect(await outcomes(journal.append([large]))).toEqual(['journal_not_appended'])
  })

  it.each([
    ['renaming fails', { operation: 'rename', errno: 'EIO' }],
    ['the directory cannot be synced', { operation: 'sync_directory', errno: 'EIO' }],
  ] as const)('takes no record before it has been replaced when %s', async (_, fault) => {
    disk.fail(fault)
    expect(await outcomes(journal.append([large, 'larger']))).toEqual(['journal_not_appended'])
    await journal.append(['kept'])
    await journal.append(['too'])
    expect(await valuesAfterClose()).toEqual(['before', 'kept', 'too'])
  })
})

describe('opening on a failing disk', () => {
  beforeEach(() => journal.close())

  it.each([
    ['the directory cannot be listed', { operation: 'list', errno: 'EIO' }, 'list'],
    ['a segment cannot be opened', { operation: 'open', path: log, errno: 'EMFILE' }, 'open'],
    ['a segment cannot be read', { operation: 'read', path: log, errno: 'EIO' }, 'read'],
    ['the lock cannot be made', { operation: 'link', errno: 'EPERM' }, 'link'],
  ] as const)('says so and lets the next attempt in: %s', async (_, fault, operation) => {
    disk.fail(fault)
    await expect(store.open()).rejects.toMatchObject({ code: 'journal_io', data: { operation, cause: fault.errno } })
    expect(await valuesOf(store)).toEqual(['before'])
  })

  it('while records are read raises journal_io from the iteration', async () => {
    const { journal: opened, recovery } = await store.open()
    disk.fail({ operation: 'read', path: log, errno: 'EIO' })
    expect(() => [...recovery.records]).toThrow(expect.objectContaining({ code: 'journal_io' }))
    await opened.close()
  })
})

describe('closing on a failing disk', () => {
  it('says that the lock could not be released', async () => {
    disk.fail({ operation: 'write', path: 'lock.', errno: 'EIO' })
    await expect(journal.close()).rejects.toMatchObject({
      code: 'journal_io',
      data: { file: join(directory, 'lock.1'), cause: 'EIO' },
    })
  })

  it('does not mind a segment that cannot be closed: its records are durable', async () => {
    disk.fail({ operation: 'close', path: log, errno: 'EIO' })
    expect(await valuesAfterClose()).toEqual(['before'])
  })
})
