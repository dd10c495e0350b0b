/** A node to be killed: writes lines, and does what operators ask of it, as often as it comes to. */
import { createRuntime } from '../../../src/index.js'
import type { NodeId } from '../../../src/node/ids.js'
import { mortalProgram } from '../../support/mortal-program.js'

const { store, note, done, wave, upTo } = mortalProgram()
const thisNode = '00000000000000a1' as NodeId
const peerOf = (index: number): NodeId => index.toString(16).padStart(16, '0') as NodeId

const runtime = await createRuntime({ store, compactAfter: 200, node: { thisNode, tickIntervalMs: 2 } })
const { node } = runtime
// What it knows when it starts is what was noted before.
note({
  type: 'opened',
  epoch: node.epoch,
  audited: node.chains.audit.rows().map(({ seq, epoch, record }) => [seq, epoch, record.seq]),
})
for (let index = 0; index < 25; index += 1) {
  await node.publish({ type: 'log_line', level: 'info', message: `line ${wave}/${index}` })
  const type = upTo(2) === 0 ? 'cordon' : 'uncordon'
  const { seq } = await node.submit({ type: 'admin_event', event: { type, node: peerOf(upTo(4)) } })
  note({ type: 'submitted', epoch: node.epoch, seq })
}
await runtime.close()
done()
