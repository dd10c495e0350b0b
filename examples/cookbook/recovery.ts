/** What to do at a start: docs/cookbook.md. */
// #region shown
import { createRuntime } from 'stateward'

const [dataDir = '.stateward'] = process.argv.slice(2)
// Waits for the process before this one to leave, as in a rolling update; a damaged end of the journal is cut, and told.
await using runtime = await createRuntime({ dataDir, lockWaitMs: 10_000, onDamage: 'cut' })

// 1. Was anything lost on the disk? Nothing is, unless the disk has failed.
if (runtime.recovery.cut !== undefined) console.error('cut from the journal:', runtime.recovery.cut)

// 2. Tasks need nothing: whatever was under way goes on as soon as its kind has a handler.
runtime.tasks.handle('report', async ({ text }) => `report on ${text()}`)

for (const session of runtime.sessions()) {
  // 3. Operations that ran when the process died are lost: start them again, or tell whoever waits for them.
  for (const { id, displayName } of session.lost) console.log('lost:', id, displayName)
  session.forgetLost()
  // 4. Completions that were not dealt with: go on from the last number that you have kept.
  for (const { seq, displayName } of session.feed.since(0).entries) console.log(seq, displayName)
}
// #endregion
