import { expect, it } from 'vitest'
import { createRuntime, defineProcess } from '../../../src/index.js'

it('a whole registration is run under what it says, and each change of it is told [P-296] [P-297]', async () => {
  const runtime = await createRuntime()
  const twice = defineProcess('twice', { disposition: 'rerunnable' }, (n: number) => 2 * n)
  runtime.processes.define(twice)
  const told: string[] = []
  const listening = runtime.processes.onChange((id) => {
    told.push(id)
    throw new Error('nobody feels this')
  })
  const registration = {
    id: 'one',
    input: { type: 'engine', kind: 'twice', payload: 4 },
    disposition: 'owner_bound',
    eventTypes: twice.eventTypes,
    provenance: { originator: { type: 'host' } },
    envRef: twice.envRef,
  } as const
  const handle = await runtime.processes.register(registration)
  expect(await handle.result()).toBe(8)
  expect((await handle.status()).disposition).toBe('owner_bound')
  expect(told.length).toBeGreaterThanOrEqual(3)
  expect(new Set(told)).toEqual(new Set(['one']))
  await expect(runtime.processes.register({ ...registration, disposition: 'rerunnable' })).rejects.toMatchObject({
    code: 'process.registration_conflict',
  })
  listening[Symbol.dispose]()
  await runtime.close()
  await expect(runtime.processes.register(registration)).rejects.toMatchObject({ code: 'runtime_closed' })
})
