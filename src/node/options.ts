import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import { deepFreeze } from '../base/freeze.js'
import { durationSchema, longestDurationMs, numberSchema, optionsSchema, wholeNumberSchema } from '../base/options.js'
import { nodeIdSchema, type NodeId } from './ids.js'
import type { CrashBackoff } from './vocabulary.js'

/** Limits on the work of the executor. */
export interface BackpressureOptions {
  /** Milliseconds between two pulls, of any chains. Default 250. */
  readonly pullCooldownMs: number
  /** How long a chain stabilizes after a copy of it was pulled or dropped, in milliseconds. Default 60,000. */
  readonly replicaStabilizationMs: number
  /** How often an action is deferred before it fails. Default 16. */
  readonly maxDeferCount: number
  /** The number of waiting actions at which backpressure begins. Default 1,000. */
  readonly clusterThreshold: number
  /** The number of waiting actions at which it ends. Default 200. */
  readonly clusterRelease: number
}

/** Which peers count as too far away. */
export interface LocalityOptions {
  /** Peers with a longer round trip than this, in milliseconds, are avoided. Default 250. */
  readonly degradedRttMs: number
  /** How long such a peer is avoided, in milliseconds. Default 5 minutes. */
  readonly avoidTtlMs: number
}

/** How a node leaves service and returns. */
export interface MaintenanceOptions {
  /** The time limit of a drain that sets none, in milliseconds. Default 10 minutes. */
  readonly defaultDrainMs: number
  /** The length of the recovery, in milliseconds. Default 5 minutes. */
  readonly recoveryRampMs: number
}

/** When a copy is moved to a better node. Scores are fractions. */
export interface SchedulerOptions {
  /** Copies with a lower score are candidates for a move. Default 0.5. */
  readonly scoreFloor: number
  /** The score must improve by more than this. Default 0.2. */
  readonly hysteresisGap: number
  /** Milliseconds between two moves of the same chain. Default 5 minutes. */
  readonly cooldownMs: number
  /** Scores are sampled again after this many milliseconds, even if nothing seems to have changed. Default 30,000. */
  readonly decisionIntervalMs: number
  /** The cost of a move, as score per millisecond. Default 0.0001. */
  readonly costPerMs: number
}

/** How daemons are started and stopped. */
export interface SupervisionOptions {
  /** How long a daemon has to stop before it is ended by force, in milliseconds. Default 30,000. */
  readonly stopGraceMs: number
  /** How long a start may go without an answer before it counts as failed, in milliseconds. Default 60,000. */
  readonly startTimeoutMs: number
  /** How long after its deadline a stop without an answer is requested again, in milliseconds. Default 15,000. */
  readonly stopTimeoutMs: number
  readonly backoff: CrashBackoff
}

/** The configuration of a node's loop, with every default filled in. */
export interface NodeConfiguration {
  readonly thisNode: NodeId
  /** Milliseconds between two passes of reconciliation. Default 500. */
  readonly tickIntervalMs: number
  /** Capacity of the loop's queue, in events. Default 1,024. */
  readonly eventQueueCapacity: number
  /** Capacity of the executor's queue, in actions. Default 1,024. */
  readonly actionQueueCapacity: number
  /**
   * How many forced evictions and placements may wait for a pass that can act on them; further ones are refused.
   * Default 1,024.
   */
  readonly forcedEntriesCapacity: number
  readonly backpressure: BackpressureOptions
  readonly locality: LocalityOptions
  readonly maintenance: MaintenanceOptions
  readonly scheduler: SchedulerOptions
  readonly supervision: SupervisionOptions
}

type Partially<Options> = { readonly [Name in keyof Options]?: Options[Name] }

/** The configuration of a node's loop; everything but the node's id has a default. */
export interface NodeOptions
  extends Partially<
    Pick<NodeConfiguration, 'tickIntervalMs' | 'eventQueueCapacity' | 'actionQueueCapacity' | 'forcedEntriesCapacity'>
  > {
  readonly thisNode: NodeId
  readonly backpressure?: Partially<BackpressureOptions>
  readonly locality?: Partially<LocalityOptions>
  readonly maintenance?: Partially<MaintenanceOptions>
  readonly scheduler?: Partially<SchedulerOptions>
  readonly supervision?: Partially<Omit<SupervisionOptions, 'backoff'>> & {
    readonly backoff?: Partially<CrashBackoff>
  }
}

const minute = 60_000

/** Every default of {@link NodeConfiguration}. */
export const nodeDefaults: Omit<NodeConfiguration, 'thisNode'> = deepFreeze({
  tickIntervalMs: 500,
  eventQueueCapacity: 1024,
  actionQueueCapacity: 1024,
  forcedEntriesCapacity: 1024,
  backpressure: {
    pullCooldownMs: 250,
    replicaStabilizationMs: minute,
    maxDeferCount: 16,
    clusterThreshold: 1000,
    clusterRelease: 200,
  },
  locality: { degradedRttMs: 250, avoidTtlMs: 5 * minute },
  maintenance: { defaultDrainMs: 10 * minute, recoveryRampMs: 5 * minute },
  scheduler: {
    scoreFloor: 0.5,
    hysteresisGap: 0.2,
    cooldownMs: 5 * minute,
    decisionIntervalMs: minute / 2,
    costPerMs: 0.0001,
  },
  supervision: {
    stopGraceMs: minute / 2,
    startTimeoutMs: minute,
    stopTimeoutMs: minute / 4,
    backoff: {
      initialMs: 500,
      factor: 2,
      maxMs: minute,
      crashLoopThreshold: 5,
      crashLoopWindowMs: minute,
      crashLoopCooldownMs: 5 * minute,
      stableRunMs: minute,
    },
  },
})

const duration = v.optional(durationSchema)
const count = v.optional(wholeNumberSchema(1))
const score = v.optional(numberSchema(0, 1))

/** Accepts {@link NodeOptions}. */
export const nodeOptionsSchema = optionsSchema<NodeOptions>({
  thisNode: nodeIdSchema,
  tickIntervalMs: v.optional(numberSchema(1, longestDurationMs)),
  eventQueueCapacity: count,
  actionQueueCapacity: count,
  forcedEntriesCapacity: count,
  backpressure: v.optional(
    optionsSchema<Partially<BackpressureOptions>>({
      pullCooldownMs: duration,
      replicaStabilizationMs: duration,
      maxDeferCount: v.optional(wholeNumberSchema(0)),
      clusterThreshold: count,
      clusterRelease: v.optional(wholeNumberSchema(0)),
    }),
  ),
  locality: v.optional(optionsSchema<Partially<LocalityOptions>>({ degradedRttMs: duration, avoidTtlMs: duration })),
  maintenance: v.optional(
    optionsSchema<Partially<MaintenanceOptions>>({ defaultDrainMs: duration, recoveryRampMs: duration }),
  ),
  scheduler: v.optional(
    optionsSchema<Partially<SchedulerOptions>>({
      scoreFloor: score,
      hysteresisGap: score,
      cooldownMs: duration,
      decisionIntervalMs: duration,
      costPerMs: v.optional(numberSchema(0, Number.MAX_VALUE)),
    }),
  ),
  supervision: v.optional(
    optionsSchema<NonNullable<NodeOptions['supervision']>>({
      stopGraceMs: duration,
      startTimeoutMs: duration,
      stopTimeoutMs: duration,
      backoff: v.optional(
        optionsSchema<Partially<CrashBackoff>>({
          initialMs: duration,
          factor: v.optional(numberSchema(1, 1000)),
          maxMs: duration,
          crashLoopThreshold: count,
          crashLoopWindowMs: duration,
          crashLoopCooldownMs: duration,
          stableRunMs: duration,
        }),
      ),
    }),
  ),
})

/** Checks the options and fills in the defaults; the result is frozen. Raises `invalid_input` naming the field. */
export function resolveNodeOptions(input: NodeOptions): NodeConfiguration {
  const options = decode(nodeOptionsSchema, input, 'node options')
  const configuration = filled({ thisNode: options.thisNode, ...nodeDefaults }, options)
  const { clusterRelease, clusterThreshold } = configuration.backpressure
  if (clusterRelease >= clusterThreshold) {
    const reason = `not below clusterThreshold, which is ${clusterThreshold}: ${clusterRelease}`
    throw new InvalidInputError({ subject: 'node options', field: 'backpressure.clusterRelease', reason })
  }
  return deepFreeze(configuration)
}

/** The defaults, overridden by the given values, recursively. */
function filled<Value extends object>(defaults: Value, given: object): Value {
  const result = Object.fromEntries(Object.entries(defaults)) as Record<string, unknown>
  for (const [name, value] of Object.entries(given) as [string, unknown][]) {
    if (value === undefined) continue
    const known = result[name]
    result[name] = typeof known === 'object' && known !== null ? filled(known, value as object) : value
  }
  return result as unknown as Value
}
