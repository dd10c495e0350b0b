/** A consumer that has been away: docs/tasks.md. */
// #region shown
import { createRuntime, FeedGapError } from 'stateward'

await using runtime = await createRuntime({ tasks: { feedCapacity: 50_000 } })
const { tasks } = runtime
tasks.handle('greet', ({ text }) => `hello ${text()}`)
await Promise.all(['ada', 'grace'].map(async (name) => (await tasks.submit('greet', name)).outcome()))

// The number that this consumer has stored; 0 if it has seen nothing.
let cursor = 0
try {
  for await (const { seq, taskId, status } of tasks.feed.entries({ after: cursor })) {
    console.log(status, (await tasks.outcome(taskId)).runs.length)
    cursor = seq
    if (cursor === tasks.feed.watermark()) break
  }
} catch (gap) {
  // It was away for too long: go through `tasks.projection.tasks()`, then continue from here.
  if (!(gap instanceof FeedGapError)) throw gap
  cursor = gap.data.droppedThrough
}
// #endregion
