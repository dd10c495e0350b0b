import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRuntime } from '../../../src/runtime.js'
import { isLong, timeout } from '../../journal/support/long.js'
import { MortalService } from '../../support/mortal-service.js'

const kills = isLong ? 500 : 20

let service: MortalService<Note>

beforeAll(async () => {
  service = await MortalService.compile('killed-flows', 'test/processes/door/support')
}, 60_000)

afterAll(() => service.remove())

interface Note {
  readonly what: 'do' | 'done'
  readonly processId: string
  readonly key: string
  readonly value: unknown
}

interface Flow {
  readonly first: number
  readonly last: number
  readonly answer: number
  readonly alone: number
  readonly parts: readonly { readonly number: number; readonly drawn: number }[]
}

it(`processes that are killed ${kills} times do no durable step twice and lose no signal (P-208)`, {
  timeout,
}, async () => {
  let wave = 0
  let killed = 0
  for (let seed = 1; killed < kills; seed += 1) {
    if (await service.liveOnce({ seed, wave, isMortal: true })) wave += 1
    else killed += 1
  }
  // The last wave ends in peace.
  expect(await service.liveOnce({ seed: 0, wave, isMortal: false })).toBe(true)

  const results = new Map<string, unknown>()
  for (const { what, processId, key, value } of await service.notes()) {
    const step = `${processId} ${key}`
    if (what === 'do') expect(results.has(step), `${step} was done again`).toBe(false)
    else if (results.has(step)) expect(value, `${step} has another result`).toBe(results.get(step))
    else results.set(step, value)
  }

  const runtime = await createRuntime({ dataDir: service.directory })
  const all = await runtime.processes.list({ status: 'any' })
  const flows = all.filter(({ identity }) => identity.kind === 'flow')
  expect(flows).toHaveLength(4 * (wave + 1))
  expect(all).toHaveLength(4 * flows.length)
  for (const { id, outcome } of flows) {
    if (outcome?.type !== 'success') throw new Error(`${id} has come to ${JSON.stringify(outcome)}`)
    const flow = outcome.value as unknown as Flow
    expect([flow.answer, flow.alone, flow.parts.map(({ number }) => number)]).toEqual([10, 20, [1, 2, 2]])
    expect([flow.first, flow.last]).toEqual([results.get(`${id} first`), results.get(`${id} last`)])
    const events = await runtime.processes.store.eventsAfter(id, 0)
    expect(events.filter(({ eventType }) => eventType === 'begun').map(({ payload }) => payload)).toEqual([flow.first])
  }
  await runtime.close()
})
