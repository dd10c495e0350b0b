import { afterEach, describe, expect, it } from 'vitest'
import { toArray, lastValueFrom, map } from 'rxjs'
import type { EpochId } from '../../src/node/ids.js'
import type { LogRecord } from '../../src/node/records.js'
import { newInRing, type RingEvent, type RingPosition } from '../../src/node/snapshot-reader.js'
import { chainId, node, NodeWorld, settle, thisNode } from './support/node-world.js'

const worlds: NodeWorld[] = []
afterEach(async () => {
  for (const world of worlds.splice(0)) if (world.node.isRunning) await world.close()
})

async function open(): Promise<NodeWorld> {
  const world = await NodeWorld.open()
  worlds.push(world)
  return world
}

const [first, second] = ['1'.repeat(16), '2'.repeat(16)] as [EpochId, EpochId]
const line = (seq: number): LogRecord => ({
  seq,
  chainPending: false,
  atMs: 7,
  level: 'info',
  nodeId: thisNode,
  message: `line ${seq}`,
})
const ring = (epoch: EpochId, ...seqs: number[]) => ({ epoch, logRing: seqs.map(line) })

/** What a follower sees of rings that are shown to it one after another. */
function seen(...rings: ReturnType<typeof ring>[]) {
  let position: RingPosition | undefined
  return rings.flatMap((shown) => {
    const found = newInRing(shown, 'logRing', position)
    position = found.position
    return found.events.map((event) => (event.type === 'record' ? event.record.seq : [event.after, event.through]))
  })
}

describe('following a ring (R5 to R8)', () => {
  it('[N-470] shows each record once, in order, and begins anew with another epoch', () => {
    expect(seen(ring(first, 1, 2), ring(first, 1, 2), ring(first, 2, 3))).toEqual([1, 2, 3])
    // The other life has written as many: they are no repeats.
    expect(seen(ring(first, 1, 2, 3), ring(second, 1, 2, 3))).toEqual([1, 2, 3, 1, 2, 3])
  })

  it('[N-471] tells of what has left the ring before it was seen, at the start of an epoch too', () => {
    expect(seen(ring(first, 1, 2), ring(first, 5, 6))).toEqual([1, 2, [2, 4], 5, 6])
    expect(seen(ring(first, 3, 4))).toEqual([[0, 2], 3, 4])
    expect(seen(ring(first, 1), ring(first, 3))).toEqual([1, [1, 2], 3])
    expect(seen(ring(first, 1), ring(second, 9))).toEqual([1, [0, 8], 9])
  })

  it('[N-470] never shows a record that was rebuilt, which has the number 0', () => {
    expect(seen(ring(first, 0, 0, 1))).toEqual([1])
  })
})

describe('the reader of a node', () => {
  it('[N-472] follows a ring as an iteration and as a stream, and ends with the node', async () => {
    const world = await open()
    const say = (message: string) => world.node.publish({ type: 'log_line', level: 'info', message })
    await say('one')
    await world.tick()
    const messageOf = (event: RingEvent<LogRecord>) => (event.type === 'record' ? event.record.message : event.type)
    const streamed = lastValueFrom(world.node.reader.observeRing('logRing').pipe(map(messageOf), toArray()))
    const iterated: string[] = []
    const following = (async () => {
      for await (const event of world.node.reader.ring('logRing')) iterated.push(messageOf(event))
    })()
    const later: string[] = []
    const followingLater = (async () => {
      for await (const event of world.node.reader.ring('logRing', { from: 'now' })) later.push(messageOf(event))
    })()
    await settle()
    expect(iterated).toEqual(['one'])
    await say('two')
    await world.tick()
    await say('three')
    await settle()
    await world.close()
    await Promise.all([following, followingLater])
    expect(iterated).toEqual(['one', 'two', 'three'])
    expect(later).toEqual(['two', 'three'])
    expect(await streamed).toEqual(['one', 'two', 'three'])
  })

  it('[N-472] leaves an iteration when its signal aborts', async () => {
    const world = await open()
    const leaving = new AbortController()
    const following = (async () => {
      for await (const _ of world.node.reader.ring('logRing', { signal: leaving.signal }));
    })()
    await settle()
    leaving.abort(new Error('enough'))
    await expect(following).rejects.toThrow('enough')
  })

  it('[N-473] R11: tells that something has changed, and not that time has passed', async () => {
    const world = await open()
    const { reader } = world.node
    await world.tick()
    const before = reader.generation
    await world.tick(3)
    expect(reader.generation).toBe(before)
    const changed = reader.changed(before)
    await world.node.publish({ type: 'replica_update', change: 'added', chain: chainId(1), holder: node(2) })
    await settle()
    await world.tick()
    expect(await changed).toBe(before + 1)
    expect(await reader.changed(before)).toBe(before + 1)
  })

  it('[N-474] shows what one selects as a store, and hears nobody who throws', async () => {
    const world = await open()
    const seenHolders: number[] = []
    const holders = world.node.reader.select(({ replicas }) => replicas.get(chainId(1))?.holders.length ?? 0)
    holders.subscribe((count) => {
      seenHolders.push(count)
    })
    holders.subscribe(() => {
      throw new Error('not my day')
    })
    for (const holder of [2, 3]) {
      await world.node.publish({ type: 'replica_update', change: 'added', chain: chainId(1), holder: node(holder) })
      await settle()
      await world.tick(2)
    }
    expect(seenHolders).toEqual([1, 2])
    expect(world.node.stats.passes).toBe(4)
    const shown: number[] = []
    const subscription = world.node.reader.observe().subscribe(({ pass }) => shown.push(pass))
    await world.tick(2)
    subscription.unsubscribe()
    await world.tick()
    expect(shown).toEqual([4, 5, 6])
  })
})
