import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { durationSchema, functionSchema, optionsSchema, recordSchema, wholeNumberSchema } from '../../base/options.js'
import type { Budget } from '../budget.js'
import type { TaskId } from '../ids.js'
import type { Run } from '../run.js'
import type { DurableStep } from '../step.js'
import type { Task } from '../task.js'
import type { DurableWait } from '../wait.js'

/** How long, and how many, ended tasks are kept. Descendants stay and go with their topmost task. */
export interface RetentionBounds {
  /** Milliseconds since the last task of the tree ended. Default: for good. */
  readonly endedForMs?: number
  /** How many are kept, the last to end. Default: all. */
  readonly count?: number
}

/** How long ended tasks are kept. A task is also kept while something that has not ended refers to it. */
export interface RetentionOptions extends RetentionBounds {
  /** Bounds by kind, instead of the general ones: `{}` keeps a kind for good. */
  readonly kinds?: Readonly<Record<string, RetentionBounds>>
  /** How many ended runs of a repeating task are kept while the task goes on, the last ones. Default 100. */
  readonly runs?: number
  /**
   * Milliseconds for which the runtime still knows that a forgotten task existed, and its key. Default a day. At most
   * 10,000 tombstones without a key are kept, the latest.
   */
  readonly tombstonesForMs?: number
  /**
   * Receives all rows that are about to be forgotten, at least once. If it throws or rejects, they are kept and tried
   * again after a minute.
   */
  readonly archive?: Archive
}

/** Receives what is about to be forgotten. */
export type Archive = (rows: readonly ArchivedTask[]) => unknown

/** The rows of a task, or of some runs of a task that stays. */
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

/** The options with their defaults; `isOn` if anything is forgotten automatically. */
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
