import { systemClock } from '../../src/base/clock.js'
import { Awaiter } from '../../src/processes/awaiter.js'
import { openProcessStore } from '../../src/processes/public.js'
import { watchStore } from '../../src/processes/watched-store.js'
import type { BenchOptions, Cell } from '../harness.js'
import { percentile } from '../statistics.js'
import type { Part } from '../tasks.js'
import { idOf, registerMany } from './stores.js'

/** Milliseconds from the append of an event to the moment at which each of those who wait for it goes on. */
async function measure(waiters: number, rounds: number): Promise<readonly number[]> {
  const embedded = await openProcessStore()
  await registerMany(embedded, 1)
  const { store, hub } = watchStore(embedded)
  using awaiter = new Awaiter({ store, hub, clock: systemClock })
  const samples: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    let ticked = 0
    const waits = Array.from({ length: waiters }, async () => {
      await awaiter.awaitEvent(idOf(0), 'note', round)
      samples.push(performance.now() - ticked)
    })
    // All of them have looked and found nothing.
    await new Promise((resolve) => setTimeout(resolve, 5))
    ticked = performance.now()
    await store.appendEvent(idOf(0), { eventType: 'note', payload: round })
    await Promise.all(waits)
  }
  await embedded.close()
  return samples
}

/** How soon a change reaches those who wait for it. */
export async function measureTicks({ quick, progress }: BenchOptions): Promise<Part> {
  const rows: Record<string, Cell>[] = []
  const ratios: Record<string, number> = {}
  for (const waiters of quick ? [1, 100] : [1, 100, 10_000]) {
    progress(`ticks to ${waiters} waiters`)
    const samples = await measure(waiters, waiters === 10_000 ? 10 : quick ? 20 : 200)
    const [p50, p99] = [percentile(samples, 0.5), percentile(samples, 0.99)]
    rows.push({ what: `append to resolve, ${waiters} waiters`, 'p50 ms': p50, 'p99 ms': p99 })
    ratios[`tickP50Ms${waiters}`] = p50
    ratios[`tickP99Ms${waiters}`] = p99
  }
  return { rows, ratios }
}
