/**
 * Two nodes share a PostgreSQL server. One runs a daemon and is killed; the other takes over, under a higher fence.
 * Then one signed command of an operator freezes both.
 *
 *     npm run example:nodes
 *
 * The server is part of the development dependencies; `STATEWARD_PG_URL` names another one.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createRuntime, defineDaemon } from 'stateward'
import {
  AdminVerifier,
  createSeed,
  KeyPair,
  OperatorRegistry,
  parseNodeId,
  proposeIceCommit,
  signIceCommit,
  type PublicKeyText,
} from 'stateward/node'
import { PostgresCluster, PostgresDatabase } from 'stateward/postgres'
import { withServer } from '../support/postgres.js'

/**
 * A node gets its id, the server's address and an operator's key as arguments; without them this program starts the
 * nodes.
 */
const [name, url, operator] = process.argv.slice(2)

// #region shown
const crawler = defineDaemon('crawler', async ({ signal, fence }) => {
  process.send?.(`runs the crawler with fence ${fence}`)
  await once(signal, 'abort')
})

/** A node of the cluster. Two seconds after a node was killed, another starts what it was running. */
async function openNode(id: string, server: string, publicKey: PublicKeyText) {
  const database = await PostgresDatabase.open({ url: server })
  const source = await PostgresCluster.open({ database })
  const runtime = await createRuntime({
    node: {
      thisNode: parseNodeId(id),
      daemons: [crawler],
      tickIntervalMs: 50,
      verifier: new AdminVerifier({ operators: new OperatorRegistry([{ publicKey, name: 'Ada' }]) }),
      cluster: { source, heartbeatMs: 200, leaseTtlMs: 2000, graceMs: 1000 },
    },
  })
  const close = async (): Promise<void> => {
    await runtime.close()
    await database.close()
  }
  return { runtime, close }
}
// #endregion

/** Runs what the cluster assigns to it until it is told to end, and reports when it is frozen. */
async function serve(id: string, server: string, publicKey: PublicKeyText): Promise<void> {
  const { runtime, close } = await openNode(id, server, publicKey)
  let isFrozen = false
  runtime.node.onSnapshot(({ freezeRemainingMs }) => {
    if (isFrozen === (freezeRemainingMs !== undefined)) return
    isFrozen = !isFrozen
    process.send?.(isFrozen ? 'is frozen' : 'is thawed')
  })
  process.send?.('is there')
  await once(process, 'SIGTERM')
  await close()
  process.disconnect?.()
}

/** Resolves once the node prints a line that starts like this. */
async function says(child: ChildProcess, start: string): Promise<void> {
  for (;;) {
    const [said] = (await once(child, 'message')) as [string]
    if (said.startsWith(start)) return
  }
}

function startNode(id: string, server: string, publicKey: PublicKeyText): ChildProcess {
  const child = fork(process.argv[1] ?? '', [id, server, publicKey])
  child.on('message', (said: string) => console.log(`node ${id.slice(-2)} ${said}`))
  return child
}

async function demonstrate(server: string): Promise<void> {
  const ada = KeyPair.fromSeed(createSeed())
  const one = startNode('00000000000000a1', server, ada.publicKey)
  await says(one, 'is there')
  // This program is a node itself, through which it commands the others.
  const { runtime, close } = await openNode('00000000000000a3', server, ada.publicKey)
  const { node } = runtime
  await node.cluster.wishDaemon({ daemon: crawler.daemon, intent: 'run', node: parseNodeId('00000000000000a1') })
  await says(one, 'runs')
  const two = startNode('00000000000000a2', server, ada.publicKey)
  await says(two, 'is there')
  await node.cluster.wishDaemon({ daemon: crawler.daemon, intent: 'run', node: parseNodeId('00000000000000a2') })
  one.kill('SIGKILL')
  console.log('node a1 is killed')
  await says(two, 'runs')
  const again = startNode('00000000000000a1', server, ada.publicKey)
  await says(again, 'is there')
  const proposal = proposeIceCommit(node.reader.read(), { type: 'freeze_cluster', ttlMs: 60_000 }, Date.now())
  const frozen = Promise.all([says(again, 'is frozen'), says(two, 'is frozen')])
  const { outcome } = await node.submit({ type: 'signed_ice_commit', commit: signIceCommit(ada, proposal) })
  console.log(`Ada freezes the cluster: ${outcome.status}`)
  await frozen
  for (const child of [again, two]) child.kill('SIGTERM')
  await close()
}

if (name !== undefined && url !== undefined && operator !== undefined) await serve(name, url, operator)
else await withServer(demonstrate)
