/**
 * The points of edwards25519 whose order divides eight, by their y coordinate, including the two that also have an
 * unreduced encoding. With such a key one signature is valid for many messages.
 */
const smallOrder: readonly Buffer[] = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map((text) => Buffer.from(text, 'hex'))

/** Whether the 32 bytes encode a point of small order. The highest bit, the sign of the x coordinate, is ignored. */
export function hasSmallOrder(point: Uint8Array): boolean {
  const unsigned = Buffer.from(point)
  unsigned[31] = (unsigned[31] ?? 0) & 0x7f
  return smallOrder.some((known) => known.equals(unsigned))
}
