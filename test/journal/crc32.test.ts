import * as zlib from 'node:zlib'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crc32, crc32ByTable } from '../../src/journal/crc32.js'

describe('crc32', () => {
  it.each([
    ['', 0],
    ['a', 0xe8b7be43],
    ['123456789', 0xcbf43926],
    ['The quick brown fox jumps over the lazy dog', 0x414fa339],
  ])('of %j is the published value', (text, expected) => {
    expect(crc32(Buffer.from(text))).toBe(expected)
    expect(crc32ByTable(Buffer.from(text))).toBe(expected)
  })

  it('of two parts, the first as seed, is that of the whole, wherever it is parted', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, at) => {
        expect(crc32ByTable(bytes.subarray(at), crc32ByTable(bytes.subarray(0, at)))).toBe(gzipChecksum(bytes))
      }),
    )
  })
})

/** The checksum that zlib puts at the end of a gzip stream. */
function gzipChecksum(bytes: Uint8Array): number {
  const packed = zlib.gzipSync(bytes)
  return packed.readUInt32LE(packed.length - 8)
}
