/** What a task and everything below it may spend: docs/cookbook.md. */
// #region shown
import { createRuntime, defineTask } from 'stateward'
import { budgetDimension } from 'stateward/tasks'

/** Stands in for a model that reports what its answer cost. */
const model = { write: async (topic: string) => ({ text: `On ${topic}.`, usage: 320 }) }

const chapter = defineTask('chapter', {}, async (_, { step, text }) => {
  // Reserved before the call, which is not made beyond the limit. The real cost is recorded together with the result.
  const written = await step('write', () => model.write(text()), {
    reserve: { token: 400 },
    spent: ({ usage }) => ({ token: usage }),
  })
  return written.text
})

const book = defineTask('book', {}, async (_, { call }) => [
  await call(chapter, 'cranes'),
  await call(chapter, 'herons'),
  await call(chapter, 'storks'),
])

await using runtime = await createRuntime({ tasks: { define: [book, chapter] } })
const { tasks } = runtime
const token = budgetDimension('token')

// One budget for the book and everything below it.
const handle = await tasks.submit(book, undefined, { budgets: { token: 800 } })

tasks.authority.onCommit(({ events }) => {
  for (const event of events) {
    if (event.type !== 'attempt_ended' || event.newState !== 'suspended') continue
    // The third chapter could exceed the limit, so it was not started. Somebody decides; here, to raise the limit.
    const { consumed = 0, limit = 0 } = tasks.projection.budget(handle.id, token) ?? {}
    console.log(`${consumed} of ${limit} spent, a chapter is waiting`)
    void tasks.replenish(handle.id, token, limit + 400)
  }
})

console.log(await handle.result())
console.log(tasks.projection.budget(handle.id, token)?.consumed, 'tokens in all')
// #endregion
