import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import { durationSchema, optionsSchema, portSchema } from '../base/options.js'
import type { ClusterSource } from './cluster-source.js'

/** How a node is one of several. */
export interface NodeClusterOptions {
  /** What it shares with the others: a `PostgresCluster`, or a `MemoryCluster` for the nodes of one process. */
  readonly source: ClusterSource
  /** Milliseconds between heartbeats, by which it also reads what the others say; 1,000 by default. */
  readonly heartbeatMs?: number
  /** Milliseconds for which a lease is its own without being renewed, and after which others take over; 10,000 by default. */
  readonly leaseTtlMs?: number
  /**
   * Milliseconds before the end of a lease that could not be renewed at which its daemon is told to end, and which it has for that;
   * 4,000 by default. With two heartbeats it must be less than the lease.
   */
  readonly graceMs?: number
  /** Milliseconds of silence after which a peer is degraded; 3,000 by default. */
  readonly degradedMs?: number
  /** The same for unreachable; 10,000 by default. */
  readonly unreachableMs?: number
  /** The same for being no member any more; a day by default. */
  readonly forgetAfterMs?: number
}

/** The same with every default filled in. */
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

/** Checks the options and fills in every default. Raises `invalid_input` naming the field. */
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
