/** A task that waits for a person, for as long as it takes: docs/cookbook.md. */
// #region shown
import { createRuntime, defineTask } from 'stateward'
import * as v from 'valibot'

const Approval = v.object({ approved: v.boolean(), by: v.string() })

const payout = defineTask(
  'payout',
  { input: v.object({ euros: v.number() }) },
  async ({ euros }, { waitFor, step }) => {
    // The question and its answer are durable. While it waits, the task holds no slot and its process may end.
    const { approved, by } = await waitFor('approval', Approval, { timeoutMs: 7 * 86_400_000, whom: 'finance' })
    if (!approved) return `refused by ${by}`
    return step('pay', () => `${euros} euros paid, approved by ${by}`)
  },
)

await using runtime = await createRuntime({ tasks: { define: [payout] } })
const handle = await runtime.tasks.submit(payout, { euros: 250 })

// Show the open questions: on a page, or in a message to the right person.
let questions = runtime.tasks.questions()
for (; questions.length === 0; questions = runtime.tasks.questions()) await new Promise(setImmediate)
for (const { taskId, name, whom } of questions) console.log(`${whom}: ${name} needed for task ${taskId}`)

await runtime.tasks.answer(handle.id, 'approval', { approved: true, by: 'Ada' })
console.log(await handle.result())
// #endregion
