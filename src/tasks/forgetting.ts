import * as v from 'valibot'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import type { Table } from '../state/table.js'
import { payloadDigest } from './content.js'
import type { DependencyReads, DependencyRows } from './dependencies.js'
import { TaskError } from './errors.js'
import type { ReservationId, RunId, SubscriptionId, TaskId } from './ids.js'
import { removeRun, replayedRun } from './run-commands.js'
import { isTerminalRunState, type Run } from './run.js'
import { idSchema, ofTask, naturalSchema, taskIdsSchema, timed } from './scalars.js'
import type { ReservationReads } from './reservation.js'
import type { StepRows } from './step.js'
import { isArmed, type SubscriptionReads, type SubscriptionRows } from './subscription.js'
import { hasEnded, knownTask, phaseOf, replayedTask, type ForgottenRuns, type Task } from './task.js'
import type { TaskUse } from './task-use.js'
import type { TombstoneReads, TombstoneRows } from './tombstone.js'
import type { WaitRows } from './wait.js'

/** The tables with data that belongs to a task. */
export type ForgettingRows = DependencyRows & SubscriptionRows & StepRows & WaitRows & TombstoneRows

/** Reads of everything that refers to a task. Keys may be of rows that the view does not show. */
export interface ForgettingReads extends DependencyReads, ReservationReads, SubscriptionReads, TombstoneReads {
  tombstone: TombstoneReads['tombstone']
  openRunsOf(taskId: TaskId): readonly Run[]
  /** The direct children of a task. */
  childrenOf(taskId: TaskId): Iterable<TaskId>
  /** Tasks that depend on a task, including those that have ended. */
  dependentsOf(taskId: TaskId): Iterable<TaskId>
  /** Subscriptions of a task, and those that an event about it triggers. */
  subscriptionsAbout(taskId: TaskId): Iterable<SubscriptionId>
  /** Open reservations for a task or run. */
  reservationsFor(id: TaskId | RunId): Iterable<ReservationId>
}

type ForgettingDraft = Draft<ForgettingRows, ForgettingReads>

const defineEvent = eventDefiner<ForgettingRows, ForgettingReads>()
const defineCommand = commandDefiner<ForgettingReads>()

const ofTasks = { ...timed, taskIds: taskIdsSchema, tombstonesUntilMs: naturalSchema }
const ofRuns = { ...ofTask, runIds: v.array(idSchema<RunId>()) }

/** Tasks are removed with everything that belongs to them, leaving a tombstone each. */
export const tasksForgotten = defineEvent('tasks_forgotten', {
  fields: ofTasks,
  evolve: (draft, { taskIds, tombstonesUntilMs: untilMs, atMs: forgottenAtMs, sequence }) => {
    for (const taskId of taskIds) {
      const task = replayedTask(draft.view, taskId, sequence)
      const status = phaseOf(task)
      if (status === 'open') {
        throw new TaskError('replay_corrupted_data', { sequence, reason: `task ${taskId} has not ended` })
      }
      removeTask(draft, task)
      const { kind, key, payload } = task.spec
      const holdsKey = key !== undefined && draft.tables.keys.latest(key)?.taskId === taskId
      const held = holdsKey ? { key, payloadDigest: payloadDigest(payload) } : {}
      draft.put(draft.tables.tombstones, taskId, { taskId, kind, status, forgottenAtMs, untilMs, ...held })
    }
  },
})

/** Runs are removed with their steps and waits; their task still counts them. */
export const runsForgotten = defineEvent('runs_forgotten', {
  fields: ofRuns,
  evolve: (draft, { taskId, runIds, atMs, sequence }) => {
    const task = replayedTask(draft.view, taskId, sequence)
    let { runs, completed, failed }: ForgottenRuns = task.forgottenRuns ?? { runs: 0, completed: 0, failed: 0 }
    for (const runId of runIds) {
      const run = replayedRun(draft, { runId, atMs, sequence })
      if (run.taskId !== taskId || !isTerminalRunState(run.state)) {
        throw new TaskError('replay_invalid_transition', {
          sequence,
          runId,
          reason: `it is ${run.state}, not forgotten`,
        })
      }
      removeRunWithParts(draft, run)
      runs += 1
      completed += run.state === 'completed' ? 1 : 0
      failed += run.state === 'failed' ? 1 : 0
    }
    draft.put(draft.tables.tasks, taskId, { ...task, forgottenRuns: { runs, completed, failed } })
  },
})

/** Forgets tasks, children before parents. Checks, for each in turn: known; ended; not in use, see {@link useOf}. */
export const tasksForget = defineCommand('tasks_forget', {
  fields: ofTasks,
  decide: (view, { type: _, ...payload }, sequence) => {
    const gone = new Set<TaskId>()
    for (const taskId of payload.taskIds) {
      if (gone.has(taskId)) throw new TaskError('unknown_task', { taskId })
      if (!hasEnded(knownTask(view, taskId))) throw new TaskError('task_not_ended', { taskId })
      const use = useOf(view, taskId, gone)
      if (use !== undefined) throw new TaskError('task_in_use', { taskId, use })
      gone.add(taskId)
    }
    const applied = { type: 'tasks_forget', taskIds: payload.taskIds } as const
    return { event: tasksForgotten.create(sequence, payload), applied }
  },
})

/**
 * Forgets runs of a task, which may be open or ended. Checks: task known; each run belongs to it, has ended and has no
 * open reservation.
 */
export const runsForget = defineCommand('runs_forget', {
  fields: ofRuns,
  decide: (view, { taskId, runIds, atMs }, sequence) => {
    knownTask(view, taskId)
    const gone = new Set<RunId>()
    for (const runId of runIds) {
      const run = gone.has(runId) ? undefined : view.run(runId)
      if (run?.taskId !== taskId) throw new TaskError('unknown_run', { runId })
      if (!isTerminalRunState(run.state)) throw new TaskError('run_not_ended', { runId, state: run.state })
      const reservationId = openReservation(view, runId)
      if (reservationId !== undefined) {
        throw new TaskError('task_in_use', { taskId, use: { by: 'reservation', reservationId } })
      }
      gone.add(runId)
    }
    const applied = { type: 'runs_forget', taskId, runIds } as const
    return { event: runsForgotten.create(sequence, { taskId, runIds, atMs }), applied }
  },
})

/**
 * What prevents an ended task from being forgotten: an open ancestor that may still need it, a child, an open
 * dependent, a subscription of an open task to its events, or an open reservation. Tasks in `gone` do not count.
 */
export function useOf(view: ForgettingReads, taskId: TaskId, gone: ReadonlySet<TaskId>): TaskUse | undefined {
  const isOpen = (id: TaskId): boolean => {
    const task = gone.has(id) ? undefined : view.task(id)
    return task !== undefined && !hasEnded(task)
  }
  const parent = openAbove(view, taskId)
  if (parent !== undefined) return { by: 'parent', taskId: parent }
  for (const child of view.childrenOf(taskId)) {
    if (!gone.has(child) && view.task(child) !== undefined) return { by: 'child', taskId: child }
  }
  for (const dependent of view.dependentsOf(taskId)) {
    if (isOpen(dependent) && view.prerequisites(dependent).includes(taskId)) {
      return { by: 'dependent', taskId: dependent }
    }
  }
  for (const subscriptionId of view.subscriptionsAbout(taskId)) {
    const subscription = view.subscription(subscriptionId)
    if (subscription === undefined || subscription.taskId === taskId || !isArmed(subscription)) continue
    if (isOpen(subscription.taskId)) return { by: 'subscription', subscriptionId }
  }
  const reservationId = openReservation(view, taskId)
  return reservationId === undefined ? undefined : { by: 'reservation', reservationId }
}

/** The nearest open ancestor that may still need this task. */
function openAbove(view: ForgettingReads, taskId: TaskId): TaskId | undefined {
  let below = view.task(taskId)
  while (below?.spec.parentTaskId !== undefined) {
    const parent = view.task(below.spec.parentTaskId)
    if (parent !== undefined && !hasEnded(parent) && !isLeftBehind(view, parent, below)) return parent.spec.id
    below = parent
  }
  return undefined
}

/**
 * True for a child that an earlier run of a repeating task created: every open run started after the child was created,
 * or has not started.
 */
function isLeftBehind(view: ForgettingReads, { spec }: Task, { createdAtMs }: Task): boolean {
  if (spec.runPolicy.type === 'once') return false
  return view
    .openRunsOf(spec.id)
    .every(({ attempts: [first] }) => first === undefined || first.startedAtMs > createdAtMs)
}

/** True when an ended run has no open reservations. */
export function isRunFree(view: ForgettingReads, runId: RunId): boolean {
  return openReservation(view, runId) === undefined
}

function openReservation(view: ForgettingReads, id: TaskId | RunId): ReservationId | undefined {
  for (const reservationId of view.reservationsFor(id)) {
    if (view.reservation(reservationId) !== undefined) return reservationId
  }
  return undefined
}

function removeTask(draft: ForgettingDraft, { spec }: Task): void {
  const { tables, view } = draft
  const { id: taskId, retryOf } = spec
  for (const runId of Array.from(tables.runsByTask.of(taskId))) {
    const run = view.run(runId)
    if (run !== undefined) removeRunWithParts(draft, run)
  }
  for (const prerequisite of view.prerequisites(taskId)) {
    const count = tables.dependentCounts.latest(prerequisite)
    if (count !== undefined) draft.put(tables.dependentCounts, prerequisite, count === 1 ? undefined : count - 1)
  }
  clear(draft, tables.prerequisites, [taskId])
  clear(draft, tables.dependentCounts, [taskId])
  clear(draft, tables.budgets, tables.budgets.keysIn(taskId))
  clear(draft, tables.questions, tables.questions.keysIn(taskId))
  clear(draft, tables.answers, tables.answers.keysIn(taskId))
  const own = Array.from(tables.subscriptions.keysIn(taskId)).filter((id) => view.subscription(id)?.taskId === taskId)
  clear(draft, tables.subscriptions, own)
  if (retryOf !== undefined && tables.retries.latest(retryOf)?.taskId === taskId)
    clear(draft, tables.retries, [retryOf])
  clear(draft, tables.tasks, [taskId])
}

function removeRunWithParts(draft: ForgettingDraft, run: Run): void {
  const { steps, waits } = draft.tables
  clear(draft, steps, steps.keysIn(run.id))
  clear(draft, waits, waits.keysIn(run.id))
  removeRun(draft, run)
}

function clear<Key, Row>(draft: ForgettingDraft, table: Table<Key, Row>, keys: Iterable<Key>): void {
  for (const key of Array.from(keys)) if (table.latest(key) !== undefined) draft.put(table, key, undefined)
}
