import { createUuidSource } from '../../src/base/ids.js'
import { succeeded } from '../../src/tasks/attempt-outcome.js'
import { encodeBytes } from '../../src/tasks/bytes.js'
import type { TaskCommand } from '../../src/tasks/catalogue.js'
import type { AttemptId, RunId, TaskId } from '../../src/tasks/ids.js'
import type { TaskBatch } from '../../src/tasks/authority.js'
import { createRun } from '../../src/tasks/run.js'
import { createTaskSpec } from '../../src/tasks/task-spec.js'

/** Where every bench begins to count, epoch milliseconds. */
export const epoch = 1_760_000_000_000

export const ids = createUuidSource({ now: () => Date.now() })

/** Commands of one whole life. */
export const commandsPerLife = 10

/** The ten commands of a task that runs once, from its creation to its completion (T-173). */
interface Life {
  readonly taskId: TaskId
  readonly runId: RunId
  readonly attemptId: AttemptId
}

function newLife(): Life {
  return { taskId: ids.uuid() as TaskId, runId: ids.uuid() as RunId, attemptId: ids.uuid() as AttemptId }
}

/** Up to the lease, whose sequence becomes the fencing token of what follows. */
function beginning({ taskId, runId }: Life): TaskCommand[] {
  const move = { type: 'run_state_transition', runId, atMs } as const
  return [
    { type: 'task_create', atMs, taskSpec: createTaskSpec({ id: taskId, kind: 'mail', payload }) },
    { type: 'run_create', runInstance: createRun({ id: runId, taskId, createdAtMs: epoch, scheduledAtMs: epoch }) },
    { ...move, previousState: 'scheduled', newState: 'ready' },
    { ...move, previousState: 'ready', newState: 'leased' },
    { type: 'lease_acquire', runId, ...lease },
  ]
}

function ending({ runId, attemptId }: Life, fencingToken: number): TaskCommand[] {
  const move = { type: 'run_state_transition', runId, atMs } as const
  return [
    { ...move, previousState: 'leased', newState: 'running', fencingToken },
    { type: 'attempt_start', runId, attemptId, atMs, fencingToken },
    { type: 'attempt_finish', runId, attemptId, atMs, fencingToken, outcome: succeeded() },
    { type: 'lease_release', runId, ...lease, fencingToken },
    { ...move, previousState: 'running', newState: 'completed' },
  ]
}

/** One whole life, each command made durable before the next. `submit` returns the sequence of its command. */
export async function liveOnce(submit: (command: TaskCommand) => Promise<number>): Promise<void> {
  const life = newLife()
  let sequence = 0
  for (const command of beginning(life)) sequence = await submit(command)
  for (const command of ending(life, sequence)) await submit(command)
}

/** One whole life in one atomic batch. */
export function liveInBatch(batch: TaskBatch): void {
  const life = newLife()
  let sequence = 0
  for (const command of beginning(life)) sequence = batch.submit(command).sequence
  for (const command of ending(life, sequence)) batch.submit(command)
}

const atMs = epoch
const lease = { owner: 'worker-1', expiresAtMs: epoch + 300_000, atMs } as const
const payload = {
  bytes: encodeBytes(Buffer.from('{"to":"someone","subject":"hello"}')),
  contentType: 'application/json',
}
