import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { createUuidSource } from '../../src/base/ids.js'
import { silentLogger } from '../../src/base/logger.js'
import { Lane } from '../../src/lane/lane.js'
import { NodeHistory } from '../../src/node/history.js'
import type { ChainId, NodeId } from '../../src/node/ids.js'
import { LocalNode } from '../../src/node/local-node.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { JobList } from '../../src/work/job-list.js'
import { elapsed } from '../harness.js'

const id = (value: number): string => value.toString(16).padStart(16, '0')

/** Events per second from `publish` to being folded, one after another through the bounded queue. */
export async function eventsThroughQueue(events: number): Promise<number> {
  const clock = new SimulatedClock()
  const history = new NodeHistory()
  history.start(await Lane.open({ streamFor: () => undefined }))
  const node = new LocalNode(
    { thisNode: id(1) as NodeId },
    {
      clock,
      deadlines: new DeadlineQueue(clock),
      ids: createUuidSource({ now: () => clock.wallNow() }),
      jobs: new JobList(),
      logger: silentLogger,
      history,
    },
  )
  await node.start()
  const handle = node.handle()
  const milliseconds = await elapsed(async () => {
    for (let index = 0; index < events; index += 1) {
      await handle.publish({
        type: 'replica_update',
        change: 'added',
        chain: id(index % 1000) as ChainId,
        holder: id(2 + (index % 5)) as NodeId,
      })
    }
  })
  await node.shutdown({ graceMs: 0 })
  if (node.stats.events !== events + 1) throw new Error(`folded ${node.stats.events} events`)
  return (events * 1000) / milliseconds
}
