/** Paths through a chart, followed with a registry: docs/testing.md. */
// #region shown
import { createRuntime, parseUuid, type OperationId, type OperationOutcome, type OperationSpec } from 'stateward'
import { operationMachine, type OperationEvent } from 'stateward/machines'
import { followWalk, walkChart } from 'stateward/testing'

await using runtime = await createRuntime()
const { operations } = runtime.session('walks')

const id = parseUuid<OperationId>('01890000-0000-7000-8000-000000000001', 'operation id')
const input = { id, kind: 'background_tool_op', displayName: 'work' } as const
const cancelled: OperationOutcome = { type: 'cancelled', reason: null }
const events: OperationEvent[] = [
  { type: 'start' },
  { type: 'retire_requested' },
  { type: 'retire_completed', outcome: { type: 'retired' } },
  { type: 'cancel', outcome: cancelled },
]

let walked = 0
for (const walk of walkChart(operationMachine, { events, input, cover: 'transitions' })) {
  // Each walk has an operation of its own.
  walked += 1
  const mine = parseUuid<OperationId>(id.replace(/.$/, String(walked)), 'operation id')
  const spec: OperationSpec = {
    id: mine,
    kind: input.kind,
    displayName: input.displayName,
    ownerSessionId: runtime.session('walks').id,
    sourceLabel: 'walk',
    childSessionId: null,
    expectPeerChannel: false,
  }
  await operations.registerOperation(spec)
  await followWalk(walk, {
    send: ({ type }) => {
      switch (type) {
        case 'start':
          return operations.provisioningSucceeded(mine)
        case 'retire_requested':
          return operations.requestRetire(mine)
        case 'retire_completed':
          return operations.markRetired(mine)
        default:
          return operations.cancelOperation(mine)
      }
    },
    state: () => operations.snapshot(mine)?.status ?? 'absent',
  })
  console.log(walk.name)
}
// #endregion
await operations.terminateOwner('the example is over')
