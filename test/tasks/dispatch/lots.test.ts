import { expect, it } from 'vitest'
import { createRuntime } from '../../../src/runtime.js'
import { TerminalFailure } from '../../../src/tasks/index.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'

/** A clock by which every look at it takes long: whoever asks whether his share of the turn is used up is told so soon. */
class SlowClock extends SimulatedClock {
  #looks = 0

  override monotonicNow(): number {
    this.#looks += 1
    return super.monotonicNow() + this.#looks * 6
  }
}

it('[T-921] what becomes due while the runs before it are still being started is started after them', async () => {
  await using runtime = await createRuntime({ clock: new SlowClock() })
  const { tasks } = runtime
  tasks.handle('fails', () => {
    throw new TerminalFailure('no')
  })
  tasks.handle('cleans up', () => 'done')
  const { last } = await tasks.submitGraph({
    first: { kind: 'fails' },
    next: { kind: 'cleans up', after: ['first'] },
    last: { kind: 'cleans up', after: ['next'] },
  })
  expect((await tasks.outcome(last)).status).toBe('completed')
})
