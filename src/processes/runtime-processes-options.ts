import * as v from 'valibot'
import { functionSchema, nameSchema, optionsSchema, textOf, wholeNumberSchema } from '../base/options.js'
import { isProcessDefinition, type ProcessDefinition } from './definition.js'
import type { DurabilityFacet } from './durability.js'
import { sinkSchema, type ProcessEventSink } from './event-sink.js'
import type { LeaseTimings } from './lease.js'
import { idSchema, positiveSchema } from './scalars.js'
import type { ProcessStore } from './store.js'
import { storeSchema } from './watched-store.js'
import type { WakeHandler } from './wakes.js'

/** Options for the processes of a runtime. Every field has a default. */
export interface RuntimeProcessesOptions {
  /** The definitions that this host runs; see `defineProcess`. */
  readonly define?: readonly ProcessDefinition[]
  /** Where processes are stored. Default: with the rest of the runtime, in its directory or in memory. */
  readonly store?: ProcessStore
  /** How many processes run at a time, not counting those that are waiting. Default 64. */
  readonly concurrency?: number
  /**
   * The stable name of this host among those that share a store. Draining abandons the processes bound to it. Default:
   * `host`, or a new name for each runtime on a store that several hosts share.
   */
  readonly owner?: string
  /** Receives appended events. */
  readonly sink?: ProcessEventSink
  /** Milliseconds that an append waits for the sink. Default 1,000. */
  readonly sinkTimeoutMs?: number
  /** If true, the sink also receives ends and lifecycle events. */
  readonly emitLifecycle?: boolean
  /** How long a lease lasts and how often it is renewed. Default: 30 and 10 seconds. */
  readonly timings?: LeaseTimings
  /**
   * Milliseconds between two scans for work that this host was not notified of, such as that of lost hosts. Default
   * 5,000 for a store that several hosts share, and never for a store with a single host.
   */
  readonly sweepIntervalMs?: number
  /** Milliseconds before retrying something that could not be run. Default 5,000. */
  readonly retryDelayMs?: number
  /** The longest pause between two reads of a wait, if others write to the store. Default 1,000. */
  readonly longestPollMs?: number
  /**
   * A directory on this host for the output and exit reports of programs. With it, this host runs programs as processes
   * (`startCommand`). Without it, they are left to other hosts.
   */
  readonly systemDirectory?: string
  /**
   * Storage outside the process store that runs keep state in. If processes are durable, a facet that is `inline` is
   * refused with `process.facet_inline`.
   */
  readonly facets?: readonly DurabilityFacet[]
  /**
   * Handles wakes that no `onWake` handler takes. Default: the runtime's session, where each wake becomes an operation
   * that ends at once.
   */
  readonly onWake?: WakeHandler
}

/** Shorter than other ids, because the names of claims start with it. */
const longestOwner = 128

const definitionSchema = v.custom<ProcessDefinition>(
  isProcessDefinition,
  ({ input }) => `not made by defineProcess: ${textOf(input)}`,
)

/** Accepts {@link RuntimeProcessesOptions}. */
export const runtimeProcessesSchema = optionsSchema<RuntimeProcessesOptions>({
  define: v.optional(v.array(definitionSchema, 'not a list')),
  store: v.optional(storeSchema),
  concurrency: v.optional(wholeNumberSchema(1)),
  owner: v.optional(v.pipe(idSchema, v.maxLength(longestOwner, `longer than ${longestOwner} characters`))),
  sink: v.optional(sinkSchema),
  sinkTimeoutMs: v.optional(wholeNumberSchema(0)),
  emitLifecycle: v.optional(v.boolean()),
  timings: v.optional(optionsSchema<LeaseTimings>({ ttlMs: positiveSchema, renewIntervalMs: positiveSchema })),
  sweepIntervalMs: v.optional(wholeNumberSchema(1)),
  retryDelayMs: v.optional(wholeNumberSchema(0)),
  longestPollMs: v.optional(wholeNumberSchema(1)),
  systemDirectory: v.optional(nameSchema),
  facets: v.optional(
    v.array(
      optionsSchema<DurabilityFacet>({ name: nameSchema, tier: v.picklist(['inline', 'durable']) }),
      'not a list',
    ),
  ),
  onWake: v.optional(functionSchema<WakeHandler>()),
})
