import type { SchemaDefinition } from '../../postgres/index.js'

const id = { type: 'text', collation: 'C' } as const
const text = { type: 'text' } as const
const whole = { type: 'bigint' } as const
const optional = <Column extends object>(column: Column) => ({ ...column, isNullable: true }) as const

/** The tables that the nodes of a cluster share on PostgreSQL. `schema.sql` has the same as statements. */
export const clusterTables: SchemaDefinition = {
  part: 'cluster',
  version: 1,
  tables: {
    cluster_members: {
      columns: {
        node_id: id,
        epoch: id,
        seen_at_ms: whole,
        maintenance: id,
        is_cordoned: { type: 'boolean' },
        rtt_ms: optional(whole),
      },
      constraints: { cluster_members_pkey: 'PRIMARY KEY (node_id)' },
    },
    cluster_daemons: {
      columns: { daemon_id: id, name: text, intent: id, pinned_to: optional(id) },
      constraints: { cluster_daemons_pkey: 'PRIMARY KEY (daemon_id)' },
    },
    // A lease is created with its subject, so that acquiring it updates a row and never inserts one. A row without a
    // holder keeps its fence.
    cluster_leases: {
      columns: {
        subject: id,
        fence: whole,
        node_id: optional(id),
        epoch: optional(id),
        expires_at_ms: optional(whole),
      },
      constraints: { cluster_leases_pkey: 'PRIMARY KEY (subject)' },
    },
    cluster_chains: {
      columns: { chain_id: id, desired_replicas: whole },
      constraints: { cluster_chains_pkey: 'PRIMARY KEY (chain_id)' },
    },
    cluster_replicas: {
      columns: { chain_id: id, node_id: id },
      constraints: { cluster_replicas_pkey: 'PRIMARY KEY (chain_id, node_id)' },
    },
    cluster_replica_intents: {
      columns: { node_id: id, chain_id: id, intent: id },
      constraints: { cluster_replica_intents_pkey: 'PRIMARY KEY (node_id, chain_id)' },
    },
    // The shared log. Numbers have no gaps and are assigned under one lock, so that none appears behind a reader.
    cluster_commits: {
      columns: { sequence: whole, digest: id, attempt: text, shared_by: id, shared_at_ms: whole },
      constraints: {
        cluster_commits_pkey: 'PRIMARY KEY (sequence)',
        cluster_commits_digest_key: 'UNIQUE (digest)',
      },
    },
  },
}
