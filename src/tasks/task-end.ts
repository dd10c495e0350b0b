import * as v from 'valibot'
import { terminalRunStates, type TerminalRunState } from '../../machines/run-vocabulary.js'
import type { SequencedFeed } from '../base/feed.js'
import type { Draft } from '../state/draft.js'
import { rowDefiner } from '../state/row.js'
import type { TaskId } from './ids.js'
import { idSchema, labelSchema, naturalSchema } from './scalars.js'

/** The end of a task, as a row of the feed: what ended, how and when. What it gave says `tasks.outcome(taskId)`. */
export interface TaskEnd {
  /** Number of the command that ended the task: it grows, with gaps, and is the same after every restart. */
  readonly seq: number
  readonly taskId: TaskId
  readonly kind: string
  /** Own key of the task, if it was submitted under one. */
  readonly key?: string
  readonly status: TerminalRunState
  /** In epoch milliseconds. */
  readonly endedAtMs: number
}

/** Ends that are kept unless the runtime's options say otherwise. */
export const defaultFeedCapacity = 10_000

/** Tables of this file: ends in their order, the oldest beyond the capacity dropped. Only what is committed stands in it. */
export interface EndRows {
  readonly ends: SequencedFeed<TaskEnd>
}

const defineRow = rowDefiner<EndRows, unknown>()

/** Stages an end: published when the change that brings it about is committed, so that no crash takes it back. */
export function stageTaskEnd(draft: Draft<EndRows, unknown>, end: TaskEnd): void {
  const { ends } = draft.tables
  draft.add({ commit: () => void ends.push(end), undo: () => {} })
}

/** What retention has dropped from the feed, if anything: told as a gap also after a restart. */
export const feedRetentionRow = defineRow('task_feed', {
  fields: { droppedThrough: naturalSchema, droppedCount: naturalSchema },
  capture: ({ ends: { droppedThrough, droppedCount } }) =>
    droppedCount === 0 ? [] : [{ droppedThrough, droppedCount }],
  restore: ({ tables }, { droppedThrough, droppedCount }) => tables.ends.restoreRetention(droppedThrough, droppedCount),
})

/** The rows of the feed. Their tasks need not be there any more. Raises `feed_sequence` for one out of order. */
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
