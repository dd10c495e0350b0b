import { afterEach, expect, it, vi } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { Table } from '../../src/state/table.js'
import type { TaskCommand } from '../../src/tasks/index.js'
import { openTasks, stateOf } from './support/authority.js'
import { allocate, consume, depend, move, runCreate, taskCreate } from './support/commands.js'
import { R1, T1, T2 } from './support/ids.js'

afterEach(() => vi.restoreAllMocks())

const script: readonly TaskCommand[] = [
  taskCreate(T1),
  taskCreate(T2),
  runCreate(R1),
  depend(T2, T1),
  allocate(10),
  consume(3),
  move('scheduled', 'ready'),
]

/** Lets one commit of one row break off, the others of its change behind it; counts them. */
function breakCommit(at: number): { readonly calls: number } {
  const counter = { calls: 0 }
  const write = Table.prototype.write
  vi.spyOn(Table.prototype, 'write').mockImplementation(function (this: Table<unknown, unknown>, ...row) {
    const staged = write.apply(this, row)
    return {
      undo: () => staged.undo(),
      commit: () => {
        counter.calls += 1
        if (counter.calls === at) throw new Error('memory broke')
        staged.commit()
      },
    }
  })
  return counter
}

/** Submits everything, one after another, and again after trying to reopen; returns what was acknowledged. */
async function submitUnderFault(at: number) {
  const tasks = await openTasks(createMemoryJournal())
  const counter = breakCommit(at)
  const acknowledged: number[] = []
  for (const command of script) {
    await tasks.authority.submit(command).then(
      ({ sequence }) => acknowledged.push(sequence),
      () => {},
    )
  }
  const { calls } = counter
  const reopened = await tasks.lane.reopen().then(
    () => 'reopened',
    (refused: unknown) => (refused as { code: string }).code,
  )
  for (const command of script) await tasks.authority.submit(command).catch(() => {})
  vi.restoreAllMocks()
  await tasks.lane.close()
  return { calls, acknowledged, reopened, store: tasks.store }
}

it('[T-6] a change of which only some rows were applied is whole again when the journal is read back', async () => {
  const whole = await submitUnderFault(0)
  expect([whole.acknowledged, whole.reopened]).toEqual([[1, 2, 3, 4, 5, 6, 7], 'reopened'])
  expect(whole.calls).toBe(9)
  for (let at = 1; at <= whole.calls; at += 1) {
    const { acknowledged, reopened, store } = await submitUnderFault(at)
    expect([at, reopened]).toEqual([at, 'lane_apply_failed'])
    const next = await openTasks(store)
    // The change that broke off is durable, and nothing was decided behind it.
    const last = next.authority.projection.latestSequence
    expect([at, last]).toEqual([at, acknowledged.length + 1])
    // The same as a process would be that never met a fault.
    const untouched = await openTasks()
    for (const command of script.slice(0, last)) await untouched.authority.submit(command)
    expect(stateOf(next)).toEqual(stateOf(untouched))
    await next.lane.close()
    await untouched.lane.close()
  }
})
