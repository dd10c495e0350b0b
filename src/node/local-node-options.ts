import * as v from 'valibot'
import { decode } from '../base/decode.js'
import {
  durationSchema,
  functionSchema,
  nameSchema,
  optionsSchema,
  portSchema,
  wholeNumberSchema,
} from '../base/options.js'
import { AdminVerifier, type MigrationAborter, type MigrationSource } from './admin/index.js'
import type { ChainRetention, ChainRetentions } from './chain-entry.js'
import { resolveClusterOptions, type ClusterConfiguration, type NodeClusterOptions } from './cluster-options.js'
import type { ControlSink } from './control-event.js'
import { daemonDefinitionSchema, type DaemonDefinition } from './daemon-definition.js'
import type { FoldEvent } from './fold-event.js'
import type { DaemonId } from './ids.js'
import type { PlacementSource, ReplicaStore } from './node-dispatcher.js'
import { resolveNodeOptions, type NodeConfiguration, type NodeOptions } from './options.js'
import type { Scorer } from './scorer.js'

/**
 * The node of a runtime: its id, what it can run, who may command it, and what it acts with. Everything but the id has
 * a default.
 */
export interface RuntimeNodeOptions extends NodeOptions {
  /** Daemons that it can run. Intents decide which of them it runs. */
  readonly daemons?: readonly DaemonDefinition[]
  /** Who may administer it. Without a verifier, operators' commands are not verified. */
  readonly verifier?: AdminVerifier
  /**
   * Path of a Unix socket on which it listens for operators, in a folder of its user alone. Requires a verifier that
   * knows an operator.
   */
  readonly adminSocket?: string
  /** Keeps the copies of chains. Without one, pulls and drops fail with `node.unsupported`. */
  readonly replicas?: ReplicaStore
  /** Decides which node holds what. Without one, requests fail with `node.unsupported`. */
  readonly placement?: PlacementSource
  readonly scorer?: Scorer
  readonly aborter?: MigrationAborter
  readonly migrations?: MigrationSource
  /** Receives the control events of daemons, too. */
  readonly control?: ControlSink
  /** In a cluster, the fence of the lease that a daemon runs under. */
  readonly fenceOf?: (daemon: DaemonId) => number | undefined
  /** Makes it a member of a cluster: the nodes share out what runs, and all obey the same commands. */
  readonly cluster?: NodeClusterOptions
  /** The retention of each chain. */
  readonly retention?: Partial<ChainRetentions>
  /**
   * Called with every event that is folded, in order; folding them again yields the same state, actions and snapshots.
   */
  readonly onFolded?: (event: FoldEvent) => void
  /** How long a shutdown waits for the loop, and then for the executor, in milliseconds. Default 2,000. */
  readonly shutdownTimeoutMs?: number
}

const recordsSchema = v.union([wholeNumberSchema(1), v.literal(Number.POSITIVE_INFINITY)])
const retentionSchema = optionsSchema<ChainRetention>({ records: recordsSchema, ageMs: v.optional(durationSchema) })

/** Accepts {@link RuntimeNodeOptions}; their fields are checked when the node is opened. */
export const runtimeNodeSchema = portSchema<RuntimeNodeOptions>([])
const anObjectSchema = portSchema<Record<string, unknown> & RuntimeNodeOptions>([])
/** The options of a node besides its configuration. */
type NodeParts = Omit<RuntimeNodeOptions, keyof NodeOptions | 'cluster'> & { readonly cluster?: ClusterConfiguration }

const partsSchema = optionsSchema<NodeParts>({
  daemons: v.optional(
    v.pipe(
      v.array(daemonDefinitionSchema, 'not a list'),
      v.check((daemons) => new Set(daemons.map(({ daemon: { id } }) => id)).size === daemons.length, 'two of one id'),
    ),
  ),
  verifier: v.optional(v.instance(AdminVerifier, 'not an AdminVerifier')),
  adminSocket: v.optional(nameSchema),
  replicas: v.optional(portSchema<ReplicaStore>(['pull', 'drop'])),
  placement: v.optional(portSchema<PlacementSource>(['requestPlacement', 'requestEviction', 'invalidate'])),
  scorer: v.optional(
    portSchema<Scorer>(['score', 'bestAlternative'], ['liveScore', 'nodeFingerprint', 'migrationCost']),
  ),
  aborter: v.optional(portSchema<MigrationAborter>(['abort'])),
  migrations: v.optional(portSchema<MigrationSource>(['migrations'])),
  control: v.optional(portSchema<ControlSink>(['emit'])),
  fenceOf: v.optional(functionSchema<(daemon: DaemonId) => number | undefined>()),
  cluster: v.optional(v.custom<ClusterConfiguration>(() => true)),
  retention: v.optional(
    optionsSchema<Partial<ChainRetentions>>({
      action: v.optional(retentionSchema),
      failure: v.optional(retentionSchema),
      audit: v.optional(retentionSchema),
      log: v.optional(retentionSchema),
    }),
  ),
  onFolded: v.optional(functionSchema<(event: FoldEvent) => void>()),
  shutdownTimeoutMs: v.optional(durationSchema),
})

const partNames: readonly (keyof NodeParts)[] = [
  'daemons',
  'verifier',
  'adminSocket',
  'replicas',
  'placement',
  'scorer',
  'aborter',
  'migrations',
  'control',
  'fenceOf',
  'cluster',
  'retention',
  'onFolded',
  'shutdownTimeoutMs',
]

/**
 * Checks the options of a node and fills in the defaults of its configuration. Raises `invalid_input` naming the field.
 */
export function resolveRuntimeNodeOptions(options: RuntimeNodeOptions): {
  readonly configuration: NodeConfiguration
  readonly parts: NodeParts
} {
  const given = Object.entries(decode(anObjectSchema, options, 'node options'))
  const isPart = ([name]: [string, unknown]): boolean => (partNames as readonly string[]).includes(name)
  const named = Object.fromEntries(given.filter(isPart))
  const cluster = options.cluster === undefined ? {} : { cluster: resolveClusterOptions(options.cluster) }
  const parts = decode(partsSchema, { ...named, ...cluster }, 'node options')
  const rest = Object.fromEntries(given.filter((entry) => !isPart(entry))) as unknown as NodeOptions
  return { configuration: resolveNodeOptions(rest), parts }
}

/** How to submit an operator's attempt. */
export interface SubmitAttemptOptions {
  /** How long to wait for room in the queue, in milliseconds. Default 5,000. */
  readonly timeoutMs?: number
  /**
   * The instant it is judged by, in epoch milliseconds: for a commit that came through a cluster, the time of its
   * source. Default: now.
   */
  readonly judgedAtMs?: number
}

/** How to shut a node down. */
export interface ShutdownNodeOptions {
  /** How long its daemons have to end, in milliseconds. Default: what their definitions and the node grant. */
  readonly graceMs?: number
}

/** Accepts {@link SubmitAttemptOptions}. */
export const submitOptionsSchema = optionsSchema<SubmitAttemptOptions>({
  timeoutMs: v.optional(durationSchema),
  judgedAtMs: v.optional(wholeNumberSchema(0)),
})
