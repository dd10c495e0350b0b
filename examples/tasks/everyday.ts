/** Handlers, retries, a graph and a budget: the everyday API of docs/tasks.md. */
// #region shown
import { createRuntime } from 'stateward'
import { TerminalFailure } from 'stateward/tasks'

await using runtime = await createRuntime({ tasks: { concurrency: 4, backoff: { type: 'fixed', delayMs: 0 } } })
const { tasks } = runtime

tasks.handle('fetch', async ({ text, attemptNumber }) => {
  if (text() === 'nowhere') throw new TerminalFailure('no such page')
  // Any other error is retried, as often as the task allows.
  if (attemptNumber === 1) throw new Error('connection reset')
  return `text of ${text()}`
})

tasks.handle('summarize', async ({ budget, resumeFrom }) => {
  // Refused before the call if it could exceed the budget; the run is then suspended until there is more.
  const spending = await budget.reserve('token', 400)
  await spending.settle(350)
  return resumeFrom === undefined ? 'a summary' : 'a summary, resumed'
})

const { page, summary } = await tasks.submitGraph({
  page: { kind: 'fetch', payload: 'example.org', constraints: { maxAttempts: 3 } },
  summary: { kind: 'summarize', dependsOn: ['page'], budgets: { token: 1000 } },
})
const { status, output } = await tasks.outcome(summary)
console.log(status, new TextDecoder().decode(output))
console.log(tasks.projection.runsOf(page)[0]?.attemptCount, 'attempts')

const broken = await tasks.submit({ kind: 'fetch', payload: 'nowhere', constraints: { maxAttempts: 3 } })
const { status: end, error } = await tasks.outcome(broken)
console.log(end, error)
// #endregion
