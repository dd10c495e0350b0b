import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { createDirectoryJournal } from '../../../src/journal/directory-journal.js'
import { openProcessStore, type OpenedProcessStore } from '../../../src/processes/index.js'
import { durableConformance, type DurableFixture } from '../../../src/testing/durable-conformance.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { createProcessDurable } from './support/process-durable.js'

/** One store in memory, in which the leases of a host that has crashed are those of a dead one. */
async function inMemory(): Promise<DurableFixture> {
  const clock = new SimulatedClock()
  const dead = new Set<string>()
  const store = await openProcessStore({ clock, isHolderDead: ({ leaseToken }) => dead.has(leaseToken) })
  return createProcessDurable({
    async open() {
      for (const { id } of await store.listNonTerminal()) {
        const lease = await store.getLease(id)
        if (lease !== undefined) dead.add(lease.leaseToken)
      }
      return store
    },
    advance: (milliseconds) => clock.advance(milliseconds),
    dispose: () => store.close(),
  })
}

/** A store in a directory; each host opens a copy of what the one before has left there. */
async function inDirectory(): Promise<DurableFixture> {
  const clock = new SimulatedClock()
  const home = await mkdtemp(join(tmpdir(), 'stateward-process-durable-'))
  const opened: OpenedProcessStore[] = []
  return createProcessDurable({
    async open() {
      const directory = join(home, String(opened.length))
      if (opened.length > 0) {
        const filter = (source: string): boolean => !source.endsWith('lock')
        await cp(join(home, String(opened.length - 1)), directory, { recursive: true, filter })
      }
      const store = await openProcessStore({ clock, journal: createDirectoryJournal({ directory }) })
      opened.push(store)
      return store
    },
    advance: (milliseconds) => clock.advance(milliseconds),
    async dispose() {
      for (const store of opened) await store.close()
      await rm(home, { recursive: true })
    },
  })
}

durableConformance({ describe, it }, 'processes in memory', inMemory)
durableConformance({ describe, it }, 'processes in a directory', inDirectory)
