/**
 * A service whose processes do steps, ask, call and sleep until they are done or the service is killed. It notes each step
 * that it does, and each that is durable. It is done when every process has ended.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as v from 'valibot'
import { defineProcess, type ProcessRunContext } from '../../../../src/processes/public.js'
import { createRuntime } from '../../../../src/runtime.js'
import { mortalProgram } from '../../../support/mortal-program.js'

const { wave, upTo, store, note, done } = mortalProgram()

/** A step that is noted when it is done, and when that is durable. */
async function noted(
  { step, processId }: Pick<ProcessRunContext, 'step' | 'processId'>,
  name: string,
): Promise<number> {
  const result = await step(name, async () => {
    note({ what: 'do', processId, key: name })
    await nextTurn()
    return upTo(1000)
  })
  note({ what: 'done', processId, key: name, value: result })
  return result
}

const rerunnable = { disposition: 'rerunnable' } as const

const leaf = defineProcess('leaf', rerunnable, async (number: number, context) => {
  const drawn = await noted(context, 'leaf')
  await context.sleep(upTo(5))
  return { number, drawn }
})

const flow = defineProcess(
  'flow',
  { ...rerunnable, events: { begun: v.number() }, signals: { go: v.number() } },
  async (_: unknown, context) => {
    const { waitFor, call, emit, sleep } = context
    const first = await noted(context, 'first')
    await emit('begun', first)
    const [answer, parts] = await Promise.all([
      waitFor('go'),
      Promise.all([1, 2, 2].map((number) => call(leaf, number))),
      sleep(upTo(20)),
      noted(context, 'beside'),
    ])
    const last = await noted(context, 'last')
    const alone = await waitFor('go')
    return { first, last, answer, alone, parts }
  },
)

const runtime = await createRuntime({ store, compactAfter: 200, processes: { concurrency: 2, define: [leaf, flow] } })
const { processes } = runtime

/** Starts a flow and sends it two signals, however often that was done before. */
async function drive(id: string): Promise<unknown> {
  const handle = await processes.start(flow, null, { id })
  for (const [order, value] of [10, 20].entries()) {
    for (let pause = upTo(40); pause > 0; pause -= 1) await nextTurn()
    if ((await handle.status()).status !== 'running') break
    await handle.signal('go', value, { id: String(order) })
  }
  return handle.result()
}

await Promise.all([0, 1, 2, 3].map((number) => drive(`${wave}-${number}`)))
await runtime.close()
done()
