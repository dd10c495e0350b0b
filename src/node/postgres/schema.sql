CREATE SCHEMA IF NOT EXISTS "stateward";
CREATE TABLE IF NOT EXISTS "stateward".versions (part text PRIMARY KEY, version integer NOT NULL, store_id uuid NOT NULL);
CREATE TABLE IF NOT EXISTS "stateward".cluster_members (
  node_id text COLLATE "C" NOT NULL,
  epoch text COLLATE "C" NOT NULL,
  seen_at_ms bigint NOT NULL,
  maintenance text COLLATE "C" NOT NULL,
  is_cordoned boolean NOT NULL,
  rtt_ms bigint,
  CONSTRAINT cluster_members_pkey PRIMARY KEY (node_id)
);
CREATE TABLE IF NOT EXISTS "stateward".cluster_daemons (
  daemon_id text COLLATE "C" NOT NULL,
  name text NOT NULL,
  intent text COLLATE "C" NOT NULL,
  pinned_to text COLLATE "C",
  CONSTRAINT cluster_daemons_pkey PRIMARY KEY (daemon_id)
);
CREATE TABLE IF NOT EXISTS "stateward".cluster_leases (
  subject text COLLATE "C" NOT NULL,
  fence bigint NOT NULL,
  node_id text COLLATE "C",
  epoch text COLLATE "C",
  expires_at_ms bigint,
  CONSTRAINT cluster_leases_pkey PRIMARY KEY (subject)
);
CREATE TABLE IF NOT EXISTS "stateward".cluster_chains (
  chain_id text COLLATE "C" NOT NULL,
  desired_replicas bigint NOT NULL,
  CONSTRAINT cluster_chains_pkey PRIMARY KEY (chain_id)
);
CREATE TABLE IF NOT EXISTS "stateward".cluster_replicas (
  chain_id text COLLATE "C" NOT NULL,
  node_id text COLLATE "C" NOT NULL,
  CONSTRAINT cluster_replicas_pkey PRIMARY KEY (chain_id, node_id)
);
CREATE TABLE IF NOT EXISTS "stateward".cluster_replica_intents (
  node_id text COLLATE "C" NOT NULL,
  chain_id text COLLATE "C" NOT NULL,
  intent text COLLATE "C" NOT NULL,
  CONSTRAINT cluster_replica_intents_pkey PRIMARY KEY (node_id, chain_id)
);
CREATE TABLE IF NOT EXISTS "stateward".cluster_commits (
  sequence bigint NOT NULL,
  digest text COLLATE "C" NOT NULL,
  attempt text NOT NULL,
  shared_by text COLLATE "C" NOT NULL,
  shared_at_ms bigint NOT NULL,
  CONSTRAINT cluster_commits_pkey PRIMARY KEY (sequence),
  CONSTRAINT cluster_commits_digest_key UNIQUE (digest)
);
INSERT INTO "stateward".versions VALUES ('cluster', 1, gen_random_uuid()) ON CONFLICT DO NOTHING;
