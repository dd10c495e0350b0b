import type { JsonObject } from '../../base/json.js'
import { isNilUuid } from '../../base/ids.js'
import { unreachable } from '../../base/errors.js'
import { checkRegistration } from '../actor.js'
import { engineSelection } from '../engine-step.js'
import { TaskError } from '../errors.js'
import { noProgress } from '../phase.js'
import type { TaskId } from '../ids.js'
import type { Run } from '../run.js'
import { putPrerequisites, withRun } from '../evolve/tasks.js'
import type { Draft } from '../projection/draft.js'
import { budgetKey, grantKey, roleKey } from '../projection/tables.js'
import { checkFilter } from '../subscription.js'
import { checkTaskSpec, shareDefaults } from '../task-spec.js'
import type { Engine, Task } from '../view.js'
import { checkRun } from './check-run.js'
import { decodeRow, snapshotSchema, type SnapshotRow } from './rows.js'
import { RunParts } from './run-rows.js'

type RowOf<Kind extends SnapshotRow['row']> = Extract<SnapshotRow, { readonly row: Kind }>
/** What makes a row of a table by itself. */
type TableRow = Exclude<SnapshotRow, { readonly row: 'header' | 'run' | 'step' | 'attempt' | 'end' }>

/**
 * Builds state from snapshot rows, seeding it directly and checking every rule of spec mutation authority 6.6.
 *
 * Each row raises `invalid_input` or the `snapshot_*` code of the rule it breaks.
 */
export class SnapshotLoader {
  #header: RowOf<'header'> | undefined
  #isComplete = false
  /** The run whose rows are being read; it is whole when another row comes. */
  #parts: RunParts | undefined
  readonly #found = { tasks: 0, runs: 0 }

  /** Takes one row into the draft. */
  take(draft: Draft, stored: JsonObject): void {
    const content = decodeRow(stored)
    if (this.#isComplete) throw new TaskError('snapshot_incomplete', { reason: 'a row follows the end' })
    if (content.row === 'header') return this.#begin(draft, content)
    if (this.#header === undefined) throw new TaskError('snapshot_incomplete', { reason: 'a row precedes the header' })
    if (content.row === 'step' || content.row === 'attempt') return this.#takePart(content)
    this.#finishRun(draft)
    if (content.row === 'end') return this.#end(this.#header)
    if (content.row === 'task') this.#found.tasks += 1
    if (content.row === 'run') {
      this.#found.runs += 1
      this.#parts = new RunParts(content)
    } else {
      seed(draft, content)
    }
  }

  /** Raises `snapshot_incomplete` if rows were taken and the end is missing. */
  finish(): void {
    if (this.#header !== undefined && !this.#isComplete) {
      throw new TaskError('snapshot_incomplete', { reason: 'the end is missing' })
    }
  }

  #begin(draft: Draft, header: RowOf<'header'>): void {
    if (this.#header !== undefined) throw new TaskError('snapshot_incomplete', { reason: 'a second header' })
    if (header.schema !== snapshotSchema) {
      throw new TaskError('snapshot_schema_version', { expected: snapshotSchema, found: header.schema })
    }
    checkEngine(header.engine)
    this.#header = header
    draft.put(draft.tables.engine, 'engine', header.engine)
    draft.put(draft.tables.sequence, 'latest', header.sequence)
  }

  #takePart(part: RowOf<'step' | 'attempt'>): void {
    if (this.#parts?.take(part) !== true)
      throw new TaskError('snapshot_stray_part', { runId: part.runId, row: part.row })
  }

  #finishRun(draft: Draft): void {
    const run = this.#parts?.run
    this.#parts = undefined
    if (run !== undefined) seedRun(draft, run)
  }

  #end({ taskCount, runCount }: RowOf<'header'>): void {
    const { tasks, runs } = this.#found
    if (tasks !== taskCount) throw new TaskError('snapshot_task_count', { expected: taskCount, found: tasks })
    if (runs !== runCount) throw new TaskError('snapshot_run_count', { expected: runCount, found: runs })
    this.#isComplete = true
  }
}

function checkEngine({ paused, pausedAtMs, resumedAtMs }: Engine): void {
  const fail = (reason: string): never => {
    throw new TaskError('snapshot_engine', { reason })
  }
  if (paused && pausedAtMs === undefined) fail('paused without a time')
  if (paused && resumedAtMs !== undefined) fail('paused and resumed')
  if (!paused && (pausedAtMs === undefined) !== (resumedAtMs === undefined)) fail('a pause and its resume go together')
  if (pausedAtMs === undefined || resumedAtMs === undefined) return
  const resume = engineSelection({ paused: true, pausedAtMs }, { type: 'resume', atMs: resumedAtMs })
  if (!resume.isTaken) fail('resumed before it was paused')
}

function seed(draft: Draft, content: TableRow): void {
  switch (content.row) {
    case 'task':
      return seedTask(draft, content)
    case 'prerequisites':
      return seedPrerequisites(draft, content)
    case 'budget':
      return seedBudget(draft, content)
    case 'reservation': {
      const { row, ...reservation } = content
      checkTaskKnown(draft, reservation.taskId, row)
      for (const taskId of reservation.chargedTaskIds) checkTaskKnown(draft, taskId, row)
      checkNew(draft.view.reservation(reservation.reservationId), row, reservation.reservationId)
      return draft.put(draft.tables.reservations, reservation.reservationId, reservation)
    }
    case 'subscription': {
      const { row, ...subscription } = content
      const { subscriptionId, taskId } = subscription
      if (draft.view.subscription(subscriptionId) !== undefined) {
        throw new TaskError('snapshot_duplicate_subscription', { subscriptionId })
      }
      checkTaskKnown(draft, taskId, row)
      checkFilter(subscription.filter)
      return draft.put(draft.tables.subscriptions, subscriptionId, subscription)
    }
    case 'actor': {
      const { row, ...actor } = content
      checkNew(draft.view.actor(actor.actorId), row, actor.actorId)
      checkRegistration(actor)
      return draft.put(draft.tables.actors, actor.actorId, actor)
    }
    case 'tenant': {
      const { row, ...tenant } = content
      checkNew(draft.view.tenant(tenant.tenantId), row, tenant.tenantId)
      return draft.put(draft.tables.tenants, tenant.tenantId, tenant)
    }
    case 'role': {
      const { row, ...assignment } = content
      const key = roleKey(assignment.actorId, assignment.tenantId)
      checkNew(draft.tables.roles.latest(key), row, key)
      return draft.put(draft.tables.roles, key, assignment)
    }
    case 'grant': {
      const { row, ...grant } = content
      const key = grantKey(grant.actorId, grant.capability, grant.tenantId)
      checkNew(draft.tables.grants.latest(key), row, key)
      return draft.put(draft.tables.grants, key, grant)
    }
    case 'ledger': {
      const { row, ...entry } = content
      checkNew(draft.view.ledgerEntry(entry.entryId), row, entry.entryId)
      return draft.put(draft.tables.ledger, entry.entryId, entry)
    }
    default:
      return unreachable(content)
  }
}

function seedTask(draft: Draft, { row: _, ...stored }: RowOf<'task'>): void {
  const { spec, createdAtMs, cancelledAtMs } = stored
  const taskId = spec.id
  if (isNilUuid(taskId)) throw new TaskError('snapshot_nil_id', { id: taskId })
  checkTaskSpec(spec)
  if (draft.view.task(taskId) !== undefined) throw new TaskError('snapshot_duplicate_task', { taskId })
  if (cancelledAtMs !== undefined && cancelledAtMs < createdAtMs) {
    throw new TaskError('snapshot_cancelled_before_created', { taskId })
  }
  const parent = spec.parentTaskId === undefined ? undefined : draft.view.task(spec.parentTaskId)
  if (spec.parentTaskId !== undefined && parent === undefined)
    throw new TaskError('snapshot_unknown_parent', { taskId })
  draft.put(draft.tables.tasks, taskId, {
    ...stored,
    spec: shareDefaults(spec),
    depth: parent === undefined ? 0 : parent.depth + 1,
    progress: noProgress,
  })
}

function seedPrerequisites(draft: Draft, { taskId, after = 0, dependsOn, row }: RowOf<'prerequisites'>): void {
  const before = draft.view.prerequisites(taskId)
  const all = [...before, ...dependsOn]
  if (before.length !== after || new Set(all).size < all.length) {
    throw new TaskError('snapshot_duplicate_dependency', { taskId })
  }
  checkTaskKnown(draft, taskId, row)
  for (const prerequisite of dependsOn) {
    if (draft.view.task(prerequisite) === undefined) {
      throw new TaskError('snapshot_unknown_prerequisite', { taskId, prerequisite })
    }
  }
  putPrerequisites(draft, taskId, all)
}

function seedRun(draft: Draft, run: Run): void {
  checkRun(run)
  if (draft.view.run(run.id) !== undefined) throw new TaskError('snapshot_duplicate_run', { runId: run.id })
  const task = checkTaskKnown(draft, run.taskId, 'run')
  draft.addRun({ ...run, taskId: task.spec.id })
  draft.put(draft.tables.tasks, run.taskId, { ...task, progress: withRun(task, run) })
}

function seedBudget(draft: Draft, { row, ...budget }: RowOf<'budget'>): void {
  const { taskId, dimension, limit, consumed, exhausted } = budget
  if (draft.view.budget(taskId, dimension) !== undefined) {
    throw new TaskError('snapshot_duplicate_budget', { taskId, dimension })
  }
  checkTaskKnown(draft, taskId, row)
  if (limit === 0) throw new TaskError('snapshot_budget', { taskId, dimension, reason: 'no limit' })
  if (consumed >= limit && !exhausted) {
    throw new TaskError('snapshot_budget', { taskId, dimension, reason: 'spent and not exhausted' })
  }
  draft.put(draft.tables.budgets, budgetKey(taskId, dimension), budget)
}

function checkTaskKnown(draft: Draft, taskId: TaskId, row: string): Task {
  const task = draft.view.task(taskId)
  if (task === undefined) throw new TaskError('snapshot_unknown_task', { taskId, row })
  return task
}

function checkNew(existing: object | undefined, row: string, id: string): void {
  if (existing !== undefined) throw new TaskError('snapshot_duplicate_row', { row, id })
}
