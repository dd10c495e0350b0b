/** A consumer that was away: docs/tasks.md. */
// #region shown
import { createRuntime, FeedGapError } from 'stateward'

await using runtime = await createRuntime({ tasks: { feedCapacity: 50_000 } })
const { tasks } = runtime
tasks.handle('greet', ({ text }) => `hello ${text()}`)
await Promise.all(['ada', 'grace'].map(async (name) => (await tasks.submit('greet', name)).outcome()))

// The number that this consumer has kept; 0 for one that has seen nothing.
let cursor = 0
try {
  for await (const { seq, taskId, status } of tasks.feed.entries({ after: cursor })) {
    console.log(status, (await tasks.outcome(taskId)).runs.length)
    cursor = seq
    if (cursor === tasks.feed.watermark()) break
  }
} catch (gap) {
  // Too long away: go through `tasks.projection.tasks()`, then on from here.
  if (!(gap instanceof FeedGapError)) throw gap
  cursor = gap.data.droppedThrough
}
// #endregion
