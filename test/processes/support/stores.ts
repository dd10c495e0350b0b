import { createMemoryJournal } from '../../../src/journal/memory-journal.js'
import { openProcessStore, type OpenProcessStoreOptions, type ProcessStore } from '../../../src/processes/index.js'
import type { ProcessStoreFixture } from '../../../src/testing/processes/fixture.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'

/** What the suite is given of a store in memory. */
export async function memoryFixture(): Promise<ProcessStoreFixture> {
  const { options, ...fixture } = parts()
  const store = await openProcessStore(options)
  return { ...fixture, store, dispose: () => store.close() }
}

/** The same of a store on a journal in memory; reopening reads the journal back, after a snapshot if asked. */
export async function journalFixture(reopenedFrom: 'records' | 'snapshot'): Promise<ProcessStoreFixture> {
  const { options, ...fixture } = parts()
  const journal = createMemoryJournal()
  let open = await openProcessStore({ ...options, journal })
  const reopen = async (): Promise<ProcessStore> => {
    if (reopenedFrom === 'snapshot') await open.compact()
    await open.close()
    open = await openProcessStore({ ...options, journal })
    return open
  }
  return { ...fixture, store: open, reopen, dispose: () => open.close() }
}

function parts(): Omit<ProcessStoreFixture, 'store'> & { readonly options: OpenProcessStoreOptions } {
  const clock = new SimulatedClock()
  const dead = new Set<string>()
  return {
    options: { clock, isHolderDead: ({ leaseToken }) => dead.has(leaseToken) },
    advance: (milliseconds) => clock.advance(milliseconds),
    declareDead: ({ leaseToken }) => void dead.add(leaseToken),
  }
}
