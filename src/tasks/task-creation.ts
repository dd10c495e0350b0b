import * as v from 'valibot'
import { isNilUuid } from '../base/ids.js'
import { strictSchema } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { TaskError } from './errors.js'
import type { RunId } from './ids.js'
import { progressWith, stageRun, type RunReads, type RunRows } from './run-commands.js'
import { freshRun, type RunInstance } from './run.js'
import { idSchema, naturalSchema, timed } from './scalars.js'
import {
  checkOccurs,
  checkTaskSpec,
  shareDefaults,
  storedTaskSpecSchema,
  taskSpecSchema,
  type TaskSpec,
} from './task-spec.js'
import type { TombstoneReads } from './tombstone.js'
import { checkKey, indexKey } from './task-key.js'
import { knownTask, noProgress, phaseOf, replayedTask, takesChildren } from './task.js'

const defineEvent = eventDefiner<RunRows, RunReads>()
const defineCommand = commandDefiner<RunReads & TombstoneReads>()

/** The greatest depth of a task; one without a parent has depth 0 (T-93). */
const depthLimit = 8

/** A run created together with its task, which determines its other fields. */
export interface FirstRun {
  readonly id: RunId
  readonly scheduledAtMs: number
}

/** New scheduled runs of a task, with the task's priority. */
export const firstRunsSchema = v.array(strictSchema({ id: idSchema<RunId>(), scheduledAtMs: naturalSchema }))
const runs = v.exactOptional(firstRunsSchema)

/** Inserts the task below its parent, with its first runs. */
export const taskCreated = defineEvent('task_created', {
  fields: { ...timed, taskSpec: storedTaskSpecSchema, runs },
  check: (event) => {
    checkTaskSpec(event.taskSpec)
    checkFirstRunIds(event.runs)
  },
  evolve: (draft, { taskSpec: spec, runs: firstRuns = [], atMs, sequence }) => {
    const { id: taskId, parentTaskId } = spec
    if (draft.view.task(taskId) !== undefined) throw new TaskError('replay_duplicate_event', { sequence, id: taskId })
    const parent = parentTaskId === undefined ? undefined : replayedTask(draft.view, parentTaskId, sequence)
    const instances = firstRuns.map((first) => instanceOf(spec, first, atMs))
    draft.put(draft.tables.tasks, taskId, {
      spec,
      createdAtMs: atMs,
      depth: parent === undefined ? 0 : parent.depth + 1,
      progress: instances.reduce((progress, run) => progressWith(spec, progress, run), noProgress),
    })
    indexKey(draft, spec)
    for (const run of instances) stageRun(draft, run, sequence)
  },
})

/**
 * Checks: not known; parent known and not finished; depth; first runs not known; a task named in `retryOf` known,
 * failed and not retried; key free.
 */
export const taskCreate = defineCommand('task_create', {
  fields: { ...timed, taskSpec: taskSpecSchema, runs },
  check: (command) => {
    checkTaskSpec(command.taskSpec)
    checkOccurs(command.taskSpec.runPolicy, command.atMs)
    checkFirstRunIds(command.runs)
  },
  decide: (view, { taskSpec, runs: firstRuns, atMs }, sequence) => {
    const { id: taskId } = taskSpec
    if ((view.task(taskId) ?? view.tombstone(taskId)) !== undefined) {
      throw new TaskError('task_already_exists', { taskId })
    }
    checkParent(view, taskSpec)
    checkFirstRuns(view, firstRuns)
    checkRetry(view, taskSpec)
    checkKey(view, taskSpec)
    return {
      event: taskCreated.create(sequence, {
        taskSpec: shareDefaults(taskSpec),
        ...(firstRuns !== undefined && { runs: firstRuns }),
        atMs,
      }),
      applied: { type: 'task_create', taskId } as const,
    }
  },
})

function instanceOf(
  { id: taskId, metadata: { priority } }: TaskSpec,
  first: FirstRun,
  createdAtMs: number,
): RunInstance {
  const { id, scheduledAtMs } = first
  return freshRun({ id, taskId, createdAtMs, scheduledAtMs, priority })
}

/** Raises `invalid_run_id`. */
export function checkFirstRunIds(firstRuns: readonly FirstRun[] = []): void {
  for (const { id: runId } of firstRuns) if (isNilUuid(runId)) throw new TaskError('invalid_run_id', { runId })
}

function checkParent(view: RunReads, { id: taskId, parentTaskId }: TaskSpec): void {
  if (parentTaskId === undefined) return
  const parent = view.task(parentTaskId)
  if (parent === undefined || !takesChildren(parent)) throw new TaskError('orphan_prevention', { taskId, parentTaskId })
  const depth = parent.depth + 1
  if (depth > depthLimit) throw new TaskError('depth_limit_exceeded', { depth, limit: depthLimit })
}

/** Raises `unknown_task`, `retry_requires_failed` or `already_retried`. */
function checkRetry(view: RunReads, { retryOf: taskId }: TaskSpec): void {
  if (taskId === undefined) return
  const phase = phaseOf(knownTask(view, taskId))
  if (phase !== 'failed') throw new TaskError('retry_requires_failed', { taskId, phase })
  const retryTaskId = view.retryOf(taskId)
  if (retryTaskId !== undefined) throw new TaskError('already_retried', { taskId, retryTaskId })
}

/** Raises `run_already_exists`. */
export function checkFirstRuns(view: RunReads, firstRuns: readonly FirstRun[] = []): void {
  const ids = new Set<RunId>()
  for (const { id: runId } of firstRuns) {
    if (ids.has(runId) || view.run(runId) !== undefined) throw new TaskError('run_already_exists', { runId })
    ids.add(runId)
  }
}
