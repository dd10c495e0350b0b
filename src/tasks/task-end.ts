import * as v from 'valibot'
import { terminalRunStates, type TerminalRunState } from '../../machines/run-vocabulary.js'
import type { SequencedFeed } from '../base/feed.js'
import type { Draft } from '../state/draft.js'
import { rowDefiner } from '../state/row.js'
import type { TaskId } from './ids.js'
import { idSchema, labelSchema, naturalSchema } from './scalars.js'

/** The end of a task, as a row of the feed: which task, how and when. For its result, see `tasks.outcome(taskId)`. */
export interface TaskEnd {
  /** Sequence of the command that ended the task: increases, with gaps, and is the same after every restart. */
  readonly seq: number
  readonly taskId: TaskId
  readonly kind: string
  /** The task's key, if it was submitted with one. */
  readonly key?: string
  readonly status: TerminalRunState
  /** In epoch milliseconds. */
  readonly endedAtMs: number
}

/** How many ends the feed keeps by default. */
export const defaultFeedCapacity = 10_000

/** The tables defined in this file: the ends in order, up to the capacity. Only committed ends are in it. */
export interface EndRows {
  readonly ends: SequencedFeed<TaskEnd>
}

const defineRow = rowDefiner<EndRows, unknown>()

/** Stages an end. It is published when the change is committed, so no crash takes it back. */
export function stageTaskEnd(draft: Draft<EndRows, unknown>, end: TaskEnd): void {
  const { ends } = draft.tables
  draft.add({ commit: () => void ends.push(end), undo: () => {} })
}

/** The snapshot row that records what the feed has dropped, so that the gap is reported after a restart too. */
export const feedRetentionRow = defineRow('task_feed', {
  fields: { droppedThrough: naturalSchema, droppedCount: naturalSchema },
  capture: ({ ends: { droppedThrough, droppedCount } }) =>
    droppedCount === 0 ? [] : [{ droppedThrough, droppedCount }],
  restore: ({ tables }, { droppedThrough, droppedCount }) => tables.ends.restoreRetention(droppedThrough, droppedCount),
})

/** The snapshot row of an end; its task may be gone. Raises `feed_sequence` for one out of order. */
export const taskEndRow = defineRow('task_end', {
  fields: {
    seq: naturalSchema,
    taskId: idSchema<TaskId>(),
    kind: labelSchema,
    key: v.exactOptional(labelSchema),
    status: v.picklist(terminalRunStates),
    endedAtMs: naturalSchema,
  },
  capture: ({ ends }) => ends.rows(),
  restore: stageTaskEnd,
})
