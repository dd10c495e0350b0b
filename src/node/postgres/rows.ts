import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { InvalidInputError, StatewardError } from '../../base/errors.js'
import type { SqlRow } from '../../postgres/index.js'
import { decodeCommit, type SignedAttempt } from '../admin/index.js'
import type { DaemonWish, HeldLease, LeaseSubject, MemberView, SharedCommit, UnreadableRow } from '../cluster-source.js'
import { NodeError } from '../errors.js'
import { chainIdSchema, daemonIdSchema, epochIdSchema, nodeIdSchema, type ChainId, type NodeId } from '../ids.js'
import { countSchema, labelSchema, naturalSchema } from '../scalars.js'
import { daemonIntents, maintenanceStatuses, replicaIntents, type ReplicaIntent } from '../vocabulary.js'

/*
 * Rows are fully checked when they are read: anybody who can write to the database can write anything, and stateward
 * does not guess. A row that cannot be read harms only what it is about (N-900).
 */

const subjectSchema = v.custom<LeaseSubject>(
  (input) => typeof input === 'string' && /^(daemon|chain):[0-9a-f]{16}$/.test(input),
  'names neither a daemon nor a chain',
)
const memberSchema = v.object({
  node_id: nodeIdSchema,
  epoch: epochIdSchema,
  age_ms: naturalSchema,
  maintenance: v.picklist(maintenanceStatuses),
  is_cordoned: v.boolean(),
  rtt_ms: v.nullable(naturalSchema),
})
const daemonSchema = v.object({
  daemon_id: daemonIdSchema,
  name: labelSchema,
  intent: v.picklist(daemonIntents),
  pinned_to: v.nullable(nodeIdSchema),
})
const leaseSchema = v.object({ subject: subjectSchema, fence: naturalSchema })
const holderSchema = v.object({ subject: subjectSchema, node_id: nodeIdSchema })
const replicaSchema = v.object({ chain_id: chainIdSchema, node_id: nodeIdSchema })
const chainSchema = v.object({ chain_id: chainIdSchema, desired_replicas: countSchema })
const intentSchema = v.object({ chain_id: chainIdSchema, intent: v.picklist(replicaIntents) })
const sequenceSchema = v.object({ sequence: naturalSchema })
const clockSchema = v.object({ now_ms: naturalSchema })
const lastSchema = v.object({ last_sequence: naturalSchema })
const commitSchema = v.object({
  attempt: v.string(),
  shared_at_ms: naturalSchema,
  read_at_ms: naturalSchema,
})

/** Reads a row; a row that does not fit its schema means that the stored data is invalid. */
function read<Schema extends v.GenericSchema>(table: string, schema: Schema, row: unknown): v.InferOutput<Schema> {
  try {
    return decode(schema, row, `row of ${table}`)
  } catch (cause) {
    if (!(cause instanceof InvalidInputError)) throw cause
    const { field, reason } = cause.data
    throw new NodeError('node.stored_invalid', { field: `${table}.${field}`, reason }, { cause })
  }
}

/** Reads rows one by one. Those that cannot be read are left out and added to `unreadable`, with what they are about. */
export function readEach<Row>(
  rows: readonly SqlRow[],
  rowOf: (row: SqlRow) => Row,
  unreadable: UnreadableRow[],
  aboutOf: (row: SqlRow) => Omit<UnreadableRow, 'error'> = () => ({}),
): Row[] {
  return rows.flatMap((row) => {
    try {
      return [rowOf(row)]
    } catch (error) {
      if (!StatewardError.is(error, 'node.stored_invalid')) throw error
      unreadable.push({ error: error as NodeError<'node.stored_invalid'>, ...aboutOf(row) })
      return []
    }
  })
}

/** The member that a row is about, if it names one. */
export function aboutMember({ node_id }: SqlRow): Pick<UnreadableRow, 'node'> {
  const { success, output } = v.safeParse(nodeIdSchema, node_id)
  return success ? { node: output } : {}
}

/** The chain that a row is about, if it names one. */
export function aboutChain({ chain_id }: SqlRow): Pick<UnreadableRow, 'chain'> {
  const { success, output } = v.safeParse(chainIdSchema, chain_id)
  return success ? { chain: output } : {}
}

export function memberOf(row: SqlRow): MemberView {
  const { node_id, epoch, age_ms, maintenance, is_cordoned, rtt_ms } = read('cluster_members', memberSchema, row)
  return { node: node_id, epoch, ageMs: age_ms, maintenance, isCordoned: is_cordoned, rttMs: rtt_ms ?? undefined }
}

export function wishOf(row: SqlRow): DaemonWish {
  const { daemon_id, name, intent, pinned_to } = read('cluster_daemons', daemonSchema, row)
  return { daemon: { id: daemon_id, name }, intent, ...(pinned_to !== null && { node: pinned_to }) }
}

export function heldLeaseOf(row: SqlRow): HeldLease {
  return read('cluster_leases', leaseSchema, row)
}

export function holderOf(row: SqlRow): readonly [LeaseSubject, NodeId] {
  const { subject, node_id } = read('cluster_leases', holderSchema, row)
  return [subject, node_id]
}

export function replicaOf(row: SqlRow): { readonly chain: ChainId; readonly node: NodeId } {
  const { chain_id, node_id } = read('cluster_replicas', replicaSchema, row)
  return { chain: chain_id, node: node_id }
}

export function desiredOf(row: SqlRow): { readonly chain: ChainId; readonly desiredReplicas: number } {
  const { chain_id, desired_replicas } = read('cluster_chains', chainSchema, row)
  return { chain: chain_id, desiredReplicas: desired_replicas }
}

export function intentOf(row: SqlRow): { readonly chain: ChainId; readonly intent: ReplicaIntent } {
  const { chain_id, intent } = read('cluster_replica_intents', intentSchema, row)
  return { chain: chain_id, intent }
}

export function sequenceOf(row: SqlRow | undefined): number {
  return read('cluster_commits', sequenceSchema, row).sequence
}

export function clockOf(row: SqlRow | undefined): number {
  return read('cluster_commits', clockSchema, row).now_ms
}

export function lastSequenceOf(row: SqlRow): number {
  return read('cluster_commits', lastSchema, row).last_sequence
}

/**
 * Reads commits in their order, up to one whose number cannot be read: what follows it is not known to follow. Raises
 * `node.stored_invalid` if that is the first.
 */
export function commitsOf(rows: readonly SqlRow[]): SharedCommit[] {
  const unreadable: UnreadableRow[] = []
  const commits: SharedCommit[] = []
  for (const row of rows) {
    const [commit] = readEach([row], commitOf, unreadable)
    if (commit === undefined) break
    commits.push(commit)
  }
  const [first] = unreadable
  if (first !== undefined && commits.length === 0) throw first.error
  return commits
}

/** A row that is no valid commit, or has no valid time, does not stop the reading; the reader handles it. */
function commitOf(row: SqlRow): SharedCommit {
  const { sequence } = read('cluster_commits', sequenceSchema, row)
  const { success, output } = v.safeParse(commitSchema, row)
  if (!success) return { sequence, sharedAtMs: 0, readAtMs: 0, attempt: undefined }
  const { attempt, shared_at_ms, read_at_ms } = output
  return { sequence, sharedAtMs: shared_at_ms, readAtMs: read_at_ms, attempt: attemptOf(attempt) }
}

function attemptOf(text: string): SignedAttempt | undefined {
  try {
    return decodeCommit(JSON.parse(text))
  } catch {
    return undefined
  }
}
