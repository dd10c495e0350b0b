import type { IdSource } from '../../base/ids.js'
import { budgetDimension } from '../budget.js'
import type { BytesInput } from '../bytes.js'
import type { TaskConstraints } from '../constraints.js'
import type { TaskId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import type { RunPolicy } from '../run-policy.js'
import type { Timestamp } from '../scalars.js'
import { createTaskSpec, type TaskMetadata } from '../task-spec.js'
import { firstRuns } from './occurrences.js'

/** What must run, as a service says it. */
export interface SubmitInput {
  /** Names the handler. */
  readonly kind: string
  /** Minted when absent. */
  readonly id?: TaskId
  /** Bytes as they are; text as UTF-8; anything else as JSON text. */
  readonly payload?: unknown
  readonly contentType?: string
  /** Default: once, now. */
  readonly runPolicy?: RunPolicy
  readonly constraints?: Partial<TaskConstraints>
  readonly metadata?: Partial<TaskMetadata>
  readonly parentTaskId?: TaskId
  /** Tasks that must have completed before this one may start. */
  readonly dependsOn?: readonly TaskId[]
  /** Limits by dimension, for this task and everything below it; money in micro-units, `cost:usd`. */
  readonly budgets?: Readonly<Record<string, number>>
}

/** Adds a task with its runs, prerequisites and budgets to a batch: all of it becomes durable, or none. */
export function submitInto(batch: TaskBatch, input: SubmitInput, timestamp: Timestamp, ids: IdSource): TaskId {
  const { id = ids.uuid() as TaskId, kind, payload, contentType, dependsOn = [], budgets = {} } = input
  const { runPolicy, constraints, metadata, parentTaskId } = input
  const taskSpec = createTaskSpec({
    id,
    kind,
    payload: { bytes: bytesOf(payload), ...(contentType !== undefined && { contentType }) },
    ...(runPolicy !== undefined && { runPolicy }),
    ...(constraints !== undefined && { constraints }),
    ...(metadata !== undefined && { metadata }),
    ...(parentTaskId !== undefined && { parentTaskId }),
  })
  batch.submit({ type: 'task_create', taskSpec, timestamp })
  for (const runInstance of firstRuns(taskSpec, timestamp, ids)) batch.submit({ type: 'run_create', runInstance })
  if (dependsOn.length > 0) batch.submit({ type: 'dependency_declare', taskId: id, dependsOn, timestamp })
  for (const [name, limit] of Object.entries(budgets)) {
    batch.submit({ type: 'budget_allocate', taskId: id, dimension: budgetDimension(name), limit, timestamp })
  }
  return id
}

/** Bytes as they are, text as UTF-8, nothing as nothing, anything else as JSON text. */
export function bytesOf(value: unknown): BytesInput {
  if (value === undefined) return new Uint8Array()
  if (value instanceof Uint8Array) return value
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
}
