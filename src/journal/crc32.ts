import * as zlib from 'node:zlib'

type Checksum = (bytes: Uint8Array, seed: number) => number

/** Node has a native implementation from 22.2 on, which the types of Node 20 do not declare. */
const native = (zlib as { readonly crc32?: Checksum }).crc32

const polynomial = 0xedb88320
const slices = 16

/**
 * Table `k` holds, at `256 * k + byte`, the contribution of `byte` to the checksum once `k` more bytes have followed
 * it. Sixteen look-ups then process sixteen bytes at a time, without a chain of dependent steps between them.
 */
const table = makeTable()

function makeTable(): Int32Array {
  const made = new Int32Array(256 * slices)
  for (let byte = 0; byte < 256; byte += 1) {
    let remainder = byte
    for (let bit = 0; bit < 8; bit += 1) remainder = (remainder >>> 1) ^ (remainder & 1 ? polynomial : 0)
    made[byte] = remainder
  }
  for (let place = 256; place < made.length; place += 1) {
    const before = made[place - 256] as number
    made[place] = (before >>> 8) ^ (made[before & 0xff] as number)
  }
  return made
}

/**
 * CRC-32 (IEEE 802.3, the one of zlib and gzip) of `bytes`, as an unsigned number.
 *
 * `seed` is the checksum of the bytes before them, so that `crc32(b, crc32(a))` is the checksum of `a` followed by `b`.
 */
export const crc32: (bytes: Uint8Array, seed?: number) => number =
  native === undefined ? crc32ByTable : (bytes, seed = 0) => native(bytes, seed)

/** {@link crc32} in plain JavaScript. Exported so that tests can compare both implementations. */
export function crc32ByTable(bytes: Uint8Array, seed = 0): number {
  const t = table
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let sum = ~seed
  let at = 0
  for (const end = bytes.length - (bytes.length % slices); at < end; at += slices) {
    const a = words.getInt32(at, true) ^ sum
    const b = words.getInt32(at + 4, true)
    const c = words.getInt32(at + 8, true)
    const d = words.getInt32(at + 12, true)
    sum = fold(t, 3072, a) ^ fold(t, 2048, b) ^ fold(t, 1024, c) ^ fold(t, 0, d)
  }
  for (; at < bytes.length; at += 1) sum = (sum >>> 8) ^ (t[(sum ^ (bytes[at] as number)) & 0xff] as number)
  return ~sum >>> 0
}

/** The contribution of the four bytes of `word`; `base` is 256 times the number of bytes that follow them. */
function fold(t: Int32Array, base: number, word: number): number {
  return (
    (t[base + 768 + (word & 0xff)] as number) ^
    (t[base + 512 + ((word >>> 8) & 0xff)] as number) ^
    (t[base + 256 + ((word >>> 16) & 0xff)] as number) ^
    (t[base + (word >>> 24)] as number)
  )
}
