import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createDeferred } from '../../src/base/promises.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { accepted, openPlace, requestOf, type Place } from './support/place.js'
import { ask, defineTools } from './support/tools.js'
import type { McpTasks } from '../../src/mcp/index.js'
import type { DurableTool } from '../../src/mcp/life/tool.js'
import { defineProcess } from '../../src/processes/index.js'

const unknown = 'A'.repeat(32)
const text = (said: string) => ({ content: [{ type: 'text' as const, text: said }] })

function directory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'stateward-mcp-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

describe('a task and its restarts', () => {
  it('keeps handles, questions and ends, and goes on with what it worked on [M-4] [M-8] [M-24] [M-40]', async () => {
    const dataDir = directory()
    const first = await openPlace({ runtime: { dataDir } })
    const [done, asking, working] = [
      await first.begin('slow_compute', { seconds: 0, label: 'D' }),
      await first.begin('confirm_delete', { filename: 'x' }),
      await first.begin('slow_compute', { seconds: 0.2, label: 'W' }),
    ]
    const ended = await first.until(done.taskId, 'completed')
    const asked = await first.until(asking.taskId, 'input_required')
    await first.close()
    const second = await openPlace({ runtime: { dataDir } })
    expect(await second.get(done.taskId)).toEqual(ended)
    expect((await second.get(asking.taskId)).inputRequests).toEqual(asked.inputRequests)
    await second.answer(asking.taskId, { confirm: accepted({ confirm: true }) })
    expect((await second.until(asking.taskId, 'completed')).result?.content).toEqual(text('deleted x').content)
    expect((await second.until(working.taskId, 'completed')).result?.content).toEqual(text('computed W').content)
  })

  it('counts neither waits nor its own closing as attempts, and each loss once [M-41]', async () => {
    const dataDir = directory()
    const tools = (door: McpTasks): void => {
      door.tool('steps', { recovery: { rerun: 1 } }, async (_, task) => {
        const answers = []
        for (const key of ['a', 'b', 'c']) answers.push(await task.input({ [key]: ask(key, {}) }))
        return text(`attempt ${task.attempt}: ${JSON.stringify(answers)}`)
      })
    }
    let place = await openPlace({ runtime: { dataDir }, tools })
    const { taskId } = await place.begin('steps')
    for (const key of ['a', 'b', 'c']) {
      await place.until(taskId, 'input_required')
      await place.close()
      place = await openPlace({ runtime: { dataDir }, tools })
      await place.answer(taskId, { [key]: accepted({ key }) })
      for (;;) {
        const task = await place.get(taskId)
        if (task.status === 'completed' || !Object.hasOwn(task.inputRequests ?? { [key]: 1 }, key)) break
        await place.runtime.flush()
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    }
    expect((await place.until(taskId, 'completed')).result?.content?.[0]).toMatchObject({
      text: expect.stringContaining('"key":"c"') as unknown,
    })
  })

  it('does once what is to be done once [M-42]', async () => {
    const dataDir = directory()
    const counted = { times: 0, isHeld: true }
    const tools = (door: McpTasks): void => {
      door.tool('counts', {}, async (_, task) => {
        const times = await task.once('count', () => (counted.times += 1))
        if (counted.isHeld)
          await new Promise((_resolve, reject) =>
            task.signal.addEventListener('abort', () => reject(task.signal.reason as Error)),
          )
        return text(`counted ${times}`)
      })
    }
    const first = await openPlace({ runtime: { dataDir }, tools })
    const { taskId } = await first.begin('counts')
    while (counted.times === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    await first.runtime.flush()
    await first.close()
    counted.isHeld = false
    const second = await openPlace({ runtime: { dataDir }, tools })
    expect((await second.until(taskId, 'completed')).result?.content).toEqual(text('counted 1').content)
  })
})

describe('questions', () => {
  it('take a part of the answers, the first one of each, and leave others aside [M-12] [M-13]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('multi_input')
    await place.until(taskId, 'input_required')
    await place.answer(taskId, { first: accepted({ name: 'a' }), nobody: accepted({}) })
    expect(Object.keys((await place.get(taskId)).inputRequests ?? {})).toEqual(['second'])
    await place.answer(taskId, { first: accepted({ name: 'LATE' }) })
    await place.answer(taskId, { second: { action: 'decline' } })
    const { result } = await place.until(taskId, 'completed')
    expect(result?.content).toEqual(
      text(JSON.stringify({ first: accepted({ name: 'a' }), second: { action: 'decline' } })).content,
    )
  })

  it('are refused before anything is written when the client cannot be asked [M-11]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('confirm_delete', {}, { capabilities: {} })
    expect((await place.until(taskId, 'completed')).result).toMatchObject({ isError: true })
    const events = await place.runtime.processes.store.eventsAfter(taskId, 0)
    expect(events.map(({ eventType }) => eventType)).not.toContain('mcp.input-requested')
  })

  it('under a key that named another one end the task, whatever its function makes of it [M-10]', async () => {
    const place = await openPlace({
      tools: (door) => {
        door.tool('reuses', {}, async (_, task) => {
          await task.input({ key: ask('one', {}) })
          await task.input({ key: ask('another', {}) }).catch(() => undefined)
          return text('never')
        })
      },
    })
    const { taskId } = await place.begin('reuses')
    await place.until(taskId, 'input_required')
    await place.answer(taskId, { key: accepted({}) })
    const { error } = await place.until(taskId, 'failed')
    expect(error).toMatchObject({ code: -32603, message: 'the key key was used for another question' })
  })

  it('refuse an answer of another shape, with all of its update [M-15]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('multi_input')
    await place.until(taskId, 'input_required')
    const { error } = await place.answer(taskId, { first: accepted({}), second: { action: 'maybe' } })
    expect(error?.code).toBe(-32602)
    expect(Object.keys((await place.get(taskId)).inputRequests ?? {})).toEqual(['first', 'second'])
  })
})

describe('a task of somebody else', () => {
  it('cannot be told from one that never was, in any byte [M-60]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('confirm_delete', {}, { as: 'alice' })
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      const answers = await Promise.all(
        [taskId, unknown, '!', 'x'.repeat(256)].map((id) =>
          place.text(method, { taskId: id, inputResponses: {} }, { as: 'mallory' }),
        ),
      )
      expect(new Set(answers).size).toBe(1)
      expect(JSON.parse(answers[0] ?? '')).toEqual({
        jsonrpc: '2.0',
        id: 1,
        error: { code: -32602, message: 'Unknown task' },
      })
    }
    expect((await place.get(taskId, { as: 'alice' })).taskId).toBe(taskId)
    expect(await place.door.list({ principal: JSON.stringify(['client', 'alice', null, null]) })).toHaveLength(1)
    expect(await place.door.list({ principal: 'mallory' })).toHaveLength(0)
  })

  it('is nobody’s when the principal cannot be told [M-61]', async () => {
    const place = await openPlace({
      principal: () => {
        throw new Error('no principal')
      },
    })
    const { error } = await place.call('tools/call', { name: 'slow_compute', arguments: {} })
    expect(error).toEqual({ code: -32603, message: 'Internal error' })
    expect(await place.door.list()).toEqual([])
  })

  it('is what the service says it is [M-62]', async () => {
    const place = await openPlace({ authorize: (action) => action !== 'cancel' })
    const { taskId } = await place.begin('confirm_delete')
    expect((await place.call('tasks/cancel', { taskId })).error).toEqual({ code: -32602, message: 'Unknown task' })
    expect((await place.get(taskId)).taskId).toBe(taskId)
  })
})

describe('limits', () => {
  it('of live tasks are those of a principal, and of all [M-70]', async () => {
    const place = await openPlace({ limits: { maxLivePerPrincipal: 2, maxLive: 3 } })
    const first = await place.begin('confirm_delete', {}, { as: 'a' })
    await place.begin('confirm_delete', {}, { as: 'a' })
    const refused = await place.call('tools/call', { name: 'confirm_delete', arguments: {} }, { as: 'a' })
    expect(refused.error).toMatchObject({ code: -32603, message: 'too many tasks', data: { retryAfterMs: 20 } })
    await place.begin('confirm_delete', {}, { as: 'b' })
    expect((await place.call('tools/call', { name: 'confirm_delete', arguments: {} }, { as: 'c' })).error?.code).toBe(
      -32603,
    )
    await place.call('tasks/cancel', { taskId: first.taskId }, { as: 'a' })
    while ((await place.get(first.taskId, { as: 'a' })).status !== 'cancelled') await place.runtime.flush()
    await new Promise((resolve) => setImmediate(resolve))
    await place.begin('confirm_delete', {}, { as: 'a' })
  })

  it('of sizes are those of arguments, answers and results [M-71]', async () => {
    const place = await openPlace({
      limits: { maxArgumentBytes: 100, maxAnswerBytes: 100, maxResultBytes: 3_000_000 },
      tools: (door) => {
        defineTools(door)
        door.tool('large', {}, (args) => text('é"'.repeat((args as { readonly n: number }).n)))
      },
    })
    const long = await place.call('tools/call', { name: 'confirm_delete', arguments: { filename: 'x'.repeat(100) } })
    expect(long.error?.code).toBe(-32602)
    const { taskId } = await place.begin('confirm_delete')
    await place.until(taskId, 'input_required')
    expect((await place.answer(taskId, { confirm: accepted({ x: 'x'.repeat(100) }) })).error?.code).toBe(-32602)
    expect((await place.get(taskId)).status).toBe('input_required')
    // Larger than one value of a process may be, and whole all the same.
    const large = await place.begin('large', { n: 500_000 })
    expect((await place.until(large.taskId, 'completed')).result?.content).toEqual(text('é"'.repeat(500_000)).content)
    const tooLarge = await place.begin('large', { n: 1_000_000 })
    expect((await place.until(tooLarge.taskId, 'completed')).result).toMatchObject({ isError: true })
  })

  it('of polling refuse with 429 and the time to wait, after three bursts [M-73]', async () => {
    const clock = new SimulatedClock()
    const place = await openPlace({ runtime: { clock }, limits: { minPollMs: 1500 } })
    const { taskId } = await place.begin('external_job')
    const look = () => place.face(requestOf('tasks/get', { taskId }))
    const statuses: number[] = []
    for (let turn = 0; turn < 4; turn += 1) statuses.push((await look()).status)
    expect(statuses).toEqual([200, 200, 200, 200])
    const refused = await look()
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '2'])
    expect(await refused.json()).toMatchObject({ error: { code: -32603, data: { retryAfterMs: 1500 } } })
    clock.advance(1500)
    expect((await look()).status).toBe(200)
  })

  it('leave a large result as it is, however often it is asked for', async () => {
    const said = 'é"\\$&'.repeat(20_000)
    const place = await openPlace({ tools: (door) => door.tool('large', {}, () => text(said)) })
    const { taskId } = await place.begin('large')
    const [first, second] = [await place.until(taskId, 'completed'), await place.get(taskId)]
    expect(first.result).toEqual({ ...text(said), resultType: 'complete' })
    expect(second).toEqual(first)
    expect(first).toMatchObject(JSON.parse(JSON.stringify(await place.door.get(taskId))) as object)
  })

  it('of what hosts are told keep faults of the program to themselves [M-72]', async () => {
    const place = await openPlace({
      tools: (door) => {
        door.tool('fault', {}, () => (undefined as unknown as { x: () => never }).x())
        door.tool('path', {}, () => {
          throw new Error('cannot read /home/me/secret.txt now')
        })
        door.tool('nothing', {}, () => undefined as never)
      },
    })
    const said = async (name: string) =>
      (await place.until((await place.begin(name)).taskId, 'completed')).result?.content?.[0]
    expect(await said('fault')).toEqual({ type: 'text', text: 'the tool failed' })
    expect(await said('path')).toEqual({ type: 'text', text: 'cannot read [path] now' })
    expect(await said('nothing')).toEqual({ type: 'text', text: 'nothing returned no result' })
  })
})

/** Its wall is set back, as by somebody who corrects it. */
class ClockThatGoesBack extends SimulatedClock {
  behindMs = 0

  override wallNow(): number {
    return super.wallNow() - this.behindMs
  }
}

/** A place whose time stands still unless it is moved. */
async function simulated(
  options: Parameters<typeof openPlace>[0] = {},
): Promise<{ place: Place; clock: SimulatedClock }> {
  const clock = new SimulatedClock()
  const place = await openPlace({ ...options, runtime: { clock, ...options.runtime } })
  return { place, clock }
}

const settle = async (place: Place): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) {
    await place.runtime.flush()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('the time of a handle', () => {
  it('is readable to its end, and nothing is left of the task after it [M-24] [M-25] [M-27]', async () => {
    const { place, clock } = await simulated({ ttlMs: 10_000 })
    const { taskId } = await place.begin('slow_compute', { seconds: 0 })
    await place.until(taskId, 'completed')
    clock.advance(9_999)
    expect((await place.get(taskId)).status).toBe('completed')
    clock.advance(1)
    expect(await place.text('tasks/get', { taskId })).toBe(await place.text('tasks/get', { taskId: unknown }))
    await settle(place)
    clock.advance(100)
    await settle(place)
    expect(await place.runtime.processes.store.getTerminal(taskId)).toEqual({ state: 'unknown' })
    expect(await place.door.list()).toEqual([])
  })

  it('ends the work when it is over, or lets it go on unseen [M-25]', async () => {
    for (const ttlAction of ['cancel', 'detach'] as const) {
      const { place, clock } = await simulated({ ttlMs: 10_000, ttlAction })
      const { taskId } = await place.begin('slow_compute', { seconds: 60 })
      await settle(place)
      clock.advance(10_000)
      await settle(place)
      const record = await place.runtime.processes.store.getProcess(taskId)
      expect(record?.cancelRequested).toBe(ttlAction === 'cancel' ? true : undefined)
    }
  })

  it('does not run out while somebody is asked [M-26]', async () => {
    const { place, clock } = await simulated({ ttlMs: 10_000, inputGraceMs: 60_000 })
    const { taskId } = await place.begin('confirm_delete', { filename: 'q' })
    expect((await place.until(taskId, 'input_required')).ttlMs).toBeGreaterThanOrEqual(60_000)
    for (let step = 0; step < 60; step += 1) {
      clock.advance(5000)
      await settle(place)
    }
    const later = await place.get(taskId)
    expect(later.status).toBe('input_required')
    expect(later.ttlMs).toBeGreaterThanOrEqual(360_000)
    await place.answer(taskId, { confirm: accepted({}) })
    expect((await place.until(taskId, 'completed')).ttlMs).toBeGreaterThanOrEqual(360_000)
  })

  it('never goes back by a clock that does [M-5]', async () => {
    const clock = new ClockThatGoesBack()
    const { place } = await simulated({ runtime: { clock } })
    const { taskId, createdAt } = await place.begin('confirm_delete', { filename: 'q' })
    clock.advance(5000)
    clock.behindMs = 4000
    const asked = await place.until(taskId, 'input_required')
    clock.behindMs = 3_600_000
    await place.answer(taskId, { confirm: accepted({}) })
    const done = await place.until(taskId, 'completed')
    const times = [createdAt, asked.lastUpdatedAt, done.lastUpdatedAt]
    expect(times).toEqual(times.toSorted())
    expect(done.createdAt).toBe(createdAt)
  })
})

describe('a call without tasks', () => {
  it('is awaited and answered with the result [M-18]', async () => {
    const place = await openPlace()
    const { result } = await place.call(
      'tools/call',
      { name: 'slow_compute', arguments: { seconds: 0, label: 'I' } },
      { declares: false },
    )
    expect(result).toMatchObject({ resultType: 'complete', content: [{ type: 'text', text: 'computed I' }] })
    const asking = await place.call('tools/call', { name: 'confirm_delete', arguments: {} }, { declares: false })
    expect({ status: asking.status, code: asking.error?.code }).toEqual({ status: 400, code: -32021 })
  })

  it('ends its work when its request is aborted [M-18]', async () => {
    const place = await openPlace()
    const given = new AbortController()
    const pending = place
      .call(
        'tools/call',
        { name: 'slow_compute', arguments: { seconds: 60 } },
        { declares: false, signal: given.signal },
      )
      .catch(() => undefined)
    let ids: readonly string[] = []
    while (ids.length === 0) {
      await settle(place)
      ids = (await place.runtime.processes.list({ identityKind: 'mcp' })).map(({ id }) => id)
    }
    given.abort()
    await pending
    await settle(place)
    const [id = ''] = ids
    expect((await place.runtime.processes.store.getTerminal(id)).state).not.toBe('running')
  })

  it('of the older line is answered so as well, a question with an error [M-22]', async () => {
    const place = await openPlace()
    const legacy = async (name: string, args: object): Promise<Record<string, unknown>> => {
      const response = await place.face(
        new Request('http://127.0.0.1/mcp', {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
            'mcp-protocol-version': '2025-11-25',
          },
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } }),
        }),
      )
      const body = await response.text()
      const data = body.split('\n').find((line) => line.startsWith('data: '))
      return (JSON.parse(data === undefined ? body : data.slice(6)) as { result: Record<string, unknown> }).result
    }
    expect(await legacy('slow_compute', { seconds: 0, label: 'L' })).toEqual({
      content: [{ type: 'text', text: 'computed L' }],
    })
    expect(await legacy('confirm_delete', { filename: 'x' })).toMatchObject({ isError: true })
  })
})

describe('a call', () => {
  it('is the same task under the same key while that lives [M-21]', async () => {
    const place = await openPlace({
      tools: (door) => {
        door.tool('keyed', { dedupe: (args) => (args as { key?: string }).key }, async (_, task) => {
          await task.input({ go: ask('go', {}) })
          return text('gone')
        })
      },
    })
    const both = await Promise.all([place.begin('keyed', { key: 'k' }), place.begin('keyed', { key: 'k' })])
    expect(both[0].taskId).toBe(both[1].taskId)
    expect((await place.begin('keyed', { key: 'k' }, { as: 'other' })).taskId).not.toBe(both[0].taskId)
    expect((await place.begin('keyed', {})).taskId).not.toBe(both[0].taskId)
    await place.until(both[0].taskId, 'input_required')
    await place.answer(both[0].taskId, { go: accepted({}) })
    await place.until(both[0].taskId, 'completed')
    expect((await place.begin('keyed', { key: 'k' })).taskId).not.toBe(both[0].taskId)
  })

  it('of work that is done elsewhere ends when somebody says so [M-43]', async () => {
    const place = await openPlace()
    const [done, failed, cancelled] = [
      await place.begin('external_job'),
      await place.begin('external_job'),
      await place.begin('external_job'),
    ]
    await place.door.complete(done.taskId, text('by webhook'))
    await place.door.fail(failed.taskId, { code: -32000, message: 'no' })
    await place.call('tasks/cancel', { taskId: cancelled.taskId })
    expect((await place.get(done.taskId)).result?.content).toEqual(text('by webhook').content)
    expect((await place.get(failed.taskId)).error).toEqual({ code: -32000, message: 'no' })
    expect((await place.get(cancelled.taskId)).status).toBe('cancelled')
    await expect(place.door.complete(done.taskId, text('again'))).rejects.toMatchObject({ code: 'mcp_task_ended' })
  })

  it('hands its arguments to the tool as the host or the schema has made them [M-900]', async () => {
    const toBytes = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate: ({ text: given }: { text: string }) => ({ value: { bytes: new TextEncoder().encode(given) } }),
        jsonSchema: { input: () => ({ type: 'object' }), output: () => ({ type: 'object' }) },
      },
    }
    const place = await openPlace({
      tools: (door, runtime) => {
        door.tool('echo', {}, (args) => text(JSON.stringify(args)))
        door.tool('bytes', { inputSchema: toBytes as never }, (args: unknown) =>
          text(new TextDecoder().decode((args as { readonly bytes: Uint8Array }).bytes)),
        )
        const defined = defineProcess('defined', { disposition: 'rerunnable' }, (args: unknown) => JSON.stringify(args))
        runtime.processes.define(defined)
        door.tool(defined)
      },
    })
    const saidBy = async (name: string, args: Readonly<Record<string, unknown>>): Promise<unknown> =>
      (await place.until((await place.begin(name, args)).taskId, 'completed')).result?.content
    for (const args of [{ $bytes: 'aGk=' }, { in: { $plain: { $bytes: 'aGk=' } } }]) {
      expect(await saidBy('echo', args)).toEqual(text(JSON.stringify(args)).content)
      expect(await saidBy('defined', args)).toEqual(text(JSON.stringify(args)).content)
    }
    expect(await saidBy('bytes', { text: 'hi' })).toEqual(text('hi').content)
  })

  it('says which of its arguments JSON cannot hold [M-901]', async () => {
    const place = await openPlace({
      tools: (door) => door.tool('late', { before: () => ({ args: { at: new Date(0) } }) }, () => text('never')),
    })
    const { error } = await place.call('tools/call', { name: 'late', arguments: {} })
    expect(error?.code).toBe(-32602)
    expect(error?.message).toMatch(/^Invalid arguments for tool late: at: an instance of Date has no form in JSON/)
  })
})

describe('the cancel of work that is done elsewhere', () => {
  const externalTool = (work: Partial<DurableTool>): DurableTool => ({
    name: 'elsewhere',
    taskSupport: 'optional',
    recovery: 'external',
    ttlMs: null,
    pollIntervalMs: 20,
    run: () => undefined,
    ...work,
  })

  it('cancels the task, also if the work ends before its cancel is over [M-902]', async () => {
    const ended = createDeferred<never>()
    const place = await openPlace()
    const { life } = place.door.parts
    const tool = externalTool({
      begin: () => ended.promise,
      cancel: async () => {
        ended.reject(new Error('the work was cancelled'))
        // Whatever is made of that is written first.
        for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      },
    })
    life.define(tool)
    const state = await life.create({ tool, args: {}, caller: { principal: 'anonymous' }, questions: [] })
    await life.cancel(state)
    expect((await life.read(state.taskId))?.place.value).toBe('cancelled')
  })

  it('is taken up again when the server was lost in the middle of it [M-902]', async () => {
    const dataDir = directory()
    const first = await openPlace({ runtime: { dataDir } })
    const stuck = externalTool({ begin: () => new Promise(() => {}), cancel: () => new Promise(() => {}) })
    const { life } = first.door.parts
    life.define(stuck)
    const state = await life.create({ tool: stuck, args: {}, caller: { principal: 'anonymous' }, questions: [] })
    void life.cancel(state)
    while ((await first.runtime.processes.store.getProcess(state.taskId))?.cancelRequested !== true)
      await first.runtime.flush()
    await first.close()
    const cancelled: string[] = []
    const second = await openPlace({
      runtime: { dataDir },
      tools: (door) =>
        door.parts.life.define(
          externalTool({ begin: () => new Promise(() => {}), cancel: async (taskId) => void cancelled.push(taskId) }),
        ),
    })
    expect((await second.get(state.taskId)).status).toBe('cancelled')
    expect(cancelled).toEqual([state.taskId])
  })
})

it('a journal that refuses changes nothing: what is committed is told, what is new is refused [M-40]', async () => {
  const store = createMemoryJournal()
  const place = await openPlace({ runtime: { store }, limits: { maxLive: 4 } })
  const asking = await place.begin('confirm_delete')
  const done = await place.begin('slow_compute', { seconds: 0, label: 'D' })
  const ended = await place.until(done.taskId, 'completed')
  await place.until(asking.taskId, 'input_required')
  await place.runtime.flush()
  store.failNext('sync')
  const call = { name: 'external_job', arguments: {} }
  // More often than there is room for: what was refused holds no place.
  for (let time = 0; time < 6; time += 1)
    expect((await place.call('tools/call', call)).error).toEqual({ code: -32603, message: 'Internal error' })
  const refused = { code: -32603, message: 'Internal error' }
  expect((await place.answer(asking.taskId, { confirm: accepted({}) })).error).toEqual(refused)
  expect((await place.call('tasks/cancel', { taskId: asking.taskId })).error).toEqual(refused)
  expect((await place.get(asking.taskId)).status).toBe('input_required')
  expect(await place.get(done.taskId)).toEqual(ended)
  expect((await place.call('tasks/cancel', { taskId: done.taskId })).result?.resultType).toBe('complete')
  await place.runtime.reopen()
  expect((await place.begin('external_job')).status).toBe('working')
  await place.answer(asking.taskId, { confirm: accepted({}) })
  expect((await place.until(asking.taskId, 'completed')).result?.content).toEqual(text('deleted undefined').content)
})
