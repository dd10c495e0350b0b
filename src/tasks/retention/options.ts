import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { durationSchema, functionSchema, optionsSchema, recordSchema, wholeNumberSchema } from '../../base/options.js'
import type { Budget } from '../budget.js'
import type { TaskId } from '../ids.js'
import type { Run } from '../run.js'
import type { DurableStep } from '../step.js'
import type { Task } from '../task.js'
import type { DurableWait } from '../wait.js'

/** How long, and how many, tasks are kept that have ended. What is below a task without parent stays and goes with it. */
export interface RetentionBounds {
  /** Milliseconds since the last of them ended. Default: for good. */
  readonly endedForMs?: number
  /** How many are kept, those that ended last. Default: all. */
  readonly count?: number
}

/** What is kept of tasks that have ended. What something that has not ended refers to is kept besides. */
export interface RetentionOptions extends RetentionBounds {
  /** Bounds of kinds that have their own, in place of the others: `{}` keeps a kind for good. */
  readonly kinds?: Readonly<Record<string, RetentionBounds>>
  /** Runs of a repeating task that are kept once they have ended, the last ones, while the task goes on. Default 100. */
  readonly runs?: number
  /**
   * Milliseconds for which it is still known of a forgotten task that it was there, and which key it has. Default a day. Of
   * those without a key the last 10,000 are known at most.
   */
  readonly tombstonesForMs?: number
  /**
   * Is given all rows of what is about to be forgotten, at least once; what it throws or rejects with puts the forgetting off
   * for a minute.
   */
  readonly archive?: Archive
}

/** Takes what is about to be forgotten. */
export type Archive = (rows: readonly ArchivedTask[]) => unknown

/** The rows of a task, or of some of the runs of one that stays. */
export interface ArchivedTask {
  readonly taskId: TaskId
  /** False for a repeating task that goes on without these runs. */
  readonly isWhole: boolean
  readonly task: Task
  readonly runs: readonly Run[]
  readonly steps: readonly DurableStep[]
  readonly waits: readonly DurableWait[]
  readonly budgets: readonly Budget[]
}

const boundsFields = {
  endedForMs: v.optional(durationSchema),
  count: v.optional(wholeNumberSchema(0)),
} as const

/** Accepts {@link RetentionOptions}. */
export const retentionSchema = optionsSchema<RetentionOptions>({
  ...boundsFields,
  kinds: v.optional(recordSchema(optionsSchema<RetentionBounds>(boundsFields))),
  runs: v.optional(wholeNumberSchema(1)),
  tombstonesForMs: v.optional(durationSchema),
  archive: v.optional(functionSchema<Archive>()),
})

/** The options with their defaults; `isOn` where anything is forgotten by itself. */
export interface ResolvedRetention extends RetentionBounds {
  readonly isOn: boolean
  readonly kinds: ReadonlyMap<string, RetentionBounds>
  readonly runs: number
  readonly tombstonesForMs: number
  readonly archive?: Archive
}

const dayMs = 86_400_000

/** Fills in the defaults. Raises `invalid_input` naming the field. */
export function resolveRetention(options: RetentionOptions | undefined): ResolvedRetention {
  const decoded = options === undefined ? {} : decode(retentionSchema, options, 'retention options')
  const { kinds = {}, runs = 100, tombstonesForMs = dayMs, ...rest } = decoded
  return { ...rest, isOn: options !== undefined, kinds: new Map(Object.entries(kinds)), runs, tombstonesForMs }
}
