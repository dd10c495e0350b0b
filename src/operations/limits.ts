import * as v from 'valibot'
import { durationSchema, optionsSchema, wholeNumberSchema } from '../base/options.js'
import type { KindLimits, Rate } from '../work/slots.js'
import type { OperationKind } from '../../machines/operation-vocabulary.js'

/** Limits on running and on retained ended operations. */
export interface RegistryLimits {
  /** Maximum number of live operations of all kinds; unlimited if absent. */
  readonly maxConcurrent?: number
  /** Number of ended operations that are retained; values below 1 count as 1. Default 256. */
  readonly maxCompleted?: number
}

/** Limits of a session. Those of the registry are durable; the others belong to this process. */
export interface SessionLimits extends RegistryLimits {
  /** Whether `run` refuses an operation for which there is no room, or queues it. Default `refuse`. */
  readonly whenFull?: 'refuse' | 'queue'
  /** Maximum number of queued operations. Default 100,000. */
  readonly maxQueued?: number
  /** By kind: how many operations of the kind, and of one key, may run at a time, and how often they may start. */
  readonly kinds?: Readonly<Partial<Record<OperationKind, KindLimits>>>
}

/** Default maximum number of queued operations. */
export const defaultMaxQueued = 100_000

const kindLimits = v.optional(
  optionsSchema<KindLimits>({
    limit: v.optional(wholeNumberSchema(1)),
    limitPerKey: v.optional(wholeNumberSchema(1)),
    rate: v.optional(optionsSchema<Rate>({ starts: wholeNumberSchema(1), perMs: durationSchema })),
  }),
)

/** Accepts the limits that a caller passes. */
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
