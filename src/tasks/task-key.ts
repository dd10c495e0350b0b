import type { Draft } from '../state/draft.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import type { TaskId } from './ids.js'
import type { TaskSpec } from './task-spec.js'

/** The tables defined in this file: look-ups derived from the specs of all tasks. */
export interface KeyRows {
  /** The task of a key; if it was retried, its last retry. */
  readonly keys: Table<string, Found>
  /** The retry of each task that was retried. */
  readonly retries: Table<TaskId, Found>
}

/** The result of a look-up. */
export interface Found {
  readonly taskId: TaskId
}

/** The reads defined in this file. */
export interface KeyReads {
  /** The task submitted under a key, or the last of its retries. */
  taskByKey(key: string): TaskId | undefined
  /** The task that retries a failed one. */
  retryOf(taskId: TaskId): TaskId | undefined
}

/** The task that prevents a new one from taking its key; a retry takes over the key of the task that it retries. */
export function holderOfKey(view: KeyReads, { key, retryOf }: TaskSpec): TaskId | undefined {
  const holder = key === undefined ? undefined : view.taskByKey(key)
  return holder === retryOf ? undefined : holder
}

/** Raises `key_in_use` if another task has the key. */
export function checkKey(view: KeyReads, spec: TaskSpec): void {
  const taskId = holderOfKey(view, spec)
  if (taskId !== undefined && spec.key !== undefined) throw new TaskError('key_in_use', { key: spec.key, taskId })
}

/** Stages the look-ups of a new task. */
export function indexKey(draft: Draft<KeyRows, unknown>, { id, key, retryOf }: TaskSpec): void {
  if (key !== undefined) draft.put(draft.tables.keys, key, { taskId: id })
  if (retryOf !== undefined) draft.put(draft.tables.retries, retryOf, { taskId: id })
}
