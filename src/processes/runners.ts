import type { ProcessRecord } from './record.js'
import type { ProcessRunner } from './runner.js'

/** Combines several runners: the first one that can run a process runs it. */
export function combineRunners(...runners: readonly ProcessRunner[]): ProcessRunner {
  const runnerOf = (record: ProcessRecord): ProcessRunner => {
    const found = runners.find((runner) => runner.canRun(record))
    if (found === undefined) throw new TypeError(`process ${record.id} was taken and nobody can run it`)
    return found
  }
  return {
    canRun: (record) => runners.some((runner) => runner.canRun(record)),
    canRecover: (record) => runnerOf(record).canRecover?.(record) ?? false,
    run: async (context) => runnerOf(context.record).run(context),
    reap: async (record, store) => runnerOf(record).reap?.(record, store),
    recover: async (context, deadHolder) => runnerOf(context.record).recover?.(context, deadHolder),
  }
}
