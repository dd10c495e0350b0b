import * as v from 'valibot'
import { optionsSchema, wholeNumberSchema } from '../base/options.js'

/** How many operations may run and how many ended ones are kept. */
export interface RegistryLimits {
  /** Live operations of all kinds; absent means unlimited. */
  readonly maxConcurrent?: number
  /** Terminal records kept; values below 1 count as 1. Default 256. */
  readonly maxCompleted?: number
}

/** Accepts limits as a caller states them. */
export const limitsSchema = optionsSchema<RegistryLimits>({
  maxConcurrent: v.optional(wholeNumberSchema(0)),
  maxCompleted: v.optional(wholeNumberSchema(0)),
})
