/** Two operations, one wait for both, and the completions after it: the example of the README. */
// #region shown
import { randomUUID } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { createRuntime } from 'stateward'

const runtime = await createRuntime({ dataDir: '.stateward' })
const session = runtime.session('my-agent')

const listing = session.run({ kind: 'background_tool_op', displayName: 'list files' }, async ({ progress }) => {
  progress('reading', 0.1)
  return `${(await readdir('.')).length} files`
})
const asking = session.run(
  { kind: 'background_tool_op', displayName: 'ask a slow service' },
  async ({ signal }) => delay(50, 'the answer', { signal }),
  { deadlineMs: 5000 },
)

const { outcomes } = await session.waitAll(randomUUID(), [listing.id, asking.id])
for (const { operationId, outcome } of outcomes) console.log(operationId, outcome)

// Completions are numbered: keep the last number you have seen, and after a crash read on from there.
for (const entry of session.feed.since(0).entries) console.log(entry.seq, entry.displayName, entry.outcome.type)

await runtime.close()
// #endregion
