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

/** The node of a runtime: who it is, what it can run, whom it obeys, and what it acts with. Everything but the first has a default. */
export interface RuntimeNodeOptions extends NodeOptions {
  /** Daemons that it can run. Which of them it runs is wished for by intents. */
  readonly daemons?: readonly DaemonDefinition[]
  /** Who may administer it. Without one, nothing that comes from operators is verified. */
  readonly verifier?: AdminVerifier
  /** Path of a socket at which it listens for operators, in a folder of its user alone. It takes a verifier that knows one. */
  readonly adminSocket?: string
  /** Where the copies of chains are kept. Without one, pulls and drops fail with `node.unsupported`. */
  readonly replicas?: ReplicaStore
  /** Who decides which node holds what. Without one, requests fail with `node.unsupported`. */
  readonly placement?: PlacementSource
  readonly scorer?: Scorer
  readonly aborter?: MigrationAborter
  readonly migrations?: MigrationSource
  /** Told of what daemons are told, too. */
  readonly control?: ControlSink
  /** Of a cluster: the fence of the lease that a daemon runs under. */
  readonly fenceOf?: (daemon: DaemonId) => number | undefined
  /** What makes it one of several nodes: which of them runs what, and commands that all of them obey. */
  readonly cluster?: NodeClusterOptions
  /** How much of each chain is kept. */
  readonly retention?: Partial<ChainRetentions>
  /** Told of everything that is folded, in order; folded again it comes to the same state, actions and snapshots. */
  readonly onFolded?: (event: FoldEvent) => void
  /** Milliseconds that a shutdown waits for the loop, and then for the executor. Default 2,000. */
  readonly shutdownTimeoutMs?: number
}

const recordsSchema = v.union([wholeNumberSchema(1), v.literal(Number.POSITIVE_INFINITY)])
const retentionSchema = optionsSchema<ChainRetention>({ records: recordsSchema, ageMs: v.optional(durationSchema) })

/** Accepts {@link RuntimeNodeOptions}; its fields are checked when it is opened. */
export const runtimeNodeSchema = portSchema<RuntimeNodeOptions>([])
const anObjectSchema = portSchema<Record<string, unknown> & RuntimeNodeOptions>([])
/** What a node is told beside its configuration. */
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

/** What a node is told, checked, its configuration with every default filled in. Raises `invalid_input` naming the field. */
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
