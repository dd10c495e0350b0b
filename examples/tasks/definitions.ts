import { createRuntime, defineTask, TaskFailed } from 'stateward'
import * as v from 'valibot'

const Topic = v.object({ topic: v.string() })
const Report = v.object({ title: v.string(), words: v.number() })

export const report = defineTask(
  'report',
  { input: Topic, output: Report, maxAttempts: 3, concurrency: 4, rate: { starts: 10, perMs: 1000 } },
  async ({ topic }, { attemptNumber }) => {
    if (attemptNumber === 1) throw new Error('connection reset')
    return { title: `On ${topic}`, words: topic.length }
  },
)

await using runtime = await createRuntime({
  tasks: { define: [report], backoff: { type: 'fixed', delayMs: 0 } },
})

const handle = await runtime.tasks.submit(report, { topic: 'cranes' }, { key: 'order-42' })
const { title, words } = await handle.result({ timeoutMs: 10_000 })
console.log(title, words)

// Submitting again under the same key returns the existing task.
const again = await runtime.tasks.submit(report, { topic: 'cranes' }, { key: 'order-42' })
console.log(again.id === handle.id)

try {
  const { id } = await runtime.tasks.submit(report, { topic: 'herons' }, { constraints: { maxAttempts: 1 } })
  await runtime.tasks.find(report, id)?.result()
} catch (failure) {
  if (failure instanceof TaskFailed) console.log(failure.data.reason, (failure.cause as Error).message)
}
