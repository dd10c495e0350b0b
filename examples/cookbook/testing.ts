/** A test of a service that controls the time: docs/cookbook.md. */
// #region shown
import assert from 'node:assert/strict'
import { createRuntime, defineTask } from 'stateward'
import { SimulatedClock } from 'stateward/testing'

const reminder = defineTask('reminder', {}, async (_, { sleep, step, text }) => {
  await sleep(3 * 86_400_000)
  return step('remind', () => `reminded ${text()}`)
})

const clock = new SimulatedClock()
// No directory, so nothing is left behind. The clock moves only when the test says so.
await using runtime = await createRuntime({ clock, tasks: { define: [reminder] } })
const handle = await runtime.tasks.submit(reminder, 'Ada')

/** Lets everything that is due run. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate)
}
await settle()
clock.advance(2 * 86_400_000)
await settle()
assert.equal(runtime.tasks.projection.task(handle.id)?.progress.open, 1)
clock.advance(86_400_000)
assert.equal(await handle.result(), 'reminded Ada')
console.log('holds')
// #endregion
