import { describe, expect, it } from 'vitest'
import { latestOccurrence } from '../../../src/tasks/cron.js'
import { nextOccurrence, type RunPolicy, type TaskId } from '../../../src/tasks/index.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { openRoom, start, type Room } from './support/room.js'

const minute = 60_000
const everyMinute = { type: 'cron', expression: '* * * * *' } as const
/** The first whole minute of simulated time. */
const first = Math.ceil(start / minute) * minute

/** Notes when the runs that are started were due, in minutes from the first. */
function countRuns(room: Room): number[] {
  const seen: number[] = []
  room.tasks.handle('work', ({ scheduledAt }) => void seen.push((scheduledAt.getTime() - first) / minute))
  return seen
}

function openDues(room: Room, id: TaskId): number[] {
  const open = room.authority.projection.openRunsOf(id)
  return open.map(({ scheduledAtMs }) => (scheduledAtMs - first) / minute).toSorted((one, other) => one - other)
}

describe('an expression', () => {
  it('[T-290] has five fields or seven', () => {
    const at = Date.UTC(2027, 0, 1, 0, 0, 30)
    expect(nextOccurrence('5 4 * * *', at)).toBe(Date.UTC(2027, 0, 1, 4, 5))
    expect(nextOccurrence('7 5 4 * * * 2028', at)).toBe(Date.UTC(2028, 0, 1, 4, 5, 7))
    expect(() => nextOccurrence('5 4 * * * *', at)).toThrow(expect.objectContaining({ code: 'cron_policy_error' }))
  })

  it('[T-291] follows the wall clock of its time zone over a change of daylight saving', () => {
    const dues = (expression: string, from: number, count: number): readonly string[] => {
      const found: string[] = []
      for (let at = from; found.length < count; ) {
        at = nextOccurrence(expression, at, 'Europe/Berlin') ?? Number.NaN
        found.push(new Date(at).toISOString().slice(5, 16))
      }
      return found
    }
    expect(dues('0 9 * * *', Date.UTC(2027, 2, 27), 3)).toEqual(['03-27T08:00', '03-28T07:00', '03-29T07:00'])
    // 02:30 is left out on the 28th, and comes twice on the 31st of October.
    expect(dues('30 2 * * *', Date.UTC(2027, 2, 27), 3)).toEqual(['03-27T01:30', '03-28T01:00', '03-29T00:30'])
    expect(dues('30 2 * * *', Date.UTC(2027, 9, 30), 3)).toEqual(['10-30T00:30', '10-31T00:30', '11-01T01:30'])
    expect(dues('0 * * * *', Date.UTC(2027, 9, 30, 23, 30), 3)).toEqual(['10-31T00:00', '10-31T01:00', '10-31T02:00'])
  })

  it('[T-291] is refused with a time zone that does not exist', async () => {
    const room = await openRoom()
    const runPolicy = { ...everyMinute, timezone: 'Mars/Olympus' }
    await expect(room.tasks.submit({ kind: 'work', runPolicy })).rejects.toMatchObject({ code: 'cron_policy_error' })
  })

  it('is counted backwards as it is forwards', () => {
    for (const timezone of ['UTC', 'America/New_York', 'Australia/Lord_Howe']) {
      for (const expression of ['*/7 * * * *', '30 2 * * *', '15 1-3 * * 0']) {
        let last: number | undefined
        const from = Date.UTC(2027, 2, 13)
        for (let at = from; at < from + 2 * 86_400_000; ) {
          const next = nextOccurrence(expression, at, timezone) ?? Number.NaN
          if (last !== undefined) {
            expect(latestOccurrence({ expression, timezone }, next - 1)).toBe(last)
            expect(latestOccurrence({ expression, timezone }, last)).toBe(last)
          }
          at = next
          last = next
        }
      }
    }
  })
})

describe('what was missed', () => {
  it.each([
    // Down from minute 2 and a half to minute 62 and a half; then two minutes more.
    { catchUp: undefined, runs: [0, 1, 2, 62, 63, 64] },
    { catchUp: 'latest', runs: [0, 1, 2, 62, 63, 64] },
    { catchUp: 'none', runs: [0, 1, 2, 63, 64] },
    { catchUp: 'all', runs: Array.from({ length: 65 }, (_, index) => index) },
  ] as const)('[T-292] while nothing ran: $catchUp', async ({ catchUp, runs }) => {
    const clock = new SimulatedClock(first)
    const before = await openRoom({ clock })
    const seen = countRuns(before)
    const runPolicy: RunPolicy = { ...everyMinute, ...(catchUp !== undefined && { catchUp }) }
    const id = await before.tasks.submit({ kind: 'work', runPolicy })
    await before.pass(150)
    const room = await before.crash(3600)
    seen.push(...(await countedFor(room, 120)))
    expect(seen).toEqual(runs)
    expect(openDues(room, id)).toEqual([65, 66, 67, 68, 69])
    // Nothing is left of the others.
    expect(room.statesOf(id).filter((state) => state === 'cancelled')).toEqual([])
  })

  it('[T-292] before a task was submitted, or while the engine is paused, counts as missed, too', async () => {
    const room = await openRoom({ clock: new SimulatedClock(first + 10_000) })
    const seen = countRuns(room)
    const id = await room.tasks.submit({ kind: 'work', runPolicy: everyMinute, at: first - 100 * minute })
    await room.settle()
    expect([seen, openDues(room, id)]).toEqual([[0], [1, 2, 3, 4, 5]])
    await room.tasks.reschedule(id, { ...everyMinute, catchUp: 'none' })
    await room.tasks.pauseEngine()
    await room.pass(600)
    await room.tasks.resumeEngine()
    await room.settle()
    expect([seen, openDues(room, id)]).toEqual([[0], [11, 12, 13, 14, 15]])
    await room.pass(60)
    expect(seen).toEqual([0, 11])
  })

  it('[T-292] none: what comes more than a minute late was missed, though nothing was closed', async () => {
    const clock = new SimulatedClock(first + 1000)
    const room = await openRoom({ clock })
    const seen = countRuns(room)
    await room.tasks.submit({ kind: 'work', runPolicy: { type: 'cron', expression: '0 * * * *', catchUp: 'none' } })
    await room.pass(1)
    clock.setWall(Date.UTC(1970, 0, 12, 14, 10))
    await room.pass(61)
    expect(seen).toEqual([])
    clock.setWall(Date.UTC(1970, 0, 12, 14, 59, 55))
    await room.pass(61)
    expect(seen).toEqual([(Date.UTC(1970, 0, 12, 15) - first) / minute])
  })

  it('[T-293] counts for no limit of occurrences, and leaves a task that has run none to end', async () => {
    const before = await openRoom({ clock: new SimulatedClock(first) })
    const id = await before.tasks.submit({
      kind: 'work',
      runPolicy: { ...everyMinute, maxOccurrences: 2 },
      at: first + minute,
    })
    const year = new Date(first).getUTCFullYear()
    const lastMinute = { type: 'cron', expression: `0 59 23 31 12 * ${year}`, catchUp: 'none' } as const
    const over = await before.tasks.submit({ kind: 'work', runPolicy: lastMinute })
    const room = await before.crash(366 * 86_400)
    const seen = await countedFor(room, 61)
    expect(seen).toHaveLength(2)
    expect(await room.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect(await room.tasks.outcome(over)).toMatchObject({ status: 'cancelled' })
  })

  it('[T-293] ends a task that has run, once, when nothing is left of its calendar', async () => {
    const year = new Date(first).getUTCFullYear()
    const lastMinutes = { type: 'cron', expression: `0 58,59 23 31 12 * ${year}`, catchUp: 'none' } as const
    const before = await openRoom({ clock: new SimulatedClock(Date.UTC(year, 11, 31, 23, 57, 50)) })
    const seen = countRuns(before)
    const id = await before.tasks.submit({ kind: 'work', runPolicy: lastMinutes })
    await before.pass(15)
    expect(seen).toHaveLength(1)
    const room = await before.crash(3600)
    expect(await countedFor(room, 1)).toEqual([])
    expect(await room.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect(room.tasks.feed.since(0).entries).toMatchObject([{ taskId: id, status: 'completed' }])
  })
})

describe('overlapping occurrences', () => {
  /** Starts at minute 0, 1, 2, ... of a handler that takes two and a half minutes. */
  async function startsWith(runPolicy: RunPolicy, seconds = 600): Promise<readonly number[]> {
    const room = await openRoom({ clock: new SimulatedClock(first), dispatch: { concurrency: 10 } })
    const starts: number[] = []
    room.tasks.handle('work', async ({ signal }) => {
      starts.push((room.clock.wallNow() - first) / minute)
      await new Promise<void>((resolve) => {
        const timeout = room.clock.setTimeout(resolve, 150_000)
        signal.addEventListener('abort', () => room.clock.clearTimeout(timeout))
      })
    })
    await room.tasks.submit({ kind: 'work', runPolicy })
    await room.pass(seconds)
    return starts
  }

  it('[T-294] both run unless told otherwise', async () => {
    expect(await startsWith(everyMinute, 240)).toEqual([0, 1, 2, 3, 4])
  })

  it('[T-294] are skipped', async () => {
    expect(await startsWith({ ...everyMinute, overlap: 'skip' })).toEqual([0, 3, 6, 9])
  })

  it('[T-294] wait in line, five at most, and are made up for as the policy says', async () => {
    expect(await startsWith({ ...everyMinute, overlap: 'queue' })).toEqual([0, 2.5, 5, 7.5, 10])
  })

  it('[T-294] in line start one after another, also when they are due together', async () => {
    const room = await openRoom({ clock: new SimulatedClock(first), dispatch: { concurrency: 10 } })
    let atWork = 0
    let most = 0
    room.tasks.handle('work', async () => {
      most = Math.max(most, (atWork += 1))
      await Promise.resolve()
      atWork -= 1
    })
    const runPolicy = { ...everyMinute, overlap: 'queue', catchUp: 'all', maxOccurrences: 7 } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy, at: first - 10 * minute })
    await room.settle()
    expect((await room.tasks.outcome(id)).runs).toHaveLength(7)
    expect(most).toBe(1)
  })
})

describe('a schedule', () => {
  it('[T-295] is changed in place: what was not due yet gives way', async () => {
    const before = await openRoom({ clock: new SimulatedClock(first + 1000) })
    const seen = countRuns(before)
    const id = await before.tasks.submit({ kind: 'work', runPolicy: everyMinute })
    await before.pass(120)
    await before.tasks.reschedule(id, { type: 'cron', expression: '*/10 * * * *' })
    const dues = openDues(before, id)
    expect(dues.slice(1).map((due, index) => due - (dues[index] ?? 0))).toEqual([10, 10, 10, 10])
    expect(before.authority.projection.task(id)).toMatchObject({
      spec: { runPolicy: { type: 'cron', expression: '*/10 * * * *' } },
      progress: { runs: 7, open: 5, completed: 2 },
    })
    await before.lane.compact()
    const room = await before.crash()
    expect(openDues(room, id)).toEqual(dues)
    await room.tasks.reschedule(id, { type: 'repeat', count: 4, intervalMs: 30_000 })
    seen.push(...(await countedFor(room, 61)))
    expect(await room.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect(seen).toHaveLength(4)
  })

  it('[T-295] goes on from its own calendar after a snapshot, whatever an event had released before its time', async () => {
    const before = await openRoom({ clock: new SimulatedClock(first + 1000) })
    const yearly = { type: 'cron', expression: '0 0 0 1 1 * *' } as const
    const id = await before.tasks.submit({
      kind: 'work',
      runPolicy: yearly,
      releasedBy: [{ type: 'custom', key: 'go' }],
    })
    countRuns(before)
    await before.settle()
    await before.tasks.publish('go')
    await before.settle()
    expect(before.statesOf(id).filter((state) => state === 'completed')).toHaveLength(1)
    await before.tasks.reschedule(id, everyMinute)
    await before.lane.compact()
    const room = await before.crash()
    expect(await countedFor(room, 300)).toEqual([1, 2, 3, 4, 5])
    expect(openDues(room, id)).toEqual([6, 7, 8, 9, 10])
  })

  it('[T-296] is refused for a task that has none, has ended, or would have none', async () => {
    const room = await openRoom({ clock: new SimulatedClock(first) })
    const code = (id: TaskId, policy: RunPolicy): Promise<unknown> =>
      room.tasks.reschedule(id, policy).then(
        () => 'taken',
        (refusal: unknown) => (refusal as { readonly code: string }).code,
      )
    const once = await room.tasks.submit({ kind: 'work' })
    const cron = await room.tasks.submit({ kind: 'work', runPolicy: everyMinute, at: first + minute })
    expect(await code(once, everyMinute)).toBe('task_not_repeating')
    expect(await code(cron, { type: 'once' })).toBe('task_not_repeating')
    const over = { type: 'repeat', count: 1, intervalMs: 1000 } as const
    const later = await room.tasks.submit({ kind: 'other', runPolicy: everyMinute })
    room.tasks.handle('other', () => {})
    await room.settle()
    expect(room.authority.projection.task(later)?.progress).toMatchObject({ runs: 6, open: 5 })
    expect(await code(later, over)).toBe('schedule_without_runs')
    expect(await code(cron, { type: 'cron', expression: '0 0 0 30 2 * *' })).toBe('invalid_input')
    expect(await code(cron, { type: 'cron', expression: 'soon' })).toBe('cron_policy_error')
    expect(await code('nobody' as TaskId, everyMinute)).toBe('unknown_task')
    expect(openDues(room, cron)).toEqual([1, 2, 3, 4, 5])
    await room.tasks.cancel(cron)
    expect(await code(cron, everyMinute)).toBe('task_already_cancelled')
  })
})

/** The runs that are started within some seconds by a handler that is registered now. */
async function countedFor(room: Room, seconds: number): Promise<readonly number[]> {
  const seen = countRuns(room)
  await room.pass(seconds)
  return seen
}
