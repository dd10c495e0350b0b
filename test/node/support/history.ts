import fc from 'fast-check'
import type { AdminEvent } from '../../../src/node/admin-event.js'
import type { FoldEvent } from '../../../src/node/fold-event.js'
import type { MaintenanceState } from '../../../src/node/maintenance.js'
import { blobId, chainId, daemon, daemonId, nodeId, self } from './node.js'

/** Few of everything, so that events meet. */
const chain = fc.integer({ min: 1, max: 4 }).map(chainId)
const node = fc.oneof(fc.integer({ min: 1, max: 4 }).map(nodeId), fc.constant(self))
const ref = fc.integer({ min: 1, max: 3 }).map(daemon)
const ms = fc.nat(100_000)

/** Any admin event. */
export const anyAdminEvent: fc.Arbitrary<AdminEvent> = fc.oneof(
  fc.record({ type: fc.constant('enter_maintenance' as const), node }),
  fc.record({ type: fc.constant('enter_maintenance' as const), node, drainForMs: ms }),
  fc.record({ type: fc.constant('drain' as const), node, drainForMs: ms }),
  fc.record({
    type: fc.constantFrom(
      'exit_maintenance' as const,
      'cordon' as const,
      'uncordon' as const,
      'restart_all_daemons' as const,
      'clear_avoid_list' as const,
      'invalidate_placement' as const,
    ),
    node,
  }),
  fc.record({ type: fc.constant('drop_replicas' as const), node, chains: fc.array(chain, { maxLength: 3 }) }),
  fc.record({ type: fc.constant('freeze_cluster' as const), ttlMs: fc.nat(2000) }),
  fc.constant({ type: 'thaw_cluster' as const }),
  fc.record({
    type: fc.constant('flush_avoid_lists' as const),
    scope: fc.oneof(
      fc.record({ type: fc.constant('local' as const), node }),
      fc.record({ type: fc.constant('on_peer' as const), peer: node }),
      fc.constant({ type: 'global' as const }),
    ),
  }),
  fc.record({ type: fc.constant('force_evict_replica' as const), chain, victim: node }),
  fc.record({ type: fc.constant('force_restart_daemon' as const), daemon: ref }),
  fc.record({ type: fc.constant('force_cutover' as const), chain, target: node }),
  fc.record({ type: fc.constant('kill_migration' as const), migration: fc.constant(daemonId(1) as never) }),
)

const maintenanceState: fc.Arbitrary<MaintenanceState> = fc.oneof(
  fc.constant({ status: 'active' as const }),
  fc.record({ status: fc.constant('entering_maintenance' as const), since: ms, deadline: ms }),
  fc.record({ status: fc.constant('maintenance' as const), since: ms }),
  fc.record({ status: fc.constantFrom('exiting_maintenance' as const, 'recovery' as const), since: ms }),
  fc.record({ status: fc.constant('drain_failed' as const), since: ms, reason: fc.constant('late') }),
)

/** Any event but those that the loop makes of time and passes. */
export const anyEvent: fc.Arbitrary<FoldEvent> = fc.oneof(
  { weight: 4, arbitrary: anyAdminEvent.map((event) => ({ type: 'admin_event' as const, event })) },
  fc.record({
    type: fc.constant('replica_update' as const),
    change: fc.constantFrom('added' as const, 'removed' as const, 'lost' as const, 'repaired' as const),
    chain,
    holder: node,
  }),
  fc.record({
    type: fc.constantFrom('replica_leader_lost_and_removed' as const, 'replica_became_holder_and_leader' as const),
    chain,
    holder: node,
  }),
  fc.record({ type: fc.constant('replica_leader_update' as const), chain, leader: node }),
  fc.record({ type: fc.constant('replica_leader_update' as const), chain }),
  fc.record({ type: fc.constant('placement_intent' as const), chain, desiredReplicas: fc.nat(4) }),
  fc.record({
    type: fc.constant('local_replica_intent' as const),
    chain,
    intent: fc.constantFrom('hold' as const, 'drop' as const),
  }),
  fc.record({
    type: fc.constant('daemon_intent_update' as const),
    daemon: ref,
    intent: fc.constantFrom('run' as const, 'stop' as const),
  }),
  fc.record({
    type: fc.constant('daemon_intent_update' as const),
    daemon: ref,
    intent: fc.constant('run' as const),
    node,
  }),
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('daemon_lifecycle' as const),
      daemon: ref,
      signal: fc.oneof(
        fc.record({ type: fc.constantFrom('started' as const, 'exited_cleanly' as const), at: ms }),
        fc.record({ type: fc.constant('crashed' as const), at: ms, reason: fc.constant('boom') }),
        fc.record({ type: fc.constant('saturation_changed' as const), at: ms, saturation: fc.constant(0.5) }),
      ),
    }),
  },
  fc.record({ type: fc.constant('daemon_removed' as const), daemon: fc.constant(daemonId(1)) }),
  fc.record({ type: fc.constant('rtt_sample' as const), peer: node, rttMs: fc.nat(600) }),
  fc.record({ type: fc.constant('peer_removed' as const), peer: node }),
  fc.record({
    type: fc.constant('blob_announcement' as const),
    blob: fc.constant(blobId(1)),
    holder: node,
    sizeBytes: fc.nat(9),
    added: fc.boolean(),
  }),
  fc.record({ type: fc.constant('maintenance_transition_observed' as const), node, state: maintenanceState }),
  fc.record({
    type: fc.constant('participant_report' as const),
    participant: fc.constantFrom('tasks', 'operations'),
    isIdle: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('inventory_polled' as const),
    samples: fc.array(fc.record({ peer: node, inventory: fc.record({ cpuLoad1m: fc.nat(9) }) }), { maxLength: 2 }),
    isComplete: fc.boolean(),
  }),
)

/** What happens between two passes, how much time goes by, and how many of the actions the queue takes. */
export interface Turn {
  readonly events: readonly FoldEvent[]
  readonly elapsedMs: number
  readonly taken: number
}

/** A life of a node. */
export const anyLife: fc.Arbitrary<readonly Turn[]> = fc.array(
  fc.record({ events: fc.array(anyEvent, { maxLength: 8 }), elapsedMs: fc.nat(20_000), taken: fc.nat(6) }),
  { minLength: 1, maxLength: 20 },
)
