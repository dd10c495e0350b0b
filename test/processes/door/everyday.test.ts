import { setTimeout as delay } from 'node:timers/promises'
import * as v from 'valibot'
import { expect, it, onTestFinished } from 'vitest'
import { defineProcess } from '../../../src/processes/public.js'
import { createRuntime, type Runtime } from '../../../src/runtime.js'
import type { RuntimeOptions } from '../../../src/runtime-options.js'

async function open(options: RuntimeOptions = {}): Promise<Runtime> {
  const runtime = await createRuntime(options)
  onTestFinished(() => runtime.close({ policy: 'terminate' }))
  return runtime
}
const Article = v.object({ title: v.string() })
const Approval = v.object({ approved: v.boolean() })

it('smoke', async () => {
  const publish = defineProcess(
    'publish',
    {
      input: Article,
      output: v.string(),
      events: { drafted: v.number() },
      signals: { approval: Approval },
      disposition: 'rerunnable',
    },
    async ({ title }, { step, waitFor, emit }) => {
      const draft = await step('draft', () => `draft of ${title}`)
      await emit('drafted', draft.length)
      const { approved } = await waitFor('approval')
      return approved ? draft : 'nothing'
    },
  )
  const runtime = await open({ processes: { define: [publish] } })
  const handle = await runtime.processes.start(publish, { title: 'cranes' }, { id: 'article-7' })
  const types: string[] = []
  const following = (async () => {
    for await (const event of handle.events()) types.push(event.eventType)
  })()
  await delay(50)
  expect(await handle.status()).toMatchObject({ status: 'running', wait: { kind: { type: 'signal', ordinal: 1 } } })
  await handle.signal('approval', { approved: true })
  expect(await handle.result()).toBe('draft of cranes')
  await following
  expect(types).toEqual([
    'process.first_started',
    'drafted',
    'process.waiting',
    'signal.approval',
    'process.resumed',
    'process.completed',
  ])
})
