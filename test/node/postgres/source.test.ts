import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { PostgresDatabase, schemaScript, sql } from '../../../src/postgres/index.js'
import { clusterTables, PostgresCluster } from '../../../src/node/postgres/public.js'
import { usePostgres } from '../../support/postgres-server.js'
import type { ClusterView } from '../../../src/node/cluster-source.js'
import type { EpochId } from '../../../src/node/ids.js'
import { clusterContract } from '../support/cluster-contract.js'
import { chainId, daemonId, node } from '../support/node-world.js'

let server: Awaited<ReturnType<typeof usePostgres>>
let database: PostgresDatabase
let schemas = 0

beforeAll(async () => {
  server = await usePostgres()
  database = await PostgresDatabase.open({ url: server.url })
}, 60_000)
afterAll(async () => {
  await database.close()
  await server[Symbol.asyncDispose]()
})

/** The name of a schema that goes with its test. */
function newSchema(): string {
  schemas += 1
  const schema = `cluster_${process.pid}_${schemas}`
  onTestFinished(async () => {
    await database.write(sql(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`))
  })
  return schema
}

clusterContract('PostgreSQL', async () => {
  const schema = newSchema()
  const source = await PostgresCluster.open({ database, schema })
  return {
    source,
    // The clock of the server cannot be set: everything is as much older instead.
    pass: async (milliseconds) => {
      const ms = Math.trunc(milliseconds)
      await database.transaction(async (transaction) => {
        await transaction.script(`UPDATE "${schema}".cluster_members SET seen_at_ms = seen_at_ms - ${ms};
          UPDATE "${schema}".cluster_leases SET expires_at_ms = expires_at_ms - ${ms};
          UPDATE "${schema}".cluster_commits SET shared_at_ms = shared_at_ms - ${ms}`)
      })
    },
  }
})

describe('a cluster on PostgreSQL', () => {
  it('[N-540] has tables that are made by a shipped script, and are compared with what they must be', async () => {
    const shipped = readFileSync(join(import.meta.dirname, '../../../src/node/postgres/schema.sql'), 'utf8')
    expect(shipped).toBe(schemaScript(clusterTables, 'stateward'))
    const schema = newSchema()
    await expect(PostgresCluster.open({ database, schema, createTables: false })).rejects.toMatchObject({
      code: 'store.schema_mismatch',
    })
    await PostgresCluster.open({ database, schema })
    await PostgresCluster.open({ database, schema, createTables: false })
    const drop = `ALTER TABLE "${schema}".cluster_commits DROP CONSTRAINT cluster_commits_digest_key`
    await database.write(sql(drop))
    await expect(PostgresCluster.open({ database, schema })).rejects.toMatchObject({
      code: 'store.schema_mismatch',
      data: { part: 'cluster', differences: ['constraint cluster_commits.cluster_commits_digest_key is missing'] },
    })
  })

  it.each([
    [{}, 'database'],
    [{ database: {} }, 'database'],
    [{ healthyForMs: -1 }, 'healthyForMs'],
    [{ schema: 7 }, 'schema'],
    [{ createTables: 'yes' }, 'createTables'],
    [{ notify: 1 }, 'notify'],
    [{ tables: true }, 'tables'],
  ])('[N-540] refuses options that do not fit: %j', async (wrong, field) => {
    const options = field === 'database' ? wrong : { database, ...wrong }
    await expect(PostgresCluster.open(options as never)).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field },
    })
  })

  it('[N-900] leaves out rows that hold what cannot be, says which, and reads all others', async () => {
    const schema = newSchema()
    const source = await PostgresCluster.open({ database, schema })
    const member = { node: node(1), epoch: '00000000000000e1' as EpochId }
    await source.join(member)
    await source.wishDaemon({ daemon: { id: daemonId(7), name: 'indexer' }, intent: 'run' })
    await source.holdReplica(member.node, chainId(5), true)
    const beat = (): Promise<ClusterView | undefined> =>
      source.heartbeat({
        ...member,
        maintenance: 'active',
        isCordoned: false,
        leaseTtlMs: 10_000,
        release: [],
        takeDaemons: [daemonId(7)],
        takeBeyondShare: [],
        takesChains: true,
        forgetAfterMs: 86_400_000,
      })
    const sound = await beat()
    expect(sound).toMatchObject({ lastSequence: 0, unreadable: [] })
    await database.transaction(async (transaction) => {
      await transaction.script(`SET LOCAL search_path TO "${schema}";
        INSERT INTO cluster_members SELECT '${node(2)}', 'x', seen_at_ms, 'active', false FROM cluster_members;
        INSERT INTO cluster_daemons VALUES ('not an id', 'x', 'run', NULL);
        INSERT INTO cluster_leases VALUES ('chain:one', 1, '${node(1)}', '00000000000000e1', ${2 ** 52});
        INSERT INTO cluster_replicas VALUES ('${chainId(6)}', 'nobody');
        INSERT INTO cluster_chains VALUES ('${chainId(6)}', -1);
        INSERT INTO cluster_replica_intents VALUES ('${node(1)}', '${chainId(6)}', 'keep');
        INSERT INTO cluster_commits VALUES (1, 'ff', '{}', 'x', 0), (9007199254740993, 'fe', '{}', 'x', 0)`)
    })
    const view = await beat()
    expect(view).toEqual({
      ...sound,
      nowMs: expect.any(Number),
      members: expect.any(Array),
      lastSequence: undefined,
      unreadable: expect.any(Array),
    })
    expect(view?.members.map((found) => found.node)).toEqual([node(1)])
    expect(view?.unreadable?.map(({ error: { data }, ...about }) => ({ field: data.field, ...about }))).toEqual([
      { field: 'cluster_commits.last_sequence' },
      { field: 'cluster_leases.subject' },
      { field: 'cluster_members.epoch', node: node(2) },
      { field: 'cluster_daemons.daemon_id' },
      { field: 'cluster_leases.subject' },
      { field: 'cluster_replicas.node_id', chain: chainId(6) },
      { field: 'cluster_chains.desired_replicas' },
      { field: 'cluster_replica_intents.intent' },
    ])
    // Commits are read up to the one whose place is not known.
    expect(await source.commitsAfter(0, 10)).toMatchObject([{ sequence: 1, attempt: undefined }])
    await expect(source.commitsAfter(1, 10)).rejects.toMatchObject({
      code: 'node.stored_invalid',
      data: { field: 'cluster_commits.sequence' },
    })
  })
})
