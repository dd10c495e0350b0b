import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { firstRuns } from '../../../src/tasks/dispatch/cron-window.js'
import { createTaskSpec, createRun, type Run, type RunId, type TaskId } from '../../../src/tasks/index.js'
import { bySelection } from '../../../src/tasks/run-index.js'
import { runId, taskId } from '../support/ids.js'
import { openRoom, start } from './support/room.js'

const never = (): Promise<never> => new Promise(() => {})

describe('promotion by time', () => {
  it('[T-74] a run is promoted at its second, not one earlier', async () => {
    const room = await openRoom()
    await room.tasks.start()
    const id = await room.tasks.submit({ kind: 'work', at: start + 10_000 })
    await room.pass(9)
    expect(room.statesOf(id)).toEqual(['scheduled'])
    await room.pass(1)
    expect(room.statesOf(id)).toEqual(['ready'])
  })

  it('[T-75] repeated runs are an interval apart from the origin, whatever the clock does later', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work', runPolicy: { type: 'repeat', count: 3, intervalMs: 60_000 } })
    room.clock.setWall(start + 5_000_000)
    expect(room.runsOf(id).map(({ scheduledAtMs }) => scheduledAtMs)).toEqual([start, start + 60_000, start + 120_000])
  })

  it('[T-75] runs beyond the last countable millisecond are refused and none is created', async () => {
    const room = await openRoom()
    const intervalMs = (Number.MAX_SAFE_INTEGER - 1) / 2
    const submitted = room.tasks.submit({ kind: 'work', at: 2, runPolicy: { type: 'repeat', count: 3, intervalMs } })
    await expect(submitted).rejects.toMatchObject({ code: 'arithmetic_overflow', data: { policy: 'repeat' } })
    expect(room.authority.projection.taskCount).toBe(0)
  })

  it('[T-82] after a long downtime every overdue run is promoted at once, and only those', async () => {
    const room = await openRoom()
    const ids: TaskId[] = []
    for (let index = 0; index < 600; index += 1) {
      ids.push(await room.tasks.submit({ kind: 'work', at: start + 1000 * (index + 1) }))
    }
    const later = await room.crash(599)
    await later.tasks.start()
    await later.settle()
    expect(later.authority.projection.countIn('ready')).toBe(599)
    expect(later.statesOf(ids[598] as TaskId)).toEqual(['ready'])
    expect(later.statesOf(ids[599] as TaskId)).toEqual(['scheduled'])
  })

  it('[T-83] promoted runs are ready after a crash, under the same ids', async () => {
    const room = await openRoom()
    await room.tasks.start()
    const id = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    const before = room.runsOf(id)
    const later = await room.crash(5)
    expect(later.runsOf(id)).toEqual(before)
    expect(later.statesOf(id)).toEqual(['ready'])
  })

  it('[T-166] nothing is promoted or started while the engine is paused, and everything when it goes on', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {})
    expect(await room.tasks.pauseEngine()).toBe('paused')
    expect(await room.tasks.pauseEngine()).toBe('already_paused')
    const id = await room.tasks.submit({ kind: 'work' })
    await room.pass(100)
    expect(room.statesOf(id)).toEqual(['scheduled'])
    expect(await room.tasks.resumeEngine()).toBe('resumed')
    expect(await room.tasks.resumeEngine()).toBe('already_resumed')
    await room.settle()
    expect(room.statesOf(id)).toEqual(['completed'])
  })

  it('[T-900] everything that is due starts, however much it is, while what started goes on', async () => {
    const room = await openRoom({ dispatch: { concurrency: 1000 } })
    room.tasks.handle('work', never)
    await room.tasks.pauseEngine()
    for (let index = 0; index < 600; index += 1) await room.tasks.submit({ kind: 'work' })
    await room.tasks.resumeEngine()
    await room.settle()
    expect(room.authority.projection.countIn('running')).toBe(600)
    const histories = [...room.authority.projection.runsIn('running')].map(({ history }) => history.length)
    expect(new Set(histories)).toEqual(new Set([4]))
  })

  it('[T-900] the next run starts in its time while the one before it goes on', async () => {
    const room = await openRoom()
    room.tasks.handle('work', never)
    const id = await room.tasks.submit({ kind: 'work', runPolicy: { type: 'repeat', count: 3, intervalMs: 10_000 } })
    await room.settle()
    const started = [room.statesOf(id).filter((state) => state === 'running').length]
    for (const seconds of [10, 10]) {
      await room.pass(seconds)
      started.push(room.statesOf(id).filter((state) => state === 'running').length)
    }
    expect(started).toEqual([1, 2, 3])
  })

  it('[T-900] what is due and cannot start is made ready', async () => {
    const room = await openRoom({ dispatch: { concurrency: 2 } })
    room.tasks.handle('work', never)
    const ids: TaskId[] = []
    for (let index = 0; index < 5; index += 1) ids.push(await room.tasks.submit({ kind: 'work' }))
    await room.settle()
    const states = ids.flatMap((id) => room.statesOf(id))
    expect(states).toEqual(['running', 'running', 'ready', 'ready', 'ready'])
  })

  it('[T-165] an idle dispatcher has one timer for the next thing due, and none when nothing is', async () => {
    const room = await openRoom()
    await room.tasks.start()
    expect(room.clock.pendingTimeouts).toBe(0)
    for (let index = 0; index < 50; index += 1)
      await room.tasks.submit({ kind: 'work', at: start + 30_000 + 1000 * index })
    await room.settle()
    expect(room.clock.pendingTimeouts).toBe(1)
  })

  it('[T-163] a wall clock that is set forward is noticed within a minute', async () => {
    const room = await openRoom()
    await room.tasks.start()
    const id = await room.tasks.submit({ kind: 'work', at: start + 86_400_000 })
    await room.settle()
    room.clock.setWall(start + 86_400_000)
    await room.pass(60)
    expect(room.statesOf(id)).toEqual(['ready'])
  })
})

describe('cron', () => {
  it('[T-160] keeps five runs open, the first at the second it was submitted, and never repeats one', async () => {
    const room = await openRoom({ dispatch: { concurrency: 1 } })
    const id = await room.tasks.submit({ kind: 'work', runPolicy: { type: 'cron', expression: '*/10 * * * * * *' } })
    const times = (): number[] => room.runsOf(id).map(({ scheduledAtMs }) => (scheduledAtMs - start) / 1000)
    expect(times()).toEqual([0, 10, 20, 30, 40])
    room.tasks.handle('work', () => {})
    await room.settle()
    expect(times()).toEqual([0, 10, 20, 30, 40, 50])
    await room.pass(25)
    expect(times()).toEqual([0, 10, 20, 30, 40, 50, 60, 70])
    expect(room.authority.projection.task(id)?.progress).toMatchObject({ runs: 8, open: 5, completed: 3 })
  })

  it('[T-161] ends after maxOccurrences, also across a restart', async () => {
    const room = await openRoom()
    const policy = { type: 'cron', expression: '* * * * * * *', maxOccurrences: 7 } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy: policy })
    room.tasks.handle('work', () => {})
    await room.pass(3)
    const later = await room.crash()
    later.tasks.handle('work', () => {})
    const outcome = later.tasks.outcome(id)
    await later.pass(10)
    expect((await outcome).runs).toHaveLength(7)
    expect(later.authority.projection.task(id)?.progress).toMatchObject({ runs: 7, open: 0, completed: 7 })
  })

  it('[T-161] does not look finished while all its open runs end at once', async () => {
    const room = await openRoom()
    const runPolicy = { type: 'cron', expression: '* * * * * * *', catchUp: 'all', maxOccurrences: 12 } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy })
    const behind = await room.tasks.submit({ kind: 'behind', dependsOn: [id] })
    const later = await room.crash(60, { concurrency: 5 })
    let ended = 0
    later.tasks.handle('behind', () => ended)
    later.tasks.handle('work', () => void (ended += 1))
    await later.settle()
    const { output } = await later.tasks.outcome(behind)
    expect(Buffer.from(output ?? []).toString()).toBe('12')
  })

  it('[T-160] derives runs for a cron task that was created without any, and none for a cancelled one', async () => {
    const room = await openRoom()
    await room.tasks.start()
    const runPolicy = { type: 'cron', expression: '0 * * * * * *' } as const
    const [one, other] = [taskId(1), taskId(2)]
    for (const id of [one, other]) {
      const taskSpec = createTaskSpec({ id, kind: 'work', runPolicy })
      await room.authority.submit({ type: 'task_create', taskSpec, atMs: start })
    }
    await room.tasks.cancel(other)
    await room.settle()
    expect(room.statesOf(one)).toEqual(Array.from({ length: 5 }, () => 'scheduled'))
    expect(room.statesOf(other)).toEqual([])
  })

  it('[T-75] first runs of a once task are due at the origin', () => {
    const spec = createTaskSpec({ id: taskId(1), kind: 'work', metadata: { priority: 7 } })
    const [run] = firstRuns(spec, { origin: 90, now: 90 }, { uuid: () => runId(1) })
    expect(run).toEqual({ id: runId(1), scheduledAtMs: 90 })
  })
})

describe('selection', () => {
  it('[T-76] goes by priority, then age, then run id, whatever the order of arrival', () => {
    const run = (number: number, priority: number, createdAtMs: number): Run => ({
      ...createRun({ id: runId(number), taskId: taskId(1), createdAtMs, scheduledAtMs: createdAtMs, priority }),
      history: [],
      attempts: [],
    })
    const expected = [run(9, 5, 100), run(2, 1, 50), run(3, 1, 60), run(4, 1, 60), run(1, 0, 10)]
    fc.assert(
      fc.property(fc.shuffledSubarray(expected, { minLength: 5 }), (shuffled) => {
        expect(shuffled.toSorted(bySelection)).toEqual(expected)
      }),
    )
  })

  it('[T-76] starts the more urgent of two waiting runs first', async () => {
    const room = await openRoom({ dispatch: { concurrency: 1 } })
    const started: unknown[] = []
    for (const [payload, priority] of [
      ['low', 0],
      ['high', 9],
      ['middle', 5],
    ] as const) {
      await room.tasks.submit({ kind: 'work', payload, metadata: { priority } })
    }
    await room.tasks.start()
    await room.settle()
    room.tasks.handle('work', ({ payload }) => void started.push(Buffer.from(payload).toString()))
    await room.settle()
    expect(started).toEqual(['high', 'middle', 'low'])
  })

  it('[T-167] never starts more attempts than it has slots', async () => {
    const room = await openRoom({ dispatch: { concurrency: 3 } })
    let [running, most] = [0, 0]
    room.tasks.handle('work', async () => {
      running += 1
      most = Math.max(most, running)
      await Promise.resolve()
      running -= 1
    })
    const ids = await Promise.all(Array.from({ length: 20 }, () => room.tasks.submit({ kind: 'work' })))
    await Promise.all(ids.map((id) => room.tasks.outcome(id)))
    expect(most).toBe(3)
  })

  it('[T-168] leaves runs without a handler or with foreign requirements in line, and nobody waits behind them', async () => {
    const room = await openRoom({ dispatch: { concurrency: 1, capabilities: ['cpu'] } })
    room.tasks.handle('work', () => {})
    const unknown = await room.tasks.submit({ kind: 'other' })
    const foreign = await room.tasks.submit({ kind: 'work', constraints: { requiredCapabilities: ['cpu', 'gpu'] } })
    const own = await room.tasks.submit({ kind: 'work', constraints: { requiredCapabilities: ['cpu'] } })
    await room.tasks.outcome(own)
    expect([unknown, foreign].flatMap((id) => room.statesOf(id))).toEqual(['ready', 'ready'])
    room.tasks.handle('other', () => {})
    await room.tasks.outcome(unknown)
  })

  it('[T-169] a kind has one handler, which can be taken back', async () => {
    const room = await openRoom()
    const registration = room.tasks.handle('work', never)
    expect(() => room.tasks.handle('work', never)).toThrow(expect.objectContaining({ code: 'handler_exists' }))
    registration[Symbol.dispose]()
    room.tasks.handle('work', () => {})[Symbol.dispose]()
    const id = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    expect(room.statesOf(id)).toEqual(['ready'])
  })

  it('[T-169] an old registration disposed once more leaves the new handler of its kind alone', async () => {
    const room = await openRoom()
    const old = room.tasks.handle('work', never)
    old[Symbol.dispose]()
    room.tasks.handle('work', () => 'new')
    old[Symbol.dispose]()
    const id = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    expect(room.statesOf(id)).toEqual(['completed'])
  })
})

describe('events', () => {
  const ahead = start + 10_000_000

  it('[T-90] a completed task releases a run scheduled far ahead', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {})
    const first = await room.tasks.submit({ kind: 'work', at: start + 5000 })
    const second = await room.tasks.submit({
      kind: 'work',
      at: ahead,
      releasedBy: [{ type: 'task_completed', taskId: first }],
    })
    await room.pass(4)
    expect(room.statesOf(second)).toEqual(['scheduled'])
    await room.pass(1)
    expect(room.statesOf(second)).toEqual(['completed'])
  })

  it('[T-90] a task with several runs has completed when the last of them has ended', async () => {
    const room = await openRoom()
    room.tasks.handle('work', ({ runId }) => {
      if (runId === last) throw new Error('no')
    })
    const policy = { type: 'repeat', count: 2, intervalMs: 10_000 } as const
    const first = await room.tasks.submit({ kind: 'work', at: start + 10_000, runPolicy: policy })
    const last = room.runsOf(first).find(({ scheduledAtMs }) => scheduledAtMs === start + 20_000)?.id
    const second = await room.tasks.submit({
      kind: 'work',
      at: ahead,
      releasedBy: [{ type: 'task_completed', taskId: first }],
    })
    await room.pass(19)
    expect(room.statesOf(second)).toEqual(['scheduled'])
    await room.pass(1)
    expect(room.statesOf(second)).toEqual(['completed'])
  })

  it('[T-90] a budget that reaches its threshold releases a run', async () => {
    const room = await openRoom()
    const spender = await room.tasks.submit({
      kind: 'spend',
      budgets: { token: 500 },
      runPolicy: { type: 'repeat', count: 2, intervalMs: 10_000 },
    })
    const filter = { type: 'budget_threshold', taskId: spender, dimension: 'token', thresholdPercent: 80 } as never
    const alarm = await room.tasks.submit({ kind: 'alarm', at: ahead, releasedBy: [filter] })
    let amount = 399
    room.tasks.handle('alarm', () => {})
    room.tasks.handle('spend', ({ budget }) => {
      budget.report('token', amount)
      amount = 1
    })
    await room.settle()
    expect(room.statesOf(alarm)).toEqual(['scheduled'])
    await room.pass(10)
    expect(room.statesOf(alarm)).toEqual(['completed'])
  })

  it('[T-90] an event of the service releases the earliest run; one-shot by default, again with rearm', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {})
    const policy = { type: 'repeat', count: 3, intervalMs: 100_000 } as const
    const once = await room.tasks.submit({ kind: 'work', at: ahead, runPolicy: policy })
    const again = await room.tasks.submit({ kind: 'work', at: ahead, runPolicy: policy })
    await room.tasks.subscribe(once, { type: 'custom', key: 'push' })
    await room.tasks.subscribe(again, { type: 'custom', key: 'push' }, { rearm: true })
    expect(await room.tasks.publish('other')).toBe(0)
    expect(await room.tasks.publish('push')).toBe(2)
    await room.settle()
    expect(await room.tasks.publish('push')).toBe(1)
    await room.settle()
    const done = (id: TaskId): RunId[] =>
      room
        .runsOf(id)
        .filter(({ state }) => state === 'completed')
        .map(({ id: run }) => run)
    expect(done(once)).toEqual([room.runsOf(once)[0]?.id])
    expect(done(again)).toEqual(
      room
        .runsOf(again)
        .slice(0, 2)
        .map(({ id }) => id),
    )
  })

  it('[T-90] a trigger that met a crash releases exactly one run afterwards', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({
      kind: 'work',
      at: ahead,
      runPolicy: { type: 'repeat', count: 2, intervalMs: 1000 },
      releasedBy: [{ type: 'custom', key: 'push' }],
    })
    await room.tasks.publish('push')
    const later = await room.crash()
    await later.tasks.start()
    await later.settle()
    expect(later.statesOf(id)).toEqual(['ready', 'scheduled'])
    const latest = await later.crash()
    await latest.tasks.start()
    await latest.settle()
    expect(latest.statesOf(id)).toEqual(['ready', 'scheduled'])
  })

  it('[T-193] a trigger waits for the dependencies of its task', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {})
    const first = await room.tasks.submit({ kind: 'work', at: start + 20_000 })
    const second = await room.tasks.submit({
      kind: 'work',
      at: ahead,
      dependsOn: [first],
      releasedBy: [{ type: 'custom', key: 'push' }],
    })
    await room.tasks.publish('push')
    await room.pass(19)
    expect(room.statesOf(second)).toEqual(['scheduled'])
    await room.pass(1)
    expect(room.statesOf(second)).toEqual(['completed'])
  })
})
