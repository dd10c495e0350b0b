import * as v from 'valibot'
import { runStates, type Lease, type RunState } from '../../machines/run-vocabulary.js'
import { decode } from '../base/decode.js'
import { isNilUuid } from '../base/ids.js'
import { optionsSchema, strictSchema } from '../base/options.js'
import type { AttemptRecord } from './attempt.js'
import { TaskError } from './errors.js'
import type { AttemptId, RunId, TaskId } from './ids.js'
import { countSchema, idSchema, naturalSchema, prioritySchema } from './scalars.js'

export {
  isTerminalRunState,
  runStates,
  terminalRunStates,
  type Lease,
  type RunState,
  type TerminalRunState,
} from '../../machines/run-vocabulary.js'

/** One run of a task (spec mutation authority 1.6). */
export interface RunInstance {
  /** Never nil. */
  readonly id: RunId
  readonly taskId: TaskId
  readonly state: RunState
  /** Present only while `running`. */
  readonly currentAttemptId?: AttemptId
  /** Attempts started, suspended ones included. */
  readonly attemptCount: number
  readonly createdAtMs: number
  readonly scheduledAtMs: number
  /** Higher is more urgent; the task's priority at creation. */
  readonly effectivePriority: number
  readonly lastStateChangeAtMs: number
}

/** A lease as the projection holds it. */
export interface RunLease extends Lease {
  readonly acquiredAtMs: number
  /** Last acquire or heartbeat. */
  readonly updatedAtMs: number
}

/** One step of a run's life; the first has no `from`. */
export interface RunHistoryEntry {
  readonly from?: RunState
  readonly to: RunState
  readonly atMs: number
  /** Why it was suspended, if somebody said so. */
  readonly reason?: string
}

/** A run with all the projection knows about it. An immutable row: every change makes a new one. */
export interface Run extends RunInstance {
  /** When a waiting retry is due, in epoch milliseconds; only in `retry_wait`, and only if the transition named it. */
  readonly retryAtMs?: number
  readonly lease?: RunLease
  readonly history: readonly RunHistoryEntry[]
  readonly attempts: readonly AttemptRecord[]
}

/** When a waiting retry is due, in epoch milliseconds; at once if nobody named a time. */
export function retryDueAt({ retryAtMs, lastStateChangeAtMs }: Pick<Run, 'retryAtMs' | 'lastStateChangeAtMs'>): number {
  return retryAtMs ?? lastStateChangeAtMs
}

/** What {@link createRun} needs. */
export interface RunInput {
  readonly id: RunId
  readonly taskId: TaskId
  readonly createdAtMs: number
  readonly scheduledAtMs: number
  /** Default 0; pass the task's `metadata.priority`. */
  readonly priority?: number
}

/** The shape of a {@link RunInstance}. */
export const runInstanceSchema: v.GenericSchema<unknown, RunInstance> = strictSchema({
  id: idSchema<RunId>(),
  taskId: idSchema<TaskId>(),
  state: v.picklist(runStates),
  currentAttemptId: v.exactOptional(idSchema<AttemptId>()),
  attemptCount: countSchema,
  createdAtMs: naturalSchema,
  scheduledAtMs: naturalSchema,
  effectivePriority: prioritySchema,
  lastStateChangeAtMs: naturalSchema,
})

const inputSchema = optionsSchema<RunInput>({
  id: idSchema<RunId>(),
  taskId: idSchema<TaskId>(),
  createdAtMs: naturalSchema,
  scheduledAtMs: naturalSchema,
  priority: v.optional(prioritySchema),
})

/** A fresh run in `scheduled`. Raises `invalid_input`, then `invalid_run_id` or `invalid_task_id` for a nil id. */
export function createRun(input: RunInput): RunInstance {
  return freshRun(decode(inputSchema, input, 'run'))
}

/** The same for input whose shape is right. */
export function freshRun({ id, taskId, createdAtMs, scheduledAtMs, priority = 0 }: RunInput): RunInstance {
  checkRunIds(id, taskId)
  return {
    id,
    taskId,
    state: 'scheduled',
    attemptCount: 0,
    createdAtMs,
    scheduledAtMs,
    effectivePriority: priority,
    lastStateChangeAtMs: createdAtMs,
  }
}

/** Raises `invalid_run_id` or `invalid_task_id` for a nil id. */
export function checkRunIds(runId: RunId, taskId: TaskId): void {
  if (isNilUuid(runId)) throw new TaskError('invalid_run_id', { runId })
  if (isNilUuid(taskId)) throw new TaskError('invalid_task_id', { taskId })
}

/** Raises `empty_lease_owner`. */
export function checkOwner({ owner }: Pick<Lease, 'owner'>): void {
  if (owner === '') throw new TaskError('empty_lease_owner', {})
}
