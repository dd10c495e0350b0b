import { crc32 } from './crc32.js'
import type { CorruptionReason } from './errors.js'
import { readSequence, writeSequence } from './frame.js'

/*
 * Offset  Size  Mark, all integers little-endian
 *      0     8  magic, says what the mark is for
 *      8     4  format version: 1, of a snapshot 2
 *     12     8  a number: first sequence, last contained sequence, an offset, or count of rows
 *     20     4  CRC-32 of the 20 bytes before it
 */

/** Length of every mark. */
export const markBytes = 24

const magics = {
  /** First in a segment. The number is the sequence of its first record. */
  segment: 'STWJSEGM',
  /** First in a snapshot. The number is the last sequence that it contains. */
  snapshot: 'STWJSNAP',
  /** Follows the part locations of a snapshot. The number is the offset of the first of them. */
  snapshotPlaces: 'STWJPLAC',
  /** Last in a snapshot. The number is its count of rows. Without this mark the snapshot is incomplete. */
  snapshotEnd: 'STWJSEND',
} as const

const formatVersions: Readonly<Record<MarkKind, number>> = {
  segment: 1,
  snapshot: 2,
  snapshotPlaces: 2,
  snapshotEnd: 2,
}
const checksumOffset = 20

/** The position of a mark in a file. */
export type MarkKind = keyof typeof magics

/** The number of a mark, or why it was refused. */
export type MarkReading = { readonly number: number } | { readonly reason: CorruptionReason }

/** Encodes a mark. */
export function encodeMark(kind: MarkKind, number: number): Buffer {
  const bytes = Buffer.alloc(markBytes)
  bytes.write(magics[kind], 'latin1')
  bytes.writeUInt32LE(formatVersions[kind], 8)
  writeSequence(bytes, number, 12)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, checksumOffset)), checksumOffset)
  return bytes
}

/** Reads the mark at `offset`. Another magic is `decode_failure`. The version is checked before the checksum. */
export function readMark(bytes: Buffer, kind: MarkKind, offset = 0): MarkReading {
  if (bytes.length - offset < markBytes) return { reason: 'incomplete_header' }
  if (bytes.toString('latin1', offset, offset + 8) !== magics[kind]) return { reason: 'decode_failure' }
  if (bytes.readUInt32LE(offset + 8) !== formatVersions[kind]) return { reason: 'unsupported_version' }
  const sum = crc32(bytes.subarray(offset, offset + checksumOffset))
  if (sum !== bytes.readUInt32LE(offset + checksumOffset)) return { reason: 'crc_mismatch' }
  return { number: readSequence(bytes, offset + 12) }
}
