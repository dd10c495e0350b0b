import * as v from 'valibot'
import type { JsonValue } from '../../base/json.js'
import { strictSchema } from '../../base/options.js'
import { documentCodec } from '../../state/document.js'
import type { IceProposal } from '../admin-event.js'
import type { BlastRadius, BlastWarning } from '../blast-radius.js'
import type { DaemonRef } from '../daemon.js'
import {
  chainIdSchema,
  daemonIdSchema,
  migrationIdSchema,
  nodeIdSchema,
  type ChainId,
  type DaemonId,
  type MigrationId,
  type NodeId,
} from '../ids.js'
import { labelSchema } from '../scalars.js'
import type { DaemonView, NodeSnapshot, ReplicaView } from '../snapshot.js'

/** The part of a snapshot that a simulation reads. */
export interface SimulationView extends Pick<NodeSnapshot, 'node' | 'freezeRemainingMs'> {
  readonly peers: ReadonlyMap<NodeId, unknown>
  readonly replicas: ReadonlyMap<ChainId, Pick<ReplicaView, 'holders'>>
  readonly daemons: ReadonlyMap<DaemonId, { readonly restart: Pick<DaemonView['restart'], 'status'> }>
  readonly inFlightMigrations: readonly { readonly migration: MigrationId }[]
}

/** What a proposal touches; a radius lists all of it. */
interface Touched {
  readonly nodes?: readonly NodeId[]
  readonly chain?: ChainId
  readonly daemon?: DaemonRef
  readonly delayMs?: number
  readonly stabilityPercent?: number
  readonly warnings: readonly BlastWarning[]
}

/**
 * Computes what a proposal would touch, according to a snapshot (N-340). The node that took the snapshot counts like
 * any other, so that all nodes that know of each other get the same result. Warnings do not block a proposal.
 */
export function simulate(snapshot: SimulationView, proposal: IceProposal): BlastRadius {
  const { nodes = [], chain, daemon, delayMs, stabilityPercent = 0, warnings } = touchedBy(snapshot, proposal)
  return {
    affectedNodes: nodes,
    affectedReplicas: chain === undefined ? [] : [chain],
    affectedDaemons: daemon === undefined ? [] : [daemon],
    ...(delayMs !== undefined && { estimatedDrainDelayMs: delayMs }),
    placementStabilityDeltaPercent: stabilityPercent,
    warnings,
  }
}

function touchedBy(snapshot: SimulationView, proposal: IceProposal): Touched {
  switch (proposal.type) {
    case 'freeze_cluster': {
      const warnings = [{ type: 'cluster_freeze_blocks_operator_actions' }] as const
      return { nodes: everyNode(snapshot), delayMs: proposal.ttlMs, warnings }
    }
    case 'thaw_cluster': {
      const isFrozen = snapshot.freezeRemainingMs !== undefined
      return { warnings: [{ type: isFrozen ? 'thaw_resumes_pending_reconciles' : 'thaw_has_no_freeze_to_cancel' }] }
    }
    case 'flush_avoid_lists':
      return touchedByFlush(snapshot, proposal)
    case 'force_evict_replica':
      return touchedByEviction(snapshot, proposal)
    case 'force_restart_daemon':
      return touchedByRestart(snapshot, proposal)
    case 'force_cutover':
      return touchedByCutover(snapshot, proposal)
    case 'kill_migration': {
      const { migration } = proposal
      const isUnderWay = snapshot.inFlightMigrations.some((known) => known.migration === migration)
      // A migration has the id of the daemon that moves.
      const daemon = { id: migration as string as DaemonId, name: '' }
      const warnings = [{ type: 'kill_migration_dispatcher_integration_pending', migration }] as const
      return { ...(isUnderWay && { daemon }), warnings }
    }
  }
}

type Proposal<Type extends IceProposal['type']> = Extract<IceProposal, { readonly type: Type }>

function touchedByFlush(snapshot: SimulationView, { scope }: Proposal<'flush_avoid_lists'>): Touched {
  switch (scope.type) {
    case 'local':
      return { nodes: [scope.node], warnings: [{ type: 'avoid_flush_local_to_target_node_only' }] }
    case 'on_peer': {
      const warnings = [{ type: 'avoid_flush_recovers_peer', peer: scope.peer }] as const
      return { nodes: everyNode(snapshot), stabilityPercent: 5, warnings }
    }
    case 'global': {
      const warnings = [{ type: 'global_avoid_flush_may_re_emit' }] as const
      return { nodes: everyNode(snapshot), stabilityPercent: 10, warnings }
    }
  }
}

function touchedByEviction({ replicas }: SimulationView, { chain, victim }: Proposal<'force_evict_replica'>): Touched {
  const warnings: BlastWarning[] = [{ type: 'forced_eviction_bypasses_cooldown', chain, victim }]
  const replica = replicas.get(chain)
  if (replica === undefined) warnings.push({ type: 'forced_eviction_targets_unknown_chain', chain })
  else if (!replica.holders.includes(victim)) {
    warnings.push({ type: 'forced_eviction_targets_non_holder', chain, victim })
  }
  return { nodes: [victim], chain, stabilityPercent: 15, warnings }
}

function touchedByCutover({ replicas }: SimulationView, { chain, target }: Proposal<'force_cutover'>): Touched {
  const warnings: BlastWarning[] = [{ type: 'forced_cutover_bypasses_placement_scorer', chain, target }]
  const replica = replicas.get(chain)
  if (replica === undefined) warnings.push({ type: 'forced_cutover_targets_unknown_chain', chain })
  else if (replica.holders.includes(target)) {
    warnings.push({ type: 'forced_cutover_target_already_holder', chain, target })
  }
  return { nodes: [target], chain, stabilityPercent: 15, warnings }
}

function touchedByRestart({ daemons }: SimulationView, { daemon }: Proposal<'force_restart_daemon'>): Touched {
  const warnings: BlastWarning[] = [{ type: 'forced_restart_bypasses_backoff', daemon: daemon.id }]
  const known = daemons.get(daemon.id)
  if (known === undefined) warnings.push({ type: 'forced_restart_targets_unknown_daemon', daemon: daemon.id })
  else if (known.restart.status === 'idle') {
    warnings.push({ type: 'forced_restart_daemon_not_in_backoff', daemon: daemon.id })
  }
  return { daemon, warnings }
}

function everyNode({ node, peers }: SimulationView): readonly NodeId[] {
  return [...new Set([node, ...peers.keys()])].toSorted()
}

/** A simulation view as sent and stored; unknown fields are allowed. */
const documentSchema = strictSchema({
  node: nodeIdSchema,
  peers: v.array(strictSchema({ node: nodeIdSchema })),
  replicas: v.array(strictSchema({ chain: chainIdSchema, holders: v.array(nodeIdSchema) })),
  daemons: v.array(
    strictSchema({
      id: daemonIdSchema,
      name: labelSchema,
      restart: strictSchema({ status: v.picklist(['idle', 'backing_off', 'crash_looping']) }),
    }),
  ),
  freezeRemainingMs: v.exactOptional(v.pipe(v.number(), v.minValue(0))),
  inFlightMigrations: v.array(strictSchema({ migration: migrationIdSchema })),
})

const codec = documentCodec(documentSchema, 'snapshot')

/** Encodes the part of a snapshot that a simulation reads as JSON. */
export function encodeSimulationView(snapshot: NodeSnapshot): JsonValue {
  const { node, peers, replicas, daemons, freezeRemainingMs, inFlightMigrations } = snapshot
  return codec.encode({
    node,
    peers: Array.from(peers.keys(), (peer) => ({ node: peer })),
    replicas: Array.from(replicas.values(), ({ chain, holders }) => ({ chain, holders: [...holders] })),
    daemons: Array.from(daemons.values(), ({ id, name, restart: { status } }) => ({ id, name, restart: { status } })),
    ...(freezeRemainingMs !== undefined && { freezeRemainingMs }),
    inFlightMigrations: inFlightMigrations.map(({ migration }) => ({ migration })),
  })
}

/** Decodes a simulation view; a whole snapshot is accepted too. Raises `invalid_input` naming the field. */
export function decodeSimulationView(document: unknown): SimulationView {
  const { node, peers, replicas, daemons, freezeRemainingMs, inFlightMigrations } = codec.decode(document)
  return {
    node,
    peers: new Map(peers.map((peer) => [peer.node, peer])),
    replicas: new Map(replicas.map((replica) => [replica.chain, replica])),
    daemons: new Map(daemons.map((daemon) => [daemon.id, daemon])),
    ...(freezeRemainingMs !== undefined && { freezeRemainingMs }),
    inFlightMigrations,
  }
}
