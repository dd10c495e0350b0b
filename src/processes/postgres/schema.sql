CREATE SCHEMA IF NOT EXISTS "stateward";
CREATE TABLE IF NOT EXISTS "stateward".versions (part text PRIMARY KEY, version integer NOT NULL, store_id uuid NOT NULL);
CREATE TABLE IF NOT EXISTS "stateward".processes (
  process_id text COLLATE "C" NOT NULL,
  registration_hash text NOT NULL,
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  status text COLLATE "C" NOT NULL,
  outcome text,
  last_sequence bigint NOT NULL,
  facets text NOT NULL,
  is_waiting boolean NOT NULL,
  workable_from_ms bigint,
  wake_session_id text COLLATE "C",
  wake_frame_id text COLLATE "C",
  change_xid xid8 NOT NULL,
  CONSTRAINT processes_pkey PRIMARY KEY (process_id)
);
CREATE TABLE IF NOT EXISTS "stateward".process_registrations (
  process_id text COLLATE "C" NOT NULL,
  registered text NOT NULL,
  created_at_ms bigint NOT NULL,
  originator_id text COLLATE "C" NOT NULL,
  identity_kind text COLLATE "C" NOT NULL,
  identity_label text COLLATE "C",
  definition_hash text COLLATE "C",
  caused_by_occurrence_id text COLLATE "C",
  CONSTRAINT process_registrations_pkey PRIMARY KEY (process_id),
  CONSTRAINT process_registrations_process_id_fkey FOREIGN KEY (process_id) REFERENCES "stateward".processes(process_id) ON DELETE CASCADE
);
CREATE TABLE IF NOT EXISTS "stateward".process_events (
  process_id text COLLATE "C" NOT NULL,
  sequence bigint NOT NULL,
  event_type text COLLATE "C" NOT NULL,
  payload text NOT NULL,
  replay_key text COLLATE "C",
  semantics text,
  occurred_at_ms bigint NOT NULL,
  wakes text COLLATE "C",
  written_by uuid NOT NULL,
  CONSTRAINT process_events_pkey PRIMARY KEY (process_id, sequence),
  CONSTRAINT process_events_process_id_fkey FOREIGN KEY (process_id) REFERENCES "stateward".processes(process_id) ON DELETE CASCADE
);
CREATE TABLE IF NOT EXISTS "stateward".process_wake_acks (
  process_id text COLLATE "C" NOT NULL,
  sequence bigint NOT NULL,
  CONSTRAINT process_wake_acks_pkey PRIMARY KEY (process_id, sequence),
  CONSTRAINT process_wake_acks_process_id_fkey FOREIGN KEY (process_id) REFERENCES "stateward".processes(process_id) ON DELETE CASCADE
);
CREATE TABLE IF NOT EXISTS "stateward".process_grants (
  scope_id text COLLATE "C" NOT NULL,
  process_id text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  descriptor text NOT NULL,
  CONSTRAINT process_grants_pkey PRIMARY KEY (scope_id, process_id),
  CONSTRAINT process_grants_process_id_fkey FOREIGN KEY (process_id) REFERENCES "stateward".processes(process_id) ON DELETE CASCADE
);
CREATE TABLE IF NOT EXISTS "stateward".process_leases (
  process_id text COLLATE "C" NOT NULL,
  fencing_token bigint NOT NULL,
  owner_id text COLLATE "C",
  incarnation_id text COLLATE "C",
  liveness text,
  lease_token text COLLATE "C",
  claimed_at_ms bigint,
  expires_at_ms bigint,
  CONSTRAINT process_leases_pkey PRIMARY KEY (process_id),
  CONSTRAINT process_leases_process_id_fkey FOREIGN KEY (process_id) REFERENCES "stateward".processes(process_id) ON DELETE CASCADE
);
CREATE TABLE IF NOT EXISTS "stateward".process_tombstones (
  process_id text COLLATE "C" NOT NULL,
  terminal_label text COLLATE "C" NOT NULL,
  pruned_at_ms bigint NOT NULL,
  change_xid xid8 NOT NULL,
  CONSTRAINT process_tombstones_pkey PRIMARY KEY (process_id)
);
CREATE INDEX IF NOT EXISTS processes_live ON "stateward".processes USING btree (process_id) WHERE (status = 'running'::text);
CREATE INDEX IF NOT EXISTS processes_timers ON "stateward".processes USING btree (workable_from_ms) WHERE (workable_from_ms > 0);
CREATE INDEX IF NOT EXISTS processes_ended ON "stateward".processes USING btree (updated_at_ms) WHERE (status <> 'running'::text);
CREATE INDEX IF NOT EXISTS processes_wake_session ON "stateward".processes USING btree (wake_session_id) WHERE (wake_session_id IS NOT NULL);
CREATE INDEX IF NOT EXISTS processes_changes ON "stateward".processes USING btree (change_xid, process_id);
CREATE INDEX IF NOT EXISTS process_registrations_created ON "stateward".process_registrations USING btree (created_at_ms);
CREATE INDEX IF NOT EXISTS process_registrations_originator ON "stateward".process_registrations USING btree (originator_id, process_id);
CREATE INDEX IF NOT EXISTS process_registrations_identity ON "stateward".process_registrations USING btree (identity_kind, identity_label, process_id);
CREATE INDEX IF NOT EXISTS process_registrations_occurrence ON "stateward".process_registrations USING btree (caused_by_occurrence_id) WHERE (caused_by_occurrence_id IS NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS process_events_replay_key ON "stateward".process_events USING btree (process_id, replay_key) WHERE (replay_key IS NOT NULL);
CREATE INDEX IF NOT EXISTS process_events_type ON "stateward".process_events USING btree (process_id, event_type, sequence);
CREATE INDEX IF NOT EXISTS process_events_wakes ON "stateward".process_events USING btree (process_id, sequence) WHERE (wakes IS NOT NULL);
CREATE INDEX IF NOT EXISTS process_grants_process ON "stateward".process_grants USING btree (process_id, session_id, scope_id);
CREATE INDEX IF NOT EXISTS process_grants_session ON "stateward".process_grants USING btree (session_id);
CREATE INDEX IF NOT EXISTS process_tombstones_changes ON "stateward".process_tombstones USING btree (change_xid, process_id);
CREATE INDEX IF NOT EXISTS process_tombstones_pruned ON "stateward".process_tombstones USING btree (pruned_at_ms);
INSERT INTO "stateward".versions VALUES ('processes', 1, gen_random_uuid()) ON CONFLICT DO NOTHING;
