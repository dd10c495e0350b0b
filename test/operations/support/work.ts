import type { Session } from '../../../src/operations/session.js'
import type { Work, WorkContext } from '../../../src/operations/execution.js'
import { createDeferred, type Deferred } from '../../../src/base/promises.js'

/** A work that does what the test tells it to. */
export interface ScriptedWork {
  readonly work: Work
  /** Resolves with the context once the work was called. */
  readonly started: Promise<WorkContext>
  /** Settles the work. */
  readonly result: Deferred<unknown>
}

export function scriptedWork(): ScriptedWork {
  const started = createDeferred<WorkContext>()
  const result = createDeferred<unknown>()
  return {
    started: started.promise,
    result,
    work: (context) => {
      started.resolve(context)
      return result.promise
    },
  }
}

export const job = { kind: 'background_tool_op', displayName: 'job' } as const

/** Starts a scripted work and waits until it was called. */
export async function startWork(session: Session, options?: { readonly deadlineMs?: number }) {
  const { work, started, result } = scriptedWork()
  const handle = session.run(job, work, options)
  const { id, outcome } = handle
  return { id, outcome, cancel: (reason?: string) => handle.cancel(reason), context: await started, result }
}
