import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/base/clock.js'
import { silence } from '../../src/base/promises.js'
import { Awaiter, type AwaitedStore } from '../../src/processes/awaiter.js'
import { openProcessStore, type ProcessStore } from '../../src/processes/public.js'
import { watchStore } from '../../src/processes/watched-store.js'
import { liveHeapBytes, type BenchOptions, type Cell } from '../harness.js'
import type { Part } from '../tasks.js'
import { idOf, registerMany } from './stores.js'

/** Counts how often waits look whether a process has ended. */
function counting(inner: ProcessStore): { readonly store: AwaitedStore; readonly reads: () => number } {
  let reads = 0
  const getTerminal: ProcessStore['getTerminal'] = (id) => {
    reads += 1
    return inner.getTerminal(id)
  }
  return { store: { ...inner, getTerminal }, reads: () => reads }
}

/** Waiters on the embedded store for whom nothing happens. */
async function measureIdle(waiters: number, processes: number, idleMs: number): Promise<Record<string, Cell>> {
  const embedded = await openProcessStore()
  await registerMany(embedded, processes)
  const { store, hub } = watchStore(embedded)
  const { store: counted, reads } = counting(store)
  using awaiter = new Awaiter({ store: counted, hub, clock: systemClock })
  const giveUp = new AbortController()
  const wait = (index: number): Promise<unknown> =>
    silence(awaiter.awaitTerminal(idOf(index % processes), { signal: giveUp.signal }))
  // Each listens to the signal, which warns of so many.
  process.setMaxListeners(0)
  const before = await liveHeapBytes()
  const waits = Array.from({ length: waiters }, (_, index) => wait(index))
  await sleep(50)
  const bytes = (await liveHeapBytes()) - before
  const readsBefore = reads()
  if (readsBefore < processes) throw new Error(`only ${readsBefore} of ${processes} waits have looked`)
  await sleep(idleMs)
  const idleReads = reads() - readsBefore
  giveUp.abort()
  await Promise.allSettled(waits)
  await embedded.close()
  return {
    what: `${waiters} idle waiters on ${processes} processes`,
    'reads/s': (idleReads * 1000) / idleMs,
    'bytes per waiter': bytes / waiters,
  }
}

/** What it costs to wait while nothing happens. */
export async function measureWaiters({ quick, progress }: BenchOptions): Promise<Part> {
  const waiters = quick ? 1000 : 10_000
  const idleMs = quick ? 500 : 5000
  progress(`${waiters} idle waiters`)
  const onOne = await measureIdle(waiters, 1, idleMs)
  const onMany = await measureIdle(waiters, waiters, idleMs)
  return {
    rows: [onOne, onMany],
    ratios: {
      idleReadsPerSecond: Math.max(onOne['reads/s'] as number, onMany['reads/s'] as number),
      bytesPerWaiterOnOne: onOne['bytes per waiter'] as number,
      bytesPerWaiterOnMany: onMany['bytes per waiter'] as number,
    },
  }
}
