import type { SchemaDefinition } from '../../postgres/index.js'

const id = { type: 'text', collation: 'C' } as const
const text = { type: 'text' } as const
const whole = { type: 'bigint' } as const
const optional = <Column extends object>(column: Column) => ({ ...column, isNullable: true }) as const

const belongsToProcess = 'FOREIGN KEY (process_id) REFERENCES {schema}.processes(process_id) ON DELETE CASCADE'

/**
 * The PostgreSQL tables for processes. JSON is stored as text with wire names, so it comes back exactly as written. Ids
 * are ordered by bytes, as JavaScript orders ASCII. `schema.sql` contains the same as SQL statements.
 */
export const processTables: SchemaDefinition = {
  part: 'processes',
  version: 1,
  tables: {
    // The part of a process that changes with its log. Some columns repeat values for lookups. There are few indexes,
    // because every event changes the row.
    processes: {
      columns: {
        process_id: id,
        registration_hash: text,
        created_at_ms: whole,
        updated_at_ms: whole,
        status: id,
        outcome: optional(text),
        last_sequence: whole,
        facets: text,
        is_waiting: { type: 'boolean' },
        // When it becomes workable, in epoch milliseconds. Null if it has ended or a signal is missing.
        workable_from_ms: optional(whole),
        wake_session_id: optional(id),
        wake_frame_id: optional(id),
        // The transaction of its last change. The change feed is ordered by it.
        change_xid: { type: 'xid8' },
      },
      constraints: { processes_pkey: 'PRIMARY KEY (process_id)' },
      indexes: {
        processes_live: { definition: `USING btree (process_id) WHERE (status = 'running'::text)` },
        processes_timers: { definition: 'USING btree (workable_from_ms) WHERE (workable_from_ms > 0)' },
        processes_ended: { definition: `USING btree (updated_at_ms) WHERE (status <> 'running'::text)` },
        processes_wake_session: { definition: 'USING btree (wake_session_id) WHERE (wake_session_id IS NOT NULL)' },
        processes_changes: { definition: 'USING btree (change_xid, process_id)' },
      },
    },
    // The part of a process that never changes, with columns for list filters.
    process_registrations: {
      columns: {
        process_id: id,
        registered: text,
        created_at_ms: whole,
        originator_id: id,
        identity_kind: id,
        identity_label: optional(id),
        definition_hash: optional(id),
        caused_by_occurrence_id: optional(id),
      },
      constraints: {
        process_registrations_pkey: 'PRIMARY KEY (process_id)',
        process_registrations_process_id_fkey: belongsToProcess,
      },
      indexes: {
        process_registrations_created: { definition: 'USING btree (created_at_ms)' },
        process_registrations_originator: { definition: 'USING btree (originator_id, process_id)' },
        process_registrations_identity: { definition: 'USING btree (identity_kind, identity_label, process_id)' },
        process_registrations_occurrence: {
          definition: 'USING btree (caused_by_occurrence_id) WHERE (caused_by_occurrence_id IS NOT NULL)',
        },
      },
    },
    process_events: {
      columns: {
        process_id: id,
        sequence: whole,
        event_type: id,
        payload: text,
        replay_key: optional(id),
        semantics: optional(text),
        occurred_at_ms: whole,
        // `own` if the event names its wake target, `process` if it wakes the target of its process, null if it does
        // not wake.
        wakes: optional(id),
        // Identifies the call that wrote it, so that a call with an unknown outcome can find out whether it was
        // committed.
        written_by: { type: 'uuid' },
      },
      constraints: {
        process_events_pkey: 'PRIMARY KEY (process_id, sequence)',
        process_events_process_id_fkey: belongsToProcess,
      },
      indexes: {
        process_events_replay_key: {
          isUnique: true,
          definition: 'USING btree (process_id, replay_key) WHERE (replay_key IS NOT NULL)',
        },
        process_events_type: { definition: 'USING btree (process_id, event_type, sequence)' },
        process_events_wakes: { definition: 'USING btree (process_id, sequence) WHERE (wakes IS NOT NULL)' },
      },
    },
    process_wake_acks: {
      columns: { process_id: id, sequence: whole },
      constraints: {
        process_wake_acks_pkey: 'PRIMARY KEY (process_id, sequence)',
        process_wake_acks_process_id_fkey: belongsToProcess,
      },
    },
    process_grants: {
      columns: { scope_id: id, process_id: id, session_id: id, descriptor: text },
      constraints: {
        process_grants_pkey: 'PRIMARY KEY (scope_id, process_id)',
        process_grants_process_id_fkey: belongsToProcess,
      },
      indexes: {
        process_grants_process: { definition: 'USING btree (process_id, session_id, scope_id)' },
        process_grants_session: { definition: 'USING btree (session_id)' },
      },
    },
    // A row without a token has no holder and only keeps the fencing token.
    process_leases: {
      columns: {
        process_id: id,
        fencing_token: whole,
        owner_id: optional(id),
        incarnation_id: optional(id),
        liveness: optional(text),
        lease_token: optional(id),
        claimed_at_ms: optional(whole),
        expires_at_ms: optional(whole),
      },
      constraints: {
        process_leases_pkey: 'PRIMARY KEY (process_id)',
        process_leases_process_id_fkey: belongsToProcess,
      },
    },
    process_tombstones: {
      columns: { process_id: id, terminal_label: id, pruned_at_ms: whole, change_xid: { type: 'xid8' } },
      constraints: { process_tombstones_pkey: 'PRIMARY KEY (process_id)' },
      indexes: {
        process_tombstones_changes: { definition: 'USING btree (change_xid, process_id)' },
        process_tombstones_pruned: { definition: 'USING btree (pruned_at_ms)' },
      },
    },
  },
}
