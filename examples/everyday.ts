/** Typed tasks with steps, an answer, calls and a budget, and operations in a session: the second example of the README. */
// #region shown
import { readdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { createRuntime, defineTask } from 'stateward'
import * as v from 'valibot'

const Topic = v.object({ topic: v.string() })
const Draft = v.object({ text: v.string(), usage: v.number() })
const Report = v.object({ approved: v.boolean(), parts: v.array(Draft) })
const Approval = v.object({ approved: v.boolean() })

/** Stands in for a model that reports what each answer cost. */
const model = {
  plan: (topic: string, { signal }: { signal: AbortSignal }) =>
    delay(20, [`${topic} at home`, `${topic} abroad`], { signal }),
  write: (topic: string, { signal }: { signal: AbortSignal }) =>
    delay(20, { text: `All about ${topic}.`, usage: 320 }, { signal }),
}

const section = defineTask('section', { input: Topic, output: Draft }, async ({ topic }, ctx) =>
  ctx.step('draft', ({ signal }) => model.write(topic, { signal }), {
    reserve: { token: 400 },
    spent: ({ usage }) => ({ token: usage }),
  }),
)

const report = defineTask(
  'report',
  {
    input: Topic,
    output: Report,
    maxAttempts: 3,
    timeoutMs: 600_000,
    concurrency: 4,
    rate: { starts: 10, perMs: 1000 },
  },
  async ({ topic }, ctx) => {
    const plan = await ctx.step('plan', ({ signal }) => model.plan(topic, { signal }))
    const { approved } = await ctx.waitFor('approval', Approval, { timeoutMs: 86_400_000 })
    // While it waits for its sections, the report gives its slot to other tasks.
    const parts = await Promise.all(plan.map((part) => ctx.call(section, { topic: part })))
    return { approved, parts }
  },
)

await using runtime = await createRuntime({
  dataDir: '.stateward',
  tasks: { define: [report, section], retention: { endedForMs: 86_400_000 } },
})
const { signal } = new AbortController()

const handle = await runtime.tasks.submit(report, { topic: 'cranes' }, { key: 'order-42', budgets: { token: 5000 } })
// In real life a person answers, from a web page or a message. On a restart the answer is already there.
if (handle.isNew) await runtime.tasks.answer(handle.id, 'approval', { approved: true })
// Typed by the schema. Throws TaskFailed, with a reason and a cause.
const { parts } = await handle.result({ signal })
for (const { text } of parts) console.log(text)

const session = runtime.session('agent-1', { maxConcurrent: 8, whenFull: 'queue' })
const research = session.run('research', async ({ id }) => {
  const docs = session.run(
    'fetch docs',
    async ({ signal: stopped, progress }) => {
      progress('asking', 0.5)
      return delay(20, ['guide', 'reference'], { signal: stopped })
    },
    { deadlineMs: 30_000, signal, parent: id },
  )
  // Typed like Promise.all.
  const [pages, files] = await session.all([docs, session.run('list files', () => readdir('.'))])
  return `${pages.join(', ')} and ${files.length} files`
})
console.log(await research.result())
// #endregion
