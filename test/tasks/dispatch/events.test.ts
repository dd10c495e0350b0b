import { describe, expect, it } from 'vitest'
import { createUuidSource } from '../../../src/base/ids.js'
import { finishAttempt, startAttempt } from '../../../src/tasks/dispatch/attempt-changes.js'
import { unreported } from '../../../src/tasks/dispatch/spending.js'
import { budgetDimension, succeeded, suspend, type TaskEvent, type TaskId } from '../../../src/tasks/index.js'
import { move, runCreate, subscribe, taskCreate } from '../support/commands.js'
import { A1, R1, reservationId, S1, T1, T2 } from '../support/ids.js'
import { openRoom, start, type Room } from './support/room.js'

const token = budgetDimension('token')

function record({ authority }: Room): TaskEvent[] {
  const events: TaskEvent[] = []
  authority.onCommit((commit) => void events.push(...commit.events))
  return events
}

const typesIn = (events: readonly TaskEvent[]): string[] => events.map(({ type }) => type)
const endsIn = (events: readonly TaskEvent[]) => events.filter(({ type }) => type === 'attempt_ended')

describe('an attempt of the dispatcher', () => {
  it('[T-900] is two events: a task that runs once is three', async () => {
    const room = await openRoom()
    const events = record(room)
    room.tasks.handle('work', () => {})
    await room.tasks.start()
    const id = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    expect(typesIn(events)).toEqual(['task_created', 'attempt_begun', 'attempt_ended'])
    expect(room.runsOf(id)[0]?.history.map(({ to }) => to)).toEqual([
      'scheduled',
      'ready',
      'leased',
      'running',
      'completed',
    ])
  })

  it('begins with what it sets aside, where a budget bears it', async () => {
    const room = await openRoom()
    const events = record(room)
    room.tasks.handle('work', () => {}, { reserve: { token: 4, 'cost:usd': 9 } })
    await room.tasks.start()
    await room.tasks.submit({ kind: 'work', budgets: { token: 10 } })
    await room.settle()
    const begun = events.find(({ type }) => type === 'attempt_begun')
    expect(begun).toMatchObject({ reservations: [{ dimension: 'token', amount: 4 }] })
    expect(typesIn(events).filter((type) => type.startsWith('budget_'))).toEqual(['budget_allocated'])
  })

  it('ends with what it spent, above it too, and with the triggers of the levels that this reaches', async () => {
    const room = await openRoom()
    const parent = await room.tasks.submit({ kind: 'nobody handles this', budgets: { token: 10 } })
    const child = await room.tasks.submit({ kind: 'work', parentTaskId: parent, budgets: { token: 6 } })
    const watch = async (taskId: TaskId, thresholdPercent: number): Promise<string> => {
      const subscribed = await room.tasks.submit({ kind: 'nobody handles this', at: start + 5_000_000 })
      return room.tasks.subscribe(subscribed, { type: 'budget_threshold', taskId, dimension: token, thresholdPercent })
    }
    const reached = [await watch(child, 50), await watch(parent, 30)]
    await watch(child, 51)
    await watch(parent, 31)
    const events = record(room)
    room.tasks.handle('work', ({ budget }) => budget.report('token', 3), { reserve: { token: 4 } })
    await room.tasks.start()
    await room.settle()
    const [end] = endsIn(events)
    expect(end).toMatchObject({ newState: 'completed', settlements: [{ amount: 3 }], triggers: reached })
    const { projection } = room.authority
    expect(projection.budget(child, token)).toMatchObject({ consumed: 3, reserved: 0 })
    expect(projection.budget(parent, token)).toMatchObject({ consumed: 3, reserved: 0 })
    // What the triggers released is ready: the dispatcher has heard of them.
    expect(projection.countIn('ready')).toBe(3)
    expect(typesIn(events)).not.toContain('subscription_triggered')
  })

  it('ends with the completion that others wait for, but not while its task gets a next run', async () => {
    const room = await openRoom()
    const runPolicy = { type: 'cron', expression: '* * * * * * *', maxOccurrences: 7 } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy })
    const blocked = await room.tasks.submit({ kind: 'nobody handles this', at: start + 5_000_000 })
    const completed = await room.tasks.subscribe(blocked, { type: 'task_completed', taskId: id })
    const events = record(room)
    room.tasks.handle('work', () => {})
    await room.tasks.start()
    await room.pass(10)
    const carried = endsIn(events).map((event) => [
      event.type === 'attempt_ended' ? (event.runs ?? []).length : undefined,
      event.type === 'attempt_ended' ? event.triggers : undefined,
    ])
    const none = [0, undefined]
    expect(carried).toEqual([[1, undefined], [1, undefined], none, none, none, none, [0, [completed]]])
    expect(typesIn(events)).not.toContain('run_created')
  })

  it('ends with the wait for the next one, which then starts', async () => {
    const room = await openRoom({ dispatch: { backoff: { type: 'fixed', delayMs: 2000 } } })
    const events = record(room)
    let calls = 0
    room.tasks.handle('work', () => {
      if (++calls === 1) throw new Error('not yet')
    })
    await room.tasks.start()
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    await room.pass(4)
    expect(endsIn(events)).toMatchObject([
      { newState: 'retry_wait', retryAtMs: start + 2000 },
      { newState: 'completed' },
    ])
    expect(room.statesOf(id)).toEqual(['completed'])
  })

  it('ends with why it gave way', async () => {
    const room = await openRoom()
    const events = record(room)
    room.tasks.handle('work', () => suspend())
    await room.tasks.start()
    const id = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    expect(endsIn(events)).toMatchObject([{ newState: 'suspended', reason: 'handler' }])
    expect(room.runsOf(id)[0]?.history.at(-1)).toMatchObject({ to: 'suspended', reason: 'handler' })
  })

  it('gives way for good when what it spends itself leaves nothing of what it was refused', async () => {
    const room = await openRoom()
    const parent = await room.tasks.submit({ kind: 'nobody handles this', budgets: { token: 10 } })
    const events = record(room)
    room.tasks.handle('work', async ({ budget }) => {
      const taskId = parent
      const dimension = token
      // Set aside by a host, for no run: nobody who works could give it back.
      await room.authority.submit({
        type: 'budget_reserve',
        reservationId: reservationId(1),
        taskId,
        dimension,
        amount: 5,
        atMs: start,
      })
      budget.report('token', 10)
      await budget.reserve('token', 6)
    })
    await room.tasks.submit({ kind: 'work', parentTaskId: parent })
    await room.settle()
    expect(endsIn(events)).toMatchObject([
      { newState: 'suspended', reason: 'budget_exhausted', consumptions: [{ amount: 10 }] },
    ])
    expect(endsIn(events)[0]).not.toHaveProperty('resume')
  })

  it('spends no more than can be counted, in all', async () => {
    const room = await openRoom()
    const events = record(room)
    room.tasks.handle('work', async ({ budget }) => {
      await budget.reserve('token', 5)
      budget.report('token', Number.MAX_SAFE_INTEGER)
    })
    await room.tasks.submit({ kind: 'work', budgets: { token: 10 } })
    await room.settle()
    expect(endsIn(events)).toMatchObject([
      { newState: 'completed', settlements: [{ amount: 5 }], consumptions: [{ amount: Number.MAX_SAFE_INTEGER - 5 }] },
    ])
    expect(room.errors).toEqual([])
  })

  it('stops others when it has spent what they share', async () => {
    const room = await openRoom()
    room.tasks.handle('wait', async ({ signal }) => {
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    })
    const parent = await room.tasks.submit({ kind: 'nobody handles this', budgets: { token: 10 } })
    const waiting = await room.tasks.submit({ kind: 'wait', parentTaskId: parent })
    await room.settle()
    expect(room.statesOf(waiting)).toEqual(['running'])
    room.tasks.handle('spend', ({ budget }) => budget.report('token', 10))
    await room.tasks.submit({ kind: 'spend', parentTaskId: parent })
    await room.settle()
    expect(room.statesOf(waiting)).toEqual(['suspended'])
    expect(room.runsOf(waiting)[0]?.history.at(-1)?.reason).toBe('budget_exhausted')
  })

  it('completes no task whose only run is followed by another', async () => {
    const { authority } = await openRoom()
    const { projection } = authority
    const runPolicy = { type: 'repeat', count: 2, intervalMs: 1000 } as const
    await authority.submitBatch([
      // By a host, which leaves the second run to us.
      taskCreate(T1, { runPolicy }),
      runCreate(R1, T1),
      taskCreate(T2),
      subscribe(S1, { type: 'task_completed', taskId: T1 }, { taskId: T2 }),
      move('scheduled', 'ready'),
    ])
    const claim = { owner: 'worker', expiresAtMs: start + 5000, attemptId: A1, reserve: new Map(), atMs: start }
    const times = { now: () => start, wall: () => start }
    const ids = createUuidSource({ now: times.now })
    const ending = { projection, ids, delayOf: () => 0, times, atMs: start }
    await authority.transact((batch) => {
      const attempt = startAttempt(batch, R1, claim)
      if (attempt === undefined) throw new Error('not ready')
      finishAttempt(batch, attempt, { outcome: succeeded(), isAnswered: true }, unreported([]), ending)
    })
    expect(projection.task(T1)?.progress).toMatchObject({ runs: 2, open: 1, completed: 1 })
    expect(projection.subscription(S1)?.pendingTriggers).toBe(0)
  })
})
