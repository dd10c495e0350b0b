import { randomFillSync } from 'node:crypto'

const blockSize = 4096

/**
 * A source of unguessable bytes that draws them from the system in blocks, each of them given out once: a call of the system for
 * each id would cost more than making the id. At most 4,096 bytes at a time.
 */
export function randomInBlocks(fill: (block: Uint8Array) => void = randomFillSync): (size: number) => Uint8Array {
  const block = new Uint8Array(blockSize)
  let used = blockSize
  return (size) => {
    if (used + size > blockSize) {
      fill(block)
      used = 0
    }
    const bytes = block.slice(used, used + size)
    // Nothing that was given out stays here.
    block.fill(0, used, used + size)
    used += size
    return bytes
  }
}
