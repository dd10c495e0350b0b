import { copyFile, mkdir, readdir, readFile, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { beforeEach, describe, expect, it } from 'vitest'
import { StatewardError } from '../../src/base/errors.js'
import { silentLogger } from '../../src/base/logger.js'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { crc32 } from '../../src/journal/crc32.js'
import type { JournalErrorData } from '../../src/journal/errors.js'
import { encodeFrame } from '../../src/journal/frame.js'
import type { JournalStore } from '../../src/journal/journal.js'
import {
  appendTo,
  contentOf,
  forgetClosing,
  namesIn,
  recordsOf,
  temporaryDirectory,
  valuesOf,
} from './support/directory.js'
import { FaultyFileSystem } from './support/faulty-file-system.js'

const segment = 'journal-0000000000000001.log'

/** A frame holds 24 bytes of header and one five-byte text; the segment's mark comes before the first. */
const frame = 29
const mark = 24
const startOf = (index: number): number => mark + index * frame

let directory: string
let file: string
/** Cuts torn writes only. */
let store: JournalStore
/** Cuts whatever is broken at the end. */
let cutting: JournalStore
/** Cuts nothing. */
let refusing: JournalStore

beforeEach(async () => {
  directory = await temporaryDirectory()
  file = join(directory, segment)
  store = createDirectoryJournal({ directory })
  cutting = createDirectoryJournal({ directory, onDamage: 'cut' })
  refusing = createDirectoryJournal({ directory, tornTail: 'refuse' })
  await appendTo(store, ['one'], ['two'], ['six'])
})

async function change(path: string, edit: (bytes: Buffer) => Buffer | void): Promise<void> {
  const bytes = await readFile(path)
  await writeFile(path, edit(bytes) ?? bytes)
}

function flip(bytes: Buffer, offset: number): void {
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset)
}

/** Why opening is refused; that it changed no file is part of the answer. */
async function refusalOf(store: JournalStore): Promise<unknown> {
  const before = await contentOf(directory)
  const error: unknown = await store.open().catch((thrown: unknown) => thrown)
  const isUnchanged = isDeepStrictEqual(await contentOf(directory), before)
  if (!StatewardError.is(error, 'journal_corrupt')) return error
  // What an end takes away has a test of its own.
  const { loss: _, ...damage } = error.data as JournalErrorData['journal_corrupt']
  return { ...damage, isUnchanged }
}

function refusal(offset: number, reason: string, path = file): unknown {
  return { file: path, offset, reason, isUnchanged: true }
}

type BrokenEnd = readonly [string, (bytes: Buffer) => Buffer | void, number, string]

/** What a write that was cut short can leave at the end; then the index of the bad frame and the reason. */
const torn: readonly BrokenEnd[] = [
  ['only the version', (bytes) => unfinished(bytes, 1), 3, 'incomplete_payload'],
  ['half of a header', (bytes) => unfinished(bytes, 9), 3, 'incomplete_payload'],
  ['half of a payload', (bytes) => unfinished(bytes, 25), 3, 'incomplete_payload'],
  ['all but the last byte', (bytes) => unfinished(bytes, 28), 3, 'incomplete_payload'],
  ['a frame without a sector in its middle', (bytes) => withLongFrame(bytes, 1024, 1536), 3, 'crc_mismatch'],
  ['a frame without its last sector', (bytes) => withLongFrame(bytes, 1536, 2048), 3, 'incomplete_payload'],
  ['a frame without its first sector', (bytes) => withLongFrame(bytes, 0, 512), 3, 'incomplete_header'],
]

/** Bytes at the end that no crash leaves there. */
const damaged: readonly BrokenEnd[] = [
  ['a header cut short by the end of the file', (bytes) => cutShort(bytes, 11), 3, 'incomplete_header'],
  ['a payload cut short by the end of the file', (bytes) => cutShort(bytes, 25), 3, 'incomplete_payload'],
  ['garbage behind the last frame', (bytes) => void bytes.write('xyz', startOf(3) + 40), 3, 'incomplete_header'],
  ['garbage far behind the last frame', (bytes) => void bytes.write('xyz', 5000), 3, 'incomplete_header'],
  [
    'garbage at the end of the file',
    (bytes) => Buffer.concat([bytes.subarray(0, startOf(3)), Buffer.from('xyz')]),
    3,
    'incomplete_header',
  ],
  ['a flipped bit in the last payload', (bytes) => flip(bytes, startOf(2) + 25), 2, 'crc_mismatch'],
  ['a flipped bit in the last checksum', (bytes) => flip(bytes, startOf(2) + 20), 2, 'crc_mismatch'],
  ['a flipped bit in the last sequence', (bytes) => flip(bytes, startOf(2) + 8), 2, 'crc_mismatch'],
  ['a flipped bit in the last version', (bytes) => flip(bytes, startOf(2)), 2, 'incomplete_header'],
  ['a length that was a little less', (bytes) => flip(bytes, startOf(2) + 4), 2, 'crc_mismatch'],
  ['a length that was a sector less', (bytes) => flip(bytes, startOf(2) + 5), 2, 'incomplete_payload'],
  [
    'a length beyond the file and a flipped bit',
    (bytes) => {
      flip(bytes, startOf(2) + 7)
      flip(bytes, startOf(2) + 25)
    },
    2,
    'incomplete_payload',
  ],
  ['a length beyond the file', (bytes) => flip(bytes, startOf(2) + 7), 2, 'incomplete_payload'],
]

/** Ends the file after the first bytes of a fourth frame. */
function cutShort(bytes: Buffer, written: number): Buffer {
  return Buffer.concat([bytes.subarray(0, startOf(3)), bytes.subarray(startOf(0), startOf(0) + written)])
}

/** The first bytes of a fourth frame over the zeros that stood there. */
function unfinished(bytes: Buffer, written: number): void {
  bytes.copy(bytes, startOf(3), startOf(0), startOf(0) + written)
}

/** A fourth frame from byte 111 to 2045, with zeros from one byte of the file to another. */
function withLongFrame(bytes: Buffer, from: number, to: number): void {
  const frame = bytes.subarray(startOf(3))
  encodeFrame(frame, { text: JSON.stringify('x'.repeat(1908)), firstSequence: 4, count: 1 })
  bytes.fill(0, Math.max(from, startOf(3)), to)
}

/** Makes the lock file one of an owner that was killed. */
async function leaveKilled(): Promise<void> {
  const lock = join(directory, (await readdir(directory)).find((name) => name.startsWith('lock.')) ?? '')
  const held = JSON.parse(await readFile(lock, 'utf8')) as object
  // Nobody has this number.
  await writeFile(lock, JSON.stringify({ ...held, kernel: false, released: false, pid: 2 ** 22 + 1 }))
}

/** After a crash: nothing says where the log had ended. */
async function changeAfterCrash(edit: (bytes: Buffer) => Buffer | void): Promise<void> {
  await forgetClosing(directory)
  await change(file, edit)
}

describe('a torn write', () => {
  it.each(torn)('[T-60] %s is refused when the policy says so, and nothing is changed', async (_, edit, at, reason) => {
    await changeAfterCrash(edit)
    expect(await refusalOf(refusing)).toEqual(refusal(startOf(at), reason))
  })

  it.each(torn)('[T-61] %s costs only itself: what comes before is kept, and the log goes on', async (_, edit, at) => {
    await changeAfterCrash(edit)
    expect(await valuesOf(store)).toEqual(['one', 'two', 'six'].slice(0, at))
    await appendTo(refusing, ['new'])
    expect(await recordsOf(refusing)).toHaveLength(at + 1)
    expect((await recordsOf(refusing)).at(-1)).toEqual({ sequence: at + 1, record: 'new' })
  })

  it('[T-63] is not seen in a clean log: opening changes nothing', async () => {
    const before = await contentOf(directory)
    expect(await valuesOf(store)).toEqual(['one', 'two', 'six'])
    expect(await contentOf(directory)).toEqual(before)
  })

  it('of a group takes the whole group', async () => {
    await appendTo(store, ['a', 'b', 'c'])
    await changeAfterCrash((bytes) => void bytes.fill(0, startOf(3) + 30, startOf(4) + 100))
    expect(await valuesOf(store)).toEqual(['one', 'two', 'six'])
  })

  it('may be the very first frame', async () => {
    await changeAfterCrash((bytes) => void bytes.fill(0, startOf(0) + 20))
    expect(await valuesOf(store)).toEqual([])
    await appendTo(store, ['new'])
    expect(await recordsOf(store)).toEqual([{ sequence: 1, record: 'new' }])
  })

  it('that tears again after the cut is cut again', async () => {
    await changeAfterCrash((bytes) => void bytes.fill(0, startOf(2) + 26))
    await appendTo(store, ['new'])
    await forgetClosing(directory)
    const second = join(directory, 'journal-0000000000000003.log')
    await change(second, (bytes) => void bytes.fill(0, startOf(0) + 26))
    expect(await valuesOf(store)).toEqual(['one', 'two'])
  })

  it('is no damage behind records that a clean close has left, and is cut', async () => {
    await change(file, (bytes) => unfinished(bytes, 25))
    expect(await valuesOf(store)).toEqual(['one', 'two', 'six'])
  })
})

describe('a damaged end', () => {
  it.each(damaged)('[T-60] is refused, and nothing is changed: %s', async (_, edit, at, reason) => {
    await changeAfterCrash(edit)
    expect(await refusalOf(store)).toEqual(refusal(startOf(at), reason))
  })

  it.each([...damaged, ...torn])('[T-61] [T-62] costs only itself when that is asked for: %s', async (_, edit, at) => {
    await changeAfterCrash(edit)
    expect(await valuesOf(cutting)).toEqual(['one', 'two', 'six'].slice(0, at))
    await appendTo(refusing, ['new'])
    expect((await recordsOf(refusing)).at(-1)).toEqual({ sequence: at + 1, record: 'new' })
  })

  it.each([...damaged, ...torn])('is kept aside, reported and logged: %s', async (_, edit, at, reason) => {
    await changeAfterCrash(edit)
    const bytes = (await readFile(file)).subarray(startOf(at)).toString('latin1').replace(/\0+$/, '')
    const warnings: object[] = []
    const logger = { ...silentLogger, warn: (fields: object) => warnings.push(fields) }
    const { journal, recovery } = await createDirectoryJournal({ directory, onDamage: 'cut', logger }).open()
    await journal.close()
    const kept = (await namesIn(directory)).filter((name) => name.startsWith('cut-'))
    expect(kept).toEqual([expect.stringMatching(new RegExp(`^cut-000000000000000${at + 1}-[0-9a-f]{8}\\.bin$`))])
    const keptIn = join(directory, kept[0] ?? '')
    expect((await readFile(keptIn)).toString('latin1')).toBe(bytes)
    const cause = torn.some(([, tear]) => tear === edit) ? 'torn_write' : 'damage'
    const cut = { cause, file, offset: startOf(at), reason, sequence: at + 1, keptIn }
    expect(recovery.cut).toEqual(cut)
    expect(warnings).toEqual([cut])
  })

  it('is not reported of a log that is whole', async () => {
    const { journal, recovery } = await cutting.open()
    expect(recovery.cut).toBeUndefined()
    await journal.close()
  })
})

describe('a log that was closed', () => {
  /** Each takes an acknowledged record away, and at the places of the first two a crash could have left it so. */
  const losses: readonly (readonly [string, (bytes: Buffer) => Buffer | void, number, string])[] = [
    ['zeros instead of the last frame', (bytes) => void bytes.fill(0, startOf(2)), 2, 'missing_records'],
    ['a last frame that ends in zeros', (bytes) => void bytes.fill(0, startOf(2) + 26), 2, 'incomplete_payload'],
    ['a cut between two frames', (bytes) => bytes.subarray(0, startOf(2)), 2, 'missing_records'],
    ['a cut behind the mark', (bytes) => bytes.subarray(0, startOf(0)), 0, 'missing_records'],
    ['a flipped bit', (bytes) => flip(bytes, startOf(2) + 25), 2, 'crc_mismatch'],
  ]

  it.each(losses)('is refused once a record is gone from its end: %s', async (_, edit, at, reason) => {
    await change(file, edit)
    expect(await refusalOf(store)).toEqual(refusal(startOf(at), reason))
    // The refusal was an opening and a closing too.
    expect(await refusalOf(store)).toEqual(refusal(startOf(at), reason))
  })

  it.each(losses)('goes on without it when that is asked for, and is whole then: %s', async (_, edit, at, reason) => {
    await change(file, edit)
    const { journal, recovery } = await cutting.open()
    expect(recovery.cut).toMatchObject({ file, offset: startOf(at), reason, sequence: at + 1 })
    await journal.close()
    await appendTo(refusing, ['new'])
    expect((await recordsOf(refusing)).map(({ record }) => record)).toEqual([
      ...['one', 'two', 'six'].slice(0, at),
      'new',
    ])
  })

  it('goes on without what was given up also when the next owner crashes', async () => {
    await change(file, (bytes) => bytes.subarray(0, startOf(1)))
    const { journal: giving } = await createDirectoryJournal({ directory, onDamage: 'cut' }).open()
    await leaveKilled()
    const killed = createDirectoryJournal({ directory, kernelLock: () => Promise.resolve('unavailable') })
    const { journal } = await killed.open()
    await journal.append(['new'])
    await leaveKilled()
    expect(await valuesOf(store)).toEqual(['one', 'new'])
    await expect(giving.close()).rejects.toMatchObject({ code: 'journal_lock_lost' })
    await expect(journal.close()).rejects.toMatchObject({ code: 'journal_lock_lost' })
  })

  it('is refused without its only segment, and the message says what is gone', async () => {
    await unlink(file)
    await expect(store.open()).rejects.toMatchObject({
      code: 'journal_corrupt',
      data: { file: directory, reason: 'missing_records', loss: { firstLost: 1, closedAt: 3 } },
      message: expect.stringContaining('records 1 to 3 are gone'),
    })
  })

  it('is refused also after an owner that was killed before it wrote anything', async () => {
    await leaveKilled()
    await change(file, (bytes) => void bytes.fill(0, startOf(2)))
    expect(await refusalOf(store)).toEqual(refusal(startOf(2), 'missing_records'))
  })

  it('does not have to be longer than what was acknowledged: a poisoned owner leaves records in doubt', async () => {
    const disk = new FaultyFileSystem()
    const { journal } = await createDirectoryJournal({ directory, fileSystem: disk }).open()
    disk.fail({ operation: 'sync', path: 'journal-', errno: 'EIO' })
    await expect(journal.append(['doubtful'])).rejects.toMatchObject({ code: 'journal_durability_unknown' })
    await journal.close()
    await change(file, (bytes) => void bytes.fill(0, startOf(3)))
    expect(await valuesOf(store)).toEqual(['one', 'two', 'six'])
  })
})

describe('damage', () => {
  it.each([
    ['payload', startOf(1) + 25, 'crc_mismatch'],
    ['checksum', startOf(1) + 20, 'crc_mismatch'],
    ['length', startOf(1) + 6, 'incomplete_payload'],
    ['length, far beyond the file', startOf(1) + 7, 'incomplete_payload'],
  ])('[T-64] before a whole frame is refused by both policies: %s', async (_, offset, reason) => {
    await change(file, (bytes) => flip(bytes, offset))
    expect(await refusalOf(cutting)).toEqual(refusal(startOf(1), reason))
    expect(await refusalOf(refusing)).toEqual(refusal(startOf(1), reason))
  })

  it('[T-64] that erased a frame before a whole one is refused', async () => {
    await change(file, (bytes) => void bytes.fill(0, startOf(1), startOf(2)))
    expect(await refusalOf(cutting)).toEqual(refusal(startOf(1), 'incomplete_header'))
  })

  it.each([
    ['the first frame', 0],
    ['the last frame', 2],
  ])('[T-64] another version is never cut: %s', async (_, index) => {
    await change(file, (bytes) => void bytes.writeUInt8(2, startOf(index)))
    expect(await refusalOf(cutting)).toEqual(refusal(startOf(index), 'unsupported_version'))
    expect(await refusalOf(refusing)).toEqual(refusal(startOf(index), 'unsupported_version'))
  })

  it('[T-53] of records under a valid checksum is refused where the frame begins, and never cut', async () => {
    await change(file, (bytes) => {
      bytes.write('"six}', startOf(2) + 24)
      const covered = Buffer.concat([
        bytes.subarray(startOf(2), startOf(2) + 20),
        bytes.subarray(startOf(2) + 24, startOf(3)),
      ])
      bytes.writeUInt32LE(crc32(covered), startOf(2) + 20)
    })
    const before = await contentOf(directory)
    await expect(valuesOf(cutting)).rejects.toMatchObject({
      code: 'journal_corrupt',
      data: { file, offset: startOf(2), reason: 'decode_failure' },
    })
    expect(await contentOf(directory)).toEqual(before)
  })

  it('[T-54] is not what a refusal of the reader is taken for', async () => {
    const { journal, recovery } = await cutting.open()
    const refuse = (record: unknown): void => {
      throw new Error(`the reducer refuses ${JSON.stringify(record)}`)
    }
    expect(() => Array.from(recovery.records, ({ record }) => refuse(record))).toThrow('the reducer refuses "one"')
    await journal.close()
  })

  it.each([
    ['cut short', (bytes: Buffer) => bytes.subarray(0, 23), 'incomplete_header'],
    ['of another version', (bytes: Buffer) => void bytes.writeUInt8(2, 8), 'unsupported_version'],
    ['of another kind', (bytes: Buffer) => void bytes.write('NOTMYLOG'), 'decode_failure'],
    ['with a flipped bit', (bytes: Buffer) => flip(bytes, 13), 'crc_mismatch'],
    ['that is empty', (bytes: Buffer) => bytes.subarray(0, 0), 'incomplete_header'],
  ])('[T-64] of the mark of a segment is refused: a mark %s', async (_, edit, reason) => {
    await change(file, edit)
    expect(await refusalOf(store)).toEqual(refusal(0, reason))
    await forgetClosing(directory)
    expect(await refusalOf(store)).toEqual(refusal(0, reason))
  })

  it('is a segment under a wrong name', async () => {
    const other = join(directory, 'journal-0000000000000004.log')
    await copyFile(file, other)
    expect(await refusalOf(cutting)).toEqual(refusal(0, 'sequence_gap', other))
  })

  it('is a gap between sequences', async () => {
    await appendTo(cutting, ['new'])
    await change(file, (bytes) => void bytes.copy(bytes, startOf(1), startOf(2), startOf(4)))
    expect(await refusalOf(cutting)).toEqual(refusal(startOf(1), 'sequence_gap'))
  })
})

describe('several segments', () => {
  let segments: string[]

  beforeEach(async () => {
    directory = await temporaryDirectory()
    store = createDirectoryJournal({ directory, segmentBytes: 64 * 1024 })
    cutting = createDirectoryJournal({ directory, segmentBytes: 64 * 1024, onDamage: 'cut' })
    refusing = createDirectoryJournal({ directory, segmentBytes: 64 * 1024, tornTail: 'refuse' })
    await appendTo(store, ...[1, 2, 3, 4].map((value) => [value, 'x'.repeat(40_000)]))
    segments = (await namesIn(directory)).map((name) => join(directory, name))
  })

  it('are one log', async () => {
    expect(segments).toHaveLength(4)
    expect((await recordsOf(cutting)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })

  it('[T-64] with damage at the end of one and whole frames in the next are refused', async () => {
    await change(segments[1] ?? '', (bytes) => flip(bytes, 100))
    expect(await refusalOf(cutting)).toEqual(refusal(24, 'crc_mismatch', segments[1]))
  })

  it('of which one is missing are refused', async () => {
    await unlink(segments[1] ?? '')
    expect(await refusalOf(cutting)).toEqual(refusal(0, 'sequence_gap', segments[2]))
  })

  it('of which the first is missing are refused', async () => {
    await unlink(segments[0] ?? '')
    expect(await refusalOf(cutting)).toEqual(refusal(0, 'sequence_gap', segments[1]))
  })

  const newest = (): string => segments.at(-1) ?? ''

  it.each([
    ['deleted', () => unlink(newest()), 'missing_records'],
    ['zeroed', () => change(newest(), (bytes) => bytes.fill(0)), 'decode_failure'],
    ['emptied', () => truncate(newest()), 'incomplete_header'],
    ['cut behind its mark', () => truncate(newest(), 24), 'missing_records'],
  ])('of which the newest was %s after a clean close are refused', async (_, lose, reason) => {
    await lose()
    expect(await refusalOf(store)).toMatchObject({ reason, isUnchanged: true })
    const { journal, recovery } = await cutting.open()
    expect(recovery.cut).toMatchObject({ reason, sequence: 7 })
    expect(Array.from(recovery.records, ({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6])
    await journal.append(['new'])
    await journal.close()
    expect((await recordsOf(refusing)).at(-1)).toEqual({ sequence: 7, record: 'new' })
  })

  it('of which the newest has no mark are refused after a crash too', async () => {
    await forgetClosing(directory)
    await change(newest(), (bytes) => bytes.fill(0))
    expect(await refusalOf(store)).toEqual(refusal(0, 'decode_failure', newest()))
  })

  it('of which one was cut short are refused although the rest is whole', async () => {
    await truncate(segments[2] ?? '', 24)
    expect(await refusalOf(cutting)).toEqual(refusal(0, 'sequence_gap', segments[3]))
  })
})

it('[T-56] opening where the directory above is missing is an I/O error', async () => {
  const missing = createDirectoryJournal({ directory: join(directory, 'no', 'such', 'place') })
  await expect(missing.open()).rejects.toMatchObject({
    code: 'journal_io',
    data: { operation: 'make_directory', cause: 'ENOENT' },
  })
})

it('files that were never finished are removed at opening, others are left alone', async () => {
  await writeFile(join(directory, 'spare-1.tmp'), 'zeros')
  await writeFile(join(directory, 'notes.txt'), 'mine')
  await mkdir(join(directory, 'folder'))
  await recordsOf(cutting)
  await expect(namesIn(directory)).rejects.toMatchObject({ code: 'EISDIR' })
})
