import { describe, expect, it } from 'vitest'
import type { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { openRoom, start, type Room } from './support/room.js'

/** In seconds. */
const hour = 3600
const hourMs = 3_600_000

/** Sets the wall clock by seconds, and nothing else. */
function setBy(clock: SimulatedClock, seconds: number): void {
  clock.setWall(clock.wallNow() + seconds * 1000)
}

async function advance(room: Room, milliseconds: number): Promise<void> {
  room.clock.advance(milliseconds)
  await room.settle()
}

/** A room whose handler `flaky` fails each first attempt, and how often it was called. */
async function openFlaky(delayMs: number): Promise<{ room: Room; calls: () => number }> {
  const room = await openRoom({ dispatch: { backoff: { type: 'fixed', delayMs } } })
  let calls = 0
  room.tasks.handle('flaky', ({ attemptNumber }) => {
    calls += 1
    if (attemptNumber === 1) throw new Error('once')
  })
  return { room, calls: () => calls }
}

const twice = { kind: 'flaky', constraints: { maxAttempts: 2 } } as const

describe('a delay is monotonic', () => {
  it.each([
    ['back by an hour before the failure', -hour, 0],
    ['back by an hour during the delay', 0, -hour],
    ['forward by an hour during the delay', 0, hour],
  ])(
    '[T-163] a retry comes after its backoff, to the millisecond, when the clock is set %s',
    async (_, before, during) => {
      const { room, calls } = await openFlaky(1500)
      await advance(room, 400)
      setBy(room.clock, before)
      await room.tasks.submit(twice)
      await room.settle()
      expect(calls()).toBe(1)
      setBy(room.clock, during)
      await advance(room, 1499)
      expect(calls()).toBe(1)
      await advance(room, 1)
      expect(calls()).toBe(2)
    },
  )

  it.each([
    ['the rest of it by the wall clock', 0, 7000],
    ['no more than the whole when the clock was set back meanwhile', -hour, 10_000],
    ['nothing when the clock was set forward meanwhile', hour, 0],
  ])('the next process waits %s', async (_, set, rest) => {
    const { room } = await openFlaky(10_000)
    const id = await room.tasks.submit(twice)
    await room.settle()
    await advance(room, 3000)
    setBy(room.clock, set)
    const later = await room.crash()
    later.tasks.handle('flaky', () => {})
    if (rest > 0) {
      await advance(later, rest - 1)
      expect(later.statesOf(id)).toEqual(['retry_wait'])
    }
    await advance(later, 1)
    expect(later.statesOf(id)).toEqual(['completed'])
  })

  it('the instant of a retry is exact and spread in milliseconds', async () => {
    const dispatch = { backoff: { type: 'fixed', delayMs: 1000, jitter: 0.5 } } as const
    const room = await openRoom({ dispatch, random: () => 0.25 })
    room.tasks.handle('flaky', () => {
      throw new Error('no')
    })
    room.clock.advance(123)
    const id = await room.tasks.submit(twice)
    await room.settle()
    expect(room.runsOf(id)[0]?.retryAtMs).toBe(start + 123 + 875)
  })

  it('one that is over, or whose run is cancelled, leaves nothing behind', async () => {
    const { room } = await openFlaky(1000)
    const cancelled = await room.tasks.submit(twice)
    await room.settle()
    await room.tasks.cancel(cancelled)
    await room.settle()
    expect(room.clock.pendingTimeouts).toBe(0)
    // More than a batch of promotions holds: none of them is in the way of the next.
    for (let round = 0; round < 2; round += 1) {
      const ids = await Promise.all(Array.from({ length: 300 }, () => room.tasks.submit(twice)))
      await room.settle()
      await advance(room, 1000)
      expect(new Set(ids.flatMap((id) => room.statesOf(id)))).toEqual(new Set(['completed']))
    }
  })

  it('the silence of an actor is not made longer or shorter by a clock that is set', async () => {
    const room = await openRoom()
    await room.tasks.start()
    const registration = { identity: 'one', capabilities: ['cpu'], heartbeatIntervalMs: 10_000 }
    const actorId = '00000004-0000-4000-8000-000000000001' as never
    await room.authority.submit({
      type: 'actor_register',
      registration: { ...registration, actorId },
      atMs: start,
    })
    setBy(room.clock, -hour)
    await room.pass(29)
    setBy(room.clock, 2 * hour)
    await room.settle()
    expect(room.authority.projection.isActorActive(actorId)).toBe(true)
    await room.pass(1)
    expect(room.authority.projection.isActorActive(actorId)).toBe(false)
  })
})

describe('nothing is rounded', () => {
  it('a claim between two seconds is stamped, and its lease expires, to the millisecond', async () => {
    const room = await openRoom({ dispatch: { leaseMs: 3001 } })
    room.clock.advance(999)
    room.tasks.handle('work', () => new Promise(() => {}))
    const id = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    expect(room.runsOf(id)).toMatchObject([
      {
        createdAtMs: start + 999,
        scheduledAtMs: start + 999,
        lease: { acquiredAtMs: start + 999, expiresAtMs: start + 4000 },
        attempts: [{ startedAtMs: start + 999 }],
      },
    ])
  })

  it('a run starts at its millisecond, and not one earlier', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {})
    const runPolicy = { type: 'repeat', count: 2, intervalMs: 333 } as const
    const id = await room.tasks.submit({ kind: 'work', at: start + 1501, runPolicy })
    await room.settle()
    await advance(room, 1500)
    expect(room.statesOf(id)).toEqual(['scheduled', 'scheduled'])
    await advance(room, 1)
    expect(room.statesOf(id)).toEqual(['completed', 'scheduled'])
    await advance(room, 332)
    expect(room.statesOf(id)).toEqual(['completed', 'scheduled'])
    await advance(room, 1)
    expect(room.statesOf(id)).toEqual(['completed', 'completed'])
  })

  it('an attempt has its time to the millisecond', async () => {
    const room = await openRoom()
    const signals: AbortSignal[] = []
    room.tasks.handle('work', ({ signal }) => {
      signals.push(signal)
      return new Promise(() => {})
    })
    await room.tasks.submit({ kind: 'work', constraints: { timeoutMs: 1501 } })
    await room.settle()
    await advance(room, 1500)
    expect(signals.map(({ aborted }) => aborted)).toEqual([false])
    await advance(room, 1)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  })

  it('a calendar that begins between two seconds begins with the next whole one', async () => {
    const room = await openRoom()
    room.clock.advance(1)
    const runPolicy = { type: 'cron', expression: '* * * * * * *', maxOccurrences: 2 } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy })
    expect(room.runsOf(id).map(({ scheduledAtMs }) => scheduledAtMs)).toEqual([start + 1000, start + 2000])
  })
})

describe('the calendar follows the wall clock', () => {
  it('[T-163] a task due in half an hour waits half an hour although the clock was set back by an hour', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {})
    await room.tasks.outcome(await room.tasks.submit({ kind: 'work' }))
    setBy(room.clock, -hour)
    const id = await room.tasks.submit({ kind: 'work', at: start - hourMs + 1_800_000 })
    await room.settle()
    await advance(room, 1_799_000)
    expect(room.statesOf(id)).toEqual(['scheduled'])
    await advance(room, 1000)
    expect(room.statesOf(id)).toEqual(['completed'])
  })

  it('cron goes on at the second that the corrected clock says', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {})
    await room.tasks.outcome(await room.tasks.submit({ kind: 'work' }))
    setBy(room.clock, -hour)
    const runPolicy = { type: 'cron', expression: '*/20 * * * * * *', maxOccurrences: 2 } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy, at: start - hourMs + 1000 })
    await advance(room, 19_000)
    expect(room.statesOf(id)).toEqual(['scheduled', 'scheduled'])
    await advance(room, 1000)
    expect(room.statesOf(id)).toEqual(['completed', 'scheduled'])
  })

  it('[T-163] a task that names no time is due at once, also when the clock was set back before its kind was handled', async () => {
    const room = await openRoom()
    await room.tasks.start()
    await room.tasks.pauseEngine()
    const id = await room.tasks.submit({ kind: 'late' })
    setBy(room.clock, -hour)
    room.tasks.handle('late', () => {})
    await room.tasks.resumeEngine()
    await room.settle()
    expect(room.statesOf(id)).toEqual(['completed'])
  })

  it('a task that names no time does not wait for the clock behind a gate that opens after it was set back', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {})
    const gate = await room.tasks.submit({ kind: 'gate' })
    const behind = await room.tasks.submit({ kind: 'work', dependsOn: [gate] })
    await room.pass(5)
    setBy(room.clock, -hour)
    room.tasks.handle('gate', () => {})
    await room.settle()
    expect(room.statesOf(behind)).toEqual(['completed'])
  })
})

describe('commands', () => {
  it('are stamped with a time that never runs backwards', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {})
    await room.pass(5)
    await room.tasks.outcome(await room.tasks.submit({ kind: 'work' }))
    setBy(room.clock, -hour)
    const id = await room.tasks.submit({ kind: 'work' })
    await room.tasks.outcome(id)
    const [run] = room.runsOf(id)
    expect(run?.attempts).toMatchObject([{ startedAtMs: start + 5000, finishedAtMs: start + 5000 }])
    expect(run?.createdAtMs).toBe(start + 5000 - hourMs)
  })

  it('that end what a later clock began are not refused: a task is cancelled at the earliest when it was created', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work' })
    await room.tasks.pauseEngine()
    setBy(room.clock, -hour)
    const later = await room.crash()
    expect(await later.tasks.cancel(id)).toBe('cancelled')
    expect(later.authority.projection.task(id)?.cancelledAtMs).toBe(start)
    expect(await later.tasks.resumeEngine()).toBe('resumed')
    expect(later.authority.projection.engine).toMatchObject({ pausedAtMs: start, resumedAtMs: start })
  })
})
