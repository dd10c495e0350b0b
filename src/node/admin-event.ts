import * as v from 'valibot'
import { deepFreeze } from '../base/freeze.js'
import { copyJson } from '../base/json-copy.js'
import type { JsonObject, JsonValue } from '../base/json.js'
import { strictSchema } from '../base/options.js'
import { storedReader } from '../state/reader.js'
import { wireCodec } from '../state/wire.js'
import { daemonRefSchema, type DaemonRef } from './daemon.js'
import { chainIdSchema, migrationIdSchema, nodeIdSchema, type ChainId, type MigrationId, type NodeId } from './ids.js'
import { wholeDurationSchema } from './scalars.js'

/** Which avoid lists are flushed: that of one node, or all of them; or one peer in every list. */
export type AvoidScope =
  | { readonly type: 'local'; readonly node: NodeId }
  | { readonly type: 'on_peer'; readonly peer: NodeId }
  | { readonly type: 'global' }

/**
 * A proposal that breaks the glass: it is allowed in a freeze, and needs a bundle of signatures over a simulated
 * radius.
 */
export type IceProposal =
  | { readonly type: 'freeze_cluster'; readonly ttlMs: number }
  | { readonly type: 'thaw_cluster' }
  | { readonly type: 'flush_avoid_lists'; readonly scope: AvoidScope }
  | { readonly type: 'force_evict_replica'; readonly chain: ChainId; readonly victim: NodeId }
  | { readonly type: 'force_restart_daemon'; readonly daemon: DaemonRef }
  | { readonly type: 'force_cutover'; readonly chain: ChainId; readonly target: NodeId }
  | { readonly type: 'kill_migration'; readonly migration: MigrationId }

/** A command that one operator may give to a node. */
export type OrdinaryAdminEvent =
  | { readonly type: 'enter_maintenance'; readonly node: NodeId; readonly drainForMs?: number }
  | { readonly type: 'drain'; readonly node: NodeId; readonly drainForMs: number }
  | {
      readonly type:
        | 'exit_maintenance'
        | 'cordon'
        | 'uncordon'
        | 'restart_all_daemons'
        | 'clear_avoid_list'
        | 'invalidate_placement'
      readonly node: NodeId
    }
  | { readonly type: 'drop_replicas'; readonly node: NodeId; readonly chains: readonly ChainId[] }

/** A command that operators may give. */
export type AdminEvent = OrdinaryAdminEvent | IceProposal

/** The type of an admin event. */
export type AdminEventKind = AdminEvent['type']

/** The types that break the glass. */
export const iceKinds = [
  'freeze_cluster',
  'thaw_cluster',
  'flush_avoid_lists',
  'force_evict_replica',
  'force_restart_daemon',
  'force_cutover',
  'kill_migration',
] as const satisfies readonly IceProposal['type'][]

/** The types that one operator may send alone. */
export const ordinaryAdminKinds = [
  'enter_maintenance',
  'exit_maintenance',
  'drain',
  'cordon',
  'uncordon',
  'restart_all_daemons',
  'clear_avoid_list',
  'drop_replicas',
  'invalidate_placement',
] as const satisfies readonly OrdinaryAdminEvent['type'][]

const ice: ReadonlySet<string> = new Set(iceKinds)

/** Whether the event breaks the glass. */
export function isIce(event: AdminEvent): event is IceProposal {
  return ice.has(event.type)
}

/** The maximum number of chains in one `drop_replicas`. */
export const mostDroppedChains = 10_000

/** Accepts an {@link AvoidScope}. */
export const avoidScopeSchema: v.GenericSchema<unknown, AvoidScope> = v.variant('type', [
  strictSchema({ type: v.literal('local'), node: nodeIdSchema }),
  strictSchema({ type: v.literal('on_peer'), peer: nodeIdSchema }),
  strictSchema({ type: v.literal('global') }),
])

const iceOptions = [
  strictSchema({ type: v.literal('freeze_cluster'), ttlMs: wholeDurationSchema }),
  strictSchema({ type: v.literal('thaw_cluster') }),
  strictSchema({ type: v.literal('flush_avoid_lists'), scope: avoidScopeSchema }),
  strictSchema({ type: v.literal('force_evict_replica'), chain: chainIdSchema, victim: nodeIdSchema }),
  strictSchema({ type: v.literal('force_restart_daemon'), daemon: daemonRefSchema }),
  strictSchema({ type: v.literal('force_cutover'), chain: chainIdSchema, target: nodeIdSchema }),
  strictSchema({ type: v.literal('kill_migration'), migration: migrationIdSchema }),
] as const

const ordinaryOptions = [
  strictSchema({
    type: v.literal('enter_maintenance'),
    node: nodeIdSchema,
    drainForMs: v.exactOptional(wholeDurationSchema),
  }),
  strictSchema({ type: v.literal('drain'), node: nodeIdSchema, drainForMs: wholeDurationSchema }),
  strictSchema({
    type: v.picklist([
      'exit_maintenance',
      'cordon',
      'uncordon',
      'restart_all_daemons',
      'clear_avoid_list',
      'invalidate_placement',
    ]),
    node: nodeIdSchema,
  }),
  strictSchema({
    type: v.literal('drop_replicas'),
    node: nodeIdSchema,
    chains: v.pipe(v.array(chainIdSchema), v.maxLength(mostDroppedChains)),
  }),
] as const

/** Accepts an {@link IceProposal}. */
export const iceProposalSchema: v.GenericSchema<unknown, IceProposal> = v.variant('type', [...iceOptions])

/** Accepts an {@link AdminEvent}. */
export const adminEventSchema: v.GenericSchema<unknown, AdminEvent> = v.variant('type', [
  ...ordinaryOptions,
  ...iceOptions,
])

const wire = wireCodec(adminEventSchema)
const read = storedReader(adminEventSchema)

/**
 * Encodes the event as it is signed, stored and sent: names in snake_case, absent fields left out. The signed bytes are
 * its `canonicalBytes`.
 */
export function encodeAdminEvent(event: AdminEvent): JsonObject {
  return wire.encode(event) as JsonObject
}

/** Decodes a stored event. Raises `invalid_input` naming the field, also for an unknown type. */
export function decodeAdminEvent(stored: JsonValue): AdminEvent {
  return deepFreeze(read(copyJson(stored, 'admin event'), 'admin event'))
}
