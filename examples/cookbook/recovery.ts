/** What to do at a start: docs/cookbook.md. */
// #region shown
import { createRuntime } from 'stateward'

const [dataDir = '.stateward'] = process.argv.slice(2)
// Waits for the previous process to leave, as in a rolling update. A damaged end of the journal is cut off and reported.
await using runtime = await createRuntime({ dataDir, lockWaitMs: 10_000, onDamage: 'cut' })

// 1. Was anything lost on disk? Only if the disk failed.
if (runtime.recovery.cut !== undefined) console.error('cut from the journal:', runtime.recovery.cut)

// 2. Tasks need nothing: they continue as soon as their kind has a handler.
runtime.tasks.handle('report', async ({ text }) => `report on ${text()}`)

for (const session of runtime.sessions()) {
  // 3. Operations that were running when the process died are lost: restart them, or tell whoever waits for them.
  for (const { id, displayName } of session.lost) console.log('lost:', id, displayName)
  session.forgetLost()
  // 4. Completions not handled yet: continue from the last number you stored.
  for (const { seq, displayName } of session.feed.since(0).entries) console.log(seq, displayName)
}
// #endregion
