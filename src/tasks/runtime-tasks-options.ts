import * as v from 'valibot'
import { optionsSchema, textOf, wholeNumberSchema } from '../base/options.js'
import { isDefinition, type TaskDefinition } from './definition.js'
import { dispatchFields, type DispatchOptions } from './dispatch/options.js'
import { type RetentionOptions, retentionSchema } from './retention/options.js'

/** The tasks of a runtime; every field has a default. */
export interface RuntimeTasksOptions extends DispatchOptions {
  /** Registered when the runtime opens, which then begins to dispatch; see `defineTask`. */
  readonly define?: readonly TaskDefinition[]
  /** What is kept of tasks that have ended. Default: all of them. */
  readonly retention?: RetentionOptions
  /** How many ends of tasks `tasks.feed` keeps, from 1; older ones are told as a gap. Default 10,000. */
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
