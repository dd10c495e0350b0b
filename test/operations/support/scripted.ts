import type { SessionLimits } from '../../../src/operations/index.js'
import { ScriptedJournal, storeOf } from '../../lane/support/scripted-journal.js'
import { openFixture, syncWhenClosing, type Fixture } from './registry.js'

/** A session whose journal does nothing by itself. */
export type Scripted = Fixture & { readonly journal: ScriptedJournal }

/** A session whose journal waits for the test; operations of the numbers run, and that is durable. */
export async function scripted(running: readonly number[], limits: SessionLimits = {}): Promise<Scripted> {
  const journal = syncWhenClosing(new ScriptedJournal())
  const fixture = await openFixture(limits, { store: storeOf(journal) })
  await fixture.run(running)
  await journal.sync()
  return { ...fixture, journal }
}
