import { HttpNotes } from '../../src/mcp/sdk/http-notes.js'
import { SerializedResults } from '../../src/mcp/wire/serialized-results.js'
import { describe, expect, it } from 'vitest'
import { defineProcess } from '../../src/index.js'
import { defineTask } from '../../src/tasks/public.js'
import { ListenStream } from '../../src/mcp/sdk/listen.js'
import { Quota, defaultLimits } from '../../src/mcp/life/limits.js'
import { declaresTasks } from '../../src/mcp/wire/capability.js'
import { DeadlineQueue } from '../../src/base/deadline-queue.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { accepted, extension, openPlace } from './support/place.js'

describe('the capability', () => {
  it.each([
    [{ extensions: { [extension]: {} } }, true],
    [{ extensions: { [extension]: { any: 1 } } }, true],
    [{ extensions: { [extension]: null } }, false],
    [{ extensions: { [extension]: true } }, false],
    [{ extensions: [] }, false],
    [{ tasks: {} }, false],
    [undefined, false],
  ])('of %j is declared: %s [M-1]', (capabilities, isDeclared) => {
    expect(declaresTasks(capabilities)).toBe(isDeclared)
  })

  it('is advertised as an empty object, on the modern line alone [M-3]', async () => {
    const place = await openPlace()
    const { result } = await place.call('server/discover')
    expect((result as { capabilities: { extensions: object; tasks?: object } }).capabilities).toMatchObject({
      extensions: { [extension]: {} },
    })
    expect(JSON.stringify(result)).toContain(`"${extension}":{}`)
    for (const method of ['tasks/list', 'tasks/result']) {
      expect(await place.call(method, { taskId: 'x' })).toMatchObject({ status: 404, error: { code: -32601 } })
    }
  })
})

describe('a result', () => {
  it('says that it is complete, also one with a schema [M-6]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('structured')
    const { result } = await place.until(taskId, 'completed')
    expect(result).toEqual({
      resultType: 'complete',
      content: [{ type: 'text', text: '{"n":1}' }],
      structuredContent: { n: 1 },
    })
  })

  it('and every other word is the same wherever it is asked for [M-9]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('multi_input')
    const asked = await place.until(taskId, 'input_required')
    const withoutMeta = ({ resultType: _, _meta, ...task }: Record<string, unknown>) => task
    expect(await place.door.get(taskId)).toEqual(withoutMeta(asked as never))
    await place.answer(taskId, { first: accepted({}), second: accepted({}) })
    const done = await place.until(taskId, 'completed')
    expect(await place.door.get(taskId)).toEqual(withoutMeta(done as never))
    expect(await place.door.list()).toEqual([withoutMeta(done as never)])
  })
})

describe('a reader who is slow', () => {
  it('gets the latest state of each task, and holds nothing up [M-33]', async () => {
    const place = await openPlace({ limits: { maxQueuedNotifications: 4 } })
    const clock = new SimulatedClock()
    const { taskId } = await place.begin('multi_input')
    await place.until(taskId, 'input_required')
    const { life } = place.door.parts
    const state = await life.read(taskId)
    if (state === undefined) throw new Error('not there')
    const streams = new Quota({ limit: 'streams', most: 1 })
    streams.take('p', 0)
    using stream = new ListenStream(
      {
        life,
        logger: { debug() {}, info() {}, warn() {}, error() {} },
        principal: () => 'p',
        authorize: undefined,
        notes: new HttpNotes(new SerializedResults()),
        companionTools: false,
      },
      { clock, deadlines: new DeadlineQueue(clock), limits: { ...defaultLimits, maxQueuedNotifications: 2 }, streams },
      'S',
      [state],
      {},
      undefined,
      () => streams.release('p'),
    )
    await place.answer(taskId, { first: accepted({}) })
    await place.answer(taskId, { second: accepted({}) })
    await place.until(taskId, 'completed')
    await new Promise((resolve) => setImmediate(resolve))
    const methods: unknown[] = []
    for (let next = await stream.next(); next !== undefined; next = await stream.next())
      methods.push([next['method'], (next['params'] as { status?: string } | undefined)?.status])
    expect(methods).toEqual([
      ['notifications/subscriptions/acknowledged', undefined],
      ['notifications/tasks', 'completed'],
      [undefined, undefined],
    ])
    expect(() => streams.take('p', 0)).not.toThrow()
  })
})

describe('a definition', () => {
  it('of a process or a task is a tool, with its result as data [M-45]', async () => {
    const double = defineProcess('double', { disposition: 'rerunnable' }, ({ n }: { n: number }) => ({
      doubled: 2 * n,
    }))
    const triple = defineTask('triple', {}, ({ n }: { n: number }) => ({ tripled: 3 * n }))
    const place = await openPlace({
      tools: (door, runtime) => {
        runtime.processes.define(double)
        runtime.tasks.handle(triple)
        void runtime.tasks.start()
        door.tool(double, { description: 'doubles' })
        door.tool(triple, { name: 'three_times' })
      },
    })
    const [one, other] = [await place.begin('double', { n: 4 }), await place.begin('three_times', { n: 4 })]
    expect((await place.until(one.taskId, 'completed')).result).toEqual({
      resultType: 'complete',
      content: [{ type: 'text', text: '{"doubled":8}' }],
      structuredContent: { doubled: 8 },
    })
    expect((await place.until(other.taskId, 'completed')).result).toMatchObject({ structuredContent: { tripled: 12 } })
  })

  it('hands a cancel on to its work [M-45]', async () => {
    const waits = defineProcess('waits', { disposition: 'rerunnable', signals: {} }, (_: unknown, { sleep }) =>
      sleep(60_000),
    )
    const place = await openPlace({
      tools: (door, runtime) => {
        runtime.processes.define(waits)
        door.tool(waits)
      },
    })
    const { taskId } = await place.begin('waits')
    while ((await place.runtime.processes.store.getProcess(`mcp:${taskId}`)) === undefined) await place.runtime.flush()
    await place.call('tasks/cancel', { taskId })
    expect((await place.get(taskId)).status).toBe('cancelled')
    await place.runtime.processes.get(undefined, `mcp:${taskId}`).outcome()
    expect(await place.runtime.processes.store.getTerminal(`mcp:${taskId}`)).toMatchObject({ status: 'cancelled' })
  })
})
