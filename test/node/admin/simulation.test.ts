import { describe, expect, it } from 'vitest'
import { decodeSimulationView, encodeSimulationView, simulate } from '../../../src/node/admin/simulation.js'
import type { IceProposal } from '../../../src/node/admin-event.js'
import type { NodeSnapshot } from '../../../src/node/snapshot.js'
import { TestNode } from '../support/node.js'
import { chain, daemon, migration, node, view } from './support/operators.js'

const everyNode = [node(1), node(2), node(3)]
const nothing = {
  affectedNodes: [],
  affectedReplicas: [],
  affectedDaemons: [],
  placementStabilityDeltaPercent: 0,
}

describe('a simulation', () => {
  it.each<[IceProposal, object]>([
    [
      { type: 'freeze_cluster', ttlMs: 5000 },
      {
        ...nothing,
        affectedNodes: everyNode,
        estimatedDrainDelayMs: 5000,
        warnings: [{ type: 'cluster_freeze_blocks_operator_actions' }],
      },
    ],
    [{ type: 'thaw_cluster' }, { ...nothing, warnings: [{ type: 'thaw_has_no_freeze_to_cancel' }] }],
    [
      { type: 'flush_avoid_lists', scope: { type: 'local', node: node(2) } },
      { ...nothing, affectedNodes: [node(2)], warnings: [{ type: 'avoid_flush_local_to_target_node_only' }] },
    ],
    [
      { type: 'flush_avoid_lists', scope: { type: 'on_peer', peer: node(2) } },
      {
        ...nothing,
        affectedNodes: everyNode,
        placementStabilityDeltaPercent: 5,
        warnings: [{ type: 'avoid_flush_recovers_peer', peer: node(2) }],
      },
    ],
    [
      { type: 'flush_avoid_lists', scope: { type: 'global' } },
      {
        ...nothing,
        affectedNodes: everyNode,
        placementStabilityDeltaPercent: 10,
        warnings: [{ type: 'global_avoid_flush_may_re_emit' }],
      },
    ],
    [
      { type: 'force_evict_replica', chain: chain(16), victim: node(3) },
      {
        ...nothing,
        affectedNodes: [node(3)],
        affectedReplicas: [chain(16)],
        placementStabilityDeltaPercent: 15,
        warnings: [{ type: 'forced_eviction_bypasses_cooldown', chain: chain(16), victim: node(3) }],
      },
    ],
    [
      { type: 'force_evict_replica', chain: chain(16), victim: node(1) },
      {
        ...nothing,
        affectedNodes: [node(1)],
        affectedReplicas: [chain(16)],
        placementStabilityDeltaPercent: 15,
        warnings: [
          { type: 'forced_eviction_bypasses_cooldown', chain: chain(16), victim: node(1) },
          { type: 'forced_eviction_targets_non_holder', chain: chain(16), victim: node(1) },
        ],
      },
    ],
    [
      { type: 'force_evict_replica', chain: chain(17), victim: node(3) },
      {
        ...nothing,
        affectedNodes: [node(3)],
        affectedReplicas: [chain(17)],
        placementStabilityDeltaPercent: 15,
        warnings: [
          { type: 'forced_eviction_bypasses_cooldown', chain: chain(17), victim: node(3) },
          { type: 'forced_eviction_targets_unknown_chain', chain: chain(17) },
        ],
      },
    ],
    [
      { type: 'force_restart_daemon', daemon: { id: daemon(32), name: 'indexer' } },
      {
        ...nothing,
        affectedDaemons: [{ id: daemon(32), name: 'indexer' }],
        warnings: [{ type: 'forced_restart_bypasses_backoff', daemon: daemon(32) }],
      },
    ],
    [
      { type: 'force_restart_daemon', daemon: { id: daemon(33), name: '' } },
      {
        ...nothing,
        affectedDaemons: [{ id: daemon(33), name: '' }],
        warnings: [
          { type: 'forced_restart_bypasses_backoff', daemon: daemon(33) },
          { type: 'forced_restart_daemon_not_in_backoff', daemon: daemon(33) },
        ],
      },
    ],
    [
      { type: 'force_restart_daemon', daemon: { id: daemon(34), name: '' } },
      {
        ...nothing,
        affectedDaemons: [{ id: daemon(34), name: '' }],
        warnings: [
          { type: 'forced_restart_bypasses_backoff', daemon: daemon(34) },
          { type: 'forced_restart_targets_unknown_daemon', daemon: daemon(34) },
        ],
      },
    ],
    [
      { type: 'force_cutover', chain: chain(16), target: node(1) },
      {
        ...nothing,
        affectedNodes: [node(1)],
        affectedReplicas: [chain(16)],
        placementStabilityDeltaPercent: 15,
        warnings: [{ type: 'forced_cutover_bypasses_placement_scorer', chain: chain(16), target: node(1) }],
      },
    ],
    [
      { type: 'force_cutover', chain: chain(16), target: node(2) },
      {
        ...nothing,
        affectedNodes: [node(2)],
        affectedReplicas: [chain(16)],
        placementStabilityDeltaPercent: 15,
        warnings: [
          { type: 'forced_cutover_bypasses_placement_scorer', chain: chain(16), target: node(2) },
          { type: 'forced_cutover_target_already_holder', chain: chain(16), target: node(2) },
        ],
      },
    ],
    [
      { type: 'force_cutover', chain: chain(17), target: node(2) },
      {
        ...nothing,
        affectedNodes: [node(2)],
        affectedReplicas: [chain(17)],
        placementStabilityDeltaPercent: 15,
        warnings: [
          { type: 'forced_cutover_bypasses_placement_scorer', chain: chain(17), target: node(2) },
          { type: 'forced_cutover_targets_unknown_chain', chain: chain(17) },
        ],
      },
    ],
    [
      { type: 'kill_migration', migration: migration(32) },
      {
        ...nothing,
        affectedDaemons: [{ id: daemon(32), name: '' }],
        warnings: [{ type: 'kill_migration_dispatcher_integration_pending', migration: migration(32) }],
      },
    ],
    [
      { type: 'kill_migration', migration: migration(33) },
      {
        ...nothing,
        warnings: [{ type: 'kill_migration_dispatcher_integration_pending', migration: migration(33) }],
      },
    ],
  ])('[N-340] of %j', (proposal, radius) => {
    expect(simulate(view, proposal)).toEqual(radius)
  })

  it('[N-340] of a thaw says whether there is a freeze', () => {
    expect(simulate({ ...view, freezeRemainingMs: 1 }, { type: 'thaw_cluster' }).warnings).toEqual([
      { type: 'thaw_resumes_pending_reconciles' },
    ])
  })

  it('[N-341] comes to the same by a snapshot that was sent', () => {
    const { node: self, daemons, replicas, peers } = view
    // Only what a simulation reads is there.
    const snapshot = {
      node: self,
      peers,
      inFlightMigrations: view.inFlightMigrations,
      freezeRemainingMs: 12.5,
      replicas: new Map(Array.from(replicas, ([key, row]) => [key, { chain: key, ...row }])),
      daemons: new Map(Array.from(daemons, ([key, row]) => [key, { id: key, name: 'd', ...row }])),
    } as unknown as NodeSnapshot
    const document = JSON.parse(JSON.stringify(encodeSimulationView(snapshot))) as object
    const read = decodeSimulationView({ ...document, more: 1 })
    expect(read.freezeRemainingMs).toBe(12.5)
    for (const proposal of [
      { type: 'freeze_cluster', ttlMs: 1 },
      { type: 'thaw_cluster' },
      { type: 'force_evict_replica', chain: chain(16), victim: node(1) },
      { type: 'force_restart_daemon', daemon: { id: daemon(33), name: 'd' } },
      { type: 'kill_migration', migration: migration(32) },
    ] as const) {
      expect(simulate(read, proposal)).toEqual(simulate(snapshot, proposal))
    }
    expect(() => decodeSimulationView({ ...document, node: 7 })).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field: 'node' }) }),
    )
  })

  it.each<IceProposal>([
    { type: 'force_evict_replica', chain: chain(16), victim: node(3) },
    { type: 'force_evict_replica', chain: chain(16), victim: node(9) },
    { type: 'force_cutover', chain: chain(16), target: node(2) },
    { type: 'force_cutover', chain: chain(16), target: node(9) },
  ])('[N-342] of %j names what reconciliation then acts on', (proposal) => {
    const leader = new TestNode({ thisNode: node(2) })
    leader.tick(1000)
    leader.fold(
      { type: 'replica_became_holder_and_leader', chain: chain(16), holder: node(2) },
      { type: 'replica_update', change: 'added', chain: chain(16), holder: node(3) },
    )
    const { affectedNodes, affectedReplicas } = simulate(leader.snapshot(), proposal)
    leader.admin(proposal)
    const acted = leader.pass().map((action) => {
      if (action.type === 'request_eviction') return [action.chain, action.victim]
      return action.type === 'request_placement' ? [action.chain, action.target] : [action.type]
    })
    expect(acted).toEqual([[affectedReplicas[0], affectedNodes[0]]])
    expect([affectedReplicas, affectedNodes].map(({ length }) => length)).toEqual([1, 1])
  })
})
