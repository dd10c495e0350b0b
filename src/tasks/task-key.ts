import type { Draft } from '../state/draft.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import type { TaskId } from './ids.js'
import type { TaskSpec } from './task-spec.js'

/** Tables of this file: what follows from the specs of all tasks, for looking up. */
export interface KeyRows {
  /** The task of a key; of a task and its retries the last. */
  readonly keys: Table<string, Found>
  /** The retry of a task. */
  readonly retries: Table<TaskId, Found>
}

/** What a look-up finds. */
export interface Found {
  readonly taskId: TaskId
}

/** Reads of this file. */
export interface KeyReads {
  /** The task that was submitted under a key of the service's own, or the last of its retries. */
  taskByKey(key: string): TaskId | undefined
  /** The task that does a failed one again. */
  retryOf(taskId: TaskId): TaskId | undefined
}

/** The task whose key a new one would take; a retry takes over the key of what it does again. */
export function holderOfKey(view: KeyReads, { key, retryOf }: TaskSpec): TaskId | undefined {
  const holder = key === undefined ? undefined : view.taskByKey(key)
  return holder === retryOf ? undefined : holder
}

/** Raises `key_in_use` for a key that another task has. */
export function checkKey(view: KeyReads, spec: TaskSpec): void {
  const taskId = holderOfKey(view, spec)
  if (taskId !== undefined && spec.key !== undefined) throw new TaskError('key_in_use', { key: spec.key, taskId })
}

/** Stages what a task adds to the tables. */
export function indexKey(draft: Draft<KeyRows, unknown>, { id, key, retryOf }: TaskSpec): void {
  if (key !== undefined) draft.put(draft.tables.keys, key, { taskId: id })
  if (retryOf !== undefined) draft.put(draft.tables.retries, retryOf, { taskId: id })
}
