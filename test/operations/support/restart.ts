import type { JournalStore } from '../../../src/journal/journal.js'
import type { Runtime } from '../../../src/runtime.js'
import type { RuntimeOptions } from '../../../src/runtime-options.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { fixtureOf, openRuntime, start, type Fixture } from './registry.js'

/** A session over the store; closing its runtime and calling this again is a restart. */
export async function open(store: JournalStore, options: RuntimeOptions = {}, name = 'owner'): Promise<Fixture> {
  const clock = new SimulatedClock(start)
  return fixtureOf(await openRuntime({ clock, store, ...options }), clock, name)
}

/** Ends the process without closing anything: live operations stay without an end. */
export async function restart(runtime: Runtime, store: JournalStore, options: RuntimeOptions = {}): Promise<Fixture> {
  await runtime.flush()
  // What closing would add are only the ends of live operations; retired sessions have none to add.
  for (const session of runtime.sessions()) session.dispose()
  await runtime.close().catch(() => {})
  return open(store, options)
}

/** The rows of the feed as sequence, id and outcome. */
export function rows({ session }: Fixture) {
  return session.feed.since(0).entries.map(({ seq, operationId, outcome }) => [seq, operationId, outcome.type])
}
