/** Tasks by the calendar and tasks that repeat: docs/cookbook.md. */
// #region shown
import { createRuntime } from 'stateward'

await using runtime = await createRuntime()
const { tasks } = runtime
tasks.handle('digest', () => 'sent')
tasks.handle('poll', () => 'looked')

// `sec min hour dom month dow year`: half past seven on workdays. Under a key it is scheduled once, at whatever start.
const digest = await tasks.submit({
  kind: 'digest',
  key: 'morning digest',
  runPolicy: { type: 'cron', expression: '0 30 7 * * Mon-Fri *' },
})
const poll = await tasks.submit({ kind: 'poll', runPolicy: { type: 'repeat', count: 3, intervalMs: 10 } })

const [next] = tasks.projection.runsOf(digest)
if (next !== undefined) console.log('the next digest is a run of its own:', next.state)
console.log('polled:', (await tasks.outcome(poll)).status)
// #endregion
