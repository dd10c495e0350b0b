import type { Session } from '../../../src/operations/session.js'
import type { Task, TaskContext } from '../../../src/operations/execution.js'
import { createDeferred, type Deferred } from '../../../src/base/promises.js'

/** A task that does what the test tells it to. */
export interface ScriptedTask {
  readonly task: Task
  /** Resolves with the context once the task was called. */
  readonly started: Promise<TaskContext>
  /** Settles the task. */
  readonly result: Deferred<unknown>
}

export function scriptedTask(): ScriptedTask {
  const started = createDeferred<TaskContext>()
  const result = createDeferred<unknown>()
  return {
    started: started.promise,
    result,
    task: (context) => {
      started.resolve(context)
      return result.promise
    },
  }
}

export const job = { kind: 'background_tool_op', displayName: 'job' } as const

/** Starts a scripted task and waits until it was called. */
export async function startTask(session: Session, options?: { readonly deadlineMs?: number }) {
  const { task, started, result } = scriptedTask()
  const handle = session.run(job, task, options)
  return { ...handle, context: await started, result }
}
