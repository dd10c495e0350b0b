import { JournalError } from './errors.js'
import { ioError } from './failures.js'
import type { ReadableFiles } from './file-system.js'
import { frameBytes, frameHeaderBytes, listFrames, payloadText, type FrameHeader } from './frame.js'
import type { JournalRecord, ReplayedRecord } from './journal.js'
import { segmentHeaderBytes } from './segment.js'
import type { SegmentFile } from './segment-log.js'

/** Bytes that are read and parsed together: small frames share a call, and no call takes much longer than this. */
const sliceBytes = 256 * 1024

/** The records of one segment that have to be replayed. */
export interface ReplayPart extends SegmentFile {
  /** Offset up to which the segment holds whole frames. */
  readonly end: number
}

/** Whole frames that were read together. */
interface Slice {
  readonly file: string
  /** Offset of the bytes in the file. */
  readonly position: number
  readonly bytes: Buffer
  readonly frames: readonly FrameHeader[]
}

/**
 * The records after `through` in parts of a log that have been examined before. The parts are read again slice by
 * slice, so that memory use and the work between two records stay small, however long the log is.
 *
 * Throws `journal_corrupt` with reason `decode_failure` and the offset of the frame that does not match its header,
 * and `journal_io`.
 */
export function* replayParts(
  fileSystem: ReadableFiles,
  parts: readonly ReplayPart[],
  through: number,
): Iterable<ReplayedRecord> {
  for (const part of parts) {
    for (const slice of slicesOf(fileSystem, part)) {
      const frames = slice.frames.filter((frame) => frame.firstSequence + frame.count > through + 1)
      let sequence = frames[0]?.firstSequence ?? part.firstSequence
      for (const record of parseSlice({ ...slice, frames })) {
        if (sequence > through) yield { sequence, record }
        sequence += 1
      }
    }
  }
}

/** The records of consecutive frames of a file, at these offsets. Throws like {@link replayParts}. */
export function readRecords(
  fileSystem: ReadableFiles,
  file: string,
  frames: readonly FrameHeader[],
): readonly JournalRecord[] {
  const [first, last] = [frames[0], frames.at(-1)]
  if (first === undefined || last === undefined) return []
  const position = first.offset
  const length = last.offset + frameHeaderBytes + last.payloadBytes - position
  const bytes = readPart(fileSystem, file, position, length)
  return parseSlice({
    file,
    position,
    bytes,
    frames: frames.map((frame) => ({ ...frame, offset: frame.offset - position })),
  })
}

function* slicesOf(fileSystem: ReadableFiles, { path: file, end }: ReplayPart): Iterable<Slice> {
  for (let position = segmentHeaderBytes; position < end; ) {
    let bytes = readPart(fileSystem, file, position, Math.min(sliceBytes, end - position))
    // A frame may be longer than a slice.
    if (frameBytes(bytes) > bytes.length) bytes = readPart(fileSystem, file, position, frameBytes(bytes))
    const frames = listFrames(bytes)
    const last = frames.at(-1)
    if (last === undefined) throw undecodable(file, position)
    yield { file, position, bytes, frames }
    position += last.offset + frameHeaderBytes + last.payloadBytes
  }
}

function readPart(fileSystem: ReadableFiles, file: string, position: number, length: number): Buffer {
  try {
    return fileSystem.readSync(file, position, length)
  } catch (error) {
    throw ioError(error)
  }
}

function parseSlice({ file, position, bytes, frames }: Slice): readonly JournalRecord[] {
  const expected = frames.reduce((sum, { count }) => sum + count, 0)
  const records = tryParse(frames.map((frame) => payloadText(bytes, frame)).join(','))
  if (records?.length === expected) return records
  const bad = frames.find((frame) => tryParse(payloadText(bytes, frame))?.length !== frame.count) ?? frames[0]
  throw undecodable(file, position + (bad?.offset ?? 0))
}

function tryParse(payload: string): readonly JournalRecord[] | undefined {
  try {
    return JSON.parse(`[${payload}]`) as readonly JournalRecord[]
  } catch {
    return undefined
  }
}

function undecodable(file: string, offset: number): JournalError<'journal_corrupt'> {
  return new JournalError('journal_corrupt', { file, offset, reason: 'decode_failure' })
}
