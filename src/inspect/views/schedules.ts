import { hasEnded } from '../../tasks/task.js'
import { nextOccurrence, type Task } from '../../tasks/index.js'
import type { ScheduleRow, SchedulesView } from '../stream/protocol.js'
import { cut, nameOf, taskRef } from './item-rows.js'
import { pageOfMade, type Window } from './pages.js'
import type { InspectedState } from './state.js'

/** Scheduled and recurring tasks, the next first. O(scheduled runs + tasks with a calendar). */
export function schedulesView(state: InspectedState, window: Window): SchedulesView {
  const { tasks } = state
  const nextAt = new Map<string, number>()
  for (const { taskId, scheduledAtMs } of tasks.runsIn('scheduled')) {
    const known = nextAt.get(taskId)
    if (known === undefined || scheduledAtMs < known) nextAt.set(taskId, scheduledAtMs)
  }
  const found = new Map<string, { readonly task: Task; readonly nextAtMs: number | null }>()
  for (const task of tasks.cronTasks()) {
    const { id } = task.spec
    if (!hasEnded(task)) found.set(id, { task, nextAtMs: nextAt.get(id) ?? nextOf(task, state.nowMs()) })
  }
  for (const [taskId, nextAtMs] of nextAt) {
    const task = tasks.task(taskId as Task['spec']['id'])
    if (task !== undefined && !found.has(taskId) && tasks.dependencyGate(task.spec.id) === 'open') {
      found.set(taskId, { task, nextAtMs })
    }
  }
  const ordered = [...found.values()].sort((one, other) => (one.nextAtMs ?? Infinity) - (other.nextAtMs ?? Infinity))
  return {
    view: 'schedules',
    ...pageOfMade(ordered, ({ task, nextAtMs }) => rowOf(state, task, nextAtMs), window),
  }
}

function rowOf(state: InspectedState, { spec }: Task, nextAtMs: number | null): ScheduleRow {
  // Runs of a calendar are planned ahead; those still to come do not count as the last run.
  const nowMs = state.nowMs()
  const past = state.tasks.runsOf(spec.id).filter(({ scheduledAtMs }) => scheduledAtMs <= nowMs)
  const lastAtMs = past.reduce((last, { scheduledAtMs }) => Math.max(last, scheduledAtMs), 0)
  return {
    task: taskRef(spec.id),
    name: nameOf(spec),
    kind: spec.kind,
    schedule: scheduleText(spec),
    nextAtMs,
    ...(lastAtMs > 0 && { lastAtMs }),
  }
}

function nextOf({ spec, cancelledAtMs }: Task, nowMs: number): number | null {
  const { runPolicy } = spec
  if (runPolicy.type !== 'cron' || cancelledAtMs !== undefined) return null
  return nextOccurrence(runPolicy.expression, nowMs, runPolicy.timezone) ?? null
}

function scheduleText({ runPolicy }: Task['spec']): string {
  switch (runPolicy.type) {
    case 'once':
      return 'once'
    case 'repeat':
      return `${runPolicy.count} times, every ${runPolicy.intervalMs} ms`
    case 'cron':
      return cut(
        runPolicy.timezone === undefined ? runPolicy.expression : `${runPolicy.expression} ${runPolicy.timezone}`,
      )
  }
}
