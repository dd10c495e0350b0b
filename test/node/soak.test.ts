import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { chainId, node, NodeWorld } from './support/node-world.js'

const events = process.env['STATEWARD_LONG'] === undefined ? 50_000 : 1_000_000

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function heapMib(): number {
  collect()
  return process.memoryUsage().heapUsed / 2 ** 20
}

it(`[N-459] takes ${events} events in bounded memory, and loses none`, { timeout: 300_000 }, async () => {
  const world = await NodeWorld.open({ eventQueueCapacity: 1024 })
  const handle = world.node.handle()
  let sent = 0
  const send = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1, sent += 1) {
      if (sent % 10 === 0) {
        await handle.publish({ type: 'log_line', level: 'debug', message: `line ${sent}` })
      } else {
        const change = sent % 3 === 0 ? 'removed' : 'added'
        await handle.publish({ type: 'replica_update', change, chain: chainId(sent % 97), holder: node(sent % 11) })
      }
      if (sent % 5000 === 0) await world.tick()
    }
  }
  // Rings and chains are full from here on.
  await send(events / 2)
  const before = heapMib()
  await send(events / 2)
  await world.tick()
  const after = heapMib()
  expect(after - before).toBeLessThan(8)
  expect(world.node.stats.events).toBe(events)
  expect(world.snapshot.logRing).toHaveLength(2048)
  expect(world.snapshot.logRing.at(-1)?.seq).toBe(events / 10)
  expect(world.node.chains.log.size).toBe(Math.min(10_000, events / 10))
  expect(world.node.stats.chains).toEqual({ refused: 0, lost: 0 })
  handle.close()
  await world.close()
})
