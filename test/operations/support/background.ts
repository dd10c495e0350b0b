import type { OperationId, OperationKind } from '../../../machines/operation-vocabulary.js'
import { expectsPeer } from '../../../machines/operation-vocabulary.js'
import type { Session } from '../../../src/operations/session.js'
import type { SimulatedClock } from '../../../src/testing/simulated-clock.js'

let count = 0

/** An id that no other test of this file has; text order is creation order. */
export function freshId<Id extends string = OperationId>(): Id {
  count += 1
  return `00000000-0000-7000-8000-${String(count).padStart(12, '0')}` as Id
}

/** Registers an operation and starts it. */
export async function start(
  session: Session,
  displayName = 'job',
  kind: OperationKind = 'background_tool_op',
): Promise<OperationId> {
  const id = freshId()
  await session.operations.registerOperation({
    id,
    kind,
    ownerSessionId: session.id,
    displayName,
    sourceLabel: 'test',
    childSessionId: null,
    expectPeerChannel: expectsPeer(kind),
  })
  await session.operations.provisioningSucceeded(id)
  return id
}

/** Ends a running operation with this content. */
export function complete(session: Session, id: OperationId, content = 'done'): Promise<void> {
  return session.operations.completeOperation(id, { id, content, isError: false, durationMs: 1, tokensUsed: 0 })
}

/** Starts and completes an operation. */
export async function run(session: Session, displayName = 'job', kind?: OperationKind): Promise<OperationId> {
  const id = await start(session, displayName, kind)
  await complete(session, id)
  return id
}

/** Lets every promise that can settle do so; no time passes on a simulated clock. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** Moves a clock in steps of 5 ms, letting everything react to each. */
export async function passTime(clock: SimulatedClock, milliseconds: number): Promise<void> {
  for (let elapsed = 0; elapsed < milliseconds; elapsed += 5) {
    clock.advance(5)
    await settled()
  }
}
