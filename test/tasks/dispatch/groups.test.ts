import { describe, expect, it } from 'vitest'
import { JournalError } from '../../../src/journal/errors.js'
import { LaneError } from '../../../src/lane/errors.js'
import { FollowUpQueue, type Step } from '../../../src/tasks/dispatch/follow-up-queue.js'
import {
  createRun,
  createTaskSpec,
  type TaskCommand,
  type TaskId,
  type TaskMutations,
} from '../../../src/tasks/index.js'
import { silentLogger } from '../../../src/base/logger.js'
import { openTasks } from '../support/authority.js'
import { runCreate, taskCreate } from '../support/commands.js'
import { runId, T1, taskId } from '../support/ids.js'
import { openRoom, start, type Room } from './support/room.js'

const many = 1500
/** The most that may go out at once: the steps of a group, each of which may cancel a task with its run. */
const mostEvents = 514

/** Sizes of the groups that become durable from now on. */
function groupsOf({ authority }: Room): number[] {
  const sizes: number[] = []
  authority.onCommit(({ events }) => void sizes.push(events.length))
  return sizes
}

/** Tasks with one run each that is due in a day. */
async function createMany(room: Room, spec: (index: number) => { readonly parentTaskId?: TaskId }): Promise<TaskId[]> {
  const ids = Array.from({ length: many }, (_, index) => taskId(100 + index))
  const commands = ids.flatMap((id, index): TaskCommand[] => [
    { type: 'task_create', taskSpec: createTaskSpec({ id, kind: 'none', ...spec(index) }), atMs: start },
    {
      type: 'run_create',
      runInstance: createRun({
        id: runId(100 + index),
        taskId: id,
        createdAtMs: start,
        scheduledAtMs: start + 86_400_000,
      }),
    },
  ])
  await room.authority.submitBatch(commands)
  return ids
}

describe('what follows from a change goes out in groups that fit', () => {
  it('[T-196] cancellation reaches every child, and another task is run meanwhile', async () => {
    const room = await openRoom()
    await room.tasks.start()
    const parent = await room.tasks.submit({ kind: 'none', at: start + 86_400_000 })
    await createMany(room, () => ({ parentTaskId: parent }))
    const sizes = groupsOf(room)
    let openAtEnd = 0
    room.tasks.handle('work', () => {
      openAtEnd = room.authority.projection.countIn('scheduled')
    })
    await room.tasks.cancel(parent)
    const other = await room.tasks.submit({ kind: 'work' })
    expect(await room.tasks.outcome(other)).toMatchObject({ status: 'completed' })
    await room.settle()
    expect(room.authority.projection.countIn('cancelled')).toBe(many + 1)
    expect(room.authority.projection.countIn('scheduled')).toBe(0)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(mostEvents)
    // It did not have to wait for the last of them.
    expect(openAtEnd).toBeGreaterThan(0)
  })

  it('cancellation of a task with more open runs than a batch takes reaches all of them', async () => {
    const room = await openRoom()
    await room.tasks.start()
    await room.authority.submitBatch([
      taskCreate(T1),
      ...Array.from({ length: many }, (_, index) =>
        runCreate(runId(index + 1), T1, { scheduledAtMs: start + 86_400_000 }),
      ),
    ])
    const sizes = groupsOf(room)
    expect(await room.tasks.cancel(T1)).toBe('cancelled')
    expect((await room.tasks.outcome(T1)).status).toBe('cancelled')
    expect(Math.max(...sizes)).toBeLessThanOrEqual(mostEvents)
  })

  it('a failed prerequisite cancels all that wait for it', async () => {
    const room = await openRoom()
    room.tasks.handle('broken', () => {
      throw new Error('no')
    })
    const first = await room.tasks.submit({ kind: 'broken', at: start + 5000 })
    const ids = await createMany(room, () => ({}))
    await room.authority.submitBatch(
      ids.map((id) => ({ type: 'dependency_declare', taskId: id, dependsOn: [first], atMs: start })),
    )
    const sizes = groupsOf(room)
    await room.pass(5)
    expect(room.authority.projection.countIn('cancelled')).toBe(many)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(mostEvents)
  })

  it('[T-196] a cascade that a crash cut short is finished by the next process', async () => {
    const room = await openRoom()
    await room.tasks.start()
    const parent = await room.tasks.submit({ kind: 'none', at: start + 86_400_000 })
    await createMany(room, () => ({ parentTaskId: parent }))
    await room.tasks.cancel(parent)
    const later = await room.crash()
    expect(later.authority.projection.countIn('scheduled')).toBeGreaterThan(0)
    await later.tasks.start()
    await later.settle()
    expect(later.authority.projection.countIn('cancelled')).toBe(many + 1)
  })

  it('a replenished budget lets go on all it had suspended, also across a crash', async () => {
    const room = await openRoom()
    const token = { type: 'budget_allocate', dimension: 'token' as never, limit: 1, atMs: start } as const
    const parent = await room.tasks.submit({ kind: 'none', at: start + 86_400_000 })
    await room.authority.submit({ ...token, taskId: parent })
    const ids = await createMany(room, () => ({ parentTaskId: parent }))
    await room.authority.submitBatch(
      ids.flatMap((_, index): TaskCommand[] => {
        const id = runId(100 + index)
        const move = { type: 'run_state_transition', runId: id, atMs: start } as const
        return [
          { ...move, previousState: 'scheduled', newState: 'ready' },
          { ...move, previousState: 'ready', newState: 'leased' },
          { ...move, previousState: 'leased', newState: 'running' },
          { type: 'run_suspend', runId: id, reason: 'budget_exhausted', atMs: start },
        ]
      }),
    )
    const sizes = groupsOf(room)
    await room.tasks.replenish(parent, 'token', 2)
    const suspended = room.authority.projection.countIn('suspended')
    expect(suspended).toBeLessThan(many)
    const later = await room.crash(10)
    expect(later.authority.projection.countIn('suspended')).toBe(suspended)
    await later.tasks.start()
    await later.settle()
    expect(later.authority.projection.countIn('ready')).toBe(many)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(mostEvents)
  })

  it('an event of the service triggers all that wait for it', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'none', at: start + 86_400_000 })
    const waiting = Array.from({ length: many }, () => room.tasks.subscribe(id, { type: 'custom', key: 'go' }))
    await Promise.all(waiting)
    const sizes = groupsOf(room)
    expect(await room.tasks.publish('go')).toBe(many)
    expect(sizes).toEqual([1024, many - 1024])
  })

  it.each([
    ['succeeds', false, [700, 'completed']],
    ['fails', true, [1, 'failed']],
  ] as const)('what an attempt that %s left open is closed, however much it is', async (_, isFailing, expected) => {
    const room = await openRoom()
    const sizes = groupsOf(room)
    room.tasks.handle('work', async ({ budget }) => {
      const open = await Promise.all(Array.from({ length: 700 }, () => budget.reserve('token', 1)))
      await open[600]?.settle(1)
      sizes.length = 0
      if (isFailing) throw new Error('no')
    })
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 1000 } })
    const { status } = await room.tasks.outcome(id)
    const { consumed, reserved } = room.authority.projection.budget(id, 'token' as never) ?? {}
    expect([consumed, status, reserved]).toEqual([...expected, 0])
    expect(Math.max(...sizes)).toBeLessThanOrEqual(mostEvents)
    expect(sizes.length).toBeGreaterThan(2)
  })

  it('[T-82] an overdue backlog is promoted in batches of 256', async () => {
    const room = await openRoom()
    for (let index = 0; index < 600; index += 1) await room.tasks.submit({ kind: 'none' })
    const sizes = groupsOf(room)
    await room.tasks.start()
    await room.settle()
    expect(sizes).toEqual([256, 256, 88])
  })
})

describe('pending follow-ups', () => {
  /** Takes batches as the authority does, except for what `refuse` says to their number of steps. */
  async function openQueue(refuse: (steps: number) => Error | undefined) {
    const { authority } = await openTasks()
    const [errors, taken]: [object[], string[][]] = [[], []]
    let delays = 0
    let built: string[] = []
    const mutations: TaskMutations = {
      submit: () => Promise.reject(new Error('unused')),
      submitBatch: () => Promise.reject(new Error('unused')),
      transact: (build) => {
        built = []
        return authority.transact(build).then((result) => {
          const failure = refuse(built.length)
          if (failure !== undefined) throw failure
          taken.push(built)
          return result
        })
      },
    }
    const logger = { ...silentLogger, error: (fields: object) => void errors.push(fields) }
    const queue = new FollowUpQueue({ mutations, logger, onDelay: () => void (delays += 1) })
    const step =
      (name: string): Step =>
      () =>
        void built.push(name)
    return { queue, step, errors, taken, delays: () => delays }
  }

  const tooLarge = (): LaneError => {
    const cause = new JournalError('journal_record_too_large', { bytes: 2, limit: 1 })
    return new LaneError('lane_not_appended', { cause: 'too large' }, { cause })
  }

  it('[T-196] is cut smaller until it fits, and nothing of it is left out', async () => {
    const { queue, step, errors, taken } = await openQueue((steps) => (steps > 2 ? tooLarge() : undefined))
    queue.enqueue('a', () => ['1', '2', '3', '4', '5'].map(step))
    await queue.run()
    expect(new Set(taken.flat())).toEqual(new Set(['1', '2', '3', '4', '5']))
    expect(Math.max(...taken.map(({ length }) => length))).toBe(2)
    expect(errors).toEqual([])
  })

  it('that can never fit is reported once and given up; what else is pending is done', async () => {
    let isRefusing = true
    const { queue, step, errors, taken } = await openQueue((steps) => {
      if (steps === 0 || !isRefusing) return undefined
      isRefusing = steps > 1
      return tooLarge()
    })
    queue.enqueue('impossible', () => [step('impossible')])
    queue.enqueue('b', () => [step('b')])
    await queue.run()
    expect(errors).toMatchObject([{ followUp: 'impossible', error: 'not appended: too large' }])
    expect(taken.flat()).toEqual(['b'])
  })

  it('stays pending while the lane takes nothing', async () => {
    let isOpen = false
    const failure = new LaneError('lane_not_appended', { cause: 'no space' })
    const { queue, step, errors, taken, delays } = await openQueue(() => (isOpen ? undefined : failure))
    queue.enqueue('a', () => [step('a')])
    await queue.run()
    expect([delays(), taken, errors]).toEqual([1, [], []])
    isOpen = true
    await queue.run()
    expect(taken).toEqual([['a']])
  })

  it('takes turns: what is pending for one does not wait for all that is pending for another', async () => {
    const { queue, step, taken } = await openQueue(() => undefined)
    queue.enqueue('large', () => Array.from({ length: 2000 }, () => step('large')))
    queue.enqueue('small', () => [step('small')])
    await queue.run()
    expect(taken[0]?.slice(0, 3)).toEqual(['large', 'small', 'large'])
    expect(taken.flat()).toHaveLength(2001)
  })

  it('lets timers run between two groups', async () => {
    const { queue, step, taken } = await openQueue(() => undefined)
    queue.enqueue('a', () => Array.from({ length: 5000 }, () => step('a')))
    let groupsAtTimer: number | undefined
    setTimeout(() => {
      groupsAtTimer = taken.length
    }, 0)
    await queue.run()
    expect(groupsAtTimer).toBeLessThan(taken.length)
  })
})
