import { describe, expect, it } from 'vitest'
import { createDeferred } from '../../src/base/promises.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { createRuntime } from '../../src/runtime.js'
import { suspend, TerminalFailure } from '../../src/tasks/index.js'
import { SimulatedClock } from '../../src/testing/index.js'
import { job } from '../operations/support/work.js'
import { createRecordingLogger } from './support/log.js'

const all = ['debug', 'info', 'warn', 'error'] as const

describe('the log', () => {
  it('tells the life of a task, at debug but for what went wrong (T-353)', async () => {
    const logger = createRecordingLogger(all)
    const clock = new SimulatedClock()
    const tasks = { backoff: { type: 'fixed', delayMs: 1000 } } as const
    await using runtime = await createRuntime({ logger, clock, tasks })
    runtime.tasks.handle('work', async ({ attemptNumber, step, waitFor }) => {
      await step('plan', () => 1)
      if (attemptNumber === 1) throw Object.assign(new Error('not yet'), { code: 'busy' })
      await waitFor('approval', undefined, { whom: 'editor' })
      throw new TerminalFailure('no')
    })
    const taskId = await runtime.tasks.submit({ kind: 'work', key: 'order-1', constraints: { maxAttempts: 2 } })
    await expect.poll(() => runtime.tasks.projection.countIn('retry_wait')).toBe(1)
    clock.advance(1000)
    await expect.poll(() => runtime.tasks.questions().length).toBe(1)
    await runtime.tasks.answer(taskId, 'approval')
    await runtime.tasks.outcome(taskId)
    const [run] = runtime.tasks.projection.runsOf(taskId)
    const lines = logger.lines.filter(({ fields }) => 'taskId' in fields)
    expect(lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'debug a task was submitted',
      'debug an attempt has started',
      'debug a step has completed',
      'debug an attempt has failed and the run will be retried',
      'debug an attempt has started',
      'debug a run is waiting for an answer',
      'debug a question was answered',
      'debug an attempt has ended',
      'warn a task has failed',
    ])
    const ids = { taskId, kind: 'work', runId: run?.id }
    expect(lines.map(({ fields }) => fields)).toMatchObject([
      { taskId, kind: 'work', key: 'order-1' },
      { ...ids, attemptId: run?.attempts[0]?.attemptId, attempt: 1 },
      { ...ids, step: 'plan' },
      {
        ...ids,
        attempt: 1,
        result: 'failure',
        reason: 'threw',
        error: 'not yet',
        cause: { code: 'busy', stack: expect.stringContaining('log.test') },
        delayMs: 1000,
      },
      { ...ids, attempt: 2 },
      { ...ids, name: 'approval', whom: 'editor' },
      { taskId, name: 'approval' },
      { ...ids, attempt: 2, result: 'failure', error: 'no' },
      { taskId, kind: 'work', attempts: 2, reason: 'threw', error: 'no', cause: { name: 'TerminalFailure' } },
    ])
  })

  it('is quiet at info about what goes well, and tells when it opened, compacted and closed', async () => {
    const logger = createRecordingLogger(['info', 'warn', 'error'])
    const runtime = await createRuntime({ logger, store: createMemoryJournal() })
    runtime.tasks.handle('work', () => 'done')
    await runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work' }))
    await runtime.session('agent').run(job, () => 'done').outcome
    await runtime.tasks.pauseEngine()
    await runtime.tasks.resumeEngine()
    await runtime.compact()
    await runtime.close()
    expect(logger.lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'info the runtime is open',
      'info dispatch is paused',
      'info dispatch has resumed',
      'info the journal was compacted',
      'info the runtime is closing',
      'info the runtime is closed',
    ])
    expect(logger.lines[3]?.fields).toMatchObject({ rows: expect.any(Number), durationMs: expect.any(Number) })
  })

  it('says at opening what there is, what was lost, and what is taken back (O-191)', async () => {
    const store = createMemoryJournal()
    const first = await createRuntime({ store })
    first.tasks.handle('work', () => new Promise(() => {}))
    await first.tasks.submit({ kind: 'work' })
    const { id } = first.session('agent').run(job, () => new Promise(() => {}))
    await expect.poll(() => first.jobs.size).toBe(2)
    await first.flush()
    const logger = createRecordingLogger(all)
    store.crash()
    const second = await createRuntime({ store, logger })
    await second.tasks.start()
    const opening = logger.lines.filter(({ level }) => level !== 'debug')
    expect(opening).toMatchObject([
      {
        level: 'warn',
        message: 'operations were lost with the process that ran them',
        fields: { sessionId: 'agent', operations: 1, operationIds: [id] },
      },
      {
        level: 'info',
        message: 'the runtime is open',
        fields: { sessions: 1, lostOperations: 1, tasks: 1, openRuns: 1 },
      },
      { level: 'warn', message: 'an attempt was lost with its process', fields: { kind: 'work', reason: 'lost' } },
      { level: 'info', message: 'runs held by an earlier process were reclaimed', fields: { runs: 1 } },
    ])
    await second.close({ policy: 'terminate' })
  })

  it('tells once of each thing that keeps a run from starting (T-354)', async () => {
    const logger = createRecordingLogger(all)
    await using runtime = await createRuntime({ logger })
    const go = createDeferred<void>()
    runtime.tasks.handle('work', () => go.promise, { concurrency: 1 })
    const first = await runtime.tasks.submit({ kind: 'work' })
    const second = await runtime.tasks.submit({ kind: 'work' })
    const blocked = () => logger.lines.filter(({ message }) => message === 'a run cannot start yet')
    await expect.poll(() => blocked().length).toBe(1)
    await runtime.tasks.submit({ kind: 'other' })
    await expect.poll(() => blocked().length).toBe(2)
    // Looked at again, it still waits for the same.
    runtime.tasks.handle('other', () => {})[Symbol.dispose]()
    go.resolve()
    await Promise.all([runtime.tasks.outcome(first), runtime.tasks.outcome(second)])
    expect(blocked().map(({ fields }) => fields)).toMatchObject([
      { taskId: second, kind: 'work', by: 'slots', limit: 1 },
      { kind: 'other', by: 'handler' },
    ])
  })

  it('warns of a run that its budget keeps suspended, and tells of other suspensions at debug', async () => {
    const logger = createRecordingLogger(all)
    await using runtime = await createRuntime({ logger })
    runtime.tasks.handle('spends', async ({ budget }) => void (await budget.reserve('token', 500)))
    runtime.tasks.handle('gives way', () => suspend())
    await runtime.tasks.submit({ kind: 'spends', budgets: { token: 100 } })
    await runtime.tasks.submit({ kind: 'gives way' })
    await expect.poll(() => runtime.tasks.projection.countIn('suspended')).toBe(2)
    const told = logger.lines.filter(({ message }) => message.includes('suspended'))
    const kinds = told.map(({ level, message, fields }) => [level, message, (fields as { kind: string }).kind])
    expect(kinds).toHaveLength(2)
    expect(kinds).toEqual(
      expect.arrayContaining([
        ['debug', 'a run was suspended', 'gives way'],
        ['warn', 'a run was suspended because its budget is spent', 'spends'],
      ]),
    )
  })

  it('tells of operations at debug, with how they ended and why (O-192)', async () => {
    const logger = createRecordingLogger(all)
    await using runtime = await createRuntime({ logger })
    const session = runtime.session('agent')
    const { id, outcome } = session.run(job, () => Promise.reject(new TypeError('no')))
    await outcome
    const cancelled = session.run(job, () => new Promise(() => {}))
    await cancelled.cancel('enough')
    const lines = logger.lines.filter(({ fields }) => 'operationId' in fields)
    const ids = { sessionId: 'agent', operationId: id, kind: 'background_tool_op', displayName: 'job' }
    expect(lines).toMatchObject([
      { level: 'debug', message: 'an operation has started', fields: ids },
      {
        level: 'debug',
        message: 'an operation has ended',
        fields: { ...ids, outcome: 'failed', reason: 'threw', error: 'no', cause: { name: 'TypeError' } },
      },
      { message: 'an operation has started', fields: { operationId: cancelled.id } },
      { message: 'an operation has ended', fields: { outcome: 'cancelled', reason: 'enough' } },
    ])
  })
})
