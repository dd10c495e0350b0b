/**
 * One node supervises three daemons: a function, a machine, and one that crashes as soon as it is started. Operators
 * drain the node and bring it back with signed commands; unsigned commands, and those signed by a stranger, are
 * refused.
 *
 *     npm run example:daemons
 */
import { createRuntime, defineDaemon } from 'stateward'
import {
  AdminVerifier,
  createSeed,
  KeyPair,
  OperatorRegistry,
  parseNodeId,
  signAdminCommit,
  type AdminEvent,
  type DaemonDefinition,
} from 'stateward/node'
import { setup } from 'xstate'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

// #region shown
const indexer = defineDaemon('indexer', async ({ signal, log }) => {
  log('info', 'indexing')
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
})

const lamp = setup({ types: { events: {} as { type: 'shutdown' } } }).createMachine({
  initial: 'on',
  states: { on: { on: { shutdown: 'off' } }, off: { type: 'final' } },
})

const broken = defineDaemon('broken', () => {
  throw new Error('cannot find its configuration')
})

const daemons: readonly DaemonDefinition[] = [indexer, defineDaemon('lamp', lamp), broken]

const ada = KeyPair.fromSeed(createSeed())
const thisNode = parseNodeId('00000000000000a1')
const runtime = await createRuntime({
  node: {
    thisNode,
    daemons,
    tickIntervalMs: 20,
    maintenance: { recoveryRampMs: 100 },
    supervision: { backoff: { initialMs: 20 } },
    verifier: new AdminVerifier({ operators: new OperatorRegistry([{ publicKey: ada.publicKey, name: 'Ada' }]) }),
  },
})
const { node } = runtime

/** Signs a command of an operator and returns the node's answer. */
async function ask(event: AdminEvent, key: KeyPair): Promise<string> {
  const commit = signAdminCommit(key, event, Date.now())
  const { outcome } = await node.submit({ type: 'signed_admin_commit', commit })
  return outcome.status === 'rejected' ? `${outcome.status}: ${outcome.kind}` : outcome.status
}
// #endregion

/** Waits until a condition holds for the node. */
async function until(isSo: () => boolean): Promise<void> {
  for (let seen = node.reader.generation; !isSo(); ) seen = await node.reader.changed(seen)
}

const view = ({ daemon }: DaemonDefinition) => node.reader.read().daemons.get(daemon.id)
const lifecycles = (): string =>
  daemons.map((definition) => `${definition.daemon.name} ${view(definition)?.lifecycle}`).join(', ')
const status = (): string => node.reader.read().localMaintenance.status

for (const daemon of daemons) await node.runDaemon(daemon)
await until(() => view(broken)?.restart.status === 'crash_looping')
await until(() => daemons.slice(0, 2).every((daemon) => view(daemon)?.lifecycle === 'running'))
say(`at work: ${lifecycles()}`)
say('broken has crashed five times and is left alone for a while')

const { outcome } = await node.submit({ type: 'admin_event', event: { type: 'enter_maintenance', node: thisNode } })
say(`somebody who has signed nothing: ${outcome.status}`)
say(`a stranger: ${await ask({ type: 'enter_maintenance', node: thisNode }, KeyPair.fromSeed(createSeed()))}`)
say(`Ada drains it: ${await ask({ type: 'enter_maintenance', node: thisNode, drainForMs: 60_000 }, ada)}`)
await until(() => status() === 'maintenance')
say(`drained: ${lifecycles()}`)

await node.stopDaemon(broken)
say(`Ada brings it back: ${await ask({ type: 'exit_maintenance', node: thisNode }, ada)}`)
await until(() => status() === 'active')
say(`active again: ${lifecycles()}`)
say(
  `in the audit: ${node.reader
    .read()
    .adminAudit.map(({ event, outcome: { status: said } }) => `${event.type} ${said}`)
    .join(', ')}`,
)
await runtime.close()
