/** A task that survives `kill -9`: the example of the README and of docs/getting-started.md. Plain JavaScript, on purpose. */
// #region shown
import { setTimeout as delay } from 'node:timers/promises'
import { createRuntime, defineTask } from 'stateward'

const report = defineTask('report', {}, async (_, { step, text }) => {
  const parts = []
  for (const part of ['history', 'method', 'results']) {
    // The result of a step is on disk before the next step begins. No restart does a finished step again.
    const written = await step(part, async () => {
      console.log(`writing the ${part} of ${text()}`)
      return delay(1000, `${part}: 3 pages`) // stands in for a slow, expensive call
    })
    parts.push(written)
  }
  return parts
})

const runtime = await createRuntime({ dataDir: '.stateward', tasks: { define: [report] } })
// The key makes this one task, however often the program starts.
const handle = await runtime.tasks.submit(report, 'cranes', { key: 'report on cranes' })
console.log(await handle.result())
await runtime.close()
// #endregion
