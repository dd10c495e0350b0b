import { describe, expect, it } from 'vitest'
import type { RunPolicy, SubmitInput } from '../../../src/tasks/index.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { runCreate, taskCreate } from '../support/commands.js'
import { runId, T1 } from '../support/ids.js'
import { openRoom, start, type Room } from './support/room.js'

/** Monday, the 4th of May 2026. */
const today = Date.UTC(2026, 4, 4)
const year = 31_557_600_000

/** When the runs of a task are due, in seconds from the start, in order. */
function duesOf(room: Room, taskId = T1): number[] {
  return room
    .runsOf(taskId)
    .map(({ scheduledAtMs }) => (scheduledAtMs - start) / 1000)
    .toSorted((one, other) => one - other)
}

describe('a repetition', () => {
  it.each([525_600, 4_000_000_000])('[T-160] of %i is one task with five runs', async (count) => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work', runPolicy: { type: 'repeat', count, intervalMs: 60_000 } })
    expect(duesOf(room, id)).toEqual([0, 60, 120, 180, 240])
    expect(room.authority.projection.latestSequence).toBe(1)
  })

  it('[T-160] gets its next run in the change that ends one, and as many as were asked for', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {})
    const runPolicy = { type: 'repeat', count: 8, intervalMs: 10_000 } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy })
    await room.pass(25)
    expect(duesOf(room, id)).toEqual([0, 10, 20, 30, 40, 50, 60, 70])
    expect(room.authority.projection.task(id)?.progress).toMatchObject({ runs: 8, open: 5, completed: 3 })
    const later = await room.crash()
    later.tasks.handle('work', () => {})
    const outcome = later.tasks.outcome(id)
    await later.pass(50)
    expect((await outcome).runs.map(({ state }) => state)).toEqual(Array.from({ length: 8 }, () => 'completed'))
  })

  it('[T-161] never looks finished in between, also when every run is cancelled by itself', async () => {
    const room = await openRoom()
    const runPolicy = { type: 'repeat', count: 7, intervalMs: 10_000 } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy, at: start + 100_000 })
    for (let cancelled = 0; cancelled < 7; cancelled += 1) {
      const next = room.runsOf(id).find(({ state }) => state === 'scheduled')
      expect(next).toBeDefined()
      await room.tasks.cancelRun(next?.id as never)
    }
    expect(await room.tasks.outcome(id)).toMatchObject({ status: 'cancelled' })
    expect(room.runsOf(id)).toHaveLength(7)
  })

  it.each([
    { type: 'repeat', count: 100, intervalMs: 10_000 },
    { type: 'cron', expression: '*/10 * * * * * *' },
  ] as const)(
    'behind a prerequisite that has failed ends, and gets no runs that could only wait: $type',
    async (runPolicy) => {
      const room = await openRoom()
      room.tasks.handle('broken', () => {
        throw new Error('no')
      })
      const first = await room.tasks.submit({ kind: 'broken', at: start + 5000 })
      const id = await room.tasks.submit({ kind: 'work', runPolicy, dependsOn: [first] })
      await room.pass(5)
      expect((await room.tasks.outcome(id)).runs.map(({ state }) => state)).toEqual(
        Array.from({ length: 5 }, () => 'cancelled'),
      )
    },
  )

  it('is released by an event once more when its window holds a run that can be', async () => {
    const room = await openRoom()
    const ahead = start + 10_000_000
    const runPolicy = { type: 'repeat', count: 6, intervalMs: 100_000 } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy, at: ahead })
    await room.tasks.subscribe(id, { type: 'custom', key: 'go' }, { rearm: true })
    await room.tasks.start()
    for (let index = 0; index < 6; index += 1) await room.tasks.publish('go')
    await room.settle()
    expect(room.statesOf(id)).toEqual(Array.from({ length: 5 }, () => 'ready'))
    room.tasks.handle('work', () => {})
    await room.settle()
    expect(room.statesOf(id)).toEqual(Array.from({ length: 6 }, () => 'completed'))
  })
})

describe('cron', () => {
  it('a trigger that found no run to release is looked at again when the next one is made', async () => {
    const room = await openRoom({ dispatch: { concurrency: 1 } })
    const runPolicy = { type: 'cron', expression: '0 0 0 1 * * *' } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy })
    await room.tasks.subscribe(id, { type: 'custom', key: 'go' }, { rearm: true })
    await room.tasks.start()
    for (let index = 0; index < 6; index += 1) await room.tasks.publish('go')
    await room.settle()
    expect(room.statesOf(id)).toEqual(Array.from({ length: 5 }, () => 'ready'))
    let calls = 0
    room.tasks.handle('work', () => {
      calls += 1
      return calls > 1 ? new Promise(() => {}) : undefined
    })
    await room.settle()
    // The sixth run was made when the first had ended, and released by the trigger that had been left over.
    expect(room.authority.projection.countIn('scheduled')).toBe(0)
    expect(room.authority.projection.countIn('ready')).toBe(4)
  })

  it('[T-162] goes on after the latest run, in whatever order runs were made', async () => {
    const room = await openRoom()
    const expression = '0 * * * * * *'
    await room.authority.submitBatch([
      taskCreate(T1, { runPolicy: { type: 'cron', expression } }),
      runCreate(runId(1), T1, { scheduledAtMs: start + 620_000 }),
      runCreate(runId(2), T1, { scheduledAtMs: start + 20_000 }),
    ])
    await room.tasks.start()
    await room.settle()
    expect(duesOf(room)).toEqual([20, 620, 680, 740, 800])
  })

  it('whose last run lies beyond all dates makes no more, and its end is taken', async () => {
    const room = await openRoom()
    await room.authority.submitBatch([
      taskCreate(T1, { runPolicy: { type: 'cron', expression: '0 0 0 1 1 * *' } }),
      runCreate(runId(1), T1, { scheduledAtMs: Number.MAX_SAFE_INTEGER }),
    ])
    await room.tasks.cancelRun(runId(1))
    expect(room.statesOf(T1)).toEqual(['cancelled'])
  })
})

describe('at the door is refused with the field and the reason', () => {
  const cron = (expression: string): { runPolicy: RunPolicy } => ({ runPolicy: { type: 'cron', expression } })

  it.each<[string, Pick<SubmitInput, 'at' | 'payload' | 'runPolicy'>, string]>([
    ['a day that no month has', cron('0 0 0 30 2 * *'), 'runPolicy.expression'],
    ['a year that is over', cron('0 0 0 1 1 * 1969'), 'runPolicy.expression'],
    [
      'a year that is over when it is to begin',
      { ...cron('0 0 0 1 1 * 2026'), at: today + 5 * year },
      'runPolicy.expression',
    ],
    ['seconds', { at: 1_760_000_000 }, 'at'],
    ['an invalid date', { at: new Date(Number.NaN) }, 'at'],
    ['25 years and a millisecond', { at: today + 25 * year + 1 }, 'at'],
    ['25 years and a millisecond ago', { at: today - 25 * year - 1 }, 'at'],
    ['half a millisecond', { at: today + 0.5 }, 'at'],
    ['a time before all times', { at: -1 }, 'at'],
    ['no number', { at: Number.NaN }, 'at'],
    ['a payload that JSON cannot say', { payload: 10n }, 'payload'],
  ])('%s', async (_, input, field) => {
    const room = await openRoom({ clock: new SimulatedClock(today) })
    const refused = { code: 'invalid_input', data: { subject: 'task', field } }
    await expect(room.tasks.submit({ kind: 'work', ...input })).rejects.toMatchObject(refused)
    await expect(room.tasks.submitGraph({ a: { kind: 'work', ...input } })).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field: expect.stringMatching(new RegExp(`^(a\\.)?${field}$`)) },
    })
    expect(room.authority.projection.latestSequence).toBe(0)
  })

  it('says that seconds were given', async () => {
    const room = await openRoom({ clock: new SimulatedClock(today) })
    await expect(room.tasks.submit({ kind: 'work', at: today / 1000 })).rejects.toThrow('these are seconds')
  })

  it('but a date is an instant too, for a task and for one of a graph', async () => {
    const room = await openRoom({ clock: new SimulatedClock(today) })
    const at = new Date(Date.UTC(2027, 0, 1, 0, 0, 0, 7))
    const alone = await room.tasks.submit({ kind: 'work', at })
    const { a } = await room.tasks.submitGraph({ a: { kind: 'work', at } })
    const dues = [alone, a].flatMap((id) => room.runsOf(id).map(({ scheduledAtMs }) => scheduledAtMs))
    expect(dues).toEqual([1_798_761_600_007, 1_798_761_600_007])
  })

  it('[T-164] but 25 years are taken, and so is what occurs once', async () => {
    const room = await openRoom()
    await room.tasks.submit({ kind: 'work', at: start + 25 * year })
    const once = await room.tasks.submit({ kind: 'work', ...cron('0 0 0 1 1 * 1971') })
    expect(room.statesOf(once)).toEqual(['scheduled'])
  })

  it('[T-164] a cron expression without occurrence also by the authority, and what was taken is read whatever the time', async () => {
    const room = await openRoom()
    const spec = { runPolicy: { type: 'cron', expression: '0 0 0 1 1 * 1971' } } as const
    await expect(room.authority.submit(taskCreate(T1, spec, start + 5 * year))).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field: 'runPolicy.expression' },
    })
    await room.authority.submit(taskCreate(T1, spec, start))
    const later = await room.crash((5 * year) / 1000)
    expect(later.authority.projection.taskCount).toBe(1)
    await later.lane.compact()
    expect((await later.crash()).authority.projection.taskCount).toBe(1)
  })
})
