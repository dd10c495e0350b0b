import { nextTurn } from '../base/promises.js'
import { JournalError, type CorruptionReason } from './errors.js'
import { endOfData, findFrame, isTornFrame, readFrame, type FrameHeader } from './frame.js'
import { markBytes, readMark } from './mark.js'

/** Where the first frame of a segment begins. */
export const segmentHeaderBytes = markBytes

const digits = 16
const namePattern = /^journal-(\d{16})\.log$/

/** Name of the segment whose first sequence this is. Names sort in the order of sequences. */
export function segmentName(firstSequence: number): string {
  return `journal-${paddedSequence(firstSequence)}.log`
}

/** The first sequence according to a segment's name; `undefined` for another file. */
export function segmentSequence(name: string): number | undefined {
  const match = namePattern.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** A sequence as it is written in file names. */
export function paddedSequence(sequence: number): string {
  return String(sequence).padStart(digits, '0')
}

/** Bad bytes, and the offset at which their record would have begun. */
export interface Damage {
  readonly offset: number
  readonly reason: CorruptionReason
}

/** The content of a segment. */
export interface SegmentContent {
  /** Whole frames in order. */
  readonly frames: readonly FrameHeader[]
  /** Where the next frame would begin. */
  readonly end: number
  readonly nextSequence: number
  /** Set if the bytes from `end` on are neither a frame nor unused. */
  readonly damage?: Damage
  /** The kind of the damage; `none` without damage. */
  readonly verdict: Verdict
}

/**
 * `torn`: a write that was cut short; nothing in it had been acknowledged. `damaged`: bytes at the end that had been
 * a record. `refused`: a whole frame follows the damage, or another version wrote it; it is never cut.
 */
export type Verdict = 'none' | 'torn' | 'damaged' | 'refused'

/** Bytes that are verified before the event loop runs. */
const stretchBytes = 4 * 2 ** 20

/**
 * Reads a segment whose first record must be `firstSequence`, in one pass over the bytes, and verifies every
 * checksum.
 *
 * A sequence that does not follow is `sequence_gap`. A mark of another segment or version is damage at offset 0.
 */
export async function readSegment(bytes: Buffer, firstSequence: number): Promise<SegmentContent> {
  const mark = readMark(bytes, 'segment')
  if ('reason' in mark) {
    // A segment gets its mark before its name, so no crash leaves one without a mark.
    const isLost = mark.reason === 'unsupported_version' || findFrame(bytes, 1) !== undefined
    const damage = { offset: 0, reason: mark.reason }
    return { frames: [], end: 0, nextSequence: firstSequence, damage, verdict: isLost ? 'refused' : 'damaged' }
  }
  if (mark.number !== firstSequence) return refuse([], 0, firstSequence, 'sequence_gap')
  const frames: FrameHeader[] = []
  let nextSequence = firstSequence
  let end = segmentHeaderBytes
  for (let stretchEnd = stretchBytes; ; ) {
    if (end >= stretchEnd) {
      await nextTurn()
      stretchEnd = end + stretchBytes
    }
    const reading = readFrame(bytes, end)
    if (reading.status === 'end') {
      const unused = endOfData(bytes, end) === end
      return unused
        ? { frames, end, nextSequence, verdict: 'none' }
        : judge(bytes, frames, end, nextSequence, 'incomplete_header')
    }
    if (reading.status === 'bad') return judge(bytes, frames, end, nextSequence, reading.reason)
    const { header } = reading
    if (header.firstSequence !== nextSequence) return refuse(frames, end, nextSequence, 'sequence_gap')
    frames.push(header)
    nextSequence += header.count
    end = reading.end
  }
}

/** The error for damage that must not be cut (T-53). */
export function corruptError(file: string, { offset, reason }: Damage): JournalError<'journal_corrupt'> {
  return new JournalError('journal_corrupt', { file, offset, reason })
}

function judge(
  bytes: Buffer,
  frames: readonly FrameHeader[],
  end: number,
  nextSequence: number,
  reason: CorruptionReason,
): SegmentContent {
  const damage = { offset: end, reason }
  const isRefused = reason === 'unsupported_version' || findFrame(bytes, end + 1) !== undefined
  if (isRefused) return { frames, end, nextSequence, damage, verdict: 'refused' }
  return { frames, end, nextSequence, damage, verdict: isTornFrame(bytes, end) ? 'torn' : 'damaged' }
}

function refuse(
  frames: readonly FrameHeader[],
  end: number,
  nextSequence: number,
  reason: CorruptionReason,
): SegmentContent {
  return { frames, end, nextSequence, damage: { offset: end, reason }, verdict: 'refused' }
}
