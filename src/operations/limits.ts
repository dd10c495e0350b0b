import * as v from 'valibot'
import { durationSchema, optionsSchema, wholeNumberSchema } from '../base/options.js'
import type { KindLimits, Rate } from '../work/slots.js'
import type { OperationKind } from '../../machines/operation-vocabulary.js'

/** How many operations may run and how many ended ones are kept. */
export interface RegistryLimits {
  /** Live operations of all kinds; absent means unlimited. */
  readonly maxConcurrent?: number
  /** Terminal records kept; values below 1 count as 1. Default 256. */
  readonly maxCompleted?: number
}

/** Limits of a session. Those of the registry are durable, the others are of this process. */
export interface SessionLimits extends RegistryLimits {
  /** Whether `run` refuses what does not fit now, or lets it wait in line. Default `refuse`. */
  readonly whenFull?: 'refuse' | 'queue'
  /** How many may wait in line. Default 100,000. */
  readonly maxQueued?: number
  /** How many operations of one kind, and of one key, may run at a time, and how often they may start. */
  readonly kinds?: Readonly<Partial<Record<OperationKind, KindLimits>>>
}

/** How many operations wait in line at most unless told otherwise. */
export const defaultMaxQueued = 100_000

const kindLimits = v.optional(
  optionsSchema<KindLimits>({
    limit: v.optional(wholeNumberSchema(1)),
    limitPerKey: v.optional(wholeNumberSchema(1)),
    rate: v.optional(optionsSchema<Rate>({ starts: wholeNumberSchema(1), perMs: durationSchema })),
  }),
)

/** Accepts limits as a caller states them. */
export const limitsSchema = optionsSchema<SessionLimits>({
  maxConcurrent: v.optional(wholeNumberSchema(0)),
  maxCompleted: v.optional(wholeNumberSchema(0)),
  whenFull: v.optional(v.picklist(['refuse', 'queue'])),
  maxQueued: v.optional(wholeNumberSchema(0)),
  kinds: v.optional(
    optionsSchema<NonNullable<SessionLimits['kinds']>>({
      mob_member_child: kindLimits,
      background_tool_op: kindLimits,
      background_tool_capacity_slot: kindLimits,
    }),
  ),
})
