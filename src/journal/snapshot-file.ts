import { join } from 'node:path'
import { encodeGroup } from './encode-group.js'
import { JournalError } from './errors.js'
import { encodeFrame, frameCapacity, frameHeaderBytes, maxPayloadBytes, readFrame, type FrameHeader } from './frame.js'
import { writeWhole, type FileSystem, type OpenFile, type ReadableFiles } from './file-system.js'
import type { JournalRecord, JournalSnapshot } from './journal.js'
import { encodeMark, markBytes, readMark } from './mark.js'
import { readRecords } from './replay.js'
import { paddedSequence, type Damage } from './segment.js'
import { temporarySuffix } from './spare-segment.js'

/*
 * mark `snapshot` (last contained sequence) | frames of rows, numbered from 1 | mark `snapshotEnd` (count of rows)
 */

/** UTF-16 units after which a frame of rows is written; between two frames the event loop runs. */
const sliceUnits = 256 * 1024

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

/** A snapshot that is whole: every checksum was verified. */
export interface SnapshotFile {
  readonly through: number
  readonly path: string
  /** Its frames; offsets are those in the file. */
  readonly frames: readonly FrameHeader[]
}

/** What reading a snapshot found. */
export type SnapshotReading = { readonly whole: SnapshotFile } | { readonly damage: Damage }

/**
 * Writes a snapshot beside the others, verifies it and gives it its name; only then it counts. A failure removes what
 * was written. `beforeNaming` may still refuse.
 */
export async function writeSnapshot(
  fileSystem: FileSystem,
  directory: string,
  { through, rows }: JournalSnapshot,
  beforeNaming: () => Promise<void>,
): Promise<void> {
  const path = join(directory, snapshotName(through))
  const temporary = `${path}${temporarySuffix}`
  await removeIfThere(fileSystem, temporary)
  try {
    const file = await fileSystem.open(temporary, 'create')
    try {
      await writeRows(file, through, rows)
    } finally {
      await file.close()
    }
    const reading = await readSnapshot(fileSystem, temporary, through)
    if ('damage' in reading) throw unreadable(temporary, reading.damage)
    await beforeNaming()
    await fileSystem.rename(temporary, path)
  } catch (error) {
    await removeIfThere(fileSystem, temporary)
    throw error
  }
  await fileSystem.syncDirectory(directory)
}

/** Reads a snapshot frame by frame and verifies it; `through` is what its name says. */
export async function readSnapshot(fileSystem: ReadableFiles, path: string, through: number): Promise<SnapshotReading> {
  const file = await fileSystem.open(path, 'read')
  try {
    return await readFrames(file, path, through)
  } finally {
    await file.close()
  }
}

/** The rows of a whole snapshot, a frame at a time. Raises `journal_corrupt` and `journal_io`. */
export function* snapshotRows(fileSystem: ReadableFiles, { path, frames }: SnapshotFile): Iterable<JournalRecord> {
  for (const frame of frames) yield* readRecords(fileSystem, path, frame)
}

async function writeRows(file: OpenFile, through: number, rows: Iterable<JournalRecord>): Promise<void> {
  let position = 0
  const write = async (bytes: Uint8Array): Promise<void> => {
    await writeWhole(file, bytes, position)
    // Slice by slice: one large flush would hold up the records that are written meanwhile.
    await file.sync()
    position += bytes.length
  }
  await write(encodeMark('snapshot', through))
  let count = 0
  for (const { text, rows: size } of slices(rows)) {
    const frame = Buffer.allocUnsafe(frameCapacity(text))
    const length = encodeFrame(frame, { text, firstSequence: count + 1, count: size })
    await write(frame.subarray(0, length))
    count += size
  }
  await write(encodeMark('snapshotEnd', count))
}

function* slices(rows: Iterable<JournalRecord>): Iterable<{ readonly text: string; readonly rows: number }> {
  let texts: string[] = []
  let units = 0
  for (const row of rows) {
    const text = encodeGroup([row])
    if (units > 0 && units + text.length > sliceUnits) {
      yield { text: texts.join(','), rows: texts.length }
      texts = []
      units = 0
    }
    texts.push(text)
    units += text.length
  }
  if (texts.length > 0) yield { text: texts.join(','), rows: texts.length }
}

async function readFrames(file: OpenFile, path: string, through: number): Promise<SnapshotReading> {
  const size = await file.size()
  const readAt = async (position: number, length: number): Promise<Buffer> => {
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, size - position)))
    for (let filled = 0; filled < bytes.length; ) {
      const taken = await file.read(bytes.subarray(filled), position + filled)
      if (taken === 0) break
      filled += taken
    }
    return bytes
  }
  const mark = readMark(await readAt(0, markBytes), 'snapshot')
  if ('reason' in mark) return { damage: { offset: 0, reason: mark.reason } }
  if (mark.number !== through) return { damage: { offset: 0, reason: 'sequence_gap' } }
  const frames: FrameHeader[] = []
  let count = 0
  let position = markBytes
  while (position < size - markBytes) {
    const header = await readAt(position, frameHeaderBytes)
    const payloadBytes = Math.min(header.readUInt32LE(4), maxPayloadBytes)
    const reading = readFrame(await readAt(position, frameHeaderBytes + payloadBytes), 0)
    if (reading.status !== 'frame') {
      const reason = reading.status === 'bad' ? reading.reason : 'incomplete_header'
      return { damage: { offset: position, reason } }
    }
    if (reading.header.firstSequence !== count + 1) return { damage: { offset: position, reason: 'sequence_gap' } }
    frames.push({ ...reading.header, offset: position })
    count += reading.header.count
    position += reading.end
  }
  const end = readMark(await readAt(position, markBytes), 'snapshotEnd')
  if ('reason' in end) return { damage: { offset: position, reason: end.reason } }
  if (end.number !== count) return { damage: { offset: position, reason: 'sequence_gap' } }
  return { whole: { through, path, frames } }
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
