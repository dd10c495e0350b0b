import { describe, expect, it } from 'vitest'
import type { Meter } from '../../src/base/meter.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { createRuntime } from '../../src/runtime.js'
import { TerminalFailure } from '../../src/tasks/index.js'
import { SimulatedClock } from '../../src/testing/index.js'
import { job } from '../operations/support/work.js'
import { createRecordingLogger } from './support/log.js'
import { createCollectingMeter } from './support/metrics.js'

const work = { 'messaging.system': 'stateward', 'messaging.destination.name': 'work' }

describe('the metrics of a runtime', () => {
  it('say how long runs wait and attempts take, how tasks end, and what budgets are spent (T-352)', async () => {
    const { meter, collect } = createCollectingMeter()
    const clock = new SimulatedClock()
    await using runtime = await createRuntime({ meter, clock, store: createMemoryJournal() })
    const ids = [
      await runtime.tasks.submit({ kind: 'work', budgets: { token: 100 } }),
      await runtime.tasks.submit({ kind: 'work', budgets: { token: 100 } }),
    ]
    clock.advance(2000)
    let attempts = 0
    runtime.tasks.handle(
      'work',
      async ({ budget, step }) => {
        attempts += 1
        clock.advance(500)
        const reservation = await budget.reserve('token', 30)
        await reservation.settle(20)
        await step('draft', () => 'text', { reserve: { token: 10 }, spent: () => ({ token: 5 }) })
        if (attempts === 2) throw new TerminalFailure('no')
      },
      { concurrency: 1 },
    )
    for (const id of ids) await runtime.tasks.outcome(id)
    const metrics = await collect()
    expect(metrics.get('messaging.client.sent.messages')).toEqual([
      { attributes: { ...work, 'messaging.operation.name': 'submit' }, value: 2 },
    ])
    expect(metrics.get('messaging.process.duration')).toEqual([
      {
        attributes: { ...work, 'messaging.operation.name': 'attempt', 'stateward.attempt.outcome': 'success' },
        value: { count: 1, sum: 0.5 },
      },
      {
        attributes: {
          ...work,
          'messaging.operation.name': 'attempt',
          'stateward.attempt.outcome': 'failure',
          'error.type': 'terminal_failure',
        },
        value: { count: 1, sum: 0.5 },
      },
    ])
    expect(metrics.get('stateward.task.ended')).toEqual([
      { attributes: { ...work, 'stateward.task.status': 'completed' }, value: 1 },
      { attributes: { ...work, 'stateward.task.status': 'failed', 'stateward.task.reason': 'threw' }, value: 1 },
    ])
    expect(metrics.get('stateward.budget.spent')).toEqual([
      { attributes: { 'stateward.budget.dimension': 'token' }, value: 50 },
    ])
    expect(metrics.get('stateward.task.wait.duration')).toMatchObject([{ attributes: work, value: { count: 2 } }])
  })

  it('show how many runs are in each state, and what runs', async () => {
    const { meter, collect } = createCollectingMeter()
    const runtime = await createRuntime({ meter })
    runtime.tasks.handle('work', () => new Promise(() => {}), { concurrency: 1 })
    for (let count = 0; count < 3; count += 1) await runtime.tasks.submit({ kind: 'work' })
    await expect.poll(() => runtime.jobs.size).toBe(1)
    const points = (await collect()).get('stateward.task.runs') ?? []
    const counts = points
      .filter(({ value }) => value !== 0)
      .map(({ attributes, value }) => [Object.values(attributes)[0], value])
    expect(counts).toEqual([
      ['ready', 2],
      ['running', 1],
    ])
    expect((await collect()).get('stateward.jobs')).toEqual([
      { attributes: { 'stateward.room': 'tasks', 'stateward.job.state': 'working' }, value: 1 },
    ])
    await runtime.close({ policy: 'terminate' })
    // Nothing is looked at any more that is closed.
    expect((await collect()).get('stateward.task.runs')).toEqual(points)
  })

  it('tell how long operations take and how they end (O-190)', async () => {
    const { meter, collect } = createCollectingMeter()
    const clock = new SimulatedClock()
    await using runtime = await createRuntime({ meter, clock })
    const session = runtime.session('agent')
    await session.run(job, () => clock.advance(250)).outcome
    await session.run(job, () => Promise.reject(new TypeError('no'))).outcome
    const kind = { 'stateward.operation.kind': 'background_tool_op' }
    expect((await collect()).get('stateward.operation.duration')).toEqual([
      { attributes: { ...kind, 'stateward.operation.outcome': 'completed' }, value: { count: 1, sum: 0.25 } },
      {
        attributes: { ...kind, 'stateward.operation.outcome': 'failed', 'error.type': 'TypeError' },
        value: { count: 1, sum: 0 },
      },
    ])
  })

  it('count what the journal writes, its syncs, snapshots and failures', async () => {
    const { meter, collect } = createCollectingMeter()
    const store = createMemoryJournal()
    await using runtime = await createRuntime({ meter, store })
    await Promise.all([runtime.tasks.submit({ kind: 'work' }), runtime.tasks.submit({ kind: 'work' })])
    await runtime.tasks.submit({ kind: 'work' })
    await runtime.compact()
    const metrics = await collect()
    expect(metrics.get('stateward.journal.records')).toEqual([{ attributes: {}, value: 3 }])
    expect(metrics.get('stateward.journal.sync.duration')).toMatchObject([{ value: { count: 2 } }])
    expect(metrics.get('stateward.journal.compaction.duration')).toMatchObject([{ value: { count: 1 } }])
    expect(metrics.get('stateward.journal.failures')).toBeUndefined()
    expect(metrics.get('stateward.journal.tail')).toEqual([{ attributes: {}, value: 0 }])
  })
})

describe('a meter that throws', () => {
  const broken = (): never => {
    throw new Error('the exporter is gone')
  }
  const instrument = { add: broken, record: broken, addCallback: broken, removeCallback: broken }
  const meters: [string, Meter][] = [
    [
      'when an instrument is made',
      { createCounter: broken, createHistogram: broken, createObservableUpDownCounter: broken },
    ],
    [
      'when something is measured',
      {
        createCounter: () => instrument,
        createHistogram: () => instrument,
        createObservableUpDownCounter: () => instrument,
      },
    ],
  ]

  it.each(meters)('harms nobody: %s', async (_, meter) => {
    const logger = createRecordingLogger()
    const runtime = await createRuntime({ meter, logger, store: createMemoryJournal() })
    runtime.tasks.handle('work', () => {})
    const outcome = await runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work' }))
    expect(await runtime.session('agent').run(job, () => 'done').outcome).toMatchObject({ type: 'completed' })
    await runtime.close()
    expect([outcome.status, logger.lines.map(({ message }) => message)]).toEqual(['completed', ['the meter threw']])
  })
})
