import { createRuntime, type Runtime, type RuntimeOptions } from 'stateward'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { HelloMessage } from '../../../src/inspect/stream/protocol.js'
import { ask, Following, view } from '../support/inspector-client.js'

const tool = 'background_tool_op'

async function openRuntime(options: RuntimeOptions = {}): Promise<{ runtime: Runtime; url: URL }> {
  const runtime = await createRuntime({ inspect: true, ...options })
  onTestFinished(() => runtime.close({ policy: 'terminate' }))
  return { runtime, url: new URL(runtime.inspectorUrl ?? '') }
}

describe('the inspector of a runtime', () => {
  it('says hello, then tells what happens, in numbers without gaps', async () => {
    const { runtime, url } = await openRuntime()
    await using following = new Following(url)
    await following.until(({ messages }) => messages.length > 0)
    expect(following.messages[0]).toMatchObject({
      type: 'hello',
      protocol: 1,
      source: { type: 'runtime', name: 'runtime', isLive: true },
      actions: [],
      showsValues: false,
    } satisfies Partial<HelloMessage>)
    const session = runtime.session('agent')
    await session.run({ kind: tool, displayName: 'compile' }, () => 'secret result').outcome
    await following.until(({ entries }) => entries.some(({ type }) => type === 'end'))
    await following.until(({ entries }) =>
      entries.some((entry) => entry.type === 'row' && entry.row.phase === 'completed'),
    )
    const { entries } = following
    expect(entries.map(({ n }) => n)).toEqual(entries.map((_, index) => index + 1))
    const compile = entries.find((entry) => entry.type === 'actor' && entry.name === 'compile')
    expect(compile).toMatchObject({ machine: 'operation', item: { type: 'operation', session: 'agent' } })
    const story = entries.flatMap((entry) =>
      entry.type === 'transition' && compile?.type === 'actor' && entry.actor === compile.actor
        ? [`${entry.event.type} ${entry.states.join()}`]
        : [],
    )
    expect(story).toEqual(['start operation.running', 'complete operation.completed'])
    expect(JSON.stringify(following.messages)).not.toContain('secret result')
  })

  it('shows the list with what was there before anybody looked', async () => {
    const { runtime, url } = await openRuntime()
    const session = runtime.session('agent')
    for (const number of [1, 2, 3])
      await session.run({ kind: tool, displayName: `work ${number}` }, () => number).outcome
    session.run({ kind: tool, displayName: 'goes on' }, () => new Promise(() => {}))
    await runtime.tasks.submit('report', { topic: 'cranes' })
    await using following = new Following(url)
    await following.until(({ entries }) => entries.filter(({ type }) => type === 'row').length >= 5)
    const list = await view(url, { view: 'list', order: 'name' })
    expect(list.rows.map(({ name, phase }) => `${name} ${phase}`)).toEqual([
      'goes on running',
      'report waiting',
      'work 1 completed',
      'work 2 completed',
      'work 3 completed',
    ])
    expect((await view(url, { view: 'list', text: 'GOES agent' })).rows.map(({ name }) => name)).toEqual(['goes on'])
    const machine = await view(url, { view: 'machine', machine: 'operation' })
    expect(machine.occupancy).toEqual({ 'operation.running': 1 })
    expect(machine.machine?.states.map(({ id }) => id)).toContain('operation.retiring')
  })

  it('goes on where a viewer that comes back was, and tells what it has missed', async () => {
    const { runtime, url } = await openRuntime({ inspect: { capacity: 20 } })
    const session = runtime.session('agent')
    let id: string
    {
      await using following = new Following(url)
      await following.until(({ messages }) => messages.length > 0)
      await session.run({ kind: tool, displayName: 'first' }, () => 1).outcome
      await following.until(({ entries }) =>
        entries.some((entry) => entry.type === 'row' && entry.row.phase === 'completed'),
      )
      id = following.lastId
    }
    const seen = Number(id.split('@')[0])
    await session.run({ kind: tool, displayName: 'second' }, () => 2).outcome
    {
      await using back = new Following(url, id)
      await back.until(({ entries }) => entries.some((entry) => entry.type === 'row' && entry.row.name === 'second'))
      expect(back.entries[0]?.n).toBe(seen + 1)
      expect(back.entries.some(({ type }) => type === 'gap')).toBe(false)
    }
    for (let number = 0; number < 20; number += 1)
      await session.run({ kind: tool, displayName: `${number}` }, () => 1).outcome
    await using late = new Following(url, id)
    await late.until(({ entries }) => entries.length > 0)
    const [gap, next] = late.entries
    expect(gap).toMatchObject({ type: 'gap', from: seen + 1, reason: 'evicted' })
    expect(next?.n).toBe((gap?.n ?? 0) + 1)
  })

  it('shows contents only when it is told to, and never secrets', async () => {
    const { runtime, url } = await openRuntime({ inspect: { values: true } })
    await using following = new Following(url)
    await following.until(({ messages }) => messages.length > 0)
    const session = runtime.session('agent')
    await session.run({ kind: tool, displayName: 'compile' }, () => 'the answer, password=hunter2').outcome
    await following.until(({ entries }) => entries.some(({ type }) => type === 'end'))
    const text = JSON.stringify(following.entries)
    expect(text).toContain('the answer')
    expect(text).not.toContain('hunter2')
  })

  it('lets its viewers go when the runtime closes', async () => {
    const { runtime, url } = await openRuntime()
    await using following = new Following(url)
    await following.until(({ messages }) => messages.length > 0)
    await runtime.close()
    await following.until(({ messages }) => messages.at(-1)?.type === 'bye')
    await expect(fetch(url)).rejects.toThrow('fetch failed')
  })

  it('answers every view that it says it has', async () => {
    const { runtime, url } = await openRuntime()
    const task = await runtime.tasks.submit('report', { topic: 'cranes' }, { key: 'cranes' })
    const idle = runtime.processes.define('idle', { disposition: 'rerunnable' }, () => 1)
    await runtime.processes.start(idle, undefined)
    const { views } = await hello(url)
    expect(views).not.toContain('node')
    const item = { type: 'task', id: task.id } as const
    const requests = { item: { item }, history: { item }, machine: { machine: 'run' }, feed: { feed: 'tasks' } }
    for (const name of views) {
      const more = requests[name as keyof typeof requests] ?? {}
      expect(await view(url, { view: name, ...more } as never)).toMatchObject({ view: name })
    }
    const shown = await view(url, { view: 'item', item })
    expect(shown).toMatchObject({
      row: { name: 'cranes', phase: 'waiting' },
      actions: ['cancel'],
      chart: { machine: 'run' },
    })
    const history = await view(url, { view: 'history', item })
    expect(history.rows.map(({ name }) => name)).toEqual(['task_created', 'run_created'])
  })
})

it('counts as started what starts while somebody looks, and not what was there', async () => {
  const { runtime, url } = await openRuntime()
  const session = runtime.session('agent')
  for (const number of [1, 2, 3]) await session.run({ kind: tool, displayName: `${number}` }, () => 1).outcome
  await using following = new Following(url)
  await following.until(({ entries }) => entries.filter(({ type }) => type === 'row').length === 3)
  await session.run({ kind: tool, displayName: '4' }, () => 1).outcome
  const samples = () => following.messages.flatMap((message) => (message.type === 'sample' ? [message.sample] : []))
  await following.until(() => samples().some(({ ended }) => ended > 0))
  expect(samples().reduce((sum, { started }) => sum + started, 0)).toBe(1)
  expect(samples().reduce((sum, { ended }) => sum + ended, 0)).toBe(1)
})

it('shows how full the slots are', async () => {
  const { runtime, url } = await openRuntime({ tasks: { concurrency: 3 } })
  const forever = (): Promise<never> => new Promise(() => {})
  const session = runtime.session('agent', { maxConcurrent: 1, whenFull: 'queue' })
  session.run({ kind: tool, displayName: 'one' }, forever)
  session.run({ kind: tool, displayName: 'two' }, forever)
  runtime.tasks.handle('report', forever)
  await runtime.tasks.start()
  await session.flush()
  expect((await view(url, { view: 'overview' })).slots).toEqual([
    { name: 'tasks', limit: 3, taken: 0, waiting: 0 },
    { name: 'session agent', limit: 1, taken: 1, waiting: 1 },
  ])
})

it('records what was there before anybody looked', async () => {
  const { runtime, url } = await openRuntime()
  const session = runtime.session('agent')
  for (let number = 1; number <= 250; number += 1) await session.run(`work ${number}`, () => number).outcome
  const text = await (await fetch(new URL('recording', url))).text()
  const lines = text.trimEnd().split('\n')
  expect(lines.filter((line) => line.startsWith('{"type":"row"'))).toHaveLength(250)
})

it('shows the node of a runtime that has one', async () => {
  const { url } = await openRuntime({ node: { thisNode: '00000000000000a1' as never } })
  expect((await hello(url)).views).toContain('node')
  expect(await view(url, { view: 'node' })).toMatchObject({
    name: '00000000000000a1',
    daemons: [],
    maintenance: [{ name: 'maintenance', status: 'active' }],
    audit: [],
  })
})

async function hello(url: URL): Promise<HelloMessage> {
  await using following = new Following(url)
  await following.until(({ messages }) => messages.length > 0)
  return following.messages[0] as HelloMessage
}

describe('actions', () => {
  const post = (url: URL, body: object) =>
    ask(new URL('action', url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

  it('are refused when it is read-only, and nothing happens', async () => {
    const { runtime, url } = await openRuntime()
    const handle = runtime.session('agent').run({ kind: tool, displayName: 'goes on' }, () => new Promise(() => {}))
    const item = { type: 'operation', id: handle.id, session: 'agent' }
    for (const body of [{ action: 'cancel', item }, { action: 'terminate', item }, { action: 'pause' }]) {
      const { status, text } = await post(url, body)
      expect([status, JSON.parse(text).code]).toEqual([403, 'inspector_read_only'])
    }
    expect(handle.isSettled).toBe(false)
    expect(runtime.tasks.projection.engine.paused).toBe(false)
  })

  it('go through the ordinary doors when they are turned on', async () => {
    const { runtime, url } = await openRuntime({ inspect: { actions: true } })
    const session = runtime.session('agent')
    const forever = (): Promise<never> => new Promise(() => {})
    const one = session.run({ kind: tool, displayName: 'one' }, forever)
    const other = session.run({ kind: tool, displayName: 'other' }, forever)
    await session.flush()
    const itemOf = (id: string) => ({ type: 'operation', id, session: 'agent' })
    expect((await post(url, { action: 'cancel', item: itemOf(one.id), reason: 'enough' })).status).toBe(200)
    expect(await one.outcome).toEqual({ type: 'cancelled', reason: 'enough' })
    expect((await post(url, { action: 'terminate', item: itemOf(other.id) })).status).toBe(200)
    expect(await other.outcome).toEqual({ type: 'terminated', reason: 'asked for in the inspector' })
    expect((await post(url, { action: 'terminate', item: itemOf(other.id) })).status).toBe(409)
    expect((await post(url, { action: 'pause' })).status).toBe(200)
    expect(runtime.tasks.projection.engine.paused).toBe(true)
    expect((await post(url, { action: 'resume' })).status).toBe(200)
    const failing = await runtime.tasks.submit('fails')
    runtime.tasks.handle('fails', () => {
      throw new Error('no')
    })
    await runtime.tasks.outcome(failing.id)
    const retried = await post(url, { action: 'retry', item: { type: 'task', id: failing.id } })
    const { item } = JSON.parse(retried.text)
    expect(runtime.tasks.projection.task(item.id)?.spec.retryOf).toBe(failing.id)
  })

  it('answer the question of a task', async () => {
    const { runtime, url } = await openRuntime({ inspect: { actions: true } })
    await using following = new Following(url)
    await following.until(({ messages }) => messages.length > 0)
    runtime.tasks.handle('ask', ({ waitFor }) => waitFor('approval', undefined, { whom: 'the editor' }))
    const task = await runtime.tasks.submit('ask')
    await following.until(({ entries }) =>
      entries.some((entry) => entry.type === 'fact' && entry.name === 'wait_begun'),
    )
    const { questions } = await view(url, { view: 'waits' })
    expect(questions.rows).toMatchObject([{ name: 'approval', whom: 'the editor', task: { id: task.id } }])
    expect(
      (await post(url, { action: 'answer', item: { type: 'task', id: task.id }, name: 'approval', value: 'yes' }))
        .status,
    ).toBe(200)
    expect(await task.result()).toBe('yes')
  })
})
