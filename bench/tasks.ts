/**
 * The tasks room on a real directory journal: commands per second, whole runs per second, what a wake-up costs while
 * many runs wait for their time, and how long reading everything back takes.
 */
import type { Bench, Cell } from './harness.js'
import { inTemporaryDirectory } from './journal/contenders.js'
import { measureBootstrap } from './tasks/bootstrap.js'
import { measureCommands } from './tasks/commands.js'
import { measureRuns } from './tasks/runs.js'
import { measureScaling } from './tasks/scaling.js'
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
        await measureCommands(directory, options),
        await measureRuns(directory, options),
        await measureWakeUps(options),
        await measureScaling(options),
        await measureBootstrap(directory, options),
      ]
      return {
        name: 'tasks',
        configuration: {
          command: 'one of the ten of a once run, mixed',
        },
        rows: parts.flatMap(({ rows }) => rows),
        ratios: Object.assign({}, ...parts.map(({ ratios }) => ratios)) as Record<string, number>,
        aims: {
          groupCommit256: { atLeast: 20 },
          growth: { atMost: 1.3 },
          idleGrowth: { atMost: 1.3 },
          worstScaling: { atMost: 3 },
        },
      }
    })
  },
}

export default bench
