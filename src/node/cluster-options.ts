import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import { durationSchema, optionsSchema, portSchema } from '../base/options.js'
import type { ClusterSource } from './cluster-source.js'

/** How a node takes part in a cluster. */
export interface NodeClusterOptions {
  /** What the nodes share: a `PostgresCluster`, or a `MemoryCluster` for the nodes of one process. */
  readonly source: ClusterSource
  /** Milliseconds between heartbeats, which also read what other nodes report. Default 1,000. */
  readonly heartbeatMs?: number
  /** Milliseconds that a lease lasts without being renewed; after that other nodes take over. Default 10,000. */
  readonly leaseTtlMs?: number
  /**
   * How many milliseconds before the end of a lease that could not be renewed its daemon is told to end; it has that
   * much time to do so. Default 4,000. This and two heartbeats together must be shorter than the lease.
   */
  readonly graceMs?: number
  /** Milliseconds of silence after which a peer is degraded. Default 3,000. */
  readonly degradedMs?: number
  /** Milliseconds of silence after which a peer is unreachable. Default 10,000. */
  readonly unreachableMs?: number
  /** Milliseconds of silence after which a peer is no longer a member. Default one day. */
  readonly forgetAfterMs?: number
}

/** The cluster options with every default filled in. */
export type ClusterConfiguration = Readonly<Required<NodeClusterOptions>>

const clusterOptionsSchema = optionsSchema<NodeClusterOptions>({
  source: portSchema<ClusterSource>([
    'join',
    'heartbeat',
    'leave',
    'wishDaemon',
    'wishReplicas',
    'holdReplica',
    'forgetReplicaIntents',
    'shareCommit',
    'commitsAfter',
    'requestPlacement',
    'requestEviction',
  ]),
  heartbeatMs: v.optional(durationSchema),
  leaseTtlMs: v.optional(durationSchema),
  graceMs: v.optional(durationSchema),
  degradedMs: v.optional(durationSchema),
  unreachableMs: v.optional(durationSchema),
  forgetAfterMs: v.optional(durationSchema),
})

const subject = 'node options'

/** Checks the options and fills in the defaults. Raises `invalid_input` naming the field. */
export function resolveClusterOptions(options: unknown): ClusterConfiguration {
  const given = decode(clusterOptionsSchema, options, `${subject}: cluster`)
  const {
    source,
    heartbeatMs = 1000,
    leaseTtlMs = 10_000,
    graceMs = 4000,
    degradedMs = 3000,
    unreachableMs = 10_000,
    forgetAfterMs = 86_400_000,
  } = given
  const refuse = (field: string, reason: string): never => {
    throw new InvalidInputError({ subject, field: `cluster.${field}`, reason })
  }
  if (heartbeatMs < 1) refuse('heartbeatMs', 'less than a millisecond')
  if (2 * heartbeatMs + graceMs >= leaseTtlMs) {
    refuse('leaseTtlMs', `not longer than two heartbeats and the grace of daemons, ${2 * heartbeatMs + graceMs} ms`)
  }
  if (degradedMs >= unreachableMs) refuse('degradedMs', `not less than unreachableMs, ${unreachableMs}`)
  if (unreachableMs >= forgetAfterMs) refuse('forgetAfterMs', `not more than unreachableMs, ${unreachableMs}`)
  return { source, heartbeatMs, leaseTtlMs, graceMs, degradedMs, unreachableMs, forgetAfterMs }
}
