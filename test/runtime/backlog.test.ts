import { expect, it, onTestFinished } from 'vitest'
import type { Clock } from '../../src/base/clock.js'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'

/** Time passes by being looked at: a tenth of a millisecond each time. */
class BusyClock extends SimulatedClock implements Clock {
  #reads = 0

  override monotonicNow(): number {
    this.#reads += 1
    return super.monotonicNow() + this.#reads / 10
  }
}

async function openInMemory(): Promise<Runtime> {
  const runtime = await createRuntime({ clock: new BusyClock(), tasks: { concurrency: 32 } })
  onTestFinished(() => runtime.close({ policy: 'terminate' }))
  return runtime
}

/** Counts the turns of the event loop until work is done. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0
  let isOver = false
  const count = (): void => {
    turns += 1
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  await work
  isOver = true
  return turns
}

it('a backlog of handlers that wait for nothing lets timers and input have their turn', async () => {
  const { tasks } = await openInMemory()
  const ids = await Promise.all(Array.from({ length: 3000 }, () => tasks.submit({ kind: 'empty' })))
  tasks.handle('empty', () => {})
  expect(await turnsDuring(Promise.all(ids.map((id) => tasks.outcome(id))))).toBeGreaterThan(5)
})

it('so does a backlog of operations', async () => {
  const runtime = await openInMemory()
  const session = runtime.session('agent')
  const started = Array.from({ length: 600 }, () =>
    session.run({ kind: 'background_tool_op', displayName: 'empty' }, () => {}),
  )
  expect(await turnsDuring(Promise.all(started.map(({ outcome }) => outcome)))).toBeGreaterThan(5)
})
