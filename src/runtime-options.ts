import * as v from 'valibot'
import type { Clock } from './base/clock.js'
import { InvalidInputError } from './base/errors.js'
import type { IdSource } from './base/ids.js'
import type { Inspect } from './base/inspection.js'
import type { Logger } from './base/logger.js'
import { meterSchema, type Meter } from './base/meter.js'
import {
  durationSchema,
  functionSchema,
  nameSchema,
  numberSchema,
  optionsSchema,
  portSchema,
  textOf,
  textSchema,
  wholeNumberSchema,
} from './base/options.js'
import { clockSchema, idSourceSchema, loggerSchema } from './base/ports.js'
import type { JournalStore } from './journal/journal.js'
import { runtimeNodeSchema, type RuntimeNodeOptions } from './node/index.js'
import { inspectSchema } from './operations/index.js'
import { runtimeProcessesSchema, type RuntimeProcessesOptions } from './processes/index.js'
import { runtimeTasksSchema, type RuntimeTasksOptions } from './tasks/index.js'
import { tracerSchema, type Tracer } from './work/job-span.js'

/** How the inspector of a runtime is served. */
export interface InspectorServerOptions extends InspectorViewOptions {
  /** The port on which it listens, reachable from this machine only. Default: any free port. */
  readonly port?: number
}

/** What an inspector shows and allows. */
export interface InspectorViewOptions {
  /** Whether viewers may cancel, terminate, retry, answer, pause and resume. Default false: viewers can only look. */
  readonly actions?: boolean
  /**
   * Whether payloads, results, answers and the contexts of actors are shown, with the values of secret-looking fields
   * masked. Default false: the page shows only that they exist.
   */
  readonly values?: boolean
  /** Matches the names of fields that hold secrets. Default: the `mask` of the runtime. */
  readonly mask?: RegExp
  /** Fraction of the operations whose actors are shown, each with its whole history or not at all. Default 1. */
  readonly sample?: number
  /**
   * How many entries of the stream, and how many ended items, are kept for viewers that connect late or read slowly.
   * Default 10,000.
   */
  readonly capacity?: number
}

/** The schemas of {@link InspectorViewOptions}, by field. */
export const inspectorViewEntries = {
  actions: v.optional(v.boolean()),
  values: v.optional(v.boolean()),
  mask: v.optional(
    v.custom<RegExp>(
      (input) => input instanceof RegExp,
      ({ input }) => `not a regular expression: ${textOf(input)}`,
    ),
  ),
  sample: v.optional(numberSchema(0, 1)),
  capacity: v.optional(wholeNumberSchema(10, 1_000_000)),
}

const inspectorServerSchema = optionsSchema<InspectorServerOptions>({
  ...inspectorViewEntries,
  port: v.optional(wholeNumberSchema(0, 65_535)),
})

/** Whether the value is an observer rather than options. */
function isObserver(input: unknown): input is Inspect {
  return v.is(inspectSchema, input)
}

const inspectOptionSchema: v.GenericSchema<unknown, Inspect | InspectorServerOptions | boolean> = v.lazy((input) => {
  if (typeof input === 'boolean') return v.boolean()
  return isObserver(input) ? inspectSchema : inspectorServerSchema
})

/** The observer in the `inspect` option, if it holds one. */
export function observerIn(inspect: RuntimeOptions['inspect']): Inspect | undefined {
  return isObserver(inspect) ? inspect : undefined
}

/** The options of the inspector to serve, if `inspect` asks for one. */
export function inspectorServerIn(inspect: RuntimeOptions['inspect']): InspectorServerOptions | undefined {
  if (inspect === undefined || inspect === false || isObserver(inspect)) return undefined
  return inspect === true ? {} : inspect
}

/** Options of {@link createRuntime}; every option has a default. */
export interface RuntimeOptions {
  /**
   * Directory of the durable journal, created if missing. Without `dataDir` and `store`, everything stays in memory.
   */
  readonly dataDir?: string
  /** A durable log to use instead of a directory; cannot be combined with `dataDir`. */
  readonly store?: JournalStore
  /**
   * How long opening waits for another owner of `dataDir` to leave, in milliseconds, for instance during a rolling
   * update; after that it rejects with `journal_locked`. Default 0.
   */
  readonly lockWaitMs?: number
  /**
   * What opening does if records at the end of the journal in `dataDir` are damaged or missing and may have been
   * acknowledged. `refuse` rejects with `journal_corrupt`. `cut` saves the bytes in a separate file, continues without
   * these records and reports it in `runtime.recovery`. Default `refuse`.
   */
  readonly onDamage?: 'refuse' | 'cut'
  readonly clock?: Clock
  readonly ids?: IdSource
  /**
   * `true` or options: serves the inspector, a page that shows what is happening here. It is reachable from this
   * machine only, at an address that contains a secret; the address is logged and available as `runtime.inspectorUrl`.
   * Alternatively an observer, for instance that of `createStatelyInspector`, which receives the inspection events of
   * every actor.
   */
  readonly inspect?: Inspect | InspectorServerOptions | boolean
  /**
   * Receives the log lines of the service, all of which are listed in docs/observability.md. Default: nothing is
   * logged.
   */
  readonly logger?: Logger
  /**
   * Matches the names of fields that hold secrets. The logger receives `[masked]` instead of their values, also where
   * they occur in a text such as `password=abc`. Default: passwords, tokens, keys, cookies and the like.
   */
  readonly mask?: RegExp
  /**
   * An OpenTelemetry tracer: one span per operation, submission, attempt, start and run, active inside the work. See
   * docs/observability.md.
   */
  readonly tracer?: Tracer
  /** An OpenTelemetry meter: queues, waits, durations, ends, budgets and the journal. See docs/observability.md. */
  readonly meter?: Meter
  /** Number of journal records after which a snapshot is written. Default 100,000. */
  readonly compactAfter?: number
  /** The definitions of tasks, and how tasks are dispatched. */
  readonly tasks?: RuntimeTasksOptions
  /** The definitions of processes, where processes are stored, and how they are run. */
  readonly processes?: RuntimeProcessesOptions
  /** The identity of this node, the daemons it can run, and whose commands it obeys. Without it there is no node. */
  readonly node?: RuntimeNodeOptions
  /** Returns a number from 0 (inclusive) to 1 (exclusive); used to spread retries. Default `Math.random`. */
  readonly random?: () => number
}

const patternSchema = v.custom<RegExp>(
  (input) => input instanceof RegExp,
  ({ input }) => `not a regular expression: ${textOf(input)}`,
)

/** Schema of {@link RuntimeOptions}. */
export const runtimeOptionsSchema = optionsSchema<RuntimeOptions>({
  dataDir: v.optional(nameSchema),
  lockWaitMs: v.optional(durationSchema),
  onDamage: v.optional(v.picklist(['cut', 'refuse'])),
  store: v.optional(portSchema<JournalStore>(['open'])),
  clock: v.optional(clockSchema),
  ids: v.optional(idSourceSchema),
  inspect: v.optional(inspectOptionSchema),
  logger: v.optional(loggerSchema),
  mask: v.optional(patternSchema),
  tracer: v.optional(tracerSchema),
  meter: v.optional(meterSchema),
  compactAfter: v.optional(wholeNumberSchema(1)),
  tasks: v.optional(runtimeTasksSchema),
  processes: v.optional(runtimeProcessesSchema),
  node: v.optional(runtimeNodeSchema),
  random: v.optional(functionSchema<() => number>()),
})

/** How a runtime is shut down. */
export interface CloseOptions {
  /**
   * `retire` lets attempts of tasks end, asks operations to wind down, and stops the rest after the grace period;
   * `terminate` stops them at once. Stopped attempts are resumed by the next process. Runs of processes are asked to
   * stop at once in both cases, and have the grace period to do so. Default `retire`.
   */
  readonly policy?: 'retire' | 'terminate'
  /**
   * How long `retire` waits, first for attempts and then for operations, in milliseconds: from 0 to 25 years. Default
   * 5,000.
   */
  readonly graceMs?: number
  /** The reason in the outcomes of operations that are terminated. */
  readonly reason?: string
  /**
   * `true`: gives up processes that were started here and may not run anywhere else, because this host will not come
   * back. Default false: they wait until it is known what became of them.
   */
  readonly drain?: boolean
}

/** Schema of {@link CloseOptions}. */
export const closeOptionsSchema = optionsSchema<CloseOptions>({
  policy: v.optional(v.picklist(['retire', 'terminate'])),
  graceMs: v.optional(durationSchema),
  reason: v.optional(textSchema()),
  drain: v.optional(v.boolean()),
})

/**
 * Checks every number that `random` returns. Raises `invalid_input` unless it is a fraction from 0 (inclusive) to 1
 * (exclusive), because a retry delay computed from anything else would be invalid.
 */
export function checkedRandom(random: () => number): () => number {
  return () => {
    const fraction: unknown = random()
    if (typeof fraction === 'number' && fraction >= 0 && fraction < 1) return fraction
    throw new InvalidInputError({ subject: 'random', field: '$', reason: `not from 0 up to 1: ${textOf(fraction)}` })
  }
}
