import { setImmediate } from 'node:timers/promises'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { createUuidSource } from '../../src/base/ids.js'
import { silentLogger } from '../../src/base/logger.js'
import { Lane } from '../../src/lane/lane.js'
import { NodeHistory } from '../../src/node/history.js'
import type { NodeEvent } from '../../src/node/event.js'
import type { ChainId, NodeId } from '../../src/node/ids.js'
import { LocalNode } from '../../src/node/local-node.js'
import type { PublishHandle } from '../../src/node/publish-handle.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { JobList } from '../../src/work/job-list.js'
import { elapsed, type BenchOptions } from '../harness.js'
import type { Part } from '../tasks.js'

/** Events per second from `publish` to being folded: each waited for, and as many at a time as the queue holds. */
export async function measureQueue({ quick, progress }: BenchOptions): Promise<Part> {
  const events = quick ? 5_000 : 500_000
  progress(`${events} events through the queue of a node`)
  const oneByOne = await eventsPerSecond(events, async (handle) => {
    for (let index = 0; index < events; index += 1) await handle.publish(eventOf(index))
  })
  const inBursts = await eventsPerSecond(events, async (handle) => {
    for (let index = 0; index < events; ) {
      for (let room = capacity; room > 0 && index < events; room -= 1, index += 1) handle.tryPublish(eventOf(index))
      await setImmediate()
    }
  })
  return {
    rows: [
      { what: 'events published one by one', 'per second': oneByOne },
      { what: `events published ${capacity} at a time`, 'per second': inBursts },
    ],
    ratios: { eventsPerSecond: oneByOne, burstEventsPerSecond: inBursts },
  }
}

const capacity = 1024
const id = (value: number): string => value.toString(16).padStart(16, '0')

function eventOf(index: number): NodeEvent {
  return {
    type: 'replica_update',
    change: 'added',
    chain: id(index % 1000) as ChainId,
    holder: id(2 + (index % 5)) as NodeId,
  }
}

/** On a clock that stands still, so that no tick comes in between. */
async function eventsPerSecond(events: number, publish: (handle: PublishHandle) => Promise<void>): Promise<number> {
  const clock = new SimulatedClock()
  const history = new NodeHistory()
  history.start(await Lane.open({ streamFor: () => undefined }))
  const ids = createUuidSource({ now: () => clock.wallNow() })
  const deadlines = new DeadlineQueue(clock)
  const node = new LocalNode(
    { thisNode: id(1) as NodeId, eventQueueCapacity: capacity },
    { clock, deadlines, ids, jobs: new JobList(), logger: silentLogger, history },
  )
  await node.start()
  const handle = node.handle()
  const milliseconds = await elapsed(() => publish(handle))
  await node.shutdown({ graceMs: 0 })
  // The shutdown is one of them.
  if (node.stats.events !== events + 1) throw new Error(`folded ${node.stats.events} events`)
  return (events * 1000) / milliseconds
}
