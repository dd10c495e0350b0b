import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { AnyActorRef } from 'xstate'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { createRuntime, type Runtime } from '../../src/runtime.js'
import type { RuntimeOptions } from '../../src/runtime-options.js'
import { terminalRunStates, type TaskId } from '../../src/tasks/index.js'

async function open(options: RuntimeOptions = {}): Promise<Runtime> {
  const runtime = await createRuntime(options)
  onTestFinished(() => runtime.close({ policy: 'terminate' }).catch(() => {}))
  return runtime
}

const backoff = { type: 'fixed', delayMs: 0 } as const

describe('[T-178] attempts as jobs', () => {
  it('each attempt is listed while it runs, with its task and how far it is', async () => {
    const runtime = await open({ tasks: { backoff } })
    const seen: unknown[] = []
    runtime.tasks.handle('index', ({ progress, attemptId, attemptNumber }) => {
      progress('reading', 0.5)
      seen.push(runtime.jobs.list().map((job) => ({ ...job, isThis: job.id === attemptId, startedAtMs: 0 })))
      if (attemptNumber === 1) throw new Error('locked')
      return 'ok'
    })
    const id = await runtime.tasks.submit({
      kind: 'index',
      constraints: { maxAttempts: 2 },
      metadata: { description: 'index the docs' },
    })
    expect(await runtime.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    const listed = {
      id: expect.any(String),
      isThis: true,
      room: 'tasks',
      kind: 'index',
      displayName: 'index the docs',
      owner: id,
      state: 'working',
      progress: { message: 'reading', fraction: 0.5 },
      startedAtMs: 0,
    }
    expect(seen).toEqual([[listed], [listed]])
    expect([runtime.jobs.size, [...runtime.sessions()]]).toEqual([0, []])
  })

  it('a progress that is no fraction is refused', async () => {
    const runtime = await open()
    runtime.tasks.handle('work', ({ progress }) => progress('halfway', 50))
    const outcome = await runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work' }))
    expect(outcome).toMatchObject({ status: 'failed', reason: 'threw', cause: { code: 'invalid_input' } })
  })

  it('a handler that ignores its signal is listed as left behind until it ends', async () => {
    const runtime = await open()
    let end: () => void = () => {}
    runtime.tasks.handle('stuck', () => new Promise<void>((resolve) => (end = resolve)))
    const id = await runtime.tasks.submit({ kind: 'stuck' })
    const states = () => runtime.jobs.list().map(({ state }) => state)
    await expect.poll(states).toEqual(['working'])
    await runtime.tasks.cancel(id)
    await expect.poll(states).toEqual(['left_behind'])
    end()
    await expect.poll(states).toEqual([])
  })

  it('an attempt is written to the journal in the room of tasks and nowhere else', async () => {
    const store = createMemoryJournal()
    const runtime = await open({ store })
    runtime.tasks.handle('work', () => {})
    await runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work' }))
    await runtime.close()
    const { journal, recovery } = await store.open()
    const streams = new Set([...recovery.records].map(({ record }) => (record as readonly unknown[])[0]))
    await journal.close()
    expect([...streams]).toEqual(['tasks'])
  })

  it('an attempt has an actor that an inspector sees, and an inspector that throws harms none', async () => {
    const actors = new Set<string>()
    const runtime = await open({
      inspect: (event) => {
        if (event.type === '@xstate.actor') actors.add((event.actorRef as AnyActorRef).id)
        throw new Error('the inspector is broken')
      },
    })
    let attempt = ''
    runtime.tasks.handle('work', ({ attemptId }) => {
      attempt = attemptId
    })
    const outcome = await runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work' }))
    expect([outcome.status, actors.has(`job ${attempt}`)]).toEqual(['completed', true])
  })

  it('a session called like tasks is a session like any other, whatever its name', async () => {
    const store = createMemoryJournal()
    const names = ['tasks', '(attempts of tasks)']
    const before = await open({ store })
    for (const name of names) {
      await before.session(name).run({ kind: 'background_tool_op', displayName: 'x' }, () => 'kept').outcome
    }
    await before.close()
    const runtime = await open({ store })
    const statuses = names.map((name) =>
      runtime
        .session(name)
        .operations.listOperations()
        .map(({ status }) => status),
    )
    expect(statuses).toEqual([['completed'], ['completed']])
  })
})

describe('tasks over a journal', () => {
  it('tasks, sessions and a snapshot share one directory and come back', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'stateward-runtime-tasks-'))
    onTestFinished(() => rm(dataDir, { recursive: true }))
    const before = await open({ dataDir })
    before.tasks.handle('work', () => 'ok')
    const done = await before.tasks.submit({ kind: 'work' })
    const waiting = await before.tasks.submit({ kind: 'other' })
    await before.session('s').run({ kind: 'background_tool_op', displayName: 'x' }, () => 'y').outcome
    await before.tasks.outcome(done)
    await before.compact()
    await before.close()
    const runtime = await open({ dataDir })
    expect(await runtime.tasks.outcome(done)).toMatchObject({ status: 'completed' })
    runtime.tasks.handle('other', ({ runId }) => runId)
    expect(await runtime.tasks.outcome(waiting)).toMatchObject({ status: 'completed' })
    expect(runtime.session('s').feed.since(0).entries).toHaveLength(1)
  })

  it('closing lets attempts end before sessions are closed', async () => {
    const runtime = await open()
    let begun: () => void = () => {}
    const running = new Promise<void>((resolve) => (begun = resolve))
    runtime.tasks.handle('work', async ({ signal }) => {
      begun()
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
      expect(signal.aborted).toBe(false)
      return 'ended in time'
    })
    const id = await runtime.tasks.submit({ kind: 'work' })
    await running
    await runtime.close()
    expect(runtime.tasks.projection.runsOf(id).map(({ state }) => state)).toEqual(['completed'])
    expect(() => runtime.tasks.handle('more', () => {})).toThrow(expect.objectContaining({ code: 'runtime_closed' }))
    await expect(runtime.tasks.submit({ kind: 'work' })).rejects.toMatchObject({ code: 'lane_closed' })
  })

  it('[T-80] 150 tasks with 1, 4 and 8 workers all complete, each dispatched once, none left behind', async () => {
    for (const concurrency of [1, 4, 8]) {
      const runtime = await open({ store: createMemoryJournal(), tasks: { concurrency } })
      const calls = new Map<TaskId, number>()
      runtime.tasks.handle('work', async ({ taskId }) => {
        calls.set(taskId, (calls.get(taskId) ?? 0) + 1)
        await Promise.resolve()
      })
      const ids = await Promise.all(Array.from({ length: 150 }, () => runtime.tasks.submit({ kind: 'work' })))
      const outcomes = await Promise.all(ids.map((id) => runtime.tasks.outcome(id)))
      expect(outcomes.map(({ status }) => status)).toEqual(ids.map(() => 'completed'))
      expect(ids.map((id) => calls.get(id))).toEqual(ids.map(() => 1))
      const { projection } = runtime.tasks
      expect((['leased', 'running'] as const).map((state) => projection.countIn(state))).toEqual([0, 0])
      expect(terminalRunStates.map((state) => projection.countIn(state))).toEqual([150, 0, 0])
      await runtime.close()
    }
  })
})
