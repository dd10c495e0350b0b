/** What the recipes for web frameworks share: docs/cookbook.md. */
// #region shown
import { setTimeout as delay } from 'node:timers/promises'
import { createRuntime, defineTask } from 'stateward'

export const report = defineTask('report', {}, async (_, { step, text }) => {
  await step('think', ({ signal }) => delay(500, 'thought', { signal }))
  return `report on ${text()}`
})

export const runtime = await createRuntime({
  dataDir: process.env['DATA_DIR'] ?? '.stateward',
  tasks: { define: [report] },
})
// #endregion
