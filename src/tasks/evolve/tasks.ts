import { TaskError } from '../errors.js'
import type { EventOf } from '../events.js'
import { noProgress } from '../phase.js'
import type { Draft } from '../projection/draft.js'
import type { TaskId } from '../ids.js'
import { shareDefaults } from '../task-spec.js'
import { isTerminalRunState, type RunInstance } from '../run.js'
import type { Task, TaskProgress } from '../view.js'

/** Inserts the task below its parent. */
export function taskCreated(draft: Draft, { taskSpec, atMs, sequence }: EventOf<'task_created'>): void {
  if (draft.view.task(taskSpec.id) !== undefined) {
    throw new TaskError('replay_duplicate_event', { sequence, id: taskSpec.id })
  }
  const parent = taskSpec.parentTaskId === undefined ? undefined : known(draft, taskSpec.parentTaskId, sequence)
  draft.put(draft.tables.tasks, taskSpec.id, {
    spec: shareDefaults(taskSpec),
    createdAtMs: atMs,
    depth: parent === undefined ? 0 : parent.depth + 1,
    progress: noProgress,
  })
}

/** Marks the task; its runs are cancelled by events of their own. */
export function taskCancelled(draft: Draft, { taskId, atMs, sequence }: EventOf<'task_cancelled'>): void {
  const task = known(draft, taskId, sequence)
  if (task.cancelledAtMs !== undefined) {
    throw new TaskError('replay_task_already_cancelled', {
      sequence,
      taskId,
      firstCancelledAtMs: task.cancelledAtMs,
      duplicateCancelledAtMs: atMs,
    })
  }
  draft.put(draft.tables.tasks, taskId, { ...task, cancelledAtMs: atMs })
}

/** Adds prerequisites to the task's set. */
export function dependencyDeclared(draft: Draft, { taskId, dependsOn }: EventOf<'dependency_declared'>): void {
  const declared = draft.view.prerequisites(taskId)
  const union = [...new Set([...declared, ...dependsOn])]
  if (union.length > declared.length) putPrerequisites(draft, taskId, union)
}

/** Stages the prerequisites of a task, which begin with those it has. */
export function putPrerequisites(draft: Draft, taskId: TaskId, prerequisites: readonly TaskId[]): void {
  const { tables, view } = draft
  for (const added of prerequisites.slice(view.prerequisites(taskId).length)) {
    draft.put(tables.dependentCounts, added, (tables.dependentCounts.latest(added) ?? 0) + 1)
  }
  draft.put(tables.prerequisites, taskId, prerequisites)
}

/** The progress of a task with one more run. */
export function withRun({ spec, progress }: Task, { state, scheduledAtMs }: RunInstance): TaskProgress {
  const { runs, open, completed, failed, lastScheduledAtMs = 0 } = progress
  return {
    runs: runs + 1,
    open: open + (isTerminalRunState(state) ? 0 : 1),
    completed: completed + (state === 'completed' ? 1 : 0),
    failed: failed + (state === 'failed' ? 1 : 0),
    ...(spec.runPolicy.type !== 'once' && { lastScheduledAtMs: Math.max(lastScheduledAtMs, scheduledAtMs) }),
  }
}

/** The task of an event; raises `replay_task_unknown`. */
export function known(draft: Draft, taskId: TaskId, sequence: number): Task {
  const task = draft.view.task(taskId)
  if (task === undefined) throw new TaskError('replay_task_unknown', { sequence, taskId })
  return task
}
