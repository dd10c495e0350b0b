import { describe, expect, it } from 'vitest'
import { createDeferred, type Deferred } from '../../../src/base/promises.js'
import { DeadlineQueue } from '../../../src/base/deadline-queue.js'
import { silentLogger } from '../../../src/base/logger.js'
import { ConcurrencyKeys } from '../../../src/tasks/dispatch/concurrency-keys.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { createRun, suspend, type DispatchOptions, type Run, type TaskId } from '../../../src/tasks/index.js'
import { runId, taskId } from '../support/ids.js'
import { openRoom, type Room } from './support/room.js'

const keyed = (
  key: string,
  policy: 'hold_during_retry' | 'release_on_retry' = 'hold_during_retry',
  maxAttempts = 2,
) => ({
  kind: 'work',
  constraints: { concurrencyKey: key, concurrencyKeyHoldPolicy: policy, maxAttempts },
})

describe('the gate', () => {
  const run = (number: number): Run => ({
    ...createRun({ id: runId(number), taskId: taskId(1), createdAtMs: 0, scheduledAtMs: 0 }),
    history: [],
    attempts: [],
  })
  const projection = {
    task: () =>
      ({ spec: { constraints: { concurrencyKey: 'k', concurrencyKeyHoldPolicy: 'hold_during_retry' } } }) as never,
    runsIn: () => [],
  }

  it('[T-79] is re-entrant for the holder, exclusive otherwise, and a foreign release has no effect', () => {
    const freed: string[] = []
    const gate = new ConcurrencyKeys({
      projection,
      deadlines: new DeadlineQueue(new SimulatedClock()),
      logger: silentLogger,
      stragglerLimitMs: 0,
      onFree: (key) => freed.push(key),
      onFreeForHolder: () => {},
    })
    expect([gate.tryAcquire(run(1)), gate.tryAcquire(run(1)), gate.tryAcquire(run(2))]).toEqual([true, true, false])
    gate.release(run(2))
    expect([freed, gate.tryAcquire(run(2))]).toEqual([[], false])
    gate.release(run(1))
    expect([freed, gate.isFree('k'), gate.tryAcquire(run(2))]).toEqual([['k'], true, true])
  })
})

describe('a handler that ignores its signal', () => {
  /** The second attempt starts when nothing keeps its key. */
  async function openRivals(
    constraints: { readonly timeoutMs?: number; readonly maxAttempts?: number },
    stragglerLimitMs?: number,
  ) {
    const dispatch: DispatchOptions = {
      backoff: { type: 'fixed', delayMs: 0 },
      concurrency: 2,
      ...(stragglerLimitMs !== undefined && { stragglerLimitMs }),
    }
    const room = await openRoom({ dispatch })
    const calls: { readonly taskId: TaskId; readonly end: () => void }[] = []
    room.tasks.handle('work', ({ taskId: id }) => {
      const deferred = createDeferred<void>()
      calls.push({ taskId: id, end: deferred.resolve })
      return deferred.promise
    })
    const submit = () => room.tasks.submit({ kind: 'work', constraints: { concurrencyKey: 'a', ...constraints } })
    const [one, two] = [await submit(), await submit()]
    await room.settle()
    return { room, calls, one, two, started: () => calls.map(({ taskId: id }) => id) }
  }

  it('[T-179] keeps its key until it ends, but not its slot', async () => {
    const { room, calls, one, two, started } = await openRivals({ timeoutMs: 1000 })
    await room.pass(2)
    expect([room.statesOf(one), started()]).toEqual([['failed'], [one]])
    const others = await Promise.all([1, 2].map(() => room.tasks.submit({ kind: 'work' })))
    await room.settle()
    expect(started()).toEqual([one, ...others])
    calls[1]?.end()
    await room.pass(60)
    expect(room.statesOf(two)).toEqual(['ready'])
    calls[0]?.end()
    await room.settle()
    expect([started().at(-1), room.warnings]).toEqual([two, []])
  })

  it('keeps it from the next attempt of its own run as well', async () => {
    const { room, calls, one, started } = await openRivals({ timeoutMs: 1000, maxAttempts: 2 })
    await room.pass(10)
    expect([room.statesOf(one), started()]).toEqual([['ready'], [one]])
    calls[0]?.end()
    await room.settle()
    expect(started()).toEqual([one, one])
  })

  it('keeps it when its task is cancelled', async () => {
    const { room, calls, one, two, started } = await openRivals({})
    await room.tasks.cancel(one)
    await room.pass(10)
    expect([room.statesOf(one), started()]).toEqual([['cancelled'], [one]])
    calls[0]?.end()
    await room.settle()
    expect(started()).toEqual([one, two])
  })

  it.each([
    [undefined, 300],
    [5000, 5],
    [0, 0],
  ])('[T-179] is left behind after stragglerLimitMs (%s), which the log tells', async (limitMs, seconds) => {
    const { room, calls, one, two, started } = await openRivals({ timeoutMs: 1000 }, limitMs)
    await room.pass(1)
    room.clock.advance(250)
    await room.settle()
    room.clock.advance(Math.max(0, seconds * 1000 - 1))
    await room.settle()
    if (seconds > 0) expect([started(), room.warnings]).toEqual([[one], []])
    room.clock.advance(1)
    await room.settle()
    expect([started(), room.warnings]).toEqual([[one, two], [expect.stringContaining('left behind')]])
    // Its end comes too late to mean anything.
    calls[0]?.end()
    await room.pass(1)
    expect(started()).toEqual([one, two])
  })

  it('does not hold up the end of the runtime, and no timer waits for it', async () => {
    const { room } = await openRivals({ timeoutMs: 1000 })
    await room.pass(2)
    expect(room.clock.pendingTimeouts).toBe(1)
    await room.tasks.close(0)
    expect(room.clock.pendingTimeouts).toBe(0)
  })
})

/** A handler that answers when told, and who is in it. */
function controlled(room: Room): { readonly inside: TaskId[]; answer(taskId: TaskId, value: unknown): Promise<void> } {
  const open = new Map<TaskId, Deferred<unknown>>()
  const inside: TaskId[] = []
  room.tasks.handle('work', ({ taskId: id }) => {
    const deferred = createDeferred<unknown>()
    open.set(id, deferred)
    inside.push(id)
    return deferred.promise
  })
  return {
    inside,
    async answer(id, value) {
      inside.splice(inside.indexOf(id), 1)
      const deferred = open.get(id)
      if (value instanceof Error) deferred?.reject(value)
      else deferred?.resolve(value)
      await room.settle()
    },
  }
}

describe('concurrency keys', () => {
  it('[T-84] two runs with one key never overlap, with different keys they may; failure releases the key', async () => {
    const room = await openRoom()
    const { inside, answer } = controlled(room)
    const one = await room.tasks.submit(keyed('a', 'hold_during_retry', 1))
    const two = await room.tasks.submit(keyed('a', 'hold_during_retry', 1))
    const other = await room.tasks.submit(keyed('b'))
    await room.settle()
    expect(inside).toEqual([one, other])
    await answer(one, new Error('no'))
    expect(inside).toEqual([other, two])
    await answer(two, 'ok')
    await answer(other, 'ok')
    expect([one, two, other].flatMap((id) => room.statesOf(id))).toEqual(['failed', 'completed', 'completed'])
  })

  it('[T-84] a hundred runs behind one key run one after another, in order', async () => {
    const room = await openRoom({ dispatch: { concurrency: 8 } })
    const order: TaskId[] = []
    let inside = 0
    let most = 0
    room.tasks.handle('work', async ({ taskId: id }) => {
      inside += 1
      most = Math.max(most, inside)
      order.push(id)
      await Promise.resolve()
      inside -= 1
    })
    const ids = await Promise.all(Array.from({ length: 100 }, () => room.tasks.submit(keyed('a'))))
    await Promise.all(ids.map((id) => room.tasks.outcome(id)))
    expect(most).toBe(1)
    expect(order).toEqual(ids)
  })

  it.each([
    ['hold_during_retry', false],
    ['release_on_retry', true],
  ] as const)('[T-85] a suspended run under %s lets another with its key run: %s', async (policy, lets) => {
    const room = await openRoom()
    const { inside, answer } = controlled(room)
    const one = await room.tasks.submit(keyed('a', policy))
    const two = await room.tasks.submit(keyed('a', policy))
    await room.settle()
    await answer(one, suspend())
    expect(inside).toEqual(lets ? [two] : [])
    await room.tasks.resume(room.runsOf(one)[0]?.id as never)
    await room.settle()
    expect(inside).toEqual(lets ? [two] : [one])
  })

  it.each([
    ['hold_during_retry', false],
    ['release_on_retry', true],
  ] as const)('[T-85] a run that waits to be retried under %s lets another run: %s', async (policy, lets) => {
    const room = await openRoom()
    const { inside, answer } = controlled(room)
    const one = await room.tasks.submit(keyed('a', policy))
    const two = await room.tasks.submit(keyed('a', policy))
    await room.settle()
    await answer(one, new Error('later'))
    expect(inside).toEqual(lets ? [two] : [])
    await room.pass(5)
    expect(inside).toEqual(lets ? [two] : [one])
  })

  it.each([
    ['hold_during_retry', 'suspended', false],
    ['release_on_retry', 'suspended', true],
    ['hold_during_retry', 'retry_wait', false],
    ['release_on_retry', 'retry_wait', true],
  ] as const)('[T-86] after a restart a run under %s in %s lets another run: %s', async (policy, state, lets) => {
    const room = await openRoom()
    const { answer } = controlled(room)
    const one = await room.tasks.submit(keyed('a', policy))
    await room.settle()
    await answer(one, state === 'suspended' ? suspend() : new Error('later'))
    expect(room.statesOf(one)).toEqual([state])
    const later = await room.crash()
    const { inside } = controlled(later)
    const two = await later.tasks.submit(keyed('a', policy))
    await later.settle()
    expect(inside).toEqual(lets ? [two] : [])
  })

  it('[T-86] a retried run that was ready at a crash still holds its key before more urgent ones', async () => {
    const room = await openRoom()
    const registration = room.tasks.handle('work', () => {
      throw new Error('later')
    })
    const one = await room.tasks.submit(keyed('a'))
    await room.settle()
    registration[Symbol.dispose]()
    await room.pass(5)
    expect(room.statesOf(one)).toEqual(['ready'])
    const later = await room.crash()
    const urgent = await later.tasks.submit({ ...keyed('a'), metadata: { priority: 9 } })
    await later.tasks.start()
    await later.settle()
    const { inside, answer } = controlled(later)
    await later.settle()
    expect(inside).toEqual([one])
    await answer(one, 'ok')
    expect(inside).toEqual([urgent])
  })

  it('[T-84] a run that is cancelled together with the holder of its key lets the next one in', async () => {
    const room = await openRoom()
    const { inside, answer } = controlled(room)
    const runPolicy = { type: 'repeat', count: 2, intervalMs: 1000 } as const
    const both = await room.tasks.submit({ ...keyed('a'), runPolicy })
    await room.pass(1)
    await answer(both, suspend())
    const next = await room.tasks.submit(keyed('a'))
    await room.settle()
    await room.tasks.cancel(both)
    await room.settle()
    expect(inside).toEqual([next])
  })

  it('[T-84] a run that its budget keeps out does not keep its key from the next', async () => {
    const room = await openRoom()
    const { inside, answer } = controlled(room)
    const holder = await room.tasks.submit(keyed('a'))
    await room.settle()
    const broke = await room.tasks.submit({ ...keyed('a'), metadata: { priority: 5 }, budgets: { token: 10 } })
    const next = await room.tasks.submit(keyed('a'))
    const atMs = room.clock.wallNow()
    await room.authority.submit({
      type: 'budget_consume',
      taskId: broke,
      dimension: 'token' as never,
      amount: 10,
      atMs,
    })
    await room.settle()
    await answer(holder, 'ok')
    expect(inside).toEqual([next])
    await answer(next, 'ok')
    await room.tasks.replenish(broke, 'token', 20)
    await room.settle()
    expect(inside).toEqual([broke])
  })
})
