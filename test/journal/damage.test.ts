import { copyFile, mkdir, readFile, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { beforeEach, describe, expect, it } from 'vitest'
import { StatewardError } from '../../src/base/errors.js'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import { crc32 } from '../../src/journal/crc32.js'
import type { JournalStore } from '../../src/journal/journal.js'
import { appendTo, contentOf, namesIn, recordsOf, temporaryDirectory, valuesOf } from './support/directory.js'

const segment = 'journal-0000000000000001.log'

/** A frame holds 24 bytes of header and one five-byte text; the segment's mark comes before the first. */
const frame = 29
const mark = 24
const startOf = (index: number): number => mark + index * frame

let directory: string
let file: string
let cutting: JournalStore
let refusing: JournalStore

beforeEach(async () => {
  directory = await temporaryDirectory()
  file = join(directory, segment)
  cutting = createDirectoryJournal({ directory })
  refusing = createDirectoryJournal({ directory, tornTail: 'refuse' })
  await appendTo(cutting, ['one'], ['two'], ['six'])
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
  return StatewardError.is(error, 'journal_corrupt') ? { ...(error.data as object), isUnchanged } : error
}

function refusal(offset: number, reason: string, path = file): unknown {
  return { file: path, offset, reason, isUnchanged: true }
}

/** What a crash, or a failing disk, can leave at the end; then the index of the bad frame and the reason. */
const tails: readonly (readonly [string, (bytes: Buffer) => Buffer | void, number, string])[] = [
  ['a header cut short by the end of the file', (bytes) => cutShort(bytes, 11), 3, 'incomplete_header'],
  ['a payload cut short by the end of the file', (bytes) => cutShort(bytes, 25), 3, 'incomplete_payload'],
  [
    'a payload cut short in preallocated space',
    (bytes) => void bytes.copy(bytes, startOf(3), startOf(0), startOf(0) + 25),
    3,
    'incomplete_payload',
  ],
  ['garbage far behind the last frame', (bytes) => void bytes.write('xyz', startOf(3) + 40), 3, 'incomplete_header'],
  [
    'garbage at the end of the file',
    (bytes) => Buffer.concat([bytes.subarray(0, startOf(3)), Buffer.from('xyz')]),
    3,
    'incomplete_header',
  ],
  ['a flipped bit in the last frame', (bytes) => flip(bytes, startOf(2) + 25), 2, 'crc_mismatch'],
  ['a flipped bit in the length of the last frame', (bytes) => flip(bytes, startOf(2) + 7), 2, 'incomplete_payload'],
]

/** Ends the file after the first bytes of a fourth frame. */
function cutShort(bytes: Buffer, written: number): Buffer {
  return Buffer.concat([bytes.subarray(0, startOf(3)), bytes.subarray(startOf(0), startOf(0) + written)])
}

describe('a torn tail', () => {
  it.each(tails)(
    '[T-60] %s is refused when the policy says so, and nothing is changed',
    async (_, edit, at, reason) => {
      await change(file, edit)
      expect(await refusalOf(refusing)).toEqual(refusal(startOf(at), reason))
    },
  )

  it.each(tails)(
    '[T-61] [T-62] %s costs only itself: what comes before is kept, and the log goes on',
    async (_, edit, at) => {
      await change(file, edit)
      expect(await valuesOf(cutting)).toEqual(['one', 'two', 'six'].slice(0, at))
      await appendTo(refusing, ['new'])
      expect(await recordsOf(refusing)).toHaveLength(at + 1)
      expect((await recordsOf(refusing)).at(-1)).toEqual({ sequence: at + 1, record: 'new' })
    },
  )

  it.each(tails)('is kept aside: %s', async (_, edit, at) => {
    await change(file, edit)
    const torn = (await readFile(file)).subarray(startOf(at)).toString('latin1').replace(/\0+$/, '')
    await valuesOf(cutting)
    const kept = (await namesIn(directory)).filter((name) => name.startsWith('torn-'))
    expect(kept).toEqual([expect.stringMatching(new RegExp(`^torn-000000000000000${at + 1}-[0-9a-f]{8}\\.bin$`))])
    expect((await readFile(join(directory, kept[0] ?? ''))).toString('latin1')).toBe(torn)
  })

  it('[T-63] is not seen in a clean log: opening changes nothing', async () => {
    const before = await contentOf(directory)
    expect(await valuesOf(cutting)).toEqual(['one', 'two', 'six'])
    expect(await contentOf(directory)).toEqual(before)
  })

  it('of a group takes the whole group', async () => {
    await appendTo(cutting, ['a', 'b', 'c'])
    await change(file, (bytes) => void bytes.fill(0, startOf(3) + 30, startOf(4) + 100))
    expect(await valuesOf(cutting)).toEqual(['one', 'two', 'six'])
  })

  it('may be the very first frame', async () => {
    await change(file, (bytes) => void bytes.fill(0, startOf(0) + 20))
    expect(await valuesOf(cutting)).toEqual([])
    await appendTo(cutting, ['new'])
    expect(await recordsOf(cutting)).toEqual([{ sequence: 1, record: 'new' }])
  })

  it('that tears again after the cut is cut again', async () => {
    await change(file, (bytes) => flip(bytes, startOf(2) + 25))
    await appendTo(cutting, ['new'])
    const second = join(directory, 'journal-0000000000000003.log')
    await change(second, (bytes) => flip(bytes, startOf(0) + 25))
    expect(await valuesOf(cutting)).toEqual(['one', 'two'])
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
  ])('[T-64] of the mark of a segment is never cut: a mark %s', async (_, edit, reason) => {
    await change(file, edit)
    expect(await refusalOf(cutting)).toEqual(refusal(0, reason))
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
    cutting = createDirectoryJournal({ directory, segmentBytes: 64 * 1024 })
    await appendTo(cutting, ...[1, 2, 3, 4].map((value) => [value, 'x'.repeat(40_000)]))
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
