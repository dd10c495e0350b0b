import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { deepFreeze } from '../base/freeze.js'
import { copyJson } from '../base/json-copy.js'
import { durationSchema, strictSchema } from '../base/options.js'
import { adminEventSchema, type AdminEvent } from './admin-event.js'
import {
  signedAdminCommitSchema,
  signedIceCommitSchema,
  type SignedAdminCommit,
  type SignedIceCommit,
} from './commit.js'
import { daemonRefSchema, daemonSignalSchema, type DaemonRef, type DaemonSignal } from './daemon.js'
import {
  blobIdSchema,
  chainIdSchema,
  daemonIdSchema,
  nodeIdSchema,
  type BlobId,
  type ChainId,
  type DaemonId,
  type NodeId,
} from './ids.js'
import { maintenanceStateSchema, type MaintenanceState } from './maintenance.js'
import { countSchema, labelSchema, naturalSchema } from './scalars.js'
import {
  daemonIntents,
  logLevelSchema,
  nodeHealthSchema,
  replicaChanges,
  replicaIntents,
  type DaemonIntent,
  type NodeHealth,
  type NodeLogLevel,
  type ReplicaChange,
  type ReplicaIntent,
} from './vocabulary.js'

/** Something that happened around the node; folded into the actual state. */
export type ObservedEvent =
  | {
      readonly type: 'replica_update'
      readonly change: ReplicaChange
      readonly chain: ChainId
      readonly holder: NodeId
    }
  /** The leader was lost and holds no copy any more, in one step. */
  | { readonly type: 'replica_leader_lost_and_removed'; readonly chain: ChainId; readonly holder: NodeId }
  /** A node has become holder and leader, in one step. */
  | { readonly type: 'replica_became_holder_and_leader'; readonly chain: ChainId; readonly holder: NodeId }
  /** Without `leader` none is known any more. */
  | { readonly type: 'replica_leader_update'; readonly chain: ChainId; readonly leader?: NodeId }
  | { readonly type: 'daemon_lifecycle'; readonly daemon: DaemonRef; readonly signal: DaemonSignal }
  /** The node forgets the daemon: its row, its intent and its gate. */
  | { readonly type: 'daemon_removed'; readonly daemon: DaemonId }
  | { readonly type: 'rtt_sample'; readonly peer: NodeId; readonly rttMs: number }
  | { readonly type: 'node_health'; readonly peer: NodeId; readonly health: NodeHealth }
  /** The peer is no longer a member; everything known of it is forgotten. */
  | { readonly type: 'peer_removed'; readonly peer: NodeId }
  | {
      readonly type: 'blob_announcement'
      readonly blob: BlobId
      readonly holder: NodeId
      readonly sizeBytes: number
      readonly added: boolean
    }
  | { readonly type: 'maintenance_transition_observed'; readonly node: NodeId; readonly state: MaintenanceState }
  /** Whether a part of the process (tasks, operations, processes) is idle; a drain waits for all of them. */
  | { readonly type: 'participant_report'; readonly participant: string; readonly isIdle: boolean }

/** What the node should do; folded into the desired state. */
export type IntentEvent =
  | { readonly type: 'placement_intent'; readonly chain: ChainId; readonly desiredReplicas: number }
  /** With `node` the daemon may run on that node only; without it the pin is removed. */
  | {
      readonly type: 'daemon_intent_update'
      readonly daemon: DaemonRef
      readonly intent: DaemonIntent
      readonly node?: NodeId
    }
  | { readonly type: 'local_replica_intent'; readonly chain: ChainId; readonly intent: ReplicaIntent }

/** A command of an operator, signed or not. */
export type OperatorEvent =
  | { readonly type: 'admin_event'; readonly event: AdminEvent }
  | { readonly type: 'signed_admin_commit'; readonly commit: SignedAdminCommit }
  | { readonly type: 'signed_ice_commit'; readonly commit: SignedIceCommit }

/** A line for the log of the node. */
export interface LogLineEvent {
  readonly type: 'log_line'
  readonly level: NodeLogLevel
  readonly daemonId?: DaemonId
  readonly message: string
}

/** What can be published to the loop of a node. `tick` advances time without reconciling. */
export type NodeEvent =
  | ObservedEvent
  | IntentEvent
  | OperatorEvent
  | LogLineEvent
  | { readonly type: 'tick' | 'shutdown' }

const ofChain = { chain: chainIdSchema }
const ofPeer = { peer: nodeIdSchema }

const observedOptions = [
  strictSchema({
    type: v.literal('replica_update'),
    change: v.picklist(replicaChanges),
    ...ofChain,
    holder: nodeIdSchema,
  }),
  strictSchema({
    type: v.picklist(['replica_leader_lost_and_removed', 'replica_became_holder_and_leader']),
    ...ofChain,
    holder: nodeIdSchema,
  }),
  strictSchema({ type: v.literal('replica_leader_update'), ...ofChain, leader: v.exactOptional(nodeIdSchema) }),
  strictSchema({ type: v.literal('daemon_lifecycle'), daemon: daemonRefSchema, signal: daemonSignalSchema }),
  strictSchema({ type: v.literal('daemon_removed'), daemon: daemonIdSchema }),
  strictSchema({ type: v.literal('rtt_sample'), ...ofPeer, rttMs: durationSchema }),
  strictSchema({ type: v.literal('node_health'), ...ofPeer, health: nodeHealthSchema }),
  strictSchema({ type: v.literal('peer_removed'), ...ofPeer }),
  strictSchema({
    type: v.literal('blob_announcement'),
    blob: blobIdSchema,
    holder: nodeIdSchema,
    sizeBytes: naturalSchema,
    added: v.boolean(),
  }),
  strictSchema({
    type: v.literal('maintenance_transition_observed'),
    node: nodeIdSchema,
    state: maintenanceStateSchema,
  }),
  strictSchema({ type: v.literal('participant_report'), participant: labelSchema, isIdle: v.boolean() }),
] as const

const intentOptions = [
  strictSchema({ type: v.literal('placement_intent'), ...ofChain, desiredReplicas: countSchema }),
  strictSchema({
    type: v.literal('daemon_intent_update'),
    daemon: daemonRefSchema,
    intent: v.picklist(daemonIntents),
    node: v.exactOptional(nodeIdSchema),
  }),
  strictSchema({ type: v.literal('local_replica_intent'), ...ofChain, intent: v.picklist(replicaIntents) }),
] as const

const logLineOption = strictSchema({
  type: v.literal('log_line'),
  level: logLevelSchema,
  daemonId: v.exactOptional(daemonIdSchema),
  message: v.string('not text'),
})

/** The options of {@link stateEventSchema}, for larger unions. */
export const stateEventOptions = [...observedOptions, ...intentOptions] as const

/** Accepts the events that change the state of the node, except those of operators. */
export const stateEventSchema: v.GenericSchema<unknown, ObservedEvent | IntentEvent> = v.variant('type', [
  ...stateEventOptions,
])

/** Accepts a {@link NodeEvent}. */
export const nodeEventSchema: v.GenericSchema<unknown, NodeEvent> = v.variant('type', [
  ...stateEventOptions,
  logLineOption,
  strictSchema({ type: v.literal('admin_event'), event: adminEventSchema }),
  strictSchema({ type: v.literal('signed_admin_commit'), commit: signedAdminCommitSchema }),
  strictSchema({ type: v.literal('signed_ice_commit'), commit: signedIceCommitSchema }),
  strictSchema({ type: v.picklist(['tick', 'shutdown']) }),
])

/**
 * Takes an event from outside as a frozen copy. Raises `invalid_input` naming the field, and no other error, whatever
 * the input is.
 */
export function takeNodeEvent(input: unknown): NodeEvent {
  return deepFreeze(decode(nodeEventSchema, copyJson(input, 'node event'), 'node event'))
}
