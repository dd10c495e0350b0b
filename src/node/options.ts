import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import { deepFreeze } from '../base/freeze.js'
import { durationSchema, longestDurationMs, numberSchema, optionsSchema, wholeNumberSchema } from '../base/options.js'
import { nodeIdSchema, type NodeId } from './ids.js'
import type { CrashBackoff } from './vocabulary.js'

/** How much may be asked of the executor at a time. */
export interface BackpressureOptions {
  /** Milliseconds between two pulls, of whatever chain. Default 250. */
  readonly pullCooldownMs: number
  /** Milliseconds for which a chain rests after a copy of it was pulled or dropped. Default 60,000. */
  readonly replicaStabilizationMs: number
  /** How often one action is put off before it fails. Default 16. */
  readonly maxDeferCount: number
  /** The cluster is told to slow down at so many actions waiting. Default 1,000. */
  readonly clusterThreshold: number
  /** And to go on at so many. Default 200. */
  readonly clusterRelease: number
}

/** Which peers are too far. */
export interface LocalityOptions {
  /** A peer is avoided above so many milliseconds. Default 250. */
  readonly degradedRttMs: number
  /** Milliseconds for which it is avoided. Default 5 minutes. */
  readonly avoidTtlMs: number
}

/** How a node is taken out of service and back. */
export interface MaintenanceOptions {
  /** Milliseconds for a drain that names none. Default 10 minutes. */
  readonly defaultDrainMs: number
  /** Milliseconds of recovery. Default 5 minutes. */
  readonly recoveryRampMs: number
}

/** When a copy is moved because it would be better elsewhere. Scores are fractions. */
export interface SchedulerOptions {
  /** A copy below this score is a candidate. Default 0.5. */
  readonly scoreFloor: number
  /** What has to be gained, and more. Default 0.2. */
  readonly hysteresisGap: number
  /** Milliseconds between two moves of one chain. Default 5 minutes. */
  readonly cooldownMs: number
  /** Milliseconds after which scores are taken anew whatever seems to have changed. Default 30,000. */
  readonly decisionIntervalMs: number
  /** The score that each millisecond of a move costs. Default 0.0001. */
  readonly costPerMs: number
}

/** How daemons are started and stopped. */
export interface SupervisionOptions {
  /** Milliseconds that a daemon has to stop before it is ended by force. Default 30,000. */
  readonly stopGraceMs: number
  /** Milliseconds after which a start that nothing was heard of is taken to have failed. Default 60,000. */
  readonly startTimeoutMs: number
  /** Milliseconds after its deadline after which a stop that nothing was heard of is asked for again. Default 15,000. */
  readonly stopTimeoutMs: number
  readonly backoff: CrashBackoff
}

/** How the loop of a node works, with every default filled in. */
export interface NodeConfiguration {
  readonly thisNode: NodeId
  /** Milliseconds between two passes of reconciliation. Default 500. */
  readonly tickIntervalMs: number
  /** Events that wait for the loop. Default 1,024. */
  readonly eventQueueCapacity: number
  /** Actions that wait for the executor. Default 1,024. */
  readonly actionQueueCapacity: number
  /** Forced evictions and placements that wait for a pass that can act; a further one is refused. Default 1,024. */
  readonly forcedEntriesCapacity: number
  readonly backpressure: BackpressureOptions
  readonly locality: LocalityOptions
  readonly maintenance: MaintenanceOptions
  readonly scheduler: SchedulerOptions
  readonly supervision: SupervisionOptions
}

type Partially<Options> = { readonly [Name in keyof Options]?: Options[Name] }

/** How the loop of a node works; everything but the node itself has a default. */
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

/** Every default. */
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

/** What a node is told, with every default filled in, frozen. Raises `invalid_input` naming the field. */
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

/** The defaults with whatever is there in place of them, however deep. */
function filled<Value extends object>(defaults: Value, given: object): Value {
  const result = Object.fromEntries(Object.entries(defaults)) as Record<string, unknown>
  for (const [name, value] of Object.entries(given) as [string, unknown][]) {
    if (value === undefined) continue
    const known = result[name]
    result[name] = typeof known === 'object' && known !== null ? filled(known, value as object) : value
  }
  return result as unknown as Value
}
