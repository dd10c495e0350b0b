/** Reading completions after a stored number, and handling a gap: docs/operations.md. */
// #region shown
import { createRuntime, FeedGapError } from 'stateward'

await using runtime = await createRuntime()
const session = runtime.session('consumer')
const names = ['fetch', 'parse', 'index']
for (const displayName of names) session.run({ kind: 'background_tool_op', displayName }, () => 'done')

let lastSeen = 0
const stop = new AbortController()
try {
  for await (const entry of session.feed.entries({ after: lastSeen, signal: stop.signal })) {
    console.log(entry.seq, entry.displayName, entry.outcome.type)
    // Store the number together with the effect of the entry, so that a repeat can be recognised.
    lastSeen = entry.seq
    if (lastSeen === names.length) stop.abort()
  }
} catch (error) {
  if (error instanceof FeedGapError) {
    // Completions up to droppedThrough are gone from the feed: start again from what the registry still knows.
    console.log(session.operations.listOperations().length, 'operations are retained')
    lastSeen = error.data.droppedThrough
  } else if (!stop.signal.aborted) throw error
}
console.log(lastSeen, session.feed.watermark())
// #endregion
