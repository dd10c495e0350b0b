import { describe, expect, it, vi } from 'vitest'
import { recoverRun } from '../../../src/tasks/dispatch/attempt-changes.js'
import { createTaskSpec, lost, type RunState, type TaskId } from '../../../src/tasks/index.js'
import { nil, reservationId, taskId } from '../support/ids.js'
import { openRoom, start, type Room } from './support/room.js'

const never = (): Promise<never> => new Promise(() => {})

/** Leaves a run with a lease of another worker, as that worker would have. */
async function leaseByOther(
  room: Room,
  taskId: TaskId,
  state: 'leased' | 'running',
  expiresAtMs: number,
): Promise<void> {
  const runId = room.runsOf(taskId)[0]?.id as never
  const atMs = start
  await room.authority.transact((batch) => {
    const move = (previousState: RunState, newState: RunState, fencingToken?: number): void => {
      const token = fencingToken === undefined ? {} : { fencingToken }
      batch.submit({ type: 'run_state_transition', runId, previousState, newState, atMs, ...token })
    }
    move('scheduled', 'ready')
    move('ready', 'leased')
    const { applied } = batch.submit({ type: 'lease_acquire', runId, owner: 'worker-9', expiresAtMs, atMs })
    if (state === 'leased') return
    move('leased', 'running', applied.fencingToken)
    const attemptId = '00000009-0000-4000-8000-000000000001' as never
    batch.submit({ type: 'attempt_start', runId, attemptId, fencingToken: applied.fencingToken, atMs })
  })
}

describe('lost owners', () => {
  it.each(['leased', 'running'] as const)(
    '[T-73] [T-99] a run left %s by another owner is taken back at exactly its expiry, with a new attempt id',
    async (state) => {
      const room = await openRoom()
      const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
      await leaseByOther(room, id, state, start + 50_000)
      const before = room.runsOf(id)[0]
      const later = await room.crash()
      const contexts: unknown[] = []
      later.tasks.handle('work', ({ runId, attemptId }) => void contexts.push([runId, attemptId]))
      await later.pass(49)
      expect([later.statesOf(id), contexts]).toEqual([[state], []])
      await later.pass(1)
      expect(later.statesOf(id)).toEqual(['completed'])
      expect(contexts).toEqual([[before?.id, expect.not.stringContaining('00000009')]])
      expect(later.runsOf(id)[0]?.attemptCount).toBe(state === 'running' ? 2 : 1)
    },
  )

  it('a lost run is taken back once, however often the dispatcher looks before that is durable', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 5 } })
    await leaseByOther(room, id, 'running', start + 50_000)
    await room.tasks.start()
    await room.settle()
    const events: string[] = []
    room.authority.onCommit((committed) => void events.push(...committed.events.map(({ type }) => type)))
    const transact = vi.spyOn(room.authority.own, 'transact')
    room.clock.advance(50_000)
    // Each registration makes the dispatcher look again.
    for (const kind of ['a', 'b', 'c', 'd']) {
      room.tasks.handle(kind, () => {})
      await Promise.resolve()
    }
    expect(transact).toHaveBeenCalledTimes(1)
    await room.settle()
    expect(events.filter((type) => type === 'lease_expired' || type === 'attempt_ended')).toEqual([
      'lease_expired',
      'attempt_ended',
    ])
    expect(room.runsOf(id)[0]).toMatchObject({ state: 'ready', attemptCount: 1 })
  })

  it('what is taken back twice in one batch changes once', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 5 } })
    await leaseByOther(room, id, 'running', start + 50_000)
    const { projection } = room.authority
    const clock = { now: () => start, wall: () => start }
    const options = { projection, ids: { uuid: () => nil }, delayOf: () => 0, times: clock, atMs: start }
    await room.authority.transact((batch) => {
      recoverRun(batch, room.runsOf(id)[0]?.id as never, options)
      const { latestSequence } = batch.view
      recoverRun(batch, room.runsOf(id)[0]?.id as never, options)
      expect(batch.view.latestSequence).toBe(latestSequence)
    })
    expect(room.runsOf(id)[0]?.attempts).toHaveLength(1)
  })

  it('a lost run with more reservations than a batch takes is taken back, and all of them count as spent', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 2000 }, constraints: { maxAttempts: 5 } })
    await leaseByOther(room, id, 'running', start + 50_000)
    const runId = room.runsOf(id)[0]?.id as never
    const reserve = { type: 'budget_reserve', taskId: id, dimension: 'token' as never, amount: 1, runId } as const
    await room.authority.submitBatch(
      Array.from({ length: 1000 }, (_, index) => ({
        ...reserve,
        reservationId: reservationId(index + 1),
        atMs: start,
      })),
    )
    const sizes: number[] = []
    room.authority.onCommit(({ events }) => void sizes.push(events.length))
    await room.tasks.start()
    await room.pass(50)
    expect(room.statesOf(id)).toEqual(['ready'])
    expect(room.authority.projection.budget(id, 'token' as never)).toMatchObject({ consumed: 1000, reserved: 0 })
    expect(Math.max(...sizes)).toBeLessThan(300)
  })

  it.each([
    ['back', -3_600_000],
    ['forward', 3_600_000],
  ])('a lease of somebody else has as long to go as it was given when the clock is set %s', async (_, shiftMs) => {
    const room = await openRoom()
    await room.tasks.start()
    const id = await room.tasks.submit({ kind: 'work', at: start + 86_400_000 })
    await leaseByOther(room, id, 'running', start + 50_000)
    await room.settle()
    room.clock.setWall(room.clock.wallNow() + shiftMs)
    await room.pass(49)
    expect(room.statesOf(id)).toEqual(['running'])
    await room.pass(1)
    expect(room.statesOf(id)).toEqual(['ready'])
  })

  it('a run whose end could be recorded in no way is taken back when the lease of its attempt is over', async () => {
    const room = await openRoom({ dispatch: { leaseMs: 3000 } })
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxLosses: 1 } })
    const broken = Promise.reject(new Error('no such change'))
    broken.catch(() => {})
    const transact = vi.spyOn(room.authority.own, 'transact')
    room.tasks.handle('work', () => void transact.mockImplementation(() => broken))
    await room.settle()
    expect(room.warnings).toContain('the end of an attempt was not accepted')
    transact.mockRestore()
    await room.pass(2)
    expect(room.statesOf(id)).toEqual(['running'])
    await room.pass(1)
    expect(room.statesOf(id)).toEqual(['failed'])
  })

  it('a ready run that somebody else has leased waits for its lease to end, and no longer', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work' })
    const runId = room.runsOf(id)[0]?.id as never
    const lease = { runId, owner: 'worker-9', expiresAtMs: start + 1_000_000, atMs: start }
    await room.authority.submitBatch([
      { type: 'run_state_transition', runId, previousState: 'scheduled', newState: 'ready', atMs: start },
      { type: 'lease_acquire', ...lease },
    ])
    room.tasks.handle('work', () => {})
    await room.settle()
    expect(room.statesOf(id)).toEqual(['ready'])
    await room.authority.submit({ type: 'lease_release', ...lease })
    await room.settle()
    expect(room.statesOf(id)).toEqual(['completed'])
  })

  it('[T-99] the cap still holds: an attempt that was lost may have been the last', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxLosses: 1 } })
    await leaseByOther(room, id, 'running', start + 50_000)
    await room.tasks.start()
    await room.pass(50)
    expect(await room.tasks.outcome(id)).toMatchObject({ status: 'failed', error: 'the owner worker-9 was lost' })
  })

  it('[T-99] runs of our own are taken back at once after a crash: the directory proves that nobody works on them', async () => {
    const room = await openRoom()
    room.tasks.handle('work', never)
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    await room.settle()
    const [first] = room.runsOf(id)
    expect(first?.state).toBe('running')
    const later = await room.crash(1)
    later.tasks.handle('work', () => 'ok')
    const outcome = later.tasks.outcome(id)
    await later.pass(1)
    expect(await outcome).toMatchObject({ status: 'completed' })
    const [run] = later.runsOf(id)
    expect([run?.id, run?.attemptCount]).toEqual([first?.id, 2])
    expect(run?.attempts.map(({ outcome: ended }) => ended)).toEqual([
      lost('the owner local was lost'),
      { result: 'success', output: 'b2s=', contentType: 'text/plain' },
    ])
  })

  it('[T-197] a lease is kept by heartbeats as long as its handler works', async () => {
    const room = await openRoom({ dispatch: { leaseMs: 30_000 } })
    room.tasks.handle('work', never)
    const id = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    expect(room.runsOf(id)[0]?.lease?.expiresAtMs).toBe(start + 30_000)
    await room.pass(19)
    expect(room.runsOf(id)[0]?.lease?.expiresAtMs).toBe(start + 30_000)
    await room.pass(1)
    expect(room.runsOf(id)[0]?.lease?.expiresAtMs).toBe(start + 50_000)
    await room.pass(100)
    expect([room.statesOf(id), room.runsOf(id)[0]?.attemptCount]).toEqual([['running'], 1])
  })
})

describe('crashes', () => {
  it('[T-101] a mix of every state recovers exactly, three crashes in a row', async () => {
    let room = await openRoom({ dispatch: { concurrency: 8, backoff: { type: 'fixed', delayMs: 60_000 } } })
    const submit = (kind: string, more = {}): Promise<TaskId> => room.tasks.submit({ kind, ...more })
    room.tasks.handle('good', () => 'ok')
    room.tasks.handle('bad', () => {
      throw new Error('no')
    })
    room.tasks.handle('stuck', never)
    const good = await submit('good')
    const bad = await submit('bad')
    const waiting = await submit('bad', { constraints: { maxAttempts: 2 } })
    const future = await submit('good', { at: start + 500_000 })
    const unhandled = await submit('unknown')
    const stuck = await submit('stuck', { constraints: { maxAttempts: 9 } })
    const many = await Promise.all(Array.from({ length: 50 }, () => submit('unknown')))
    await room.settle()
    const ids = [good, bad, waiting, future, unhandled, stuck, ...many]
    const expected = ['completed', 'failed', 'retry_wait', 'scheduled', 'ready', 'running', ...many.map(() => 'ready')]
    for (let crash = 0; crash < 3; crash += 1) {
      const before = ids.flatMap((id) => room.runsOf(id))
      expect(before.map(({ state }) => state)).toEqual(expected)
      const { latestSequence } = room.authority.projection
      room = await room.crash()
      expect(ids.flatMap((id) => room.runsOf(id))).toEqual(before)
      const created = await room.authority.submit({ type: 'engine_pause', atMs: start })
      expect(created.sequence).toBe(latestSequence + 1)
      await room.authority.submit({ type: 'engine_resume', atMs: start })
    }
  })

  it('[T-101] a task without runs is recovered as it was', async () => {
    const room = await openRoom()
    const id = taskId(1)
    const taskSpec = createTaskSpec({ id, kind: 'work' })
    await room.authority.submit({ type: 'task_create', taskSpec, atMs: start })
    const later = await room.crash()
    later.tasks.handle('work', () => {})
    await later.pass(5)
    expect(later.authority.projection.task(id)).toEqual({
      spec: taskSpec,
      createdAtMs: start,
      depth: 0,
      progress: { runs: 0, open: 0, completed: 0, failed: 0 },
    })
  })

  it('[T-81] dispatches never exceed tasks times runs times attempts, however often the process dies', async () => {
    let room = await openRoom({ dispatch: { backoff: { type: 'fixed', delayMs: 0 } } })
    let calls = 0
    const handler = (): Promise<never> => {
      calls += 1
      return never()
    }
    room.tasks.handle('work', handler)
    const policy = { type: 'repeat', count: 2, intervalMs: 1000 } as const
    const ids = await Promise.all(
      Array.from({ length: 2 }, () =>
        room.tasks.submit({ kind: 'work', runPolicy: policy, constraints: { maxAttempts: 3 } }),
      ),
    )
    await room.pass(2)
    for (let crash = 0; crash < 6; crash += 1) {
      room = await room.crash(1)
      room.tasks.handle('work', handler)
      await room.settle()
    }
    expect(calls).toBe(12)
    expect(ids.flatMap((id) => room.statesOf(id))).toEqual(['failed', 'failed', 'failed', 'failed'])
  })
})

describe('draining', () => {
  it('[T-199] starts nothing any more, lets what runs end in time, and leaves no timer', async () => {
    const room = await openRoom({ dispatch: { concurrency: 1 } })
    let finish: () => void = () => {}
    room.tasks.handle('work', () => new Promise<void>((resolve) => (finish = resolve)))
    const running = await room.tasks.submit({ kind: 'work' })
    const waiting = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    const closing = room.tasks.close(5000)
    finish()
    await closing
    expect([room.statesOf(running), room.statesOf(waiting)]).toEqual([['completed'], ['ready']])
    expect(room.clock.pendingTimeouts).toBe(0)
    await expect(room.tasks.start()).rejects.toMatchObject({ code: 'runtime_closed' })
  })

  it('[T-199] puts aside what does not end in time; the next process resumes it, and the attempt does not count', async () => {
    const room = await openRoom()
    room.tasks.handle('work', never)
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 1 } })
    await room.settle()
    const outcome = room.tasks.outcome(id)
    const closing = room.tasks.close(2000)
    await room.pass(3)
    await closing
    await expect(outcome).rejects.toMatchObject({ code: 'channel_closed' })
    expect(room.statesOf(id)).toEqual(['suspended'])
    const later = await room.crash()
    later.tasks.handle('work', ({ attemptNumber }) => attemptNumber)
    expect(await later.tasks.outcome(id)).toMatchObject({
      status: 'completed',
      output: new Uint8Array(Buffer.from('1')),
    })
  })

  it('[T-201] ends at once when nothing was ever dispatched', async () => {
    const room = await openRoom()
    await room.tasks.close(5000)
    expect(room.clock.pendingTimeouts).toBe(0)
  })
})
