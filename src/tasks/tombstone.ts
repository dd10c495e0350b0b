import * as v from 'valibot'
import { terminalRunStates, type TerminalRunState } from '../../machines/run-vocabulary.js'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import type { TaskId } from './ids.js'
import { idSchema, labelSchema, naturalSchema, taskIdsSchema, timed } from './scalars.js'
import type { KeyRows } from './task-key.js'
import { checkNewRow, type TaskReads, type TaskRows } from './task.js'

/** What is still known of a forgotten task: that it existed, how it ended, and what was submitted under its key. */
export interface TaskTombstone {
  readonly taskId: TaskId
  readonly kind: string
  readonly status: TerminalRunState
  readonly forgottenAtMs: number
  /** When the tombstone expires, in epoch milliseconds. */
  readonly untilMs: number
  /** The key that it still occupies. */
  readonly key?: string
  /** Digest of its payload, if it has a key. */
  readonly payloadDigest?: string
}

/** The tables defined in this file. */
export interface TombstoneRows extends TaskRows, KeyRows {
  readonly tombstones: Table<TaskId, TaskTombstone>
}

/** The reads defined in this file. */
export interface TombstoneReads extends TaskReads {
  tombstone(taskId: TaskId): TaskTombstone | undefined
}

const defineEvent = eventDefiner<TombstoneRows, TombstoneReads>()
const defineCommand = commandDefiner<TombstoneReads>()
const defineRow = rowDefiner<TombstoneRows, TombstoneReads>()

const ofTombstones = { ...timed, taskIds: taskIdsSchema }

/** These tombstones are gone, and their keys are free. */
export const tombstonesExpired = defineEvent('tombstones_expired', {
  fields: ofTombstones,
  evolve: (draft, { taskIds, sequence }) => {
    const { tombstones, keys } = draft.tables
    for (const taskId of taskIds) {
      const tombstone = draft.view.tombstone(taskId)
      if (tombstone === undefined) {
        throw new TaskError('replay_corrupted_data', { sequence, reason: `task ${taskId} has no tombstone` })
      }
      draft.put(tombstones, taskId, undefined)
      if (tombstone.key !== undefined) draft.put(keys, tombstone.key, undefined)
    }
  },
})

/** Checks: each known, and named once. The clock is not consulted: the caller decides that they have expired. */
export const tombstonesExpire = defineCommand('tombstones_expire', {
  fields: ofTombstones,
  decide: (view, { taskIds, atMs }, sequence) => {
    for (const taskId of taskIds) {
      if (view.tombstone(taskId) === undefined) throw new TaskError('unknown_task', { taskId })
    }
    return {
      event: tombstonesExpired.create(sequence, { taskIds: [...new Set(taskIds)], atMs }),
      applied: { type: 'tombstones_expire' } as const,
    }
  },
})

/** The snapshot row of a tombstone. */
export const tombstoneRow = defineRow('tombstone', {
  fields: {
    taskId: idSchema<TaskId>(),
    kind: labelSchema,
    status: v.picklist(terminalRunStates),
    forgottenAtMs: naturalSchema,
    untilMs: naturalSchema,
    key: v.exactOptional(labelSchema),
    payloadDigest: v.exactOptional(labelSchema),
  },
  capture: ({ tombstones }) => tombstones.rows(),
  restore: (draft, tombstone) => {
    const { taskId, key } = tombstone
    checkNewRow(draft.view.task(taskId) ?? draft.view.tombstone(taskId), 'tombstone', taskId)
    draft.put(draft.tables.tombstones, taskId, tombstone)
    if (key === undefined) return
    checkNewRow(draft.tables.keys.latest(key), 'tombstone', key)
    draft.put(draft.tables.keys, key, { taskId })
  },
})
