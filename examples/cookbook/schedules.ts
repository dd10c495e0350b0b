/** Tasks by the calendar and tasks that repeat: docs/cookbook.md. */
// #region shown
import { createRuntime, defineTask } from 'stateward'

const digest = defineTask('digest', {}, () => 'sent')
const books = defineTask('close the books', {}, (_, { scheduledAt }) => `of ${scheduledAt.toDateString()}`)
const poll = defineTask('poll', {}, () => 'looked')

await using runtime = await createRuntime({ tasks: { define: [digest, books, poll] } })
const { tasks } = runtime

// Half past seven on workdays (`min hour dom month dow`), Berlin time, in summer and in winter.
// The key makes this one schedule, however often the service starts.
const morning = await tasks.submit(digest, undefined, {
  key: 'morning digest',
  runPolicy: {
    type: 'cron',
    expression: '30 7 * * Mon-Fri',
    timezone: 'Europe/Berlin',
    catchUp: 'none', // skip what was missed while nothing ran; `latest`, the default, runs the last one, `all` runs all
    overlap: 'skip', // skip it while the previous one runs; `queue` lets it wait, `allow`, the default, runs both
  },
})
const [next] = tasks.projection.runsOf(morning.id)
const clock = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', timeStyle: 'short' })
if (next !== undefined)
  console.log('the next digest is a run of its own:', next.state, clock.format(next.scheduledAtMs))

// Starting four days ago, as after a downtime: each missed night is run, one after another.
const nights = await tasks.submit(books, undefined, {
  at: new Date(Date.now() - 4 * 86_400_000),
  runPolicy: { type: 'cron', expression: '0 3 * * *', catchUp: 'all', overlap: 'queue', maxOccurrences: 3 },
})
console.log('missed nights run:', (await nights.outcome()).runs.length)

// Change the schedule of an existing task. Runs that are not due yet are replaced.
await tasks.reschedule(morning.id, { type: 'cron', expression: '0 9 * * Mon-Fri', timezone: 'Europe/Berlin' })
const [later] = tasks.projection.runsOf(morning.id).filter(({ state }) => state === 'scheduled')
if (later !== undefined) console.log('from now on at', clock.format(later.scheduledAtMs))

// Without a calendar: three times, ten milliseconds apart.
const polled = await tasks.submit(poll, undefined, { runPolicy: { type: 'repeat', count: 3, intervalMs: 10 } })
console.log('polled:', (await polled.outcome()).status)
// #endregion
