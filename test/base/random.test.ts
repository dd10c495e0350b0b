import { describe, expect, it } from 'vitest'
import { randomInBlocks } from '../../src/base/random.js'

/** Fills blocks with 1, 2, 3 and so on, each block going on where the last one ended. */
function counting(): { fill: (block: Uint8Array) => void; blocks: Uint8Array[] } {
  const blocks: Uint8Array[] = []
  const fill = (block: Uint8Array): void => {
    for (let place = 0; place < block.length; place += 1) block[place] = blocks.length + 1
    blocks.push(block)
  }
  return { fill, blocks }
}

describe('bytes in blocks', () => {
  it('draws a block for many, and gives no byte out twice', () => {
    let next = 0
    const random = randomInBlocks((block) => {
      for (let place = 0; place < block.length; place += 1) block[place] = next++ % 251
    })
    const given = [...random(24), ...random(1), ...random(24)]
    expect(given).toEqual(Array.from({ length: 49 }, (_, place) => place))
  })

  it('begins a new block when too few are left, and keeps nothing that it gave out', () => {
    const { fill, blocks } = counting()
    const random = randomInBlocks(fill)
    const first = random(4090)
    expect([...random(10)]).toEqual(Array.from({ length: 10 }, () => 2))
    expect(blocks).toHaveLength(2)
    expect([...(blocks[1] as Uint8Array).subarray(0, 11)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])
    // What was given is its owner's.
    expect(first.every((byte) => byte === 1)).toBe(true)
  })

  it('is of the system unless told', () => {
    const random = randomInBlocks()
    expect(Buffer.from(random(24)).equals(Buffer.from(random(24)))).toBe(false)
  })
})
