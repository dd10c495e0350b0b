/**
 * One turn of an agent: tools in the background, a wait for some of them, notices of the others: docs/operations.md.
 */
// #region shown
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { createRuntime, TurnBoundary, type AsyncOperationRef, type BackgroundNotice } from 'stateward'

await using runtime = await createRuntime()
const session = runtime.session('agent')

/** The transcript holds one block of background notices; an edit replaces it. */
const transcript: { messages: string[]; notices: readonly BackgroundNotice[] } = { messages: [], notices: [] }
const boundary = new TurnBoundary({
  operations: session.operations,
  edit: (notices) => {
    transcript.notices = notices
  },
})

/** Stands in for a model that asks for two tools and then answers. */
function callModel(): { tools: { name: string; ms: number; wait: boolean }[] } | { answer: string } {
  if (transcript.messages.length > 0) return { answer: 'both are done' }
  return {
    tools: [
      { name: 'read the config', ms: 5, wait: true },
      { name: 'index the docs', ms: 1, wait: false },
    ],
  }
}

using turn = session.turn(randomUUID())
for (;;) {
  const reply = callModel()
  if ('answer' in reply) {
    console.log(reply.answer)
    turn.finish()
    break
  }
  const refs = reply.tools.map(({ name, ms, wait }): AsyncOperationRef => {
    const { id } = session.run({ kind: 'background_tool_op', displayName: name }, ({ signal }) =>
      delay(ms, `${name}: ok`, { signal }),
    )
    return { operationId: id, waitPolicy: wait ? 'barrier' : 'detached' }
  })
  for (const { outcome } of await turn.awaitOperations(refs, { signal: AbortSignal.timeout(60_000) })) {
    if (outcome.type === 'completed') transcript.messages.push(outcome.result.content)
  }
  while ((await turn.drainBoundary(boundary)).type === 'deferred') await delay(50)
}
console.log(transcript.messages)
console.log(transcript.notices.map(({ displayName, status }) => `${displayName}: ${status}`))
console.log(turn.state)
// #endregion
