import { createRuntime, defineProcess } from '../../src/index.js'
import { openProcessStore } from '../../src/processes/public.js'
import type { BenchOptions } from '../harness.js'
import type { Part } from '../tasks.js'
import { atOnce, idOf } from './stores.js'

/** A host that comes to a store full of work: how long it takes to run it all, 64 at a time. */
export async function measureSweep({ quick, progress }: BenchOptions): Promise<Part> {
  const count = quick ? 500 : 100_000
  progress(`a sweep of ${count} processes`)
  const empty = defineProcess('empty', { disposition: 'rerunnable' }, () => null)
  const store = await openProcessStore()
  const starter = await createRuntime({ processes: { store } })
  await atOnce(count, { concurrency: 64 }, (index) => starter.processes.start(empty, null, { id: idOf(index) }))
  await starter.close()
  const runtime = await createRuntime({ processes: { store, concurrency: 64 } })
  const start = performance.now()
  runtime.processes.define(empty)
  // Between two pages nothing may be running.
  while (runtime.processes.isRunning || (await store.listWork(1)).records.length > 0) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const milliseconds = performance.now() - start
  const left = (await store.listProcesses()).length
  if (left > 0) throw new Error(`${left} processes were left`)
  await runtime.close()
  await store.close()
  const perSecond = (count * 1000) / milliseconds
  return {
    rows: [{ what: `sweep of ${count}, 64 at a time`, 'per second': perSecond }],
    ratios: { sweptPerSecond: perSecond },
  }
}
