/**
 * One node of a cluster, to be killed: `cluster-node.js URL NODE DIRECTORY NOTES OPERATOR`. While it runs the daemon of the cluster it
 * appends to the file NOTES a line with its node, the fence and the time, every few milliseconds. It says
 * when it begins to, and how many records its audit has, of all its lives; at last it says what they are.
 */
import { appendFileSync, writeSync } from 'node:fs'
import { once } from 'node:events'
import { systemClock } from '../../../../src/base/clock.js'
import { AdminVerifier, OperatorRegistry } from '../../../../src/node/admin/index.js'
import { defineDaemon } from '../../../../src/node/daemon-runners.js'
import { parseNodeId } from '../../../../src/node/ids.js'
import { PostgresCluster } from '../../../../src/node/postgres/public.js'
import { PostgresDatabase } from '../../../../src/postgres/index.js'
import { createRuntime } from '../../../../src/runtime.js'
import { clusterTiming } from './timing.js'

const [url = '', name = '', dataDir = '', notes = '', operator = ''] = process.argv.slice(2)

const writer = defineDaemon('writer', async ({ signal, fence }) => {
  const note = (): void => appendFileSync(notes, `${JSON.stringify({ node: name, fence, at: Date.now() })}\n`)
  const goOn = (): void => {
    note()
    if (!signal.aborted) systemClock.setTimeout(goOn, 3)
  }
  // Before it says so: whoever reads that it runs may kill it at once.
  goOn()
  writeSync(1, `running ${fence}\n`)
  await once(signal, 'abort')
})

const database = await PostgresDatabase.open({ url, retryMs: 100, idleTransactionTimeoutMs: 3000 })
const runtime = await createRuntime({
  dataDir,
  node: {
    thisNode: parseNodeId(name),
    tickIntervalMs: 25,
    daemons: [writer],
    verifier: new AdminVerifier({ operators: new OperatorRegistry([{ publicKey: operator }]) }),
    cluster: { source: await PostgresCluster.open({ database }), ...clusterTiming },
  },
})
const { audit } = runtime.node.chains
let told = -1
const tell = (): void => {
  if (audit.rows().length === told) return
  told = audit.rows().length
  writeSync(1, `audited ${told}\n`)
}
runtime.node.onSnapshot(tell)
tell()
process.stdin.resume()
await once(process, 'SIGTERM')
writeSync(1, `${JSON.stringify(audit.rows().map(({ record }) => [record.event, record.outcome.status]))}\n`)
await runtime.close()
await database.close()
process.exit(0)
