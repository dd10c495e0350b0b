import * as v from 'valibot'
import type { JsonObject } from '../base/json.js'
import { strictSchema, wholeNumberSchema } from '../base/options.js'
import { wireCodec } from '../state/wire.js'
import { daemonRefSchema, type DaemonRef } from './daemon.js'
import {
  chainIdSchema,
  daemonIdSchema,
  migrationIdSchema,
  nodeIdSchema,
  type ChainId,
  type DaemonId,
  type MigrationId,
  type NodeId,
} from './ids.js'
import { wholeDurationSchema } from './scalars.js'

/** What operators should know before they sign. Warnings do not block a proposal. */
export type BlastWarning =
  | {
      readonly type:
        | 'cluster_freeze_blocks_operator_actions'
        | 'thaw_resumes_pending_reconciles'
        | 'thaw_has_no_freeze_to_cancel'
        | 'global_avoid_flush_may_re_emit'
        | 'avoid_flush_local_to_target_node_only'
    }
  | { readonly type: 'avoid_flush_recovers_peer'; readonly peer: NodeId }
  | {
      readonly type: 'forced_eviction_bypasses_cooldown' | 'forced_eviction_targets_non_holder'
      readonly chain: ChainId
      readonly victim: NodeId
    }
  | {
      readonly type: 'forced_eviction_targets_unknown_chain' | 'forced_cutover_targets_unknown_chain'
      readonly chain: ChainId
    }
  | {
      readonly type:
        | 'forced_restart_bypasses_backoff'
        | 'forced_restart_targets_unknown_daemon'
        | 'forced_restart_daemon_not_in_backoff'
      readonly daemon: DaemonId
    }
  | {
      readonly type: 'forced_cutover_bypasses_placement_scorer' | 'forced_cutover_target_already_holder'
      readonly chain: ChainId
      readonly target: NodeId
    }
  | { readonly type: 'kill_migration_dispatcher_integration_pending'; readonly migration: MigrationId }

/** What a proposal would touch, according to the snapshot it was simulated against. Lists are sorted by id. */
export interface BlastRadius {
  readonly affectedNodes: readonly NodeId[]
  readonly affectedReplicas: readonly ChainId[]
  readonly affectedDaemons: readonly DaemonRef[]
  readonly estimatedDrainDelayMs?: number
  /** The loss of placement stability in whole percent, so that it has only one encoding. */
  readonly placementStabilityDeltaPercent: number
  readonly warnings: readonly BlastWarning[]
}

const blastWarningSchema: v.GenericSchema<unknown, BlastWarning> = v.variant('type', [
  strictSchema({
    type: v.picklist([
      'cluster_freeze_blocks_operator_actions',
      'thaw_resumes_pending_reconciles',
      'thaw_has_no_freeze_to_cancel',
      'global_avoid_flush_may_re_emit',
      'avoid_flush_local_to_target_node_only',
    ]),
  }),
  strictSchema({ type: v.literal('avoid_flush_recovers_peer'), peer: nodeIdSchema }),
  strictSchema({
    type: v.picklist(['forced_eviction_bypasses_cooldown', 'forced_eviction_targets_non_holder']),
    chain: chainIdSchema,
    victim: nodeIdSchema,
  }),
  strictSchema({
    type: v.picklist(['forced_eviction_targets_unknown_chain', 'forced_cutover_targets_unknown_chain']),
    chain: chainIdSchema,
  }),
  strictSchema({
    type: v.picklist([
      'forced_restart_bypasses_backoff',
      'forced_restart_targets_unknown_daemon',
      'forced_restart_daemon_not_in_backoff',
    ]),
    daemon: daemonIdSchema,
  }),
  strictSchema({
    type: v.picklist(['forced_cutover_bypasses_placement_scorer', 'forced_cutover_target_already_holder']),
    chain: chainIdSchema,
    target: nodeIdSchema,
  }),
  strictSchema({
    type: v.literal('kill_migration_dispatcher_integration_pending'),
    migration: migrationIdSchema,
  }),
])

/** The maximum number of entries in each list of a radius. */
const mostAffected = 100_000

/** Accepts a {@link BlastRadius}. */
export const blastRadiusSchema: v.GenericSchema<unknown, BlastRadius> = strictSchema({
  affectedNodes: v.pipe(v.array(nodeIdSchema), v.maxLength(mostAffected)),
  affectedReplicas: v.pipe(v.array(chainIdSchema), v.maxLength(mostAffected)),
  affectedDaemons: v.pipe(v.array(daemonRefSchema), v.maxLength(mostAffected)),
  estimatedDrainDelayMs: v.exactOptional(wholeDurationSchema),
  placementStabilityDeltaPercent: wholeNumberSchema(0, 100),
  warnings: v.pipe(v.array(blastWarningSchema), v.maxLength(64)),
})

const wire = wireCodec(blastRadiusSchema)

/** Encodes the radius as it is hashed and sent. */
export function encodeBlastRadius(radius: BlastRadius): JsonObject {
  return wire.encode(radius) as JsonObject
}
