import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { createRuntime, defineProcess, type Runtime } from '../../src/index.js'
import { createMcpTasks, type McpTasks } from '../../src/mcp/index.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { accepted, openPlace, requestOf, type Answered, type Place, type Sent } from './support/place.js'
import { ask } from './support/tools.js'

const unknownId = 'A'.repeat(32)
const text = (said: string) => ({ content: [{ type: 'text' as const, text: said }] })

async function settle(place: Place): Promise<void> {
  for (let count = 0; count < 10; count += 1) {
    await place.runtime.flush()
    await turn()
  }
}

/** A request whose body says something that no call of `JSON.stringify` writes. */
async function rawCall(
  place: Place,
  method: string,
  params: Readonly<Record<string, unknown>>,
  written: (body: string) => string,
): Promise<Answered> {
  const request = requestOf(method, params)
  const body = written(await request.clone().text())
  const response = await place.face(new Request(request.url, { method: 'POST', headers: request.headers, body }))
  return { status: response.status, ...((await response.json()) as object) }
}

describe('an id from outside', () => {
  it.each([
    ['long', 'x'.repeat(256)],
    ['of a property of every object', '__proto__'],
    ['of a function of every object', 'constructor'],
    ['of the secret of the directory', 'stateward/mcp'],
    ['like a path', '../../etc/passwd'],
  ])('%s is like one that never was, in every byte [M-27] [M-60]', async (_, taskId) => {
    const place = await openPlace()
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      const said = await place.text(method, { taskId, inputResponses: {} })
      expect(said).toBe(await place.text(method, { taskId: unknownId, inputResponses: {} }))
    }
    expect(await place.door.get(taskId)).toBeUndefined()
    await expect(place.door.cancel(taskId)).rejects.toMatchObject({ code: 'mcp_task_unknown' })
    await expect(place.door.complete(taskId, text('x'))).rejects.toMatchObject({ code: 'mcp_task_unknown' })
  })

  it.each(['a\u0000\n\u001b', '\ud800', ''])('that the service gives itself may be anything: %j', async (taskId) => {
    const place = await openPlace()
    expect(await place.door.get(taskId)).toBeUndefined()
    await expect(place.door.cancel(taskId)).rejects.toMatchObject({ code: 'mcp_task_unknown' })
  })

  it.each([[''], [5], [null], [{}], [['a']], ['x'.repeat(257)]])('that is none is refused: %j', async (taskId) => {
    const place = await openPlace()
    const { error } = await rawCall(place, 'tasks/get', { taskId: 'T' }, (body) =>
      body.replace('"taskId":"T"', `"taskId":${JSON.stringify(taskId)}`),
    )
    expect([-32602, -32020]).toContain(error?.code)
  })
})

describe('a principal', () => {
  it.each<[string, () => unknown]>([
    ['nobody', () => ''],
    ['undefined', () => undefined],
    ['a number', () => 5],
    ['an object without one', () => ({})],
    ['a promise that rejects', () => Promise.reject(new Error('no'))],
    [
      'nothing, as it throws undefined',
      () => {
        // oxlint-disable-next-line typescript/only-throw-error
        throw undefined
      },
    ],
    [
      'an object that throws',
      () => ({
        get principal() {
          throw new Error('no')
        },
      }),
    ],
  ])('that is %s refuses every request [M-61]', async (_, principal) => {
    const place = await openPlace({ principal: principal as never })
    const refused = { code: -32603, message: 'Internal error' }
    expect((await place.call('tools/call', { name: 'slow_compute', arguments: {} })).error).toEqual(refused)
    expect((await place.call('tasks/get', { taskId: unknownId })).error).toEqual(refused)
    const { response } = await place.listen([unknownId])
    expect(response.headers.get('content-type')).toContain('application/json')
    expect(await place.door.list()).toEqual([])
  })

  it('may come later, and have a name that is cut anywhere [M-61]', async () => {
    const display = `${'x'.repeat(199)}\u{1F600}`
    const place = await openPlace({ principal: async () => ({ principal: 'p\ud800', display }) })
    const { taskId } = await place.begin('external_job')
    expect((await place.get(taskId)).status).toBe('working')
  })
})

describe('a key of a call', () => {
  const keyed = (dedupe: unknown) => (door: McpTasks) =>
    door.tool('keyed', { dedupe: dedupe as never, recovery: 'external' }, () => text('x'))

  it.each<[string, () => unknown]>([
    ['a number', () => 5],
    ['a promise that rejects', () => Promise.reject(new Error('no'))],
  ])('that is %s refuses it [M-21]', async (_, dedupe) => {
    const place = await openPlace({ tools: keyed(dedupe) })
    expect((await place.call('tools/call', { name: 'keyed', arguments: {} })).error?.code).toBe(-32603)
    expect(await place.door.list()).toEqual([])
  })

  it('that comes later tells calls apart like any other [M-21]', async () => {
    const place = await openPlace({ tools: keyed(async ({ key }: { key: string }) => key) })
    const ids = []
    for (const key of ['a', 'b', 'a']) ids.push((await place.begin('keyed', { key })).taskId)
    expect(ids[0]).not.toBe(ids[1])
    expect(ids[0]).toBe(ids[2])
  })

  it('finds the task that lives, also when an earlier one was forgotten, and over a restart [M-21]', async () => {
    const clock = new SimulatedClock()
    const place = await openPlace({ runtime: { clock }, ttlMs: 10_000, ttlAction: 'detach', tools: keyed(() => 'k') })
    const first = await place.begin('keyed')
    await place.door.complete(first.taskId, text('x'))
    clock.advance(6000)
    const second = await place.begin('keyed')
    expect(second.taskId).not.toBe(first.taskId)
    clock.advance(4000)
    await settle(place)
    clock.advance(100)
    await settle(place)
    expect(await place.runtime.processes.store.getTerminal(first.taskId)).toEqual({ state: 'unknown' })
    expect((await place.begin('keyed')).taskId).toBe(second.taskId)
    place.door.close()
    const door = createMcpTasks(place.runtime)
    onTestFinished(() => door.close())
    await door.start()
    const { life } = door.parts
    const found = await life.create({
      tool: place.door.parts.tools.get('keyed')?.tool as never,
      args: {},
      caller: { principal: 'anonymous' },
      questions: [],
      key: 'k',
    })
    expect(found.taskId).toBe(second.taskId)
  })
})

describe('arguments and answers', () => {
  const nested = (depth: number) => (body: string) => body.replace('"N"', '['.repeat(depth) + ']'.repeat(depth))

  it.each([200, 50_000])(
    'that are nested %i deep are refused, and with them all answers of the update [M-71]',
    async (depth) => {
      const place = await openPlace()
      const called = await rawCall(place, 'tools/call', { name: 'external_job', arguments: { x: 'N' } }, nested(depth))
      expect(called.error?.code).toBe(-32602)
      const { taskId } = await place.begin('multi_input')
      await place.until(taskId, 'input_required')
      const inputResponses = { first: accepted({ name: 'a' }), second: accepted({ x: 'N' }) }
      const answered = await rawCall(place, 'tasks/update', { taskId, inputResponses }, nested(depth))
      expect(answered.error?.code).toBe(-32602)
      expect(Object.keys((await place.get(taskId)).inputRequests ?? {})).toEqual(['first', 'second'])
    },
  )

  it('that name a prototype change none', async () => {
    let polluted: unknown
    const place = await openPlace({
      tools: (door) =>
        door.tool('echo', {}, (args) => {
          polluted = (args as { readonly polluted?: unknown }).polluted
          return text(JSON.stringify(args))
        }),
    })
    const { result } = await rawCall(place, 'tools/call', { name: 'echo', arguments: { x: 'N' } }, (body) =>
      body.replace('"x":"N"', '"__proto__":{"polluted":1},"s":"\\ud800"'),
    )
    const done = await place.until(result?.taskId, 'completed')
    expect(JSON.stringify(done.result?.content)).toContain('ud800')
    expect(polluted).toBeUndefined()
  })

  it('of another task change nothing here [M-12]', async () => {
    const place = await openPlace()
    const [one, other] = [await place.begin('confirm_delete'), await place.begin('multi_input')]
    await place.until(one.taskId, 'input_required')
    await place.until(other.taskId, 'input_required')
    expect((await place.answer(other.taskId, { confirm: accepted({}) })).result?.resultType).toBe('complete')
    expect((await place.get(one.taskId)).status).toBe('input_required')
    expect(Object.keys((await place.get(other.taskId)).inputRequests ?? {})).toEqual(['first', 'second'])
  })

  it.each([[undefined], [null], [5], [[1]], [{ confirm: null }], [{ confirm: { method: 'x', action: 'accept' } }]])(
    'that are none leave what is asked open: %j [M-12]',
    async (inputResponses) => {
      const place = await openPlace()
      const { taskId } = await place.begin('confirm_delete')
      await place.until(taskId, 'input_required')
      await place.call('tasks/update', { taskId, inputResponses })
      expect((await place.get(taskId)).status).toBe('input_required')
    },
  )
})

it('a task whose key was used for another question asks nothing more [M-10]', async () => {
  const place = await openPlace({
    tools: (door) =>
      door.tool('reuses', {}, async (_, task) => {
        await task.input({ key: ask('one', {}) })
        await task.input({ key: ask('another', {}) }).catch(() => undefined)
        await task.input({ later: ask('later', {}) }).catch(() => undefined)
        return text('never')
      }),
  })
  const { taskId } = await place.begin('reuses')
  await place.until(taskId, 'input_required')
  await place.answer(taskId, { key: accepted({}) })
  expect((await place.until(taskId, 'failed')).error?.code).toBe(-32603)
})

describe('a result', () => {
  const loop: Record<string, unknown> = { content: [] }
  loop['loop'] = loop
  it.each<[string, unknown]>([
    ['with a BigInt', { content: [], n: 1n }],
    ['in itself', loop],
    [
      'that throws',
      {
        get content() {
          throw new Error('no')
        },
      },
    ],
    ['that is a list', [1]],
    ['that is text', 'x'],
    ['with a date', { content: [], structuredContent: new Date(0) }],
    ['whose content is text', { content: 'x' }],
    ['whose parts have no type', { content: [{ text: 'x' }] }],
  ])('%s is an error that says so [M-7]', async (_, value) => {
    const place = await openPlace({ tools: (door) => door.tool('odd', {}, () => value as never) })
    const { taskId } = await place.begin('odd')
    const { result } = await place.until(taskId, 'completed')
    expect(result).toMatchObject({ isError: true, content: [{ type: 'text' }] })
  })

  it('without content has none, and is complete whatever it says [M-6]', async () => {
    const returned = { resultType: 'task', structuredContent: { n: 1 } } as never
    const place = await openPlace({ tools: (door) => door.tool('bare', {}, () => returned) })
    const { taskId } = await place.begin('bare')
    expect((await place.until(taskId, 'completed')).result).toEqual({
      content: [],
      structuredContent: { n: 1 },
      resultType: 'complete',
    })
  })
})

describe('the end of work that is done elsewhere', () => {
  it('is not said of work that is done here [M-43]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('slow_compute', { seconds: 60 })
    const refused = { code: 'mcp_task_not_external' }
    await expect(place.door.complete(taskId, text('x'))).rejects.toMatchObject(refused)
    await expect(place.door.fail(taskId, { code: 1, message: 'x' })).rejects.toMatchObject(refused)
    expect((await place.get(taskId)).status).toBe('working')
  })

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['no code', { message: 'x' }],
    ['a code that is no number', { code: 'x', message: 'x' }],
    ['a code that is no whole number', { code: 1.5, message: 'x' }],
    ['data without a form', { code: 1, message: 'x', data: 5n }],
  ])('is no error with %s, and may be a right one afterwards [M-43]', async (_, fault) => {
    const place = await openPlace()
    const { taskId } = await place.begin('external_job')
    await expect(place.door.fail(taskId, fault as never)).rejects.toMatchObject({ code: 'invalid_input' })
    await place.door.fail(taskId, { code: -5, message: 'right' })
    expect((await place.get(taskId)).error).toEqual({ code: -5, message: 'right' })
  })

  it('is one of two large ones, whole, and the other is told so [M-43]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('external_job')
    const said = await Promise.allSettled(
      ['a', 'b'].map((letter) => place.door.complete(taskId, text(letter.repeat(1_500_000)))),
    )
    expect(said.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    const refused = said.find(({ status }) => status === 'rejected')
    expect(refused).toMatchObject({ reason: { code: 'mcp_task_ended' } })
    const [part] = ((await place.get(taskId)).result?.content ?? []) as readonly { readonly text: string }[]
    expect(part?.text.length).toBe(1_500_000)
    expect(new Set(part?.text).size).toBe(1)
  })
})

it.each([[undefined], [{}]])('a runtime that is none (%j) is refused', (runtime) => {
  expect(() => createMcpTasks(runtime as never)).toThrowError(expect.objectContaining({ code: 'invalid_input' }))
})

describe('a schema', () => {
  it.each<[string, object]>([
    ['of arguments that is no object', { inputSchema: z.string() }],
    ['without a form in JSON schema', { outputSchema: z.object({ n: z.number().transform(String) }) }],
    ['of a library that has none', { inputSchema: { '~standard': { version: 1, vendor: 'x', validate: () => ({}) } } }],
  ])('%s is refused, as it would take the list of all tools away', async (_, options) => {
    const runtime = await createRuntime({})
    onTestFinished(() => runtime.close())
    const door = createMcpTasks(runtime)
    onTestFinished(() => door.close())
    expect(() => door.tool('odd', options, () => text('x'))).toThrowError(
      expect.objectContaining({ code: 'invalid_input' }),
    )
  })

  it('of a definition is listed where it can be, and asked once [M-45]', async () => {
    const numbered = defineProcess(
      'numbered',
      {
        disposition: 'rerunnable',
        input: z.object({ n: z.string().transform(Number) }),
        output: z.object({ n: z.number().transform(String) }),
      },
      ({ n }) => ({ n }),
    )
    const worded = defineProcess(
      'worded',
      { disposition: 'rerunnable', input: z.string(), output: z.string() },
      (word) => word,
    )
    const place = await openPlace({
      tools: (door: McpTasks, runtime: Runtime) => {
        runtime.processes.define(numbered)
        runtime.processes.define(worded)
        door.tool(numbered)
        door.tool(worded)
      },
    })
    const { result } = await place.call('tools/list')
    const listed = new Map(
      ((result?.['tools'] ?? []) as readonly { readonly name: string }[]).map((tool) => [tool.name, tool]),
    )
    expect(listed.get('numbered')).toMatchObject({ inputSchema: { properties: { n: { type: 'string' } } } })
    expect(listed.get('worded')).toMatchObject({ inputSchema: { type: 'object' } })
    const { taskId } = await place.begin('numbered', { n: '5' })
    expect((await place.until(taskId, 'completed')).result).toMatchObject({ structuredContent: { n: '5' } })
  })
})

describe('a door that is closed', () => {
  const undeclared: Sent = { declares: false }

  it('ends its streams and lets nobody wait [M-47]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('confirm_delete')
    const stream = await place.listen([taskId])
    await stream.next()
    const waiting = place.call('tools/call', { name: 'slow_compute', arguments: { seconds: 60 } }, undeclared)
    await settle(place)
    place.door.close()
    expect((await waiting).error).toEqual({ code: -32603, message: 'the server is going down' })
    let last: unknown
    for (let next = await stream.next(); next !== undefined; next = await stream.next()) last = next
    expect(last).toMatchObject({ id: 'L', result: { resultType: 'complete' } })
  })

  it('refuses what comes later, and has kept what was on its way [M-40] [M-47]', async () => {
    const place = await openPlace()
    const creating = place.begin('external_job')
    await turn()
    place.door.close()
    const created = await creating.catch(() => undefined)
    for (const [method, params] of [
      ['tools/call', { name: 'external_job', arguments: {} }],
      ['tasks/get', { taskId: unknownId }],
    ] as const)
      expect((await place.call(method, params)).error?.code).toBe(-32603)
    await expect(place.door.get(unknownId)).rejects.toMatchObject({ code: 'mcp_closed' })
    const records = await place.runtime.processes.list({ identityKind: 'mcp' })
    expect(records.map(({ id }) => id)).toEqual(created === undefined ? [] : [created.taskId])
  })
})

it('a call whose host is gone before it begins is ended [M-18]', async () => {
  const place = await openPlace()
  const given = new AbortController()
  const sent: Sent = { declares: false, signal: given.signal }
  const calling = place
    .call('tools/call', { name: 'slow_compute', arguments: { seconds: 60 } }, sent)
    .catch(() => undefined)
  given.abort()
  await calling
  await settle(place)
  for (const { id } of await place.runtime.processes.list({ identityKind: 'mcp', status: 'any' }))
    expect((await place.runtime.processes.store.getTerminal(id)).state).not.toBe('running')
})
