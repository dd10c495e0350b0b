import { TerminalFailure } from 'stateward/tasks'
import * as v from 'valibot'
import { describe, expect, it, vi } from 'vitest'
import { ask } from '../examples/support/client.js'
import { endTasks, serve } from './support/serve.js'

const missing = '0199d2a0-0000-7000-8000-00000000dead'

describe('status', () => {
  it('says how the runtime is, and that it is closed', async () => {
    const { at, runtime } = await serve()
    await endTasks(runtime, 1)
    runtime.session('one')
    expect(await ask('GET', at('/status'))).toMatchObject({
      status: 200,
      headers: { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' },
      body: {
        status: 'ok',
        journal: { status: 'open' },
        sessions: 1,
        jobs: 0,
        tasks: 1,
        runs: { cancelled: 1, ready: 0 },
        watermark: runtime.tasks.feed.watermark(),
      },
    })
    await runtime.close()
    expect(await ask('GET', at('/status'))).toMatchObject({
      status: 503,
      body: { status: 'unavailable', journal: { status: 'closed' } },
    })
  })
})

describe('tasks', () => {
  it('are listed a page at a time, by status and kind', async () => {
    const { at, runtime, fetch } = await serve()
    await endTasks(runtime, 5)
    const open = await runtime.tasks.submit('other', 'x', { key: 'order-42' })
    const idsOf = (body: { readonly tasks: { readonly id: string }[] }) => body.tasks.map(({ id }) => id)
    const all = (await ask('GET', at('/tasks'))).body
    expect([all.tasks.length, all.next]).toEqual([6, undefined])
    expect(all.tasks[5]).toMatchObject({
      id: open.id,
      kind: 'other',
      key: 'order-42',
      status: 'open',
      progress: { runs: 1, open: 1, completed: 0, failed: 0 },
    })
    const first = (await ask('GET', at('/tasks?limit=4'))).body
    const second = (await ask('GET', at(`/tasks?limit=4&after=${first.next}`))).body
    expect([...idsOf(first), ...idsOf(second)]).toEqual(idsOf(all))
    expect([first.tasks.length, second.next]).toEqual([4, undefined])
    expect(idsOf(await (await fetch('/tasks?status=open')).json())).toEqual([open.id])
    expect(idsOf(await (await fetch('/tasks?kind=work&status=cancelled&limit=1000')).json())).toHaveLength(5)
    expect(idsOf(await (await fetch('/tasks?kind=nothing')).json())).toEqual([])
  })

  it('keep a field of the name stack where it is none of an error', async () => {
    const { at, runtime } = await serve()
    runtime.tasks.handle('work', () => ({ stack: 'aws', parts: [{ name: 'web', stack: 'lamp' }] }))
    const handle = await runtime.tasks.submit('work')
    expect((await handle.outcome()).status).toBe('completed')
    const { body } = await ask('GET', at(`/tasks/${handle.id}`))
    expect(body.outcome.output).toEqual({ stack: 'aws', parts: [{ name: 'web', stack: 'lamp' }] })
  })

  it('tell what they gave, and what went wrong, without what they were submitted with', async () => {
    const { at, runtime } = await serve()
    runtime.tasks.handle('work', ({ text }) => {
      if (text() === 'secret 2') throw new TerminalFailure('no such page')
      return { count: 2, bytes: new Uint8Array([1, 2]) }
    })
    const good = await runtime.tasks.submit('work', 'secret 1')
    const bad = await runtime.tasks.submit('work', 'secret 2')
    await Promise.all([good.outcome(), bad.outcome()])
    const answer = await ask('GET', at(`/tasks/${good.id.toUpperCase()}`))
    expect(answer.body).toMatchObject({
      id: good.id,
      status: 'completed',
      runs: [{ state: 'completed', attempts: 1 }],
      questions: [],
      outcome: { status: 'completed', output: { count: 2, bytes: { $bytes: 'AQI=' } } },
    })
    const failure = await ask('GET', at(`/tasks/${bad.id}`))
    expect(failure.body.outcome).toMatchObject({ status: 'failed', error: 'no such page', reason: 'threw' })
    const text = JSON.stringify([answer.body, failure.body])
    expect(text).not.toMatch(/secret|stack/)
    expect(text).not.toContain(Buffer.from('secret 1').toString('base64'))
  })

  it('that wait tell what they ask', async () => {
    const { at, runtime } = await serve()
    runtime.tasks.handle('work', ({ waitFor }) => waitFor('approval', v.boolean(), { whom: 'editor' }))
    const { id } = await runtime.tasks.submit('work')
    await expect
      .poll(async () => (await ask('GET', at(`/tasks/${id}`))).body.questions)
      .toMatchObject([{ name: 'approval', whom: 'editor' }])
  })

  it.each([
    ['/tasks/nonsense', 400, 'invalid_input'],
    [`/tasks/${missing}`, 404, 'unknown_task'],
    ['/tasks?after=x', 400, 'invalid_input'],
    ['/tasks?limit=0', 400, 'invalid_input'],
    ['/tasks?limit=1001', 400, 'invalid_input'],
    ['/tasks?limit=x', 400, 'invalid_input'],
    ['/tasks?status=ready', 400, 'invalid_input'],
    ['/tasks/completions?after=x', 400, 'invalid_input'],
    ['/tasks/completions?after=1', 409, 'cursor_unknown'],
    ['/sessions/none/completions', 404, 'session_not_found'],
    ['/sessions/%00/operations', 404, 'session_not_found'],
    ['/sessions/%E0%A4/operations', 400, 'invalid_input'],
    [`/tasks?x=${'y'.repeat(8192)}`, 414, 'target_too_long'],
    ['/nowhere', 404, 'route_not_found'],
    ['//localhost/tasks', 404, 'route_not_found'],
  ])('GET %s is answered %d %s', async (path, status, code) => {
    const { at, fetch, faults } = await serve()
    const expected = { code, message: expect.any(String), data: expect.anything() }
    expect(await ask('GET', at(path))).toMatchObject({ status, body: expected })
    const other = await fetch(path)
    expect([other.status, await other.json()]).toEqual([status, expected])
    expect(faults).toEqual([])
  })

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('%s is not possible', async (method) => {
    const { at, fetch } = await serve()
    const answer = await ask(method, at('/tasks'), {
      text: 'x'.repeat(100_000),
      headers: { 'content-length': '100000' },
    })
    expect([answer.status, answer.headers.allow, answer.headers.connection]).toEqual([405, 'GET, HEAD', 'close'])
    expect((await fetch('/tasks', { method, body: 'x' })).status).toBe(405)
  })
})

it('a task that was forgotten is gone, and a list goes on behind it', async () => {
  const { at, runtime } = await serve()
  const { id } = await runtime.tasks.submit('work')
  const next = await runtime.tasks.submit('work')
  await runtime.tasks.cancel(id)
  await runtime.tasks.forget(id)
  expect(await ask('GET', at(`/tasks/${id}`))).toMatchObject({ status: 410, body: { code: 'no_longer_retained' } })
  const page = await ask('GET', at(`/tasks?after=${id}`))
  expect(page).toMatchObject({ status: 200, body: { tasks: [{ id: next.id }] } })
})

it('[T-920] a page of tasks reads as many tasks as it shows, or so many that it ends without showing any', async () => {
  const { at, runtime } = await serve()
  const { tasks } = runtime
  const many = Array.from({ length: 2001 }, (_, index) => [`idle ${index}`, { kind: 'idle' }] as const)
  const ids = Object.values(await tasks.submitGraph(Object.fromEntries(many)))
  const last = await tasks.submit('rare', 'x')
  const read = vi.spyOn(tasks.projection, 'task')
  const ofTen = await ask('GET', at(`/tasks?limit=10&after=${ids[1000]}`))
  expect([ofTen.body.tasks.length, ofTen.body.next, read.mock.calls.length]).toEqual([10, ids[1010], 11])
  const short = await ask('GET', at('/tasks?kind=rare'))
  expect(short.body).toEqual({ tasks: [], next: ids[1999] })
  expect(read.mock.calls.length).toBe(2012)
  const rest = await ask('GET', at(`/tasks?kind=rare&after=${short.body.next}`))
  expect([rest.body.tasks.length, rest.body.tasks[0]?.id, rest.body.next]).toEqual([1, last.id, undefined])
})

describe('HEAD', () => {
  it('is answered as GET would be, without a body, for a stream too', async () => {
    const { at, fetch, runtime } = await serve()
    await endTasks(runtime, 1)
    for (const [path, status, type] of [
      ['/tasks', 200, 'application/json; charset=utf-8'],
      ['/tasks/completions', 200, 'text/event-stream; charset=utf-8'],
      [`/tasks/${missing}`, 404, 'application/json; charset=utf-8'],
    ] as const) {
      const answers = [await globalThis.fetch(at(path), { method: 'HEAD' }), await fetch(path, { method: 'HEAD' })]
      for (const answer of answers) {
        expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([status, type, ''])
      }
    }
  })
})

describe('sessions', () => {
  it('are listed with their operations, and to read makes none', async () => {
    const { fetch, runtime } = await serve()
    const session = runtime.session('one')
    const { id, outcome } = session.run({ kind: 'background_tool_op', displayName: 'a' }, () => 'done')
    await outcome
    expect(await (await fetch('/sessions')).json()).toEqual({
      sessions: [{ session: 'one', epochId: session.epochId, watermark: 1, operations: 1, lost: 0 }],
    })
    expect(await (await fetch('/sessions/one/operations')).json()).toMatchObject({
      operations: [{ id, displayName: 'a', status: 'completed' }],
      lost: [],
    })
    expect(await (await fetch(`/sessions/one/operations/${id}`)).json()).toMatchObject({ id })
    expect((await fetch('/sessions/two/operations')).status).toBe(404)
    expect(Array.from(runtime.sessions(), ({ id: name }) => name)).toEqual(['one'])
  })
})
