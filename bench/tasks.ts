/**
 * The tasks room on a real directory journal: commands per second, whole runs per second, what a wake-up costs while
 * many runs wait for their time, and how long reading everything back takes.
 */
import type { Bench } from './harness.js'
import { inTemporaryDirectory } from './journal/contenders.js'
import { measureBootstrap } from './tasks/bootstrap.js'
import { measureCommands } from './tasks/commands.js'

const bench: Bench = {
  name: 'tasks',
  async run(options) {
    return inTemporaryDirectory(async (directory) => {
      const parts = [await measureCommands(directory, options), await measureBootstrap(directory, options)]
      return {
        name: 'tasks',
        configuration: {},
        rows: parts.flatMap(({ rows }) => rows),
        ratios: Object.assign({}, ...parts.map(({ ratios }) => ratios)),
        aims: { groupCommit256: { atLeast: 20 } },
      }
    })
  },
}

export default bench
