/** What a task and everything below it may spend: docs/cookbook.md. */
// #region shown
import { createRuntime, defineTask } from 'stateward'
import { budgetDimension } from 'stateward/tasks'

/** Stands for a model that says what its answer has cost. */
const model = { write: async (topic: string) => ({ text: `On ${topic}.`, usage: 320 }) }

const chapter = defineTask('chapter', {}, async (_, { step, text }) => {
  // Set aside before the call, so that it is never made beyond the limit; what it really cost is recorded with its result.
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

// One budget, which everything below the book draws on.
const handle = await tasks.submit(book, undefined, { budgets: { token: 800 } })

tasks.authority.onCommit(({ events }) => {
  for (const event of events) {
    if (event.type !== 'attempt_ended' || event.newState !== 'suspended') continue
    // The third chapter could exceed the limit and has not been begun. Somebody decides; here, that it may.
    const { consumed = 0, limit = 0 } = tasks.projection.budget(handle.id, token) ?? {}
    console.log(`${consumed} of ${limit} spent, a chapter waits`)
    void tasks.replenish(handle.id, token, limit + 400)
  }
})

console.log(await handle.result())
console.log(tasks.projection.budget(handle.id, token)?.consumed, 'tokens in all')
// #endregion
