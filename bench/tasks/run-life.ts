import { createUuidSource } from '../../src/base/ids.js'
import { succeeded } from '../../src/tasks/attempt.js'
import { encodeBytes } from '../../src/tasks/bytes.js'
import type { TaskCommand } from '../../src/tasks/commands.js'
import type { AttemptId, RunId, TaskId } from '../../src/tasks/ids.js'
import { createRun } from '../../src/tasks/run.js'
import { createTaskSpec } from '../../src/tasks/task-spec.js'

/** Where every bench begins to count, epoch seconds. */
export const epoch = 1_760_000_000

export const ids = createUuidSource({ now: () => Date.now() })

/** Commands of one whole life. */
export const commandsPerLife = 10

/**
 * One task that runs once, from its creation to its completion: the ten commands of spec mutation authority 2.4, each
 * made when the one before it was answered. `submit` returns the sequence it was given.
 */
export async function liveOnce(submit: (command: TaskCommand) => Promise<number>): Promise<void> {
  const taskId = ids.uuid() as TaskId
  const runId = ids.uuid() as RunId
  const attemptId = ids.uuid() as AttemptId
  const timestamp = epoch
  const move = { type: 'run_state_transition', runId, timestamp } as const
  const lease = { runId, owner: 'worker-1', expiry: epoch + 300, timestamp } as const
  await submit({ type: 'task_create', timestamp, taskSpec: createTaskSpec({ id: taskId, kind: 'mail', payload }) })
  await submit({
    type: 'run_create',
    runInstance: createRun({ id: runId, taskId, createdAt: epoch, scheduledAt: epoch }),
  })
  await submit({ ...move, previousState: 'scheduled', newState: 'ready' })
  await submit({ ...move, previousState: 'ready', newState: 'leased' })
  const fencingToken = await submit({ type: 'lease_acquire', ...lease })
  await submit({ ...move, previousState: 'leased', newState: 'running', fencingToken })
  await submit({ type: 'attempt_start', runId, attemptId, timestamp, fencingToken })
  await submit({ type: 'attempt_finish', runId, attemptId, timestamp, fencingToken, outcome: succeeded() })
  await submit({ type: 'lease_release', ...lease, fencingToken })
  await submit({ ...move, previousState: 'running', newState: 'completed' })
}

const payload = {
  bytes: encodeBytes(Buffer.from('{"to":"someone","subject":"hello"}')),
  contentType: 'application/json',
}
