import * as v from 'valibot'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { TaskError } from './errors.js'
import type { RunId } from './ids.js'
import { removeRun, replayedRun, stageRun, progressWith, type RunReads, type RunRows } from './run-commands.js'
import { freshRun } from './run.js'
import { idSchema, ofTask } from './scalars.js'
import { checkFirstRunIds, checkFirstRuns, firstRunsSchema } from './task-creation.js'
import { checkRunPolicy, runPolicySchema } from './task-spec.js'
import { hasEnded, knownTask, putTask, replayedTask, type TaskProgress } from './task.js'

const entries = {
  ...ofTask,
  /** Replaces the task's policy. */
  runPolicy: v.exactOptional(runPolicySchema),
  /** Scheduled runs to remove, as if they had never been created. */
  dropped: v.array(idSchema<RunId>()),
  /** Runs to create instead. */
  runs: firstRunsSchema,
}

const defineEvent = eventDefiner<RunRows, RunReads>()
const defineCommand = commandDefiner<RunReads>()

/** Replaces scheduled runs of a repeating task, and optionally its policy. */
export const scheduleChanged = defineEvent('schedule_changed', {
  fields: entries,
  check: ({ runPolicy, runs }) => {
    if (runPolicy !== undefined) checkRunPolicy(runPolicy)
    checkFirstRunIds(runs)
  },
  evolve: (draft, { taskId, runPolicy, dropped, runs, atMs, sequence }) => {
    const task = replayedTask(draft.view, taskId, sequence)
    for (const runId of dropped) {
      const run = replayedRun(draft, { runId, atMs, sequence })
      if (run.taskId !== taskId || run.state !== 'scheduled') {
        throw new TaskError('replay_invalid_transition', { sequence, runId, reason: `it is ${run.state}, not dropped` })
      }
      removeRun(draft, run)
    }
    const spec = runPolicy === undefined ? task.spec : { ...task.spec, runPolicy }
    const created = runs.map(({ id, scheduledAtMs }) =>
      freshRun({ id, taskId: task.spec.id, createdAtMs: atMs, scheduledAtMs, priority: spec.metadata.priority }),
    )
    const kept = withoutRuns(task.progress, dropped.length)
    const began = runPolicy === undefined ? kept : withCalendarAt(kept, atMs, created.length === 0)
    const progress = created.reduce((before, run) => progressWith(spec, before, run), began)
    putTask(draft, task, { ...task, spec, progress }, { sequence, atMs })
    for (const run of created) stageRun(draft, run, sequence)
  },
})

/**
 * Checks: task known; repeating, before and after; not cancelled or ended; dropped runs are its own and scheduled; new
 * runs not known; a run is left that can end it.
 */
export const scheduleChange = defineCommand('schedule_change', {
  fields: entries,
  check: ({ runPolicy, runs }) => {
    if (runPolicy !== undefined) checkRunPolicy(runPolicy)
    checkFirstRunIds(runs)
  },
  decide: (view, { type: _, ...payload }, sequence) => {
    const { taskId, runPolicy, dropped, runs } = payload
    const task = knownTask(view, taskId)
    if (task.spec.runPolicy.type === 'once' || runPolicy?.type === 'once') {
      throw new TaskError('task_not_repeating', { taskId })
    }
    if (task.cancelledAtMs !== undefined) throw new TaskError('task_already_cancelled', { taskId })
    if (hasEnded(task)) throw new TaskError('task_already_ended', { taskId })
    for (const runId of new Set(dropped)) {
      const run = view.run(runId)
      if (run?.taskId !== taskId) throw new TaskError('unknown_run', { runId })
      if (run.state !== 'scheduled') {
        throw new TaskError('previous_state_mismatch', { runId, expected: 'scheduled', actual: run.state })
      }
    }
    checkFirstRuns(view, runs)
    if (task.progress.runs - dropped.length + runs.length <= 0) throw new TaskError('schedule_without_runs', { taskId })
    return {
      event: scheduleChanged.create(sequence, { ...payload, dropped: [...new Set(dropped)] }),
      applied: { type: 'schedule_change', taskId } as const,
    }
  },
})

function withoutRuns({ runs, open, ...progress }: TaskProgress, dropped: number): TaskProgress {
  return { ...progress, runs: runs - dropped, open: open - dropped }
}

/**
 * The new calendar continues after its own first runs, or from now if it has none; the position of the old calendar
 * does not count.
 */
function withCalendarAt(progress: TaskProgress, atMs: number, isWithoutRuns: boolean): TaskProgress {
  const { lastScheduledAtMs, ...rest } = progress
  if (!isWithoutRuns || lastScheduledAtMs === undefined) return rest
  return { ...rest, lastScheduledAtMs: Math.min(lastScheduledAtMs, atMs) }
}
