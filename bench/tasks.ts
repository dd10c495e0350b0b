/**
 * Tasks on a real directory journal: whole tasks per second through a runtime, what one costs in things that can be
 * counted, what it keeps in memory, how long opening and snapshots take and whether they let others have their turn; and
 * of the room alone, commands per second, what a wake-up costs while many runs wait for their time, and reading back.
 */
import type { Bench, Cell } from './harness.js'
import { inTemporaryDirectory } from './journal/contenders.js'
import { measureBootstrap } from './tasks/bootstrap.js'
import { measureCommands } from './tasks/commands.js'
import { measureCounts } from './tasks/counts.js'
import { measureMemory } from './tasks/memory.js'
import { measureOpenings } from './tasks/opening.js'
import { measureRetention } from './tasks/retention.js'
import { measureQueue } from './tasks/queue.js'
import { measureRuns } from './tasks/runs.js'
import { measureScaling } from './tasks/scaling.js'
import { measureSteps } from './tasks/steps.js'
import { measureWakeUps } from './tasks/wake-ups.js'

/** What one part of the bench found out. */
export interface Part {
  readonly rows: readonly Readonly<Record<string, Cell>>[]
  readonly ratios: Readonly<Record<string, number>>
}

const bench: Bench = {
  name: 'tasks',
  async run(options) {
    return inTemporaryDirectory(async (directory) => {
      const parts: Part[] = [
        await measureRuns(directory, options),
        await measureMemory(options),
        await measureOpenings(directory, options),
        await measureCommands(directory, options),
        await measureWakeUps(options),
        await measureScaling(options),
        await measureBootstrap(directory, options),
        await measureRetention(directory, options),
        await measureQueue(options),
        await measureSteps(directory, options),
        // Last, because what counts calls slows everything down.
        await measureCounts(directory, options),
      ]
      return {
        name: 'tasks',
        configuration: {
          task: 'empty payload, handler and output',
          command: 'one of the ten of a once run, mixed',
        },
        rows: parts.flatMap(({ rows }) => rows),
        ratios: Object.assign({}, ...parts.map(({ ratios }) => ratios)) as Record<string, number>,
        aims: {
          ofSqliteLoop256: { atLeast: 0.2 },
          bytesPerQueued: { atMost: 800 },
          bytesPerEnded: { atMost: 800 },
          callsPerTask: { atMost: 800 },
          promisesPerTask: { atMost: 20 },
          eventsPerTask: { atMost: 4 },
          journalBytesPerTask: { atMost: 1_000 },
          abortSignalAnyPerTask: { atMost: 0 },
          longestBlockMs: { atMost: 50 },
          tasksOpenedPerSecond: { atLeast: 50_000 },
          growth: { atMost: 1.3 },
          groupCommit256: { atLeast: 20 },
          idleGrowth: { atMost: 1.3 },
          worstScaling: { atMost: 3 },
          retentionFlat: { atMost: 1.1 },
          queueVsDirect: { atMost: 1.3 },
          stepsVsDbos: { atLeast: 10 },
        },
      }
    })
  },
}

export default bench
