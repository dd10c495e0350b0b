import * as v from 'valibot'
import { functionSchema, nameSchema, optionsSchema, portSchema, textOf, wholeNumberSchema } from '../base/options.js'
import { isProcessDefinition, type ProcessDefinition } from './definition.js'
import type { DurabilityFacet } from './durability.js'
import type { ProcessEventSink } from './event-sink.js'
import type { LeaseTimings } from './lease.js'
import { idSchema, positiveSchema } from './scalars.js'
import type { ProcessStore } from './store.js'
import { storeMethods } from './watched-store.js'
import type { WakeHandler } from './wakes.js'

/** The processes of a runtime; every field has a default. */
export interface RuntimeProcessesOptions {
  /** What this host runs; see `defineProcess`. */
  readonly define?: readonly ProcessDefinition[]
  /** Where processes live. Default: with the rest of the runtime, in its directory or in memory. */
  readonly store?: ProcessStore
  /** How many processes run at a time, those that wait left out. Default 64. */
  readonly concurrency?: number
  /** The stable name of this host among those that share a store: draining gives up what was bound to it. Default: `host`,
   * and a name of its own for each runtime on a store that several hosts share. */
  readonly owner?: string
  /** Is told of appended events. */
  readonly sink?: ProcessEventSink
  /** Milliseconds that an append waits for the sink. Default 1,000. */
  readonly sinkTimeoutMs?: number
  /** True: the sink is given ends and lifecycle events as well. */
  readonly emitLifecycle?: boolean
  /** How long a lease lasts, and how often it is renewed. Default 30 and 10 seconds. */
  readonly timings?: LeaseTimings
  /**
   * Milliseconds between two looks for work that nobody has told of: of hosts that are gone. Default 5,000 for a store that
   * several hosts share, and none for one that this host has alone.
   */
  readonly sweepIntervalMs?: number
  /** Milliseconds after which something is tried again that could not be run. Default 5,000. */
  readonly retryDelayMs?: number
  /** The longest sleep between two looks of a wait, where others write too. Default 1,000. */
  readonly longestPollMs?: number
  /**
   * Where programs leave their output and their exits: a folder of this host. With it this host runs programs as processes
   * (`startCommand`); without it, it leaves them to others.
   */
  readonly systemDirectory?: string
  /**
   * What runs keep their state in beside the store, with how durable that is: one that is `inline` is refused with
   * `process.facet_inline` where processes are durable.
   */
  readonly facets?: readonly DurabilityFacet[]
  /** Takes wakes that no `onWake` takes. Default: the session of the runtime, where they end as operations. */
  readonly onWake?: WakeHandler
}

/** Names of claims are made of it. */
const longestOwner = 128

const definitionSchema = v.custom<ProcessDefinition>(
  isProcessDefinition,
  ({ input }) => `not made by defineProcess: ${textOf(input)}`,
)

/** Accepts {@link RuntimeProcessesOptions}. */
export const runtimeProcessesSchema = optionsSchema<RuntimeProcessesOptions>({
  define: v.optional(v.array(definitionSchema, 'not a list')),
  store: v.optional(portSchema<ProcessStore>(storeMethods)),
  concurrency: v.optional(wholeNumberSchema(1)),
  owner: v.optional(v.pipe(idSchema, v.maxLength(longestOwner, `longer than ${longestOwner} characters`))),
  sink: v.optional(portSchema<ProcessEventSink>(['emit'], ['emitWorkerFault'])),
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
