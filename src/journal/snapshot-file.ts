import { join } from 'node:path'
import { nextTurn } from '../base/promises.js'
import { JournalError } from './errors.js'
import { FileSystemError, writeWhole, type FileSystem, type OpenFile, type ReadableFiles } from './file-system.js'
import { encodeFrame, frameCapacity, frameHeaderBytes, payloadText, readFrame } from './frame.js'
import type { JournalRecord, JournalSnapshot } from './journal.js'
import { encodeMark, markBytes, readMark } from './mark.js'
import { readRecords } from './replay.js'
import { paddedSequence, type Damage } from './segment.js'
import { snapshotParts, type SnapshotPart } from './snapshot-part.js'
import { temporarySuffix } from './spare-segment.js'

/*
 * mark `snapshot` (last contained sequence) | frames of rows, numbered from 1 | frames of places, numbered from 1
 * | mark `snapshotPlaces` (offset of the first of them) | mark `snapshotEnd` (count of rows)
 *
 * The places say which frames of rows the snapshot consists of, in order: those of its own file, and those that older
 * snapshots have written.
 */

/** Bytes that are written and verified together. In between, the event loop runs. */
const sliceBytes = 256 * 1024

const namePattern = /^snapshot-(\d{16})\.rows$/

/** Name of the snapshot that contains every record through this sequence. */
export function snapshotName(through: number): string {
  return `snapshot-${paddedSequence(through)}.rows`
}

/** The last sequence according to a snapshot's name; `undefined` for another file. */
export function snapshotSequence(name: string): number | undefined {
  const match = namePattern.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** The location of a part of a snapshot. */
export interface PartPlace {
  /** The snapshot whose file contains the part, named by its last sequence. */
  readonly through: number
  readonly offset: number
  readonly payloadBytes: number
  readonly rows: number
  /** SHA-256 of the part's text. */
  readonly digest: string
}

/** A whole snapshot: every checksum has been verified, those of parts in older files included. */
export interface SnapshotFile {
  readonly through: number
  /** In order. */
  readonly parts: readonly PartPlace[]
  /** The files that contain the parts, by sequence, with their lengths in bytes. */
  readonly files: ReadonlyMap<number, number>
}

/** The snapshot that was read, or the damage and the file that contains it. */
export type SnapshotReading = { readonly whole: SnapshotFile } | { readonly damage: Damage; readonly file: string }

/** Options of writing a snapshot. */
export interface SnapshotOptions {
  /** The previous snapshot, whose parts may be shared. */
  readonly previous: SnapshotFile | undefined
  /** Called before the snapshot gets its name; may throw to refuse it. */
  readonly beforeNaming: () => Promise<void>
}

/**
 * Writes the parts of a snapshot that older files do not contain, verifies them and gives the file its name, which
 * makes it valid. A failure removes what was written.
 *
 * If less than half of an older file is used, those parts are copied so that the file can be removed. Files therefore
 * take at most about twice the space in use, and the cost of copying is bounded by what was replaced.
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
      const writer = new SnapshotWriter(file, through)
      await writer.writeRows(rows, sharedParts(previous, through))
      for (const older of filesToLeave(previous, writer.parts, through)) {
        await withFile(fileSystem, join(directory, snapshotName(older)), (from) => writer.copyParts(from, older))
      }
      written = await writer.finish(previous)
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

/** Reads a snapshot with all its parts and verifies them. `through` is the sequence in its name. */
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

/** The rows of a whole snapshot, read a few parts at a time. Throws `journal_corrupt` and `journal_io`. */
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

/** The parts of the previous snapshot that the next one may share, by digest. */
function sharedParts(previous: SnapshotFile | undefined, through: number): Map<string, PartPlace> {
  // A file of the same name will be replaced.
  const parts = previous?.parts.filter((part) => part.through !== through) ?? []
  return new Map(parts.map((part) => [part.digest, part]))
}

/** Older files of which these parts use less than half. `own` is the file being written. */
function filesToLeave(previous: SnapshotFile | undefined, parts: readonly PartPlace[], own: number): readonly number[] {
  const used = new Map<number, number>()
  for (const { through, payloadBytes } of new Set(parts)) {
    if (through !== own) used.set(through, (used.get(through) ?? 0) + payloadBytes)
  }
  return [...used].flatMap(([through, bytes]) => (2 * bytes < (previous?.files.get(through) ?? 0) ? [through] : []))
}

/** Writes the file of one snapshot from beginning to end. */
class SnapshotWriter {
  /** The parts of the whole snapshot, in order. */
  parts: readonly PartPlace[] = []
  readonly #through: number
  readonly #slices: SliceWriter
  /** Number of rows in this file. */
  #rows = 0

  constructor(file: OpenFile, through: number) {
    this.#through = through
    this.#slices = new SliceWriter(file)
  }

  /** Writes the parts that cannot be shared. */
  async writeRows(rows: Iterable<JournalRecord>, shared: Map<string, PartPlace>): Promise<void> {
    const parts: PartPlace[] = []
    await this.#slices.write(encodeMark('snapshot', this.#through))
    for (const part of snapshotParts(rows)) {
      const known = shared.get(part.digest)
      const place = known ?? (await this.#writePart(part))
      if (known === undefined) shared.set(part.digest, place)
      else await nextTurn()
      parts.push(place)
    }
    this.parts = parts
  }

  /** Copies the parts in an older file, and uses the copies. */
  async copyParts(file: OpenFile, older: number): Promise<void> {
    const copies = new Map<PartPlace, PartPlace>()
    for (const part of new Set(this.parts)) {
      if (part.through !== older) continue
      const bytes = await readAt(file, part.offset, frameHeaderBytes + part.payloadBytes)
      const damage = damageOf(bytes, 0, part)
      if (damage !== undefined) throw unreadable(snapshotName(older), damage)
      const { payloadBytes, rows, digest } = part
      const text = payloadText(bytes, { offset: 0, payloadBytes, firstSequence: 1, count: rows })
      copies.set(part, await this.#writePart({ text, rows, digest }))
    }
    this.parts = this.parts.map((part) => copies.get(part) ?? part)
  }

  /** Writes the locations of the parts, and the end. */
  async finish(previous: SnapshotFile | undefined): Promise<SnapshotFile> {
    const { parts } = this
    const placesAt = this.#slices.position
    for (const { text, first, count } of placeTexts(parts)) await this.#slices.write(frameOf(text, first, count))
    await this.#slices.write(encodeMark('snapshotPlaces', placesAt))
    await this.#slices.write(
      encodeMark(
        'snapshotEnd',
        parts.reduce((sum, { rows }) => sum + rows, 0),
      ),
    )
    await this.#slices.flush()
    const files = new Map<number, number>()
    for (const { through } of parts) files.set(through, previous?.files.get(through) ?? 0)
    return { through: this.#through, parts, files: files.set(this.#through, this.#slices.position) }
  }

  async #writePart({ text, rows, digest }: SnapshotPart): Promise<PartPlace> {
    const frame = frameOf(text, this.#rows + 1, rows)
    const offset = this.#slices.position
    await this.#slices.write(frame)
    this.#rows += rows
    return { through: this.#through, offset, payloadBytes: frame.length - frameHeaderBytes, rows, digest }
  }
}

function frameOf(text: string, firstSequence: number, count: number): Buffer {
  const frame = Buffer.allocUnsafe(frameCapacity(text))
  return frame.subarray(0, encodeFrame(frame, { text, firstSequence, count }))
}

/** Number of locations in one frame. */
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

/** Writes a file from the beginning, slice by slice: one large flush would delay records that are written meanwhile. */
class SliceWriter {
  readonly #file: OpenFile
  #slice: Buffer[] = []
  #sliceBytes = 0
  #flushed = 0

  constructor(file: OpenFile) {
    this.#file = file
  }

  /** Offset of the next bytes. */
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

/** The locations in a snapshot's own file. The parts are not verified. */
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

/** Returns the first damage among these parts of one file. */
async function verifyParts(file: OpenFile, parts: readonly PartPlace[]): Promise<Damage | undefined> {
  for (const run of runsOf(parts.toSorted((one, other) => one.offset - other.offset))) {
    const [first] = run
    const last = run.at(-1)
    if (first === undefined || last === undefined) continue
    const bytes = await readAt(file, first.offset, endOf(last) - first.offset)
    for (const part of run) {
      const damage = damageOf(bytes, part.offset - first.offset, part)
      if (damage !== undefined) return damage
    }
  }
  return undefined
}

/** The damage of a part that was read to offset `at` of `bytes`, if any. */
function damageOf(bytes: Buffer, at: number, { offset, payloadBytes, rows }: PartPlace): Damage | undefined {
  const reading = readFrame(bytes, at)
  if (reading.status !== 'frame') return { offset, reason: reasonOf(reading) }
  const { header } = reading
  const isAsSaid = header.payloadBytes === payloadBytes && header.count === rows
  return isAsSaid ? undefined : { offset, reason: 'decode_failure' }
}

/** Consecutive parts of a file, close enough to be read together with what is between them. */
function* runsOf(parts: readonly PartPlace[]): Iterable<readonly PartPlace[]> {
  let run: PartPlace[] = []
  for (const part of parts) {
    const [first, last] = [run[0], run.at(-1)]
    const goesOn =
      first !== undefined &&
      last !== undefined &&
      last.through === part.through &&
      endOf(last) <= part.offset &&
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

/** The bytes of a file; fewer where it ends. */
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
    // The next opening removes temporary files. The failure that led here is the one to report.
  }
}
