import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { defineProcess, type ProcessRunContext } from '../../../src/processes/public.js'
import type { Schema } from '../../../src/work/values.js'
import { openRuntime } from './support/runtime.js'

const rerunnable = { disposition: 'rerunnable' } as const
const never = new Promise<never>(() => {})
const waiting = defineProcess('waiting', { ...rerunnable, signals: { go: v.unknown() } }, (_: unknown, { waitFor }) =>
  waitFor('go'),
)
const taking = defineProcess('taking', { ...rerunnable, input: v.unknown() }, () => {})
/** What is refused without a word of what it holds. */
const trap = new Proxy(
  {},
  {
    get: () => {
      throw new Error('trap')
    },
    ownKeys: () => {
      throw new Error('trap')
    },
  },
)

const open = () => openRuntime({ processes: { define: [waiting, taking] } })
type Processes = Awaited<ReturnType<typeof open>>['processes']

describe('a bad call [P-311]', () => {
  const calls: Record<string, [code: string, call: (processes: Processes) => unknown]> = {
    'a kind that is no text': ['invalid_input', (all) => all.start(5 as never)],
    'a kind that nobody defines': ['process.kind_unknown', (all) => all.start('nobody')],
    'an id of control characters': ['invalid_input', (all) => all.start(taking, 1, { id: 'a\0b' })],
    'an id that is no text': ['invalid_input', (all) => all.start(taking, 1, { id: Symbol('id') as never })],
    'options that cannot be read': ['invalid_input', (all) => all.start(taking, 1, trap)],
    'a wake target that names no session': [
      'invalid_input',
      (all) => all.start(taking, 1, { wakeTarget: { sessionId: '' } }),
    ],
    'a wake target that is text': ['invalid_input', (all) => all.start(taking, 1, { wakeTarget: 's' as never })],
    'an input that cannot be read': ['invalid_input', (all) => all.start(taking, trap)],
    'an input that is a promise': ['invalid_input', (all) => all.start(taking, Promise.resolve(1))],
    'an input that is a promise never kept': ['invalid_input', (all) => all.start(taking, never)],
    'an input that is too large': ['process.registration_invalid', (all) => all.start(taking, 'x'.repeat(2 ** 20))],
    'another input under one id': [
      'process.registration_conflict',
      async (all) => {
        await all.start(taking, 1, { id: 'one' })
        await all.start(taking, 2, { id: 'one' })
      },
    ],
    'a definition that is defined': ['process.kind_defined', (all) => all.define(waiting)],
    'a disposition that does not exist': [
      'invalid_input',
      (all) => all.define('odd', { disposition: 'immortal' as never }, () => {}),
    ],
    'a listener that is no function': ['invalid_input', (all) => all.onChange(5 as never)],
    'a wake handler that is no function': ['invalid_input', (all) => all.onWake('s', null as never)],
    'an id that nobody has': ['process.unknown', (all) => all.get(undefined, 'nobody').result()],
    'a signal to nobody': ['process.unknown', (all) => all.get(undefined, 'nobody').signal('go', 1)],
    'a request to cancel nobody': ['process.unknown', (all) => all.get(undefined, 'nobody').cancel()],
    'events of nobody': [
      'process.unknown',
      (all) => all.get(undefined, 'nobody').events()[Symbol.asyncIterator]().next(),
    ],
    'a signal that is not declared': [
      'process.event_undeclared',
      async (all) => (await all.start(waiting, 1)).signal('other' as never, 1 as never),
    ],
    'a signal whose name is no text': [
      'invalid_input',
      async (all) => (await all.start(waiting, 1)).signal(Symbol('go') as never, 1 as never),
    ],
    'a signal of a promise never kept': [
      'invalid_input',
      async (all) => (await all.start(waiting, 1)).signal('go', never),
    ],
    'a signal after the end': [
      'process.already_terminal',
      async (all) => {
        const handle = await all.start(waiting, 1)
        await handle.signal('go', 1)
        await handle.result()
        await handle.signal('go', 2)
      },
    ],
    'a wait shorter than nothing': [
      'invalid_input',
      async (all) => (await all.start(waiting, 1)).result({ timeoutMs: -1 }),
    ],
    'a wait for no time': [
      'process.await_timeout',
      async (all) => (await all.start(waiting, 1)).result({ timeoutMs: 0 }),
    ],
    'events from before the first': [
      'invalid_input',
      async (all) => (await all.start(waiting, 1)).events({ after: -1 }),
    ],
  }

  it.each(Object.entries(calls).map(([name, [code, call]]) => [name, code, call] as const))(
    'is refused for %s: %s',
    async (_, code, call) => {
      const { processes } = await open()
      await expect((async () => call(processes))()).rejects.toMatchObject({ name: expect.any(String), code })
    },
  )

  it('to cancel again changes nothing, and comes to nothing once the process has ended', async () => {
    const { processes } = await open()
    const handle = await processes.start(waiting, 1)
    expect(await Promise.all([handle.cancel('first'), handle.cancel('first'), handle.cancel('second')])).toEqual([
      'requested',
      'requested',
      'requested',
    ])
    expect(await handle.outcome()).toMatchObject({ type: 'cancelled', raw: { reason: 'first' } })
    expect(await handle.cancel('third')).toBe('already_ended')
  })
})

describe('a run [P-311]', () => {
  const events = { said: v.unknown() }
  const outcomeOf = async (run: (context: ProcessRunContext) => unknown): Promise<unknown> => {
    const { processes } = await open()
    const odd = processes.define('odd', { ...rerunnable, events }, (_: unknown, context) =>
      run(context as ProcessRunContext),
    )
    return (await processes.start(odd, null)).outcome()
  }

  const calls: Record<string, [code: string, run: (context: ProcessRunContext) => unknown]> = {
    'calls what nobody defines': ['process.kind_unknown', ({ call }) => call('nobody')],
    'calls nothing': ['invalid_input', ({ call }) => call(undefined as never)],
    'calls with a promise never kept': ['invalid_input', ({ call }) => call(taking, never)],
    'emits what is not declared': ['process.event_undeclared', ({ emit }) => emit('other', 1)],
    'emits something without a name': ['invalid_input', ({ emit }) => emit(Symbol('said') as never, 1)],
    'emits a promise never kept': ['invalid_input', ({ emit }) => emit('said', never)],
    'sleeps until something that is no time': [
      'invalid_input',
      ({ sleepUntil }) => sleepUntil(Symbol('noon') as never),
    ],
    'sleeps until a time of another type': ['invalid_input', ({ sleepUntil }) => sleepUntil(5n as never)],
    'waits for what it does not declare': ['process.event_undeclared', ({ waitFor }) => waitFor('go')],
    'has a step without a function': ['invalid_input', ({ step }) => step('one', 5 as never)],
    'returns what has no form in JSON': ['process_output_refused', () => Symbol('x')],
    'returns too much': ['process_output_refused', () => 'x'.repeat(2 ** 20)],
    'throws nothing': ['process_failed', () => Promise.reject(undefined)],
    'throws what cannot be read': ['process_failed', () => Promise.reject(trap)],
  }

  it.each(Object.entries(calls).map(([name, [code, run]]) => [name, code, run] as const))(
    'that %s fails with %s',
    async (_, code, run) => {
      expect(await outcomeOf(run)).toMatchObject({ type: 'failure', code })
    },
  )
})

describe('a runtime that is closed [P-311]', () => {
  const silent: Schema = { '~standard': { version: 1, vendor: 'test', validate: () => never } }

  it('lets nobody wait for a schema that does not answer', async () => {
    const runtime = await open()
    const { processes } = runtime
    const asked = processes.define('asked', { ...rerunnable, input: silent }, () => {})
    const told = processes.define('told', { ...rerunnable, signals: { go: silent } }, (_: unknown, { sleep }) =>
      sleep(60_000),
    )
    const quick = await processes.start(taking, 1, { id: 'quick' })
    await quick.result()
    const answered = defineProcess('answered', { ...rerunnable, output: silent }, () => {})
    const pending = [
      processes.start(asked, 1),
      (await processes.start(told, null)).signal('go', 1),
      processes.get(answered, 'quick').result(),
    ]
    const settled = Promise.allSettled(pending)
    await runtime.close({ policy: 'terminate' })
    for (const one of await settled)
      expect(one).toMatchObject({ status: 'rejected', reason: { code: 'runtime_closed' } })
  })

  it('waits no longer than its grace for runs, schemas and wake handlers that do not come back', async () => {
    const runtime = await open()
    const { processes } = runtime
    const deaf = processes.define('deaf', rerunnable, () => never)
    const bound = processes.define('bound', { disposition: 'owner_bound' }, () => never)
    const unchecked = processes.define('unchecked', { ...rerunnable, output: silent }, () => {})
    const woken = new Promise<void>((resolve) =>
      processes.onWake('s', () => {
        resolve()
        return never
      }),
    )
    for (const definition of [deaf, bound, unchecked]) await processes.start(definition, null)
    await processes.start(taking, 1, { wakeTarget: { sessionId: 's' } })
    await woken
    await runtime.close({ policy: 'retire', graceMs: 20 })
    expect(
      runtime.jobs
        .list()
        .map(({ kind, state }) => `${kind} ${state}`)
        .toSorted(),
    ).toEqual(['bound left_behind', 'deaf left_behind', 'unchecked left_behind'])
  })

  it('takes no signal and no request to cancel', async () => {
    const runtime = await open()
    const handle = await runtime.processes.start(waiting, 1)
    await runtime.close({ policy: 'terminate' })
    await expect(handle.signal('go', 1)).rejects.toMatchObject({ code: 'runtime_closed' })
    await expect(handle.cancel()).rejects.toMatchObject({ code: 'runtime_closed' })
    await expect(handle.result()).rejects.toMatchObject({ code: 'process.await_closed' })
  })
})
