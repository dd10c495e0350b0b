import * as v from 'valibot'
import { optionsSchema, textOf, wholeNumberSchema } from '../base/options.js'
import { isDefinition, type TaskDefinition } from './definition.js'
import { dispatchFields, type DispatchOptions } from './dispatch/options.js'
import { type RetentionOptions, retentionSchema } from './retention/options.js'

/** Options for the tasks of a runtime; every field has a default. */
export interface RuntimeTasksOptions extends DispatchOptions {
  /** Definitions to register when the runtime opens, which starts dispatching; see `defineTask`. */
  readonly define?: readonly TaskDefinition[]
  /** How long ended tasks are kept. Default: all of them, for good. */
  readonly retention?: RetentionOptions
  /**
   * How many ends of tasks `tasks.feed` keeps, at least 1. Readers that missed older ones get a gap error. Default
   * 10,000.
   */
  readonly feedCapacity?: number
}

const definitionSchema = v.custom<TaskDefinition>(
  isDefinition,
  ({ input }) => `not made by defineTask: ${textOf(input)}`,
)

/** Accepts {@link RuntimeTasksOptions}. */
export const runtimeTasksSchema = optionsSchema<RuntimeTasksOptions>({
  ...dispatchFields,
  define: v.optional(v.array(definitionSchema, 'not a list')),
  retention: v.optional(retentionSchema),
  feedCapacity: v.optional(wholeNumberSchema(1)),
})
