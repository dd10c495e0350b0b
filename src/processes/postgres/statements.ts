import { sql, type SqlStatement, type SqlValue } from '../../postgres/index.js'
import type { ProcessListFilter } from '../list-filter.js'
import { definitionHash } from './rows.js'

/** The server's clock now, not at the start of the transaction. */
const now = 'floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint'
/** The server's clock at the start of the statement: the same for all its rows. */
const sinceStatement = 'floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint'

const stateColumns = `p.process_id, p.registration_hash, p.created_at_ms, p.updated_at_ms, p.status, p.outcome, p.last_sequence,
  p.facets, p.wake_session_id, p.wake_frame_id`
const processColumns = `${stateColumns}, r.registered`
const entryColumns = 'e.sequence, e.event_type, e.payload, e.replay_key, e.semantics, e.occurred_at_ms'
const leaseColumns = `l.fencing_token, l.owner_id, l.incarnation_id, l.liveness, l.lease_token, l.claimed_at_ms, l.expires_at_ms`
const grantColumns = 'g.scope_id, g.process_id, g.session_id, g.descriptor'

/** An event `e` with an unacknowledged wake. */
const isUnacknowledged = (schema: string): string => `e.wakes IS NOT NULL
  AND NOT EXISTS (SELECT FROM ${schema}.process_wake_acks a WHERE a.process_id = e.process_id AND a.sequence = e.sequence)`

/** An event `e` with an unacknowledged wake that has a target. `p` is its process. */
const isPendingWake = (schema: string): string =>
  `(e.wakes = 'own' OR p.wake_session_id IS NOT NULL) AND ${isUnacknowledged(schema)}`

/** All statements of the store for one schema. Values are parameters. The schema name was checked before. */
export function createStatements(schema: string) {
  const s = `"${schema}"`
  const processes = joined(schema)
  /** Tells in one answer whether the process exists and what related rows it has. One row of nulls if it has none. */
  const withProcess = (columns: string, rows: string): SqlStatement =>
    sql(`SELECT ${columns} FROM ${s}.processes p LEFT JOIN LATERAL (${rows}) e ON true WHERE p.process_id = $1`)
  /** Looks up each row by its key. The server might keep a plan that reads the whole table while the table grows. */
  const eachOne = (rows: string, name: string): string => `LEFT JOIN LATERAL (${rows} LIMIT 1) ${name} ON true`
  const locking = (how: string): string => `
    SELECT p.* FROM unnest($1::text[]) WITH ORDINALITY AS i (id, place)
      CROSS JOIN LATERAL (SELECT ${stateColumns} FROM ${s}.processes p WHERE p.process_id = i.id ${how}) p`

  return {
    // Commands.

    /** Locks processes for a change. */
    lock: sql(locking('FOR UPDATE')),
    /** Locks processes, leaving out those that are locked by another transaction. */
    lockFree: sql(locking('FOR UPDATE SKIP LOCKED')),
    readRegistrations: sql(
      `SELECT r.process_id, r.registered FROM ${s}.process_registrations r WHERE r.process_id = ANY($1::text[])`,
    ),
    /**
     * Reads the other rows that commands are decided on. It is a separate statement, because one that waits for a lock
     * sees the new version only of the locked row, and old versions of everything it joins.
     */
    readBeside: sql(`
      SELECT i.place, ${now} AS now_ms, p.is_there, ${leaseColumns}, ${entryColumns}, g.session_id, g.descriptor, g.scope_id,
        t.terminal_label, t.pruned_at_ms
      FROM json_to_recordset($1::json) AS i (place integer, "processId" text, key text, "scopeId" text)
        ${eachOne(`SELECT true AS is_there FROM ${s}.processes p WHERE p.process_id = i."processId"`, 'p')}
        ${eachOne(`SELECT * FROM ${s}.process_leases l WHERE l.process_id = i."processId"`, 'l')}
        ${eachOne(`SELECT * FROM ${s}.process_events e WHERE e.process_id = i."processId" AND e.replay_key = i.key`, 'e')}
        ${eachOne(`SELECT * FROM ${s}.process_grants g WHERE g.process_id = i."processId" AND g.scope_id = i."scopeId"`, 'g')}
        ${eachOne(`SELECT * FROM ${s}.process_tombstones t WHERE t.process_id = i."processId"`, 't')}`),
    /** Leaves out processes that another transaction has registered in the meantime. */
    register: sql(`
      WITH given AS MATERIALIZED (
        SELECT * FROM json_to_recordset($1::json) AS given (process_id text, registration_hash text, created_at_ms bigint,
          wake_session_id text, wake_frame_id text, updated_at_ms bigint, status text, outcome text, last_sequence bigint,
          facets text, is_waiting boolean, workable_from_ms bigint, registered text, originator_id text, identity_kind text,
          identity_label text, definition_hash text, caused_by_occurrence_id text)
      ), p AS (
        INSERT INTO ${s}.processes (process_id, registration_hash, created_at_ms, wake_session_id, wake_frame_id,
          updated_at_ms, status, outcome, last_sequence, facets, is_waiting, workable_from_ms, change_xid)
        SELECT process_id, registration_hash, created_at_ms, wake_session_id, wake_frame_id, updated_at_ms, status, outcome,
          last_sequence, facets, is_waiting, workable_from_ms, pg_current_xact_id()
        FROM given
        ON CONFLICT (process_id) DO NOTHING
        RETURNING process_id
      ), t AS (
        DELETE FROM ${s}.process_tombstones t USING p WHERE t.process_id = p.process_id
      )
      INSERT INTO ${s}.process_registrations (process_id, registered, created_at_ms, originator_id, identity_kind,
        identity_label, definition_hash, caused_by_occurrence_id)
      SELECT given.process_id, registered, created_at_ms, originator_id, identity_kind, identity_label, definition_hash,
        caused_by_occurrence_id
      FROM given JOIN p ON p.process_id = given.process_id`),
    insertEntries: sql(`
      INSERT INTO ${s}.process_events (process_id, sequence, event_type, payload, replay_key, semantics, occurred_at_ms,
        wakes, written_by)
      SELECT process_id, sequence, event_type, payload, replay_key, semantics, occurred_at_ms, wakes, $2::uuid
      FROM json_to_recordset($1::json) AS given (process_id text, sequence bigint, event_type text, payload text,
        replay_key text, semantics text, occurred_at_ms bigint, wakes text)`),
    /**
     * Updates existing processes. Written as an insert, so that the server finds each row by its key, whatever plan it
     * chooses. The outcome is sent only when it is new; otherwise the stored one stays.
     */
    update: sql(`
      INSERT INTO ${s}.processes AS p (process_id, registration_hash, created_at_ms, updated_at_ms, status, outcome,
        last_sequence, facets, is_waiting, workable_from_ms, change_xid)
      SELECT process_id, registration_hash, created_at_ms, updated_at_ms, status, outcome, last_sequence, facets, is_waiting,
        workable_from_ms, pg_current_xact_id()
      FROM json_to_recordset($1::json) AS given (process_id text, registration_hash text, created_at_ms bigint,
        updated_at_ms bigint, status text, outcome text, last_sequence bigint, facets text, is_waiting boolean,
        workable_from_ms bigint)
      ON CONFLICT (process_id) DO UPDATE SET updated_at_ms = excluded.updated_at_ms, status = excluded.status,
        outcome = coalesce(excluded.outcome, p.outcome), last_sequence = excluded.last_sequence, facets = excluded.facets,
        is_waiting = excluded.is_waiting, workable_from_ms = excluded.workable_from_ms, change_xid = excluded.change_xid`),
    putLeases: sql(`
      INSERT INTO ${s}.process_leases (process_id, fencing_token, owner_id, incarnation_id, liveness, lease_token,
        claimed_at_ms, expires_at_ms)
      SELECT * FROM json_to_recordset($1::json) AS given (process_id text, fencing_token bigint, owner_id text,
        incarnation_id text, liveness text, lease_token text, claimed_at_ms bigint, expires_at_ms bigint)
      ON CONFLICT (process_id) DO UPDATE SET fencing_token = excluded.fencing_token, owner_id = excluded.owner_id,
        incarnation_id = excluded.incarnation_id, liveness = excluded.liveness, lease_token = excluded.lease_token,
        claimed_at_ms = excluded.claimed_at_ms, expires_at_ms = excluded.expires_at_ms`),
    /** An acknowledged event no longer wakes, so scans for wakes skip it. */
    putAck: sql(`
      WITH a AS (
        INSERT INTO ${s}.process_wake_acks (process_id, sequence) VALUES ($1, $2) ON CONFLICT DO NOTHING
      )
      UPDATE ${s}.process_events SET wakes = NULL WHERE process_id = $1 AND sequence = $2 AND wakes IS NOT NULL`),
    putGrant: sql(`
      INSERT INTO ${s}.process_grants (scope_id, process_id, session_id, descriptor) VALUES ($1, $2, $3, $4)
      ON CONFLICT (scope_id, process_id) DO UPDATE SET descriptor = excluded.descriptor`),
    removeGrant: sql(`DELETE FROM ${s}.process_grants WHERE scope_id = $1 AND process_id = $2`),
    /** Whether a call with an unknown outcome was committed: looks for an entry or a lease token that it wrote. */
    findEntryOfCall: sql(
      `SELECT true AS found FROM ${s}.process_events WHERE process_id = $1 AND sequence = $2 AND written_by = $3::uuid`,
    ),
    findToken: sql(
      `SELECT true AS found FROM ${s}.process_leases WHERE process_id = $1 AND lease_token = $2 AND expires_at_ms = $3`,
    ),
    findGrant: sql(`SELECT true AS found FROM ${s}.process_grants WHERE scope_id = $1 AND process_id = $2`),
    notify: sql(`SELECT pg_notify($1, process_id) FROM unnest($2::text[]) AS changed (process_id)`),

    // Leases.

    readLease: sql(`SELECT ${leaseColumns} FROM ${s}.process_leases l WHERE l.process_id = $1`),
    /**
     * Renews the leases that are still held. The rows are locked in the order of their ids, so that two calls never
     * wait for each other, and checked again after they are locked.
     */
    renewAll: sql(`
      WITH asked AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[])
          AS asked (process_id, lease_token, fencing_token, owner_id, incarnation_id)
      ), held AS MATERIALIZED (
        SELECT l.process_id FROM ${s}.process_leases l JOIN asked USING (process_id)
        WHERE l.lease_token = asked.lease_token AND l.fencing_token = asked.fencing_token
          AND l.owner_id = asked.owner_id AND l.incarnation_id = asked.incarnation_id
        ORDER BY l.process_id FOR UPDATE OF l
      ), clock AS MATERIALIZED (
        SELECT ${now} AS now_ms FROM (SELECT count(*) FROM held) AS locked
      )
      UPDATE ${s}.process_leases l SET expires_at_ms = least(clock.now_ms + $6::bigint, ${Number.MAX_SAFE_INTEGER})
      FROM held, clock WHERE l.process_id = held.process_id AND l.expires_at_ms > clock.now_ms
      RETURNING l.process_id, ${leaseColumns}`),

    // Reads of one process.

    readState: sql(`SELECT ${stateColumns} FROM ${s}.processes p WHERE p.process_id = $1`),
    readProcess: sql(`SELECT ${processColumns} FROM ${processes} WHERE p.process_id = $1`),
    readTerminal: sql(`SELECT p.status, p.outcome FROM ${s}.processes p WHERE p.process_id = $1`),
    readTombstone: sql(
      `SELECT t.process_id, t.terminal_label, t.pruned_at_ms FROM ${s}.process_tombstones t WHERE t.process_id = $1`,
    ),
    eventsAfter: withProcess(
      entryColumns,
      `SELECT * FROM ${s}.process_events e WHERE e.process_id = p.process_id AND e.sequence > $2 ORDER BY e.sequence`,
    ),
    firstEventAfter: withProcess(
      entryColumns,
      `SELECT * FROM ${s}.process_events e WHERE e.process_id = p.process_id AND e.event_type = $2 AND e.sequence > $3
       ORDER BY e.sequence LIMIT 1`,
    ),
    countEventsThrough: withProcess(
      'e.count',
      `SELECT count(*) AS count FROM ${s}.process_events e
       WHERE e.process_id = p.process_id AND e.event_type = $2 AND e.sequence <= $3`,
    ),
    recentEvents: withProcess(
      entryColumns,
      `SELECT * FROM ${s}.process_events e WHERE e.process_id = p.process_id ORDER BY e.sequence DESC LIMIT $2`,
    ),
    eventsOfType: withProcess(
      entryColumns,
      `SELECT * FROM ${s}.process_events e WHERE e.process_id = p.process_id AND e.event_type = $2 ORDER BY e.sequence`,
    ),
    wakeEventsAfter: withProcess(
      entryColumns,
      `SELECT * FROM ${s}.process_events e WHERE e.process_id = p.process_id AND e.sequence > $2 AND ${isUnacknowledged(s)}
       ORDER BY e.sequence`,
    ),

    // Reads of many.

    pendingWakes: sql(`
      SELECT ${processColumns}, ${entryColumns} FROM ${s}.process_events e JOIN ${s}.processes p USING (process_id)
        JOIN ${s}.process_registrations r USING (process_id)
      WHERE (e.process_id, e.sequence) > ($1, $2) AND ${isPendingWake(s)}
      ORDER BY e.process_id, e.sequence LIMIT $3`),
    /** Workable processes after one id, up to another. Without the second, up to the greatest id now running. */
    listWork: sql(`
      WITH bound AS MATERIALIZED (
        SELECT coalesce($3, (SELECT max(b.process_id) FROM ${s}.processes b WHERE b.status = 'running')) AS bound_id
      )
      SELECT bound.bound_id, ${processColumns} FROM bound, ${processes}
      WHERE p.status = 'running' AND p.workable_from_ms <= ${now} AND p.process_id > $1 AND p.process_id <= bound.bound_id
        AND p.process_id <> ALL($4::text[])
      ORDER BY p.process_id LIMIT $2`),
    nextWorkAt: sql(
      `SELECT min(p.workable_from_ms) AS at_ms FROM ${s}.processes p WHERE p.workable_from_ms > 0 AND p.workable_from_ms > ${now}`,
    ),
    /**
     * Changes made by transactions older than any running one, so that no change can appear before them later. A
     * process that was pruned and registered again has one row, because its tombstone is removed.
     */
    changesSince: sql(`
      WITH settled AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin), changes AS (
        (SELECT p.change_xid, p.process_id, true AS is_record FROM ${s}.processes p, settled
         WHERE (p.change_xid, p.process_id) > ($1::xid8, $2) AND p.change_xid < settled.xmin
         ORDER BY p.change_xid, p.process_id LIMIT $3)
        UNION ALL
        (SELECT t.change_xid, t.process_id, false FROM ${s}.process_tombstones t, settled
         WHERE (t.change_xid, t.process_id) > ($1::xid8, $2) AND t.change_xid < settled.xmin
         ORDER BY t.change_xid, t.process_id LIMIT $3)
        ORDER BY change_xid, process_id LIMIT $3
      )
      SELECT c.change_xid, c.is_record, c.process_id AS changed_id, t.terminal_label, t.pruned_at_ms, ${processColumns}
      FROM changes c LEFT JOIN (${processes}) ON c.is_record AND p.process_id = c.process_id
        LEFT JOIN ${s}.process_tombstones t ON NOT c.is_record AND t.process_id = c.process_id
      ORDER BY c.change_xid, c.process_id`),

    /** Changes numbered at or above this server's next transaction id: they come from another server. */
    foreignChanges: sql(`
      SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS next_xid FROM (
        (SELECT change_xid FROM ${s}.processes ORDER BY change_xid DESC LIMIT 1)
        UNION ALL (SELECT change_xid FROM ${s}.process_tombstones ORDER BY change_xid DESC LIMIT 1)
      ) c WHERE c.change_xid >= pg_snapshot_xmax(pg_current_snapshot()) LIMIT 1`),

    // Handles.

    listGrants: sql(`
      SELECT ${processColumns}, ${grantColumns} FROM ${s}.process_grants g JOIN ${s}.processes p USING (process_id)
        JOIN ${s}.process_registrations r USING (process_id)
      WHERE g.scope_id = $1 AND (NOT $2 OR p.status = 'running') ORDER BY p.process_id`),
    grantsOfProcess: sql(`
      SELECT ${grantColumns} FROM ${s}.processes p LEFT JOIN ${s}.process_grants g USING (process_id)
      WHERE p.process_id = $1 ORDER BY g.session_id, g.scope_id`),
    lockSession: sql(`
      SELECT p.process_id, p.status FROM ${s}.processes p
      WHERE p.wake_session_id = $1 OR p.process_id IN (SELECT g.process_id FROM ${s}.process_grants g WHERE g.session_id = $1)
      ORDER BY p.process_id FOR UPDATE`),
    removeSessionGrants: sql(`DELETE FROM ${s}.process_grants WHERE session_id = $1 RETURNING process_id`),
    stillGranted: sql(`SELECT DISTINCT g.process_id FROM ${s}.process_grants g WHERE g.process_id = ANY($1::text[])`),
    clearWakeTargets: sql(`
      UPDATE ${s}.processes SET wake_session_id = NULL, wake_frame_id = NULL, updated_at_ms = ${sinceStatement},
        change_xid = pg_current_xact_id()
      WHERE wake_session_id = $1`),

    // Pruning.

    haveWakes: sql(`
      SELECT DISTINCT e.process_id FROM ${s}.process_events e JOIN ${s}.processes p USING (process_id)
      WHERE e.process_id = ANY($1::text[]) AND ${isPendingWake(s)}`),
    countEvents: sql(`SELECT count(*) AS count FROM ${s}.process_events WHERE process_id = ANY($1::text[])`),
    bury: sql(`
      INSERT INTO ${s}.process_tombstones (process_id, terminal_label, pruned_at_ms, change_xid)
      SELECT p.process_id, p.status, ${sinceStatement}, pg_current_xact_id() FROM ${s}.processes p WHERE p.process_id = ANY($1::text[])
      ON CONFLICT (process_id) DO UPDATE SET terminal_label = excluded.terminal_label,
        pruned_at_ms = excluded.pruned_at_ms, change_xid = excluded.change_xid`),
    removeProcesses: sql(`DELETE FROM ${s}.processes WHERE process_id = ANY($1::text[])`),
    compactTombstones: sql(`
      DELETE FROM ${s}.process_tombstones t
      WHERE ($1::bigint IS NULL OR t.pruned_at_ms < $1) AND ($2::xid8 IS NULL OR (t.change_xid, t.process_id) <= ($2::xid8, $3))
        AND ($4::text[] IS NULL OR t.process_id = ANY($4))`),
  } satisfies Record<string, SqlStatement>
}

/** The statements of the store. */
export type Statements = ReturnType<typeof createStatements>

/** The statement for a list filter, and its values. */
export function listStatement(schema: string, filter: ProcessListFilter): readonly [SqlStatement, readonly SqlValue[]] {
  const { where, values } = conditionsOf(filter, [])
  return [sql(`SELECT ${processColumns} FROM ${joined(schema)} WHERE ${where} ORDER BY p.process_id`), values]
}

/** Which processes may be pruned, apart from the check for wakes. */
export interface PruneQuery {
  readonly cutoffMs: number
  readonly filter: ProcessListFilter
  /** Only these, if given. */
  readonly ids?: readonly string[] | undefined
  /** The last change that was read, if the watermark applies. */
  readonly watermark: ChangePosition | undefined
}

/** A position in the change feed. */
export interface ChangePosition {
  readonly changeXid: string
  readonly processId: string
}

/** The statement that locks what may be pruned, in the order of ids, and its values. */
export function pruneStatement(
  schema: string,
  { cutoffMs, filter, ids, watermark }: PruneQuery,
): readonly [SqlStatement, readonly SqlValue[]] {
  const before = cutoffMs === Number.MAX_SAFE_INTEGER ? null : cutoffMs
  const given: SqlValue[] = [before, watermark?.changeXid ?? null, watermark?.processId ?? null, ids ?? null]
  const { where, values } = conditionsOf(filter, given)
  return [
    sql(`SELECT p.process_id FROM ${joined(schema)}
      WHERE p.status <> 'running' AND ($1::bigint IS NULL OR p.updated_at_ms < $1)
        AND ($2::xid8 IS NULL OR (p.change_xid, p.process_id) <= ($2::xid8, $3))
        AND ($4::text[] IS NULL OR p.process_id = ANY($4)) AND ${where}
      ORDER BY p.process_id FOR UPDATE OF p`),
    values,
  ]
}

function joined(schema: string): string {
  return `"${schema}".processes p JOIN "${schema}".process_registrations r USING (process_id)`
}

/** Turns a filter into conditions. Their values are appended to the given ones. */
function conditionsOf(
  filter: ProcessListFilter,
  given: readonly SqlValue[],
): { readonly where: string; readonly values: readonly SqlValue[] } {
  const { status = 'running', definition, waiting, originatorId, identityKind, identityLabel } = filter
  const { causedByOccurrenceId, createdAtStartMs, createdAtEndMs } = filter
  const values = [...given]
  const conditions: string[] = []
  const add = (condition: string, value: SqlValue | undefined): void => {
    if (value === undefined) return
    values.push(value)
    conditions.push(`${condition} $${values.length}`)
  }
  // Written as a literal, so that the index of running processes is used.
  if (status === 'running') conditions.push(`p.status = 'running'`)
  else if (status !== 'any') add('p.status =', status)
  add('p.is_waiting =', waiting)
  add('r.definition_hash =', definition === undefined ? undefined : definitionHash(definition))
  add('r.originator_id =', originatorId)
  add('r.identity_kind =', identityKind)
  add('r.identity_label =', identityLabel)
  add('r.caused_by_occurrence_id =', causedByOccurrenceId)
  add('r.created_at_ms >=', createdAtStartMs)
  add('r.created_at_ms <', createdAtEndMs)
  return { where: conditions.length === 0 ? 'true' : conditions.join(' AND '), values }
}
