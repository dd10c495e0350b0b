/** A service that sleeps until background work has ended: the idle wake of docs/operations.md. */
// #region shown
import { createRuntime, TurnBoundary, type ContinuationInput } from 'stateward'

await using runtime = await createRuntime()
const session = runtime.session('sleeper')

const queue: (string | ContinuationInput)[] = []
let isRunning = false
const boundary = new TurnBoundary({
  operations: session.operations,
  edit: (notices) => console.log('shown:', notices.map(({ displayName }) => displayName).join(', ')),
})

async function processQueue(): Promise<void> {
  if (isRunning) return
  isRunning = true
  for (let input = queue.shift(); input !== undefined; input = queue.shift()) {
    console.log('run:', typeof input === 'string' ? input : input.reason)
    await boundary.deliver()
  }
  isRunning = false
}

const wake = session.wakeWhenIdle({
  isQuiescent: () => !isRunning && queue.length === 0,
  inject: (input) => queue.push(input) > 0,
  processQueue,
})
/** The way in for ordinary input; afterwards the loop checks again for completions that it has held back. */
async function submit(prompt: string): Promise<void> {
  queue.push(prompt)
  await processQueue()
  wake.queueDrained()
}

await submit('index everything, I will be back')
const jobs = ['index src', 'index docs'].map((displayName) =>
  session.run({ kind: 'background_tool_op', displayName }, () => 'done'),
)
await Promise.all(jobs.map(({ outcome }) => outcome))
// #endregion
while (session.operations.completionCursor('runtime_injected') < 2) await new Promise(setImmediate)
