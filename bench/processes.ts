/**
 * Processes: what waiting costs while nothing happens, how long a change takes to reach those who wait for it, appends per
 * second on each store, a sweep, lists, and whole processes per second on PostgreSQL beside the job queue pg-boss.
 */
import type { Bench } from './harness.js'
import type { Part } from './tasks.js'
import { measureAppends } from './processes/appends.js'
import { measureJobs } from './processes/jobs.js'
import { measureLists } from './processes/lists.js'
import { measureSweep } from './processes/sweep.js'
import { measureTicks } from './processes/ticks.js'
import { measureWaiters } from './processes/waiters.js'
import { withPostgres } from './processes/stores.js'

const bench: Bench = {
  name: 'processes',
  async run(options) {
    const parts = await withPostgres(
      async (url): Promise<Part[]> => [
        await measureWaiters(options),
        await measureTicks(options),
        await measureAppends(url, options),
        await measureLists(url, options),
        await measureSweep(options),
        await measureJobs(url, options),
      ],
    )
    return {
      name: 'processes',
      configuration: { postgres: 'fsync off, on this machine' },
      rows: parts.flatMap(({ rows }) => rows),
      ratios: Object.assign({}, ...parts.map(({ ratios }) => ratios)) as Record<string, number>,
      aims: {
        idleReadsPerSecond: { atMost: 0 },
        growth: { atMost: 1.5 },
        vsPgBoss: { atLeast: 1 },
      },
    }
  },
}

export default bench
