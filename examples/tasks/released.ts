/** Suspending and resuming by hand, and runs that events release: docs/tasks.md. */
// #region shown
import { createRuntime } from 'stateward'
import { suspend } from 'stateward/tasks'

await using runtime = await createRuntime()
const { tasks } = runtime

tasks.handle('count', ({ resumeFrom }) => {
  const counted = resumeFrom === undefined ? 0 : Number(new TextDecoder().decode(resumeFrom))
  // Releases its slot until somebody resumes it; the text comes back as `resumeFrom`.
  if (counted < 2) return suspend(String(counted + 1))
  return `counted to ${counted}`
})
const count = await tasks.submit({ kind: 'count' })
tasks.authority.onCommit(({ events }) => {
  for (const event of events) {
    if (event.type === 'attempt_ended' && event.newState === 'suspended') void tasks.resume(event.runId)
  }
})
console.log((await tasks.outcome(count)).status)

// Events can release a run before its time: this one is due in a year, or when the shelf is empty.
tasks.handle('order', () => 'ordered')
const order = await tasks.submit({ kind: 'order', at: Date.now() + 365 * 86_400_000 })
await tasks.subscribe(order, { type: 'custom', key: 'shelf empty' })
await tasks.publish('shelf empty')
console.log((await tasks.outcome(order)).status)
// #endregion
