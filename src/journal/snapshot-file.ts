import { join } from 'node:path'
import { nextTurn } from '../base/promises.js'
import { JournalError } from './errors.js'
import { FileSystemError, writeWhole, type FileSystem, type OpenFile, type ReadableFiles } from './file-system.js'
import { encodeFrame, frameCapacity, frameHeaderBytes, payloadText, readFrame } from './frame.js'
import type { JournalRecord, JournalSnapshot } from './journal.js'
import { encodeMark, markBytes, readMark } from './mark.js'
import { readRecords } from './replay.js'
import { paddedSequence, type Damage } from './segment.js'
import { snapshotParts } from './snapshot-part.js'
import { temporarySuffix } from './spare-segment.js'

/*
 * mark `snapshot` (last contained sequence) | frames of rows, numbered from 1 | frames of places, numbered from 1
 * | mark `snapshotPlaces` (offset of the first of them) | mark `snapshotEnd` (count of rows)
 *
 * The places say which frames of rows the snapshot consists of, in order: those of its own file, and those that older
 * snapshots have written.
 */

/** Bytes that are written together, and verified together; in between the event loop runs. */
const sliceBytes = 256 * 1024

const namePattern = /^snapshot-(\d{16})\.rows$/

/** Name of the snapshot that contains every record through this sequence. */
export function snapshotName(through: number): string {
  return `snapshot-${paddedSequence(through)}.rows`
}

/** The last sequence a snapshot's name promises, `undefined` for another file. */
export function snapshotSequence(name: string): number | undefined {
  const match = namePattern.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** Where a part of a snapshot stands. */
export interface PartPlace {
  /** The snapshot in whose file it stands, by the last sequence that it contains. */
  readonly through: number
  readonly offset: number
  readonly payloadBytes: number
  readonly rows: number
  /** Tells its text from all others. */
  readonly digest: string
}

/** A snapshot that is whole: every checksum was verified, those of parts in older files as well. */
export interface SnapshotFile {
  readonly through: number
  /** In order. */
  readonly parts: readonly PartPlace[]
  /** The files that they stand in, by sequence, with their lengths in bytes. */
  readonly files: ReadonlyMap<number, number>
}

/** What reading a snapshot found, and the file that is damaged. */
export type SnapshotReading = { readonly whole: SnapshotFile } | { readonly damage: Damage; readonly file: string }

/** What a snapshot is written with. */
export interface SnapshotOptions {
  /** The snapshot before it, whose parts it may share. */
  readonly previous: SnapshotFile | undefined
  /** May still refuse before the snapshot gets its name. */
  readonly beforeNaming: () => Promise<void>
}

/**
 * Writes those parts of a snapshot that older ones do not hold, verifies them and gives the file its name; only then it
 * counts. A failure removes what was written.
 *
 * Of a file of which less than half is still in use nothing is shared, so that what is left of it is written once more and
 * the file can go: files hold at most about twice what is in use, and what is written again has been paid for by what was
 * replaced.
 */
export async function writeSnapshot(
  fileSystem: FileSystem,
  directory: string,
  { through, rows }: JournalSnapshot,
  { previous, beforeNaming }: SnapshotOptions,
): Promise<SnapshotFile> {
  const path = join(directory, snapshotName(through))
  const temporary = `${path}${temporarySuffix}`
  await removeIfThere(fileSystem, temporary)
  let written: SnapshotFile
  try {
    const file = await fileSystem.open(temporary, 'create')
    try {
      written = await writeParts(file, { through, rows }, previous)
      const damage = await verifyFile(file, written)
      if (damage !== undefined) throw unreadable(temporary, damage)
    } finally {
      await file.close()
    }
    await beforeNaming()
    await fileSystem.rename(temporary, path)
  } catch (error) {
    await removeIfThere(fileSystem, temporary)
    throw error
  }
  await fileSystem.syncDirectory(directory)
  return written
}

/** Reads a snapshot with all its parts and verifies them; `through` is what its name says. */
export async function readSnapshot(
  fileSystem: ReadableFiles,
  directory: string,
  through: number,
): Promise<SnapshotReading> {
  const path = join(directory, snapshotName(through))
  const own = await withFile(fileSystem, path, (file) => readPlaces(file, through))
  if ('damage' in own) return { damage: own.damage, file: path }
  const files = new Map<number, number>([[through, own.bytes]])
  for (const older of new Set(own.parts.map((part) => part.through))) {
    const olderPath = join(directory, snapshotName(older))
    const parts = own.parts.filter((part) => part.through === older)
    try {
      const damage = await withFile(fileSystem, olderPath, async (file) => {
        files.set(older, await file.size())
        return verifyParts(file, parts)
      })
      if (damage !== undefined) return { damage, file: olderPath }
    } catch (error) {
      if (!FileSystemError.has(error, 'ENOENT')) throw error
      return { damage: { offset: 0, reason: 'missing_records' }, file: olderPath }
    }
  }
  return { whole: { through, parts: own.parts, files } }
}

/** The rows of a whole snapshot, a few parts at a time. Raises `journal_corrupt` and `journal_io`. */
export function* snapshotRows(
  fileSystem: ReadableFiles,
  directory: string,
  { parts }: SnapshotFile,
): Iterable<JournalRecord> {
  for (const run of runsOf(parts)) {
    const through = run[0]?.through ?? 0
    const frames = run.map(({ offset, payloadBytes, rows }) => ({
      offset,
      payloadBytes,
      firstSequence: 1,
      count: rows,
    }))
    yield* readRecords(fileSystem, join(directory, snapshotName(through)), frames)
  }
}

async function writeParts(
  file: OpenFile,
  { through, rows }: JournalSnapshot,
  previous: SnapshotFile | undefined,
): Promise<SnapshotFile> {
  const writer = new SliceWriter(file)
  await writer.write(encodeMark('snapshot', through))
  const shared = sharedParts(previous, through)
  const parts: PartPlace[] = []
  let [all, own] = [0, 0]
  for (const { text, rows: count, digest } of snapshotParts(rows)) {
    const known = shared.get(digest)
    if (known === undefined) {
      const frame = frameOf(text, own + 1, count)
      const payloadBytes = frame.length - frameHeaderBytes
      const place = { through, offset: writer.position, payloadBytes, rows: count, digest }
      await writer.write(frame)
      own += count
      parts.push(place)
      shared.set(digest, place)
    } else {
      parts.push(known)
      await nextTurn()
    }
    all += count
  }
  const placesAt = writer.position
  for (const { text, first, count } of placeTexts(parts)) await writer.write(frameOf(text, first, count))
  await writer.write(encodeMark('snapshotPlaces', placesAt))
  await writer.write(encodeMark('snapshotEnd', all))
  await writer.flush()
  const files = new Map<number, number>()
  for (const part of parts) files.set(part.through, previous?.files.get(part.through) ?? 0)
  return { through, parts, files: files.set(through, writer.position) }
}

/** Parts of the snapshot before that the next one may share, by their digests. */
function sharedParts(previous: SnapshotFile | undefined, through: number): Map<string, PartPlace> {
  const shared = new Map<string, PartPlace>()
  if (previous === undefined) return shared
  const used = new Map<number, number>()
  for (const part of previous.parts) used.set(part.through, (used.get(part.through) ?? 0) + part.payloadBytes)
  for (const part of previous.parts) {
    const isHalfUsed = 2 * (used.get(part.through) ?? 0) >= (previous.files.get(part.through) ?? 0)
    // A file of the same name will be replaced.
    if (isHalfUsed && part.through !== through) shared.set(part.digest, part)
  }
  return shared
}

function frameOf(text: string, firstSequence: number, count: number): Buffer {
  const frame = Buffer.allocUnsafe(frameCapacity(text))
  return frame.subarray(0, encodeFrame(frame, { text, firstSequence, count }))
}

/** Places that are written in one frame. */
const placesAtOnce = 1000

function* placeTexts(
  parts: readonly PartPlace[],
): Iterable<{ readonly text: string; readonly first: number; readonly count: number }> {
  for (let from = 0; from < parts.length; from += placesAtOnce) {
    const places = parts
      .slice(from, from + placesAtOnce)
      .map(({ through, offset, payloadBytes, rows, digest }) =>
        JSON.stringify([through, offset, payloadBytes, rows, digest]),
      )
    yield { text: places.join(','), first: from + 1, count: places.length }
  }
}

/** Writes a file from its beginning. Slice by slice: one large flush would hold up records that are written meanwhile. */
class SliceWriter {
  readonly #file: OpenFile
  #slice: Buffer[] = []
  #sliceBytes = 0
  #flushed = 0

  constructor(file: OpenFile) {
    this.#file = file
  }

  /** Where the next bytes go. */
  get position(): number {
    return this.#flushed + this.#sliceBytes
  }

  async write(bytes: Buffer): Promise<void> {
    this.#slice.push(bytes)
    this.#sliceBytes += bytes.length
    if (this.#sliceBytes >= sliceBytes) await this.flush()
  }

  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#slice)
    this.#slice = []
    await writeWhole(this.#file, bytes, this.#flushed)
    await this.#file.sync()
    this.#flushed += bytes.length
    this.#sliceBytes = 0
  }
}

/** What a snapshot's own file says; the parts are not verified. */
type Places = { readonly parts: readonly PartPlace[]; readonly bytes: number } | { readonly damage: Damage }

async function readPlaces(file: OpenFile, through: number): Promise<Places> {
  const bytes = await file.size()
  const mark = readMark(await readAt(file, 0, markBytes), 'snapshot')
  if ('reason' in mark) return damaged(0, mark.reason)
  if (mark.number !== through) return damaged(0, 'sequence_gap')
  const marksAt = Math.max(markBytes, bytes - 2 * markBytes)
  const marks = await readAt(file, marksAt, 2 * markBytes)
  const end = readMark(marks, 'snapshotEnd', markBytes)
  if ('reason' in end) return damaged(marksAt + markBytes, end.reason)
  const start = readMark(marks, 'snapshotPlaces')
  if ('reason' in start) return damaged(marksAt, start.reason)
  const parts: PartPlace[] = []
  const places = await readAt(file, start.number, marksAt - start.number)
  for (let at = 0; at < places.length; ) {
    const reading = readFrame(places, at)
    if (reading.status !== 'frame') return damaged(start.number + at, reasonOf(reading))
    const read = placesIn(payloadText(places, reading.header))
    if (read?.length !== reading.header.count) return damaged(start.number + at, 'decode_failure')
    if (reading.header.firstSequence !== parts.length + 1) return damaged(start.number + at, 'sequence_gap')
    for (const place of read) parts.push(place)
    at = reading.end
  }
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  return rows === end.number ? { parts, bytes } : damaged(marksAt + markBytes, 'sequence_gap')
}

function placesIn(text: string): readonly PartPlace[] | undefined {
  try {
    return (JSON.parse(`[${text}]`) as [number, number, number, number, string][]).map(
      ([through, offset, payloadBytes, rows, digest]) => ({ through, offset, payloadBytes, rows, digest }),
    )
  } catch {
    return undefined
  }
}

/** Reads back what was just written. */
async function verifyFile(file: OpenFile, { through, parts }: SnapshotFile): Promise<Damage | undefined> {
  const places = await readPlaces(file, through)
  if ('damage' in places) return places.damage
  return verifyParts(
    file,
    [...new Set(parts)].filter((part) => part.through === through),
  )
}

/** Looks for the first of these parts of one file that is not what its place says. */
async function verifyParts(file: OpenFile, parts: readonly PartPlace[]): Promise<Damage | undefined> {
  for (const run of runsOf(parts)) {
    const [first] = run
    const last = run.at(-1)
    if (first === undefined || last === undefined) continue
    const bytes = await readAt(file, first.offset, endOf(last) - first.offset)
    for (const { offset, payloadBytes, rows } of run) {
      const reading = readFrame(bytes, offset - first.offset)
      if (reading.status !== 'frame') return { offset, reason: reasonOf(reading) }
      const { header } = reading
      if (header.payloadBytes !== payloadBytes || header.count !== rows) return { offset, reason: 'decode_failure' }
    }
  }
  return undefined
}

/** Parts that stand one behind the other in a file, about as many as are read together. */
function* runsOf(parts: readonly PartPlace[]): Iterable<readonly PartPlace[]> {
  let run: PartPlace[] = []
  for (const part of parts) {
    const [first, last] = [run[0], run.at(-1)]
    const goesOn =
      first !== undefined &&
      last !== undefined &&
      last.through === part.through &&
      endOf(last) === part.offset &&
      part.offset - first.offset < sliceBytes
    if (run.length > 0 && !goesOn) {
      yield run
      run = []
    }
    run.push(part)
  }
  if (run.length > 0) yield run
}

function endOf({ offset, payloadBytes }: PartPlace): number {
  return offset + frameHeaderBytes + payloadBytes
}

function reasonOf(reading: Exclude<ReturnType<typeof readFrame>, { readonly status: 'frame' }>): Damage['reason'] {
  return reading.status === 'bad' ? reading.reason : 'incomplete_header'
}

function damaged(offset: number, reason: Damage['reason']): { readonly damage: Damage } {
  return { damage: { offset, reason } }
}

/** Bytes of a file, fewer where it ends. */
async function readAt(file: OpenFile, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(Math.max(0, length))
  let filled = 0
  while (filled < bytes.length) {
    const taken = await file.read(bytes.subarray(filled), position + filled)
    if (taken === 0) break
    filled += taken
  }
  return bytes.subarray(0, filled)
}

async function withFile<Result>(
  fileSystem: ReadableFiles,
  path: string,
  use: (file: OpenFile) => Promise<Result>,
): Promise<Result> {
  const file = await fileSystem.open(path, 'read')
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

function unreadable(file: string, { offset, reason }: Damage): JournalError<'journal_io'> {
  return new JournalError('journal_io', { operation: 'verify', file, cause: `${reason} at ${offset}` })
}

async function removeIfThere(fileSystem: FileSystem, path: string): Promise<void> {
  try {
    await fileSystem.unlink(path)
  } catch {
    // The next opening removes temporary files; the failure that led here is the one to report.
  }
}
