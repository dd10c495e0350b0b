/**
 * The reconcile loop of a node: one tick (a thousand events folded, a pass, a snapshot) by the number of daemons and chains, the
 * tables beside copies of maps, what a daemon takes of memory, commits of operators judged per second, and events
 * per second through the queue.
 */
import type { Bench } from './harness.js'
import { measureCopies } from './node/copies.js'
import { measureMemory } from './node/memory.js'
import { measureQueue } from './node/queue.js'
import { measureTicks } from './node/ticks.js'
import { measureVerification } from './node/verify.js'
import type { Part } from './tasks.js'

const bench: Bench = {
  name: 'node',
  async run(options) {
    const parts: Part[] = [
      await measureMemory(options),
      await measureTicks(options),
      await measureCopies(options),
      measureVerification(options),
      await measureQueue(options),
    ]
    return {
      name: 'node',
      configuration: { events: 1000 },
      rows: parts.flatMap(({ rows }) => rows),
      ratios: Object.assign({}, ...parts.map(({ ratios }) => ratios)) as Record<string, number>,
      aims: { foldVsCopy: { atLeast: 20 } },
    }
  },
}

export default bench
