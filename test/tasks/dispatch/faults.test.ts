import { expect, it } from 'vitest'
import { maxPayloadBytes } from '../../../src/journal/frame.js'
import { createUuidSource } from '../../../src/base/ids.js'
import { budgetDimension } from '../../../src/tasks/index.js'
import { openRoom } from './support/room.js'

it('[T-177] an end that the journal refuses is offered again until it is durable, and the handler is not run twice', async () => {
  const room = await openRoom()
  let calls = 0
  room.tasks.handle('work', () => {
    calls += 1
    room.store.failNext('write')
    return 'kept'
  })
  const id = await room.tasks.submit({ kind: 'work' })
  await room.settle()
  expect(room.statesOf(id)).toEqual(['running'])
  await room.pass(1)
  expect([room.statesOf(id), calls, room.runsOf(id)[0]?.attemptCount]).toEqual([['completed'], 1, 1])
})

it('[T-177] an end whose durability is unknown is recorded after the lane was reopened', async () => {
  const room = await openRoom()
  room.tasks.handle('work', () => {
    room.store.failNext('sync')
    return 'kept'
  })
  const id = await room.tasks.submit({ kind: 'work' })
  await room.pass(3)
  expect([room.lane.health.status, room.statesOf(id)]).toEqual(['poisoned', ['running']])
  await room.lane.reopen()
  await room.pass(1)
  expect(await room.tasks.outcome(id)).toMatchObject({ status: 'completed', runs: [{ attempts: 1 }] })
})

it('[T-177] a claim that the journal refuses is made again a second later', async () => {
  const room = await openRoom()
  let calls = 0
  room.tasks.handle('work', () => {
    calls += 1
  })
  await room.settle()
  const id = await room.tasks.submit({ kind: 'work' })
  room.store.failNext('write')
  await room.settle()
  expect(calls).toBe(0)
  await room.pass(1)
  expect([room.statesOf(id), calls]).toEqual([['completed'], 1])
})

it('[T-177] while the lane is poisoned it is asked once a second, not with every run', async () => {
  const room = await openRoom()
  room.tasks.handle('work', () => {})
  await room.tasks.pauseEngine()
  const ids = await Promise.all(Array.from({ length: 50 }, () => room.tasks.submit({ kind: 'work' })))
  await room.tasks.resumeEngine()
  room.store.failNext('sync')
  await room.pass(5)
  expect(room.lane.health.status).toBe('poisoned')
  // The promotion and the four claims that follow it, at first and with each second since.
  expect(room.warnings).toHaveLength(6 * 5)
  await room.lane.reopen()
  await room.pass(2)
  expect(ids.flatMap((id) => room.statesOf(id))).toEqual(ids.map(() => 'completed'))
})

it('[T-177] ready runs do not storm a lane that takes nothing', async () => {
  const room = await openRoom()
  await room.tasks.start()
  const ids = await Promise.all(Array.from({ length: 20 }, () => room.tasks.submit({ kind: 'work' })))
  await room.settle()
  room.store.failNext('sync')
  room.tasks.handle('work', () => {})
  await room.pass(3)
  expect([room.lane.health.status, ids.flatMap((id) => room.statesOf(id))]).toEqual([
    'poisoned',
    ids.map(() => 'ready'),
  ])
  // Four slots, each tried at first and then with every second.
  expect(room.warnings).toHaveLength(4 * 4)
  await room.lane.reopen()
  await room.pass(1)
  expect(ids.flatMap((id) => room.statesOf(id))).toEqual(ids.map(() => 'completed'))
})

it('what a handler settled counts although the journal refused it at first', async () => {
  const room = await openRoom()
  room.tasks.handle('work', async ({ budget }) => {
    const spending = await budget.reserve('token', 40)
    room.store.failNext('write')
    await spending.settle(15)
  })
  const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 } })
  await room.pass(2)
  expect(room.statesOf(id)).toEqual(['failed'])
  expect(room.authority.projection.budget(id, budgetDimension('token'))).toMatchObject({ consumed: 15, reserved: 0 })
})

it('[T-176] an output that does not fit the journal fails the run for good', async () => {
  const room = await openRoom()
  room.tasks.handle('work', () => 'x'.repeat(maxPayloadBytes))
  const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 3 } })
  const { status, error, runs } = await room.tasks.outcome(id)
  expect([status, runs[0]?.attempts]).toEqual(['failed', 1])
  expect(error).toContain('does not fit the journal')
  expect(room.errors).toEqual([
    'an end was refused',
    "the consequences of an attempt's end were skipped",
    'an end was refused',
  ])
})

it('[T-201] closing with a poisoned lane does not wait for ends that cannot be recorded', async () => {
  const room = await openRoom()
  room.tasks.handle('work', () => {
    room.store.failNext('sync')
  })
  await room.tasks.submit({ kind: 'work' })
  await room.settle()
  const closing = room.tasks.close(1000)
  await room.pass(4)
  await closing
  expect(room.clock.pendingTimeouts).toBe(0)
})

it.each([
  [
    'breaks',
    () => {
      throw new Error('no ids')
    },
  ],
  ['makes none', () => 'not an id'],
])(
  'an attempt that cannot be started, because a source of ids %s, is told once and holds up nobody',
  async (_, broken) => {
    const ids = createUuidSource({ now: () => 1_000_000_000 })
    let isBroken = false
    const room = await openRoom({ ids: { uuid: () => (isBroken ? broken() : ids.uuid()) } })
    const [bad, good] = [await room.tasks.submit({ kind: 'work' }), await room.tasks.submit({ kind: 'other' })]
    await room.tasks.start()
    await room.settle()
    isBroken = true
    room.tasks.handle('work', () => {})
    await room.settle()
    isBroken = false
    // Without a second of rest for everybody.
    room.tasks.handle('other', () => {})
    await room.settle()
    expect([room.statesOf(good), room.statesOf(bad)]).toEqual([['completed'], ['ready']])
    expect(room.errors).toEqual(['an attempt cannot be started'])
  },
)
