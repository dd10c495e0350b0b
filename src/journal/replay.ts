import { JournalError } from './errors.js'
import type { ReplayPart } from './examine.js'
import { ioError } from './failures.js'
import type { ReadableFiles } from './file-system.js'
import { listFrames, payloadText, type FrameHeader } from './frame.js'
import type { JournalRecord, ReplayedRecord } from './journal.js'
import { segmentHeaderBytes } from './segment.js'

/** Bytes of JSON parsed in one go: small frames share a call, and no call holds much more than this. */
const parseTarget = 2 ** 20

/**
 * The records after `through` in parts of a log that were examined before, read again a segment at a time: so no more
 * than one segment is in memory, however long the log is.
 *
 * Raises `journal_corrupt` like {@link decodeFrames}, and `journal_io`.
 */
export function* replayParts(
  fileSystem: ReadableFiles,
  parts: readonly ReplayPart[],
  through: number,
): Iterable<ReplayedRecord> {
  for (const { path, end, firstSequence } of parts) {
    const bytes = readPart(fileSystem, path, end)
    const frames = listFrames(bytes, segmentHeaderBytes).filter(
      (frame) => frame.firstSequence + frame.count > through + 1,
    )
    let sequence = frames[0]?.firstSequence ?? firstSequence
    for (const record of decodeFrames(bytes, frames, path)) {
      if (sequence > through) yield { sequence, record }
      sequence += 1
    }
  }
}

function readPart(fileSystem: ReadableFiles, path: string, end: number): Buffer {
  try {
    return fileSystem.readSync(path, 0, end)
  } catch (error) {
    throw ioError(error)
  }
}

/**
 * The records of whole frames that follow each other, in order. Parsing happens while iterating.
 *
 * Raises `journal_corrupt` with reason `decode_failure` and the offset of the frame that is not what its header says.
 */
export function* decodeFrames(bytes: Buffer, frames: readonly FrameHeader[], file: string): Iterable<JournalRecord> {
  for (let first = 0; first < frames.length; ) {
    let next = first
    let size = 0
    while (next < frames.length && (size === 0 || size + payloadBytesOf(frames[next]) <= parseTarget)) {
      size += payloadBytesOf(frames[next])
      next += 1
    }
    yield* parseSlice(bytes, frames.slice(first, next), file)
    first = next
  }
}

function payloadBytesOf(frame: FrameHeader | undefined): number {
  return frame?.payloadBytes ?? 0
}

function parseSlice(bytes: Buffer, frames: readonly FrameHeader[], file: string): readonly JournalRecord[] {
  const expected = frames.reduce((sum, { count }) => sum + count, 0)
  const records = tryParse(frames.map((frame) => payloadText(bytes, frame)).join(','))
  if (records?.length === expected) return records
  for (const frame of frames) {
    if (tryParse(payloadText(bytes, frame))?.length !== frame.count) throw undecodable(file, frame)
  }
  throw undecodable(file, frames[0] as FrameHeader)
}

function tryParse(payload: string): readonly JournalRecord[] | undefined {
  try {
    return JSON.parse(`[${payload}]`) as readonly JournalRecord[]
  } catch {
    return undefined
  }
}

function undecodable(file: string, { offset }: FrameHeader): JournalError<'journal_corrupt'> {
  return new JournalError('journal_corrupt', `${file}: the records at ${offset} cannot be decoded`, {
    file,
    offset,
    reason: 'decode_failure',
  })
}
