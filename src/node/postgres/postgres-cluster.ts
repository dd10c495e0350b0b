import { decode } from '../../base/decode.js'
import {
  openSchema,
  PostgresListener,
  type PostgresDatabase,
  type SqlResult,
  type SqlStatement,
  type SqlValue,
  type Transaction,
} from '../../postgres/index.js'
import { encodeCommit, type SignedAttempt } from '../admin/index.js'
import type {
  ClusterSource,
  ClusterView,
  DaemonWish,
  Heartbeat,
  LeaseSubject,
  MemberIdentity,
  SharedCommit,
  UnreadableRow,
} from '../cluster-source.js'
import type { ChainId, Digest, NodeId } from '../ids.js'
import { noCandidate } from '../memory-cluster.js'
import { postgresClusterOptionsSchema, type PostgresClusterOptions } from './options.js'
import {
  aboutChain,
  aboutMember,
  clockOf,
  commitsOf,
  desiredOf,
  heldLeaseOf,
  holderOf,
  intentOf,
  lastSequenceOf,
  memberOf,
  readEach,
  replicaOf,
  sequenceOf,
  wishOf,
} from './rows.js'
import { createStatements } from './statements.js'
import { clusterTables } from './tables.js'

/**
 * A cluster of nodes that share a PostgreSQL database. Only the server's clock decides which leases have expired and
 * how old commits are. Deadlocks, serialization failures and lost connections are retried; other failures are a
 * `StoreError`.
 *
 *     const database = await PostgresDatabase.open({ url })
 *     const source = await PostgresCluster.open({ database })
 *     const runtime = await createRuntime({ dataDir, node: { thisNode, daemons, cluster: { source } } })
 */
export class PostgresCluster implements ClusterSource {
  readonly #database: PostgresDatabase
  readonly #schema: string
  readonly #clusterId: string
  readonly #healthyForMs: number
  /** The channel for notifications; `undefined` without them. */
  readonly #channel: string | undefined
  readonly #statements: ReturnType<typeof createStatements>

  private constructor(options: PostgresClusterOptions, schema: string, clusterId: string) {
    const { database, healthyForMs = 5000, notify = false } = options
    this.#database = database
    this.#channel = notify ? `${schema}_cluster` : undefined
    this.#schema = schema
    this.#clusterId = clusterId
    this.#healthyForMs = Math.trunc(healthyForMs)
    this.#statements = createStatements(schema)
  }

  /**
   * Opens the cluster: creates its tables unless told not to, and compares them with the expected schema. Raises
   * `invalid_input` for bad options, `store.schema_mismatch` with all differences, and the errors of the database.
   */
  static async open(options: PostgresClusterOptions): Promise<PostgresCluster> {
    decode(postgresClusterOptionsSchema, options, 'options of the PostgreSQL cluster')
    const { database, schema = 'stateward', createTables = true } = options
    const { storeId } = await openSchema(database, clusterTables, { schema, create: createTables })
    return new PostgresCluster(options, schema, storeId)
  }

  listen(onChange: () => void): PostgresListener | undefined {
    const channel = this.#channel
    // Notifications sent while there was no connection are lost.
    return channel === undefined
      ? undefined
      : new PostgresListener(this.#database, { channel, onMessage: onChange, onConnect: onChange })
  }

  async join({ node, epoch }: MemberIdentity): Promise<void> {
    await this.#database.write(this.#statements.join, [node, epoch])
  }

  heartbeat(beat: Heartbeat): Promise<ClusterView | undefined> {
    const { node, epoch, maintenance, isCordoned, rttMs, release, takeDaemons, takeBeyondShare, takesChains } = beat
    const statements = this.#statements
    const ttlMs = Math.trunc(beat.leaseTtlMs)
    const rtt = rttMs === undefined ? null : Math.round(rttMs)
    // A member that was silent for the length of a lease holds none, and takes no share.
    const takingForMs = Math.min(this.#healthyForMs, ttlMs)
    return this.#database.transaction(async (transaction) => {
      const touched = await transaction.query(statements.touch, [node, epoch, maintenance, isCordoned, rtt])
      if (touched.rows.length === 0) return undefined
      if (release.length > 0) await this.#notify(transaction)
      // Sent as one pipeline: each statement sees the effects of those before it.
      const [, , renewed, acquired, share, clock, members, daemons, holders, replicas, chains, intents] =
        await Promise.all([
          transaction.query(statements.forget, [Math.trunc(beat.forgetAfterMs)]),
          transaction.query(statements.release, [node, epoch, release]),
          transaction.query(statements.renew, [node, epoch, ttlMs]),
          transaction.query(statements.acquire, [node, epoch, ttlMs, takeDaemons, takeBeyondShare, takesChains]),
          transaction.query(statements.acquireShare, [node, epoch, ttlMs, takeDaemons, takingForMs]),
          transaction.query(statements.readClock),
          transaction.query(statements.readMembers),
          transaction.query(statements.readDaemons),
          transaction.query(statements.readHolders),
          transaction.query(statements.readReplicas),
          transaction.query(statements.readChains),
          transaction.query(statements.readIntents, [node]),
        ])
      const unreadable: UnreadableRow[] = []
      return {
        clusterId: this.#clusterId,
        nowMs: clockOf(clock.rows[0]),
        lastSequence: readEach(clock.rows, lastSequenceOf, unreadable)[0],
        held: readEach([...renewed.rows, ...acquired.rows, ...share.rows], heldLeaseOf, unreadable),
        members: readEach(members.rows, memberOf, unreadable, aboutMember),
        daemons: readEach(daemons.rows, wishOf, unreadable),
        holders: new Map(readEach(holders.rows, holderOf, unreadable)),
        replicas: readEach(replicas.rows, replicaOf, unreadable, aboutChain),
        chains: readEach(chains.rows, desiredOf, unreadable),
        replicaIntents: readEach(intents.rows, intentOf, unreadable),
        unreadable,
      }
    })
  }

  async leave({ node, epoch }: MemberIdentity, kept: readonly LeaseSubject[]): Promise<void> {
    await this.#change(async (transaction) => {
      await transaction.query(this.#statements.releaseAllBut, [node, epoch, kept])
      await transaction.query(this.#statements.leave, [node, epoch])
    })
  }

  async wishDaemon({ daemon: { id, name }, intent, node }: DaemonWish): Promise<void> {
    await this.#change(async (transaction) => {
      await transaction.query(this.#statements.addLease, [`daemon:${id}`])
      await transaction.query(this.#statements.wishDaemon, [id, name, intent, node ?? null])
    })
  }

  async wishReplicas(chain: ChainId, desiredReplicas: number): Promise<void> {
    await this.#write(this.#statements.wishReplicas, [chain, desiredReplicas])
  }

  async holdReplica(node: NodeId, chain: ChainId, isHeld: boolean): Promise<void> {
    const { addLease, holdReplica, idleReplica } = this.#statements
    await this.#change(async (transaction) => {
      await transaction.query(addLease, [`chain:${chain}`])
      await transaction.query(isHeld ? holdReplica : idleReplica, [chain, node])
    })
  }

  async forgetReplicaIntents(node: NodeId): Promise<void> {
    await this.#write(this.#statements.forgetIntents, [node])
  }

  shareCommit(node: NodeId, attempt: SignedAttempt, digest: Digest): Promise<number> {
    const { lockCommits, findCommit, addCommit } = this.#statements
    const text = JSON.stringify(encodeCommit(attempt))
    return this.#change(async (transaction) => {
      await transaction.query(lockCommits, [`stateward:${this.#schema}:cluster_commits`])
      const [known] = (await transaction.query(findCommit, [digest])).rows
      return sequenceOf(known ?? (await transaction.query(addCommit, [digest, text, node])).rows[0])
    })
  }

  async commitsAfter(sequence: number, limit: number): Promise<readonly SharedCommit[]> {
    const { rows } = await this.#database.read(this.#statements.commitsAfter, [sequence, limit])
    return commitsOf(rows)
  }

  async requestPlacement(chain: ChainId, exclude: readonly NodeId[], target?: NodeId): Promise<void> {
    const values: readonly SqlValue[] = [chain, exclude, target ?? null, this.#healthyForMs]
    const { rows } = await this.#write(this.#statements.place, values)
    if (rows.length === 0) throw noCandidate(chain)
  }

  async requestEviction(chain: ChainId, victim: NodeId): Promise<void> {
    await this.#write(this.#statements.evict, [chain, victim])
  }

  /** Makes a change and notifies the other nodes of it. */
  #change<Answer>(work: (transaction: Transaction) => Promise<Answer>): Promise<Answer> {
    return this.#database.transaction(async (transaction) => {
      const answer = await work(transaction)
      await this.#notify(transaction)
      return answer
    })
  }

  #write(statement: SqlStatement, values: readonly SqlValue[]): Promise<SqlResult> {
    return this.#channel === undefined
      ? this.#database.write(statement, values)
      : this.#change((transaction) => transaction.query(statement, values))
  }

  async #notify(transaction: Transaction): Promise<void> {
    if (this.#channel !== undefined) await transaction.query(this.#statements.notify, [this.#channel])
  }
}
