import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
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

describe('attempts as operations', () => {
  it('each attempt is an operation of the session of attempts, with progress and its own end', async () => {
    const runtime = await open({ tasks: { backoff } })
    const session = runtime.attempts
    const seen: unknown[] = []
    runtime.tasks.handle('index', ({ progress, attemptNumber }) => {
      seen.push(
        session.operations
          .listOperations()
          .filter(({ terminal }) => !terminal)
          .map(({ displayName, sourceLabel }) => [displayName, sourceLabel]),
      )
      progress('reading', 0.5)
      if (attemptNumber === 1) throw new Error('locked')
      return 'ok'
    })
    const id = await runtime.tasks.submit({
      kind: 'index',
      constraints: { maxAttempts: 2 },
      metadata: { description: 'index the docs' },
    })
    expect(await runtime.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect(seen).toEqual([[['index the docs', `task ${id}`]], [['index the docs', `task ${id}`]]])
    const ended = session.feed.since(0).entries.map(({ outcome }) => outcome)
    expect(ended).toMatchObject([{ type: 'failed', error: 'locked' }, { type: 'completed' }])
    expect([...runtime.sessions()]).toContain(session)
  })

  it('an operation that is cancelled from outside ends its attempt, which may be retried', async () => {
    const runtime = await open({ tasks: { backoff } })
    runtime.tasks.handle('work', async ({ attemptNumber, signal }) => {
      if (attemptNumber === 2) return 'done'
      const { operations } = runtime.attempts
      const [running] = operations.listOperations()
      await operations.cancelOperation(running?.id as never, 'operator')
      await new Promise((resolve) => {
        if (signal.aborted) resolve(undefined)
        signal.addEventListener('abort', resolve)
      })
      return 'too late'
    })
    const id = await runtime.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    const { status, runs } = await runtime.tasks.outcome(id)
    expect([status, runs[0]?.attempts]).toEqual(['completed', 2])
  })

  it('a handler that ignores its signal does not stay among the running operations', async () => {
    const runtime = await open()
    runtime.tasks.handle('stuck', () => new Promise(() => {}))
    const id = await runtime.tasks.submit({ kind: 'stuck' })
    const { operations } = runtime.attempts
    await expect.poll(() => operations.listOperations().length).toBe(1)
    await runtime.tasks.cancel(id)
    await expect.poll(() => operations.listOperations().filter(({ terminal }) => !terminal)).toEqual([])
  })

  it('the session of attempts cannot be deleted, and is not written to the journal', async () => {
    const store = createMemoryJournal()
    const runtime = await open({ store })
    runtime.tasks.handle('work', () => {})
    await runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work' }))
    await expect(runtime.deleteSession(runtime.attempts.id)).rejects.toMatchObject({ code: 'invalid_input' })
    await runtime.close()
    const { journal, recovery } = await store.open()
    const streams = new Set([...recovery.records].map(({ record }) => (record as readonly unknown[])[0]))
    await journal.close()
    expect([...streams]).toEqual(['tasks'])
  })
})

describe('the session of attempts', () => {
  it('has a name that nobody can choose, so that every name is durable', async () => {
    const store = createMemoryJournal()
    const runtime = await open({ store })
    const { id, operations } = runtime.attempts
    expect(runtime.findSession(id)).toBe(runtime.attempts)
    expect([...runtime.sessions()]).toEqual([runtime.attempts])
    const refused = { code: 'invalid_input', data: { subject: 'session name', field: '$' } }
    expect(() => runtime.session(id)).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    const exported = operations.capturePersistenceSnapshot()
    await expect(runtime.importSession(id, exported)).rejects.toMatchObject(refused)
  })

  it('is not the one called tasks, which is as durable as any other', async () => {
    const store = createMemoryJournal()
    const before = await open({ store })
    before.tasks.handle('work', () => {})
    await before.tasks.outcome(await before.tasks.submit({ kind: 'work' }))
    const { id, outcome } = before.session('tasks').run({ kind: 'background_tool_op', displayName: 'x' }, () => 'kept')
    await outcome
    await before.close()
    const runtime = await open({ store })
    const { operations } = runtime.session('tasks')
    expect(operations.listOperations().map((operation) => [operation.id, operation.status])).toEqual([
      [id, 'completed'],
    ])
    expect(runtime.attempts.operations.listOperations()).toEqual([])
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
