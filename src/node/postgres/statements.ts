import { sql } from '../../postgres/index.js'

/** The server's clock at this moment, not at the beginning of the transaction. */
const now = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint'

/** The statements of a cluster in one schema. Values are parameters; the schema's name was checked. */
export function createStatements(schema: string) {
  const s = `"${schema}"`
  const isFree = `(l.expires_at_ms IS NULL OR l.expires_at_ms <= ${now})`
  const acquireFree = `
      UPDATE ${s}.cluster_leases l
      SET fence = l.fence + 1, node_id = $1, epoch = $2, expires_at_ms = ${now} + $3::bigint
      FROM free WHERE l.subject = free.subject RETURNING l.subject, l.fence`
  return {
    join: sql(`
      INSERT INTO ${s}.cluster_members (node_id, epoch, seen_at_ms, maintenance, is_cordoned) VALUES ($1, $2, ${now}, 'active', false)
      ON CONFLICT (node_id) DO UPDATE SET epoch = EXCLUDED.epoch, seen_at_ms = EXCLUDED.seen_at_ms`),
    touch: sql(`
      UPDATE ${s}.cluster_members SET seen_at_ms = ${now}, maintenance = $3, is_cordoned = $4, rtt_ms = $5::bigint
      WHERE node_id = $1 AND epoch = $2 RETURNING node_id`),
    forget: sql(`
      DELETE FROM ${s}.cluster_members WHERE node_id IN (
        SELECT node_id FROM ${s}.cluster_members WHERE seen_at_ms < ${now} - $1::bigint FOR UPDATE SKIP LOCKED)`),
    release: sql(`
      UPDATE ${s}.cluster_leases SET node_id = NULL, epoch = NULL, expires_at_ms = NULL
      WHERE node_id = $1 AND epoch = $2 AND subject = ANY($3::text[])`),
    /**
     * An expired lease is not renewed, even if nobody has acquired it: it must be acquired again, under a new fence.
     */
    renew: sql(`
      UPDATE ${s}.cluster_leases l SET expires_at_ms = ${now} + $3::bigint
      WHERE l.node_id = $1 AND l.epoch = $2 AND l.expires_at_ms > ${now} RETURNING l.subject, l.fence`),
    /** Skips leases that another node is acquiring. */
    acquire: sql(`
      WITH free AS MATERIALIZED (
        SELECT l.subject FROM ${s}.cluster_leases l
        WHERE ${isFree} AND (
          EXISTS (SELECT FROM ${s}.cluster_daemons d WHERE l.subject = 'daemon:' || d.daemon_id AND d.intent = 'run'
            AND (d.pinned_to = $1 AND d.daemon_id = ANY($4::text[]) OR d.pinned_to IS NULL AND d.daemon_id = ANY($5::text[])))
          OR $6::boolean AND EXISTS (
            SELECT FROM ${s}.cluster_replicas r WHERE l.subject = 'chain:' || r.chain_id AND r.node_id = $1))
        ORDER BY l.subject FOR UPDATE OF l SKIP LOCKED)
      ${acquireFree}`),
    /** The same for daemons that any node may run, until this node has its share of them. */
    acquireShare: sql(`
      WITH free AS MATERIALIZED (
        SELECT l.subject FROM ${s}.cluster_leases l JOIN ${s}.cluster_daemons d ON l.subject = 'daemon:' || d.daemon_id
        WHERE ${isFree} AND d.intent = 'run' AND d.pinned_to IS NULL AND d.daemon_id = ANY($4::text[])
        ORDER BY l.subject
        LIMIT (SELECT greatest(0,
          ceil((SELECT count(*) FROM ${s}.cluster_daemons WHERE intent = 'run')::numeric
            / greatest(1, (SELECT count(*) FROM ${s}.cluster_members
              WHERE maintenance = 'active' AND NOT is_cordoned AND seen_at_ms > ${now} - $5::bigint)))
          - (SELECT count(*) FROM ${s}.cluster_leases
              WHERE node_id = $1 AND epoch = $2 AND subject LIKE 'daemon:%' AND expires_at_ms > ${now}))::bigint)
        FOR UPDATE OF l SKIP LOCKED)
      ${acquireFree}`),
    notify: sql(`SELECT pg_notify($1, '')`),
    readClock: sql(`
      SELECT ${now} AS now_ms, coalesce((SELECT max(sequence) FROM ${s}.cluster_commits), 0) AS last_sequence`),
    readMembers: sql(`
      SELECT node_id, epoch, greatest(0, ${now} - seen_at_ms) AS age_ms, maintenance, is_cordoned, rtt_ms
      FROM ${s}.cluster_members ORDER BY node_id`),
    readDaemons: sql(`SELECT daemon_id, name, intent, pinned_to FROM ${s}.cluster_daemons ORDER BY daemon_id`),
    readHolders: sql(`SELECT l.subject, l.node_id FROM ${s}.cluster_leases l WHERE l.expires_at_ms > ${now}`),
    readReplicas: sql(`SELECT chain_id, node_id FROM ${s}.cluster_replicas ORDER BY chain_id, node_id`),
    readChains: sql(`SELECT chain_id, desired_replicas FROM ${s}.cluster_chains ORDER BY chain_id`),
    readIntents: sql(`SELECT chain_id, intent FROM ${s}.cluster_replica_intents WHERE node_id = $1 ORDER BY chain_id`),

    releaseAllBut: sql(`
      UPDATE ${s}.cluster_leases SET node_id = NULL, epoch = NULL, expires_at_ms = NULL
      WHERE node_id = $1 AND epoch = $2 AND subject <> ALL($3::text[])`),
    leave: sql(`DELETE FROM ${s}.cluster_members WHERE node_id = $1 AND epoch = $2`),

    addLease: sql(`INSERT INTO ${s}.cluster_leases (subject, fence) VALUES ($1, 0) ON CONFLICT DO NOTHING`),
    wishDaemon: sql(`
      INSERT INTO ${s}.cluster_daemons (daemon_id, name, intent, pinned_to) VALUES ($1, $2, $3, $4)
      ON CONFLICT (daemon_id) DO UPDATE
      SET name = CASE WHEN EXCLUDED.name = '' THEN cluster_daemons.name ELSE EXCLUDED.name END,
        intent = EXCLUDED.intent, pinned_to = EXCLUDED.pinned_to`),
    wishReplicas: sql(`
      INSERT INTO ${s}.cluster_chains (chain_id, desired_replicas) VALUES ($1, $2)
      ON CONFLICT (chain_id) DO UPDATE SET desired_replicas = EXCLUDED.desired_replicas`),
    holdReplica: sql(`INSERT INTO ${s}.cluster_replicas (chain_id, node_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`),
    idleReplica: sql(`DELETE FROM ${s}.cluster_replicas WHERE chain_id = $1 AND node_id = $2`),
    forgetIntents: sql(`DELETE FROM ${s}.cluster_replica_intents WHERE node_id = $1`),

    /** One commit at a time, so that each new number is the highest that anybody can see. */
    lockCommits: sql(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`),
    findCommit: sql(`SELECT sequence FROM ${s}.cluster_commits WHERE digest = $1`),
    addCommit: sql(`
      INSERT INTO ${s}.cluster_commits (sequence, digest, attempt, shared_by, shared_at_ms)
      SELECT coalesce(max(sequence), 0) + 1, $1, $2, $3, ${now} FROM ${s}.cluster_commits RETURNING sequence`),
    commitsAfter: sql(`
      SELECT sequence, attempt, shared_at_ms, ${now} AS read_at_ms FROM ${s}.cluster_commits
      WHERE sequence > $1::bigint ORDER BY sequence LIMIT $2`),

    /** Chooses the node with the lowest id among those that can take a copy. */
    place: sql(`
      INSERT INTO ${s}.cluster_replica_intents (node_id, chain_id, intent)
      SELECT m.node_id, $1, 'hold' FROM ${s}.cluster_members m
      WHERE m.maintenance = 'active' AND NOT m.is_cordoned AND m.seen_at_ms >= ${now} - $4::bigint
        AND m.node_id <> ALL($2::text[]) AND ($3::text IS NULL OR m.node_id = $3)
      ORDER BY m.node_id LIMIT 1
      ON CONFLICT (node_id, chain_id) DO UPDATE SET intent = EXCLUDED.intent RETURNING node_id`),
    evict: sql(`
      INSERT INTO ${s}.cluster_replica_intents (node_id, chain_id, intent) VALUES ($2, $1, 'drop')
      ON CONFLICT (node_id, chain_id) DO UPDATE SET intent = EXCLUDED.intent`),
  }
}
