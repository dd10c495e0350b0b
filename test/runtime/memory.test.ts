import { getEventListeners } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { openFixture, refusal, turnId } from '../operations/support/registry.js'
import { job } from '../operations/support/work.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function heapUsed(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

it('operations that have ended, been watched and waited for leave nothing behind', async () => {
  const store = createMemoryJournal()
  const { session, runtime, operations, clock } = await openFixture({ maxCompleted: 16 }, { store, compactAfter: 2000 })
  const { signal } = new AbortController()
  const runMany = async (): Promise<void> => {
    for (let batch = 0; batch < 100; batch += 1) {
      const handles = Array.from({ length: 20 }, (_, index) =>
        session.run(
          job,
          ({ progress }) => {
            progress('working')
            if (index === 3) throw new Error('broken')
            return 'done'
          },
          { deadlineMs: 60_000 },
        ),
      )
      const ids = handles.map(({ id }) => id)
      const givenUp = new AbortController()
      const watches = ids.map((id) => operations.registerWatcher(id, { signal }))
      const abandoned = refusal(
        operations.registerWatcher(session.run(job, () => 'done').id, { signal: givenUp.signal }),
      )
      givenUp.abort(new Error('enough'))
      await session.waitAll(turnId, ids, { signal })
      await Promise.all([abandoned, ...watches])
    }
    await runtime.flush()
  }
  // The feed fills up and code is compiled in the first round.
  await runMany()
  const before = heapUsed()
  await runMany()
  await runMany()
  // Measured: one forgotten execution per operation makes about five times this.
  expect(heapUsed() - before).toBeLessThan(2_000_000)
  expect(getEventListeners(signal, 'abort')).toEqual([])
  expect(operations.outstandingObligations()).toEqual([])
  expect(clock.pendingTimeouts).toBe(0)
})
