/** A life cycle driven by hand, and repeated calls that count as done: the full registry of docs/operations.md. */
// #region shown
import { randomUUID } from 'node:crypto'
import { createRuntime, StatewardError, type OperationId, type PeerId, type SessionId } from 'stateward'

await using runtime = await createRuntime()
const { operations } = runtime.session('by-hand')
const id = randomUUID() as OperationId

await operations.registerOperation({
  id,
  kind: 'mob_member_child',
  ownerSessionId: 'by-hand' as SessionId,
  displayName: 'reviewer',
  sourceLabel: 'mob_member',
  operationSource: { kind: 'session_child', sessionId: 'reviewer-session' as SessionId },
  childSessionId: null,
  expectPeerChannel: true,
})
const outcome = operations.registerWatcher(id)
await operations.provisioningSucceeded(id)
await operations.peerReady(id, {
  peerName: 'reviewer',
  trustedPeer: {
    peerId: 'peer-1' as PeerId,
    name: 'reviewer',
    address: { transport: 'tcp', endpoint: '127.0.0.1:9000' },
    pubkey: new Uint8Array(32),
  },
})
await operations.reportProgress(id, { message: 'reading', fraction: 0.5 })

for (const attempt of ['first', 'second']) {
  try {
    await operations.requestRetire(id)
    console.log(`${attempt} request: accepted`)
  } catch (error) {
    if (!StatewardError.is(error, 'invalid_transition')) throw error
    console.log(`${attempt} request:`, operations.classifyTransitionIdempotence(id, 'retire_requested'))
  }
}
await operations.markRetired(id)

console.log(await outcome)
console.log(operations.snapshot(id)?.status, operations.classifyPublicResult(id))
// #endregion
