import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRuntime } from '../../../src/runtime.js'
import { compileChild, type CompiledChild } from '../../journal/support/compiled-child.js'
import { isLong, timeout } from '../../journal/support/long.js'

const kills = isLong ? 500 : 20

let home: string
let service: CompiledChild

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'stateward-flows-'))
  service = await compileChild('killed-flows', 'test/processes/door/support')
}, 60_000)

afterAll(async () => {
  await service.remove()
  await rm(home, { recursive: true })
})

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

/** Starts the service and kills it once it has noted enough, unless it kills itself or is done; says whether it is. */
async function liveOnce(seed: number, wave: number): Promise<boolean> {
  const child = service.start(join(home, 'journal'), join(home, 'notes'), String(seed), '1', String(wave))
  const patience = 1 + ((seed * 7919) % 23)
  let said = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
    if (said.split('\n').length > patience) child.kill('SIGKILL')
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (signal === 'SIGKILL') return false
  expect(code, `seed ${seed}`).toBe(0)
  return said.includes('done\n')
}

it(`processes that are killed ${kills} times do no durable step twice and lose no signal (P-208)`, {
  timeout,
}, async () => {
  let wave = 0
  let killed = 0
  for (let seed = 1; killed < kills; seed += 1) {
    if (await liveOnce(seed, wave)) wave += 1
    else killed += 1
  }
  // The last wave ends in peace.
  const child = service.start(join(home, 'journal'), join(home, 'notes'), '0', '0', String(wave))
  expect(await once(child, 'close')).toEqual([0, null])

  const text = await readFile(join(home, 'notes'), 'utf8')
  const noted = text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Note)
  const results = new Map<string, unknown>()
  for (const { what, processId, key, value } of noted) {
    const step = `${processId} ${key}`
    if (what === 'do') expect(results.has(step), `${step} was done again`).toBe(false)
    else if (results.has(step)) expect(value, `${step} has another result`).toBe(results.get(step))
    else results.set(step, value)
  }

  const runtime = await createRuntime({ dataDir: join(home, 'journal') })
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
