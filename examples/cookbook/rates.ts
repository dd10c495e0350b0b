/** How many at a time, how often, and one at a time per customer: docs/cookbook.md. */
// #region shown
import { createRuntime, defineTask } from 'stateward'

let atWork = 0
let most = 0

const send = defineTask(
  'send',
  // At most two of this kind at a time, and at most fifty a second, because the mail service has limits too.
  { concurrency: 2, rate: { starts: 50, perMs: 1000 } },
  async (_, { text }) => {
    atWork += 1
    most = Math.max(most, atWork)
    await new Promise((resolve) => setTimeout(resolve, 5))
    atWork -= 1
    return text()
  },
)

// At most eight at a time, over all kinds.
await using runtime = await createRuntime({ tasks: { define: [send], concurrency: 8 } })

const handles = await Promise.all(
  ['a', 'b', 'c', 'd', 'e', 'f'].map((mail) =>
    // One at a time per customer, over all kinds, in order of submission.
    runtime.tasks.submit(send, mail, { constraints: { concurrencyKey: `customer ${mail < 'c' ? 1 : 2}` } }),
  ),
)
console.log(await Promise.all(handles.map((handle) => handle.result())))
console.log(most, 'at a time')
// #endregion
