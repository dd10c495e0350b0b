import { crc32 } from './crc32.js'
import type { CorruptionReason } from './errors.js'

/*
 * Offset  Size  Frame, all integers little-endian
 *      0     4  version, 1
 *      4     4  payload length in bytes
 *      8     8  sequence of the first record
 *     16     4  number of records
 *     20     4  CRC-32 of the 20 bytes before it and of the payload
 *     24     N  the records as JSON texts (UTF-8), joined by commas
 *
 * `JSON.stringify` escapes every control character, so a payload holds no byte below 0x20: zeros are never
 * part of a frame's payload, and the version is never found inside one.
 */

/** Bytes before the payload of a frame. */
export const frameHeaderBytes = 24

/** The longest payload that is written, and the longest that is accepted when reading (T-51, T-157). */
export const maxPayloadBytes = 32 * 2 ** 20

const frameVersion = 1
const checksumOffset = 20
const versionBytes = Buffer.from([frameVersion, 0, 0, 0])
const emptyHeader = Buffer.alloc(frameHeaderBytes)

/** The header of a frame. */
export interface FrameHeader {
  /** Where the frame begins in the bytes it was read from. */
  readonly offset: number
  readonly payloadBytes: number
  readonly firstSequence: number
  readonly count: number
}

/** The result of reading at a place where a frame may begin. */
export type FrameReading =
  | { readonly status: 'frame'; readonly header: FrameHeader; readonly end: number }
  | { readonly status: 'end' }
  | { readonly status: 'bad'; readonly reason: CorruptionReason }

/** A number of bytes that always suffices for a frame of `text`, whatever characters it contains. */
export function frameCapacity(text: string): number {
  return frameHeaderBytes + 3 * text.length
}

/**
 * Writes one frame at the beginning of `target`, which must have {@link frameCapacity} bytes. Returns the frame's
 * length.
 */
export function encodeFrame(
  target: Buffer,
  { text, firstSequence, count }: { readonly text: string; readonly firstSequence: number; readonly count: number },
): number {
  const payloadBytes = target.write(text, frameHeaderBytes)
  target.writeUInt32LE(frameVersion, 0)
  target.writeUInt32LE(payloadBytes, 4)
  writeSequence(target, firstSequence, 8)
  target.writeUInt32LE(count, 16)
  target.writeUInt32LE(checksumOf(target, 0, frameHeaderBytes + payloadBytes), checksumOffset)
  return frameHeaderBytes + payloadBytes
}

/** Reads the frame at `offset`. The end of `bytes` is taken as the end of the file. Never throws. */
export function readFrame(bytes: Buffer, offset: number): FrameReading {
  const left = bytes.length - offset
  if (left < frameHeaderBytes) return isZero(bytes, offset, bytes.length) ? { status: 'end' } : bad('incomplete_header')
  if (bytes.compare(emptyHeader, 0, frameHeaderBytes, offset, offset + frameHeaderBytes) === 0) return { status: 'end' }
  const version = bytes.readUInt32LE(offset)
  // A write torn inside the version leaves the zeros that were there before, never another number.
  if (version === 0) return bad('incomplete_header')
  if (version !== frameVersion) return bad('unsupported_version')
  const header = readHeader(bytes, offset)
  if (header.payloadBytes > maxPayloadBytes) return bad('decode_failure')
  const end = offset + frameHeaderBytes + header.payloadBytes
  if (end > bytes.length) return bad('incomplete_payload')
  if (checksumOf(bytes, offset, end) !== bytes.readUInt32LE(offset + checksumOffset)) {
    // No payload ends in a zero, so this one was not written to its end.
    return bad(bytes[end - 1] === 0 ? 'incomplete_payload' : 'crc_mismatch')
  }
  return { status: 'frame', header, end }
}

/** The headers of the whole frames at the beginning of `bytes`. The frames must have been verified before. */
export function listFrames(bytes: Buffer): FrameHeader[] {
  const frames: FrameHeader[] = []
  for (let at = 0; at + frameHeaderBytes <= bytes.length; ) {
    const header = readHeader(bytes, at)
    at += frameHeaderBytes + header.payloadBytes
    if (at <= bytes.length) frames.push(header)
  }
  return frames
}

/** The length of the frame at the beginning of `bytes`, according to its header; 0 if the header is incomplete. */
export function frameBytes(bytes: Buffer): number {
  return bytes.length < frameHeaderBytes ? 0 : frameHeaderBytes + readHeader(bytes, 0).payloadBytes
}

/** The offset of the next whole frame at or after `offset`, if there is one. Frames start at any byte. */
export function findFrame(bytes: Buffer, offset: number): number | undefined {
  for (let at = bytes.indexOf(versionBytes, offset); at !== -1; at = bytes.indexOf(versionBytes, at + 1)) {
    if (readFrame(bytes, at).status === 'frame') return at
  }
  return undefined
}

/**
 * True if bad bytes at `offset`, with no whole frame after them, are what an interrupted write leaves.
 *
 * A frame is written over preallocated zeros, and a payload contains no zeros. So the missing parts of a torn frame
 * are zeros at its end or, because a disk may write sectors in any order, whole sectors of zeros. Anything else is
 * damage to bytes that had been written.
 */
export function isTornFrame(bytes: Buffer, offset: number): boolean {
  if (bytes.length - offset < frameHeaderBytes) return false
  if (bytes.readUInt32LE(offset) === 0) return lacksFirstSector(bytes, offset)
  const end = offset + frameHeaderBytes + bytes.readUInt32LE(offset + 4)
  if (end > bytes.length || isWholeButForLength(bytes, offset)) return false
  return bytes[end - 1] === 0 || lacksSector(bytes, offset, end)
}

/** The payload of a frame as text. */
export function payloadText(bytes: Buffer, { offset, payloadBytes }: FrameHeader): string {
  return bytes.toString('utf8', offset + frameHeaderBytes, offset + frameHeaderBytes + payloadBytes)
}

/** Writes a sequence as an unsigned 64-bit number. */
export function writeSequence(target: Buffer, sequence: number, offset: number): void {
  target.writeUInt32LE(sequence % 2 ** 32, offset)
  target.writeUInt32LE(Math.floor(sequence / 2 ** 32), offset + 4)
}

/** Reads an unsigned 64-bit number; beyond 2^53 it loses precision, which no sequence reaches. */
export function readSequence(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * 2 ** 32
}

/** True when every byte from `start` to before `end` is zero. */
export function isZero(bytes: Buffer, start: number, end: number): boolean {
  return endOfData(bytes, start, end) === start
}

/** The offset after the last byte that is not zero; `start` if there is none. */
export function endOfData(bytes: Buffer, start: number, end = bytes.length): number {
  let last = end
  for (; last - start >= zeros.length; last -= zeros.length) {
    if (bytes.compare(zeros, 0, zeros.length, last - zeros.length, last) !== 0) break
  }
  while (last > start && bytes[last - 1] === 0) last -= 1
  return last
}

const zeros = Buffer.alloc(64 * 1024)

/** The unit that a disk writes whole or not at all. Larger units are multiples of it. */
const sectorBytes = 512

/**
 * True if the data continues at the beginning of a later sector, possibly with the rest of a header, which may
 * contain zeros.
 */
function lacksFirstSector(bytes: Buffer, offset: number): boolean {
  const first = offset + bytes.subarray(offset).findIndex((byte) => byte !== 0)
  const sector = first - (first % sectorBytes)
  return sector > offset && first - sector < frameHeaderBytes
}

/** True if a sector of the frame, or the part of one that belongs to it, is all zeros. */
function lacksSector(bytes: Buffer, offset: number, end: number): boolean {
  for (let start = offset; start < end; ) {
    const next = Math.min(end, start - (start % sectorBytes) + sectorBytes)
    if (isZero(bytes, start, next)) return true
    start = next
  }
  return false
}

/** True if a frame ends where its data ends, and only the length in its header is wrong. */
function isWholeButForLength(bytes: Buffer, offset: number): boolean {
  const payloadBytes = endOfData(bytes, offset) - offset - frameHeaderBytes
  if (payloadBytes <= 0) return false
  const frame = Buffer.from(bytes.subarray(offset, offset + frameHeaderBytes + payloadBytes))
  frame.writeUInt32LE(payloadBytes, 4)
  return checksumOf(frame, 0, frame.length) === frame.readUInt32LE(checksumOffset)
}

function readHeader(bytes: Buffer, offset: number): FrameHeader {
  return {
    offset,
    payloadBytes: bytes.readUInt32LE(offset + 4),
    firstSequence: readSequence(bytes, offset + 8),
    count: bytes.readUInt32LE(offset + 16),
  }
}

function checksumOf(bytes: Buffer, start: number, end: number): number {
  const header = crc32(bytes.subarray(start, start + checksumOffset))
  return crc32(bytes.subarray(start + frameHeaderBytes, end), header)
}

function bad(reason: CorruptionReason): FrameReading {
  return { status: 'bad', reason }
}
