/** What a restart keeps, what it reports as lost, and how to move a session: docs/operations.md. */
// #region shown
import { createRuntime } from 'stateward'

const dataDir = '.stateward'

const before = await createRuntime({ dataDir })
const report = before.session('reports').run({ kind: 'background_tool_op', displayName: 'report' }, () => 'page 1')
await report.outcome
before.session('reports').operations.advanceCompletionCursor('agent_applied', 1)
// Closing a runtime ends running operations; only a crash leaves lost ones.
await before.close()

await using runtime = await createRuntime({ dataDir })
const session = runtime.session('reports')
console.log(session.operations.snapshot(report.id)?.outcome)
console.log(session.operations.completionCursor('agent_applied'), session.feed.watermark())

for (const { id, displayName, status } of session.lost) console.log('lost:', id, displayName, status)
session.forgetLost()

const exported = JSON.stringify(session.operations.capturePersistenceSnapshot())
const moved = await runtime.importSession('moved reports', JSON.parse(exported))
console.log(moved.epochId === session.epochId, moved.feed.since(0).entries.length)
// #endregion
