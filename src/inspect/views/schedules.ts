import { hasEnded } from '../../tasks/task.js'
import { nextOccurrence, type Task } from '../../tasks/index.js'
import type { ScheduleRow, SchedulesView } from '../stream/protocol.js'
import { cut, taskRef } from './item-rows.js'
import { pageOf, type Window } from './pages.js'
import type { InspectedState } from './state.js'

/** Tasks that come again or later, the next first. O(scheduled runs + tasks with a calendar). */
export function schedulesView(state: InspectedState, window: Window): SchedulesView {
  const { tasks } = state
  const nextAt = new Map<string, number>()
  for (const { taskId, scheduledAtMs } of tasks.runsIn('scheduled')) {
    const known = nextAt.get(taskId)
    if (known === undefined || scheduledAtMs < known) nextAt.set(taskId, scheduledAtMs)
  }
  const rows = new Map<string, ScheduleRow>()
  for (const task of tasks.cronTasks()) {
    if (!hasEnded(task)) rows.set(task.spec.id, rowOf(task, nextAt.get(task.spec.id) ?? nextOf(task, state.nowMs())))
  }
  for (const [taskId, atMs] of nextAt) {
    const task = tasks.task(taskId as Task['spec']['id'])
    if (task !== undefined && !rows.has(taskId) && tasks.dependencyGate(task.spec.id) === 'open') {
      rows.set(taskId, rowOf(task, atMs))
    }
  }
  const ordered = [...rows.values()].sort((one, other) => (one.nextAtMs ?? Infinity) - (other.nextAtMs ?? Infinity))
  return { view: 'schedules', ...pageOf(ordered, window) }
}

function rowOf({ spec, progress }: Task, nextAtMs: number | null): ScheduleRow {
  const { id, kind, key, metadata } = spec
  const { lastScheduledAtMs: lastAtMs } = progress
  return {
    task: taskRef(id),
    name: cut(metadata.description ?? key ?? kind),
    kind,
    schedule: scheduleText(spec),
    nextAtMs,
    ...(lastAtMs !== undefined && { lastAtMs }),
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
