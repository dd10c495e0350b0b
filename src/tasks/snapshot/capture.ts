import type { JsonObject } from '../../base/json.js'
import type { CommittedProjection } from '../projection/projection.js'
import type { TaskTables } from '../projection/tables.js'
import { snapshotSchema, type SnapshotRow } from './rows.js'
import { rowsOfRun } from './run-rows.js'

/**
 * The committed state as snapshot rows; what a row refers to comes before it.
 *
 * Taken during the call, which copies references only; rows are immutable, so writing them may take its time.
 */
export function captureTasks(tables: TaskTables, projection: CommittedProjection): Iterable<JsonObject> {
  const { latestSequence: sequence, engine, taskCount, runCount } = projection
  if (sequence === 0) return []
  const captured: Captured = {
    header: { row: 'header', schema: snapshotSchema, sequence, taskCount, runCount, engine },
    tasks: [...tables.tasks.rows()],
    prerequisites: [...tables.prerequisites.entries()],
    runs: [...tables.runs.rows()],
    others: [
      ['budget', [...tables.budgets.rows()]],
      ['reservation', [...tables.reservations.rows()]],
      ['subscription', [...tables.subscriptions.rows()]],
      ['actor', [...tables.actors.rows()]],
      ['tenant', [...tables.tenants.rows()]],
      ['role', [...tables.roles.rows()]],
      ['grant', [...tables.grants.rows()]],
      ['ledger', [...tables.ledger.rows()]],
    ],
  }
  return emit(captured) as Iterable<JsonObject>
}

type Entries<Table> = Table extends { entries(): Iterable<readonly [infer Key, infer Row]> } ? [Key, Row] : never

interface Captured {
  readonly header: SnapshotRow
  readonly tasks: readonly Entries<TaskTables['tasks']>[1][]
  readonly prerequisites: readonly (readonly [...Entries<TaskTables['prerequisites']>])[]
  readonly runs: readonly Entries<TaskTables['runs']>[1][]
  readonly others: readonly (readonly [SnapshotRow['row'], readonly object[]])[]
}

/** Prerequisites in one row: what was declared in many records need not fit one. */
const prerequisitesPerRow = 10_000

function* emit({ header, tasks, prerequisites, runs, others }: Captured): Iterable<object> {
  yield header
  // Depth and progress follow from parents and runs.
  for (const { depth: _d, progress: _p, ...task } of tasks) yield { row: 'task', ...task }
  for (const [taskId, all] of prerequisites) {
    for (let after = 0; after < all.length; after += prerequisitesPerRow) {
      const dependsOn = all.slice(after, after + prerequisitesPerRow)
      yield { row: 'prerequisites', taskId, ...(after > 0 && { after }), dependsOn }
    }
  }
  for (const run of runs) yield* rowsOfRun(run)
  for (const [row, rows] of others) for (const content of rows) yield { row, ...content }
  yield { row: 'end' }
}
