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
  /** Where it listens, on this machine alone. Default: a port that is free. */
  readonly port?: number
}

/** What an inspector shows and allows. */
export interface InspectorViewOptions {
  /** Whether viewers may cancel, terminate, retry, answer, pause and resume. Default false: they only look. */
  readonly actions?: boolean
  /**
   * Whether payloads, results, answers and the contexts of actors are shown, fields that look like secrets masked. Default false:
   * only that they are there.
   */
  readonly values?: boolean
  /** Which fields hold secrets, by their names. Default: that of the runtime's log. */
  readonly mask?: RegExp
  /** Fraction of the operations whose actors are shown, each with its whole story or not at all. Default 1. */
  readonly sample?: number
  /** Entries of the stream, and items that have ended, that are held for viewers who come later or read slowly. Default 10,000. */
  readonly capacity?: number
}

/** The fields of {@link InspectorViewOptions}. */
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

/** Whether it is an observer, and not options. */
function isObserver(input: unknown): input is Inspect {
  return v.is(inspectSchema, input)
}

const inspectOptionSchema: v.GenericSchema<unknown, Inspect | InspectorServerOptions | boolean> = v.lazy((input) => {
  if (typeof input === 'boolean') return v.boolean()
  return isObserver(input) ? inspectSchema : inspectorServerSchema
})

/** The observer that is given, if one is. */
export function observerIn(inspect: RuntimeOptions['inspect']): Inspect | undefined {
  return isObserver(inspect) ? inspect : undefined
}

/** How the inspector is to be served, if it is. */
export function inspectorServerIn(inspect: RuntimeOptions['inspect']): InspectorServerOptions | undefined {
  if (inspect === undefined || inspect === false || isObserver(inspect)) return undefined
  return inspect === true ? {} : inspect
}

/** What a runtime is built on; everything has a default. */
export interface RuntimeOptions {
  /** Directory of the durable journal, made if missing. Without it, and without `store`, everything stays in memory. */
  readonly dataDir?: string
  /** Another durable log than a directory; excludes `dataDir`. */
  readonly store?: JournalStore
  /**
   * How long opening waits for another owner of `dataDir` to leave, in milliseconds, as in a rolling update; then it
   * rejects with `journal_locked`. Default 0.
   */
  readonly lockWaitMs?: number
  /**
   * What opening does when records at the end of the journal in `dataDir` are damaged or missing that may have been
   * acknowledged: `refuse` rejects with `journal_corrupt`, `cut` keeps the bytes in a file of their own, goes on without
   * these records and says so in `runtime.recovery`. Default `refuse`.
   */
  readonly onDamage?: 'refuse' | 'cut'
  readonly clock?: Clock
  readonly ids?: IdSource
  /**
   * True, or how: serves the inspector, a page that shows what happens here, to this machine alone, under an address with a
   * secret in it that is logged and stands in `runtime.inspectorUrl`. Or an observer, which receives the inspection events of
   * every actor, for instance that of `createStatelyInspector`.
   */
  readonly inspect?: Inspect | InspectorServerOptions | boolean
  /** Is told the life of the service; every line is listed in docs/observability.md. Default: nobody is. */
  readonly logger?: Logger
  /**
   * Which fields hold secrets, by their names: the logger is shown `[masked]` instead of what they hold, also where they stand
   * in a text, as in `password=abc`. Default: passwords, tokens, keys, cookies and the like.
   */
  readonly mask?: RegExp
  /**
   * An OpenTelemetry tracer: one span per operation, submission, attempt, start and run, active inside its work. See docs/observability.md.
   */
  readonly tracer?: Tracer
  /** An OpenTelemetry meter: queues, waits, durations, ends, budgets and the journal. See docs/observability.md. */
  readonly meter?: Meter
  /** Journal records after which a snapshot is written. Default 100,000. */
  readonly compactAfter?: number
  /** What tasks there are, and how they are dispatched. */
  readonly tasks?: RuntimeTasksOptions
  /** What processes there are, where they live, and how they are run. */
  readonly processes?: RuntimeProcessesOptions
  /** Who this node is, what daemons it can run, and whom it obeys. Without it there is no node. */
  readonly node?: RuntimeNodeOptions
  /** A number from 0 up to, not including, 1; spreads retries. Default `Math.random`. */
  readonly random?: () => number
}

const patternSchema = v.custom<RegExp>(
  (input) => input instanceof RegExp,
  ({ input }) => `not a regular expression: ${textOf(input)}`,
)

/** Accepts {@link RuntimeOptions}. */
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
   * `retire` lets attempts of tasks end and asks operations to wind down, and stops the rest after the grace period;
   * `terminate` does so at once. Attempts that are stopped are resumed by the next process. Runs of processes are told to
   * stop at once either way, and have the grace period to answer. Default `retire`.
   */
  readonly policy?: 'retire' | 'terminate'
  /** Milliseconds that `retire` waits, for attempts first and then for operations: from 0 to 25 years. Default 5,000. */
  readonly graceMs?: number
  /** Written into the outcome of what is terminated. */
  readonly reason?: string
  /**
   * True: processes that were started here and may run nowhere else are given up, because this host does not come back.
   * Default false: they wait until somebody knows what became of them.
   */
  readonly drain?: boolean
}

/** Accepts {@link CloseOptions}. */
export const closeOptionsSchema = optionsSchema<CloseOptions>({
  policy: v.optional(v.picklist(['retire', 'terminate'])),
  graceMs: v.optional(durationSchema),
  reason: v.optional(textSchema()),
  drain: v.optional(v.boolean()),
})

/** A delay that is spread by something else than a fraction would be none. Raises `invalid_input`. */
export function checkedRandom(random: () => number): () => number {
  return () => {
    const fraction: unknown = random()
    if (typeof fraction === 'number' && fraction >= 0 && fraction < 1) return fraction
    throw new InvalidInputError({ subject: 'random', field: '$', reason: `not from 0 up to 1: ${textOf(fraction)}` })
  }
}
