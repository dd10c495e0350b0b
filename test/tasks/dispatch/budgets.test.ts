import { describe, expect, it } from 'vitest'
import { StatewardError } from '../../../src/base/errors.js'
import { createDeferred } from '../../../src/base/promises.js'
import { budgetDimension, type RunId, type RunState, type Spending, type TaskId } from '../../../src/tasks/index.js'
import { openRoom, start, type Room } from './support/room.js'

const token = budgetDimension('token')

function budget(room: Room, taskId: TaskId): readonly [consumed: number, reserved: number, limit: number] {
  const { consumed = -1, reserved = -1, limit = -1 } = room.authority.projection.budget(taskId, token) ?? {}
  return [consumed, reserved, limit]
}

describe('budgets', () => {
  it('[T-88] an exhausted budget leaves runs ready; a replenished one lets them finish, across a restart', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await room.authority.submit({ type: 'budget_consume', taskId: id, dimension: token, amount: 100, atMs: start })
    room.tasks.handle('work', () => {})
    await room.pass(100)
    expect(room.statesOf(id)).toEqual(['ready'])
    const later = await room.crash()
    later.tasks.handle('work', () => {})
    await later.settle()
    expect([later.statesOf(id), budget(later, id)]).toEqual([['ready'], [100, 0, 100]])
    await later.tasks.replenish(id, 'token', 150)
    expect(await later.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    // T-183: a replenishment raises the limit and keeps what was spent.
    expect(budget(later, id)).toEqual([100, 0, 150])
  })

  it('[T-89] a resumed run with an exhausted budget waits in ready', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 10 } })
    room.tasks.handle('work', async ({ budget }) => {
      const spending = await budget.reserve('token', 10)
      await spending.settle(10)
      await budget.reserve('token', 1)
    })
    await room.settle()
    expect(room.runsOf(id)[0]).toMatchObject({ state: 'suspended', attemptCount: 1 })
    await room.tasks.resume(room.runsOf(id)[0]?.id as never)
    await room.pass(10)
    expect(room.runsOf(id)[0]).toMatchObject({ state: 'ready', attemptCount: 1 })
  })

  it('[T-185] a call that would exceed is refused before it starts, suspends the run, and goes on when replenished', async () => {
    const room = await openRoom()
    const calls: number[] = []
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    room.tasks.handle('work', async ({ budget, signal }) => {
      for (let call = calls.length; call < 4; call += 1) {
        const spending = await budget.reserve('token', 30)
        signal.throwIfAborted()
        calls.push(call)
        await spending.settle(30)
      }
    })
    await room.settle()
    expect(calls).toEqual([0, 1, 2])
    expect(room.runsOf(id)[0]).toMatchObject({
      state: 'suspended',
      history: expect.arrayContaining([expect.objectContaining({ reason: 'budget_exhausted' })]),
    })
    expect(budget(room, id)).toEqual([90, 0, 100])
    await room.tasks.replenish(id, 'token', 120)
    expect(await room.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect([calls, budget(room, id)]).toEqual([
      [0, 1, 2, 3],
      [120, 0, 120],
    ])
  })

  it('[T-180] a budget is shared by a tree: children spend from their ancestors too, and none can exceed any', async () => {
    const room = await openRoom()
    const { project, cheap, dear } = await room.tasks.submitGraph({
      project: { kind: 'project', dependsOn: ['cheap'], budgets: { token: 100 } },
      cheap: { kind: 'work', parent: 'project', payload: 60 },
      dear: { kind: 'work', parent: 'project', payload: 50, budgets: { token: 1000 } },
    })
    const refusals: unknown[] = []
    room.tasks.handle('project', () => {})
    room.tasks.handle('work', async ({ json, budget }) => {
      const amount = json() as number
      const spending = await budget.reserve('token', amount).catch((refusal: unknown) => {
        refusals.push(refusal)
        throw refusal
      })
      await spending.settle(amount)
    })
    await room.settle()
    expect(refusals).toMatchObject([
      { code: 'budget_exceeded', data: { taskId: project, limit: 100, consumed: 60, amount: 50 } },
    ])
    expect([budget(room, project), budget(room, dear)]).toEqual([
      [60, 0, 100],
      [0, 0, 1000],
    ])
    expect([cheap, dear].flatMap((id) => room.statesOf(id))).toEqual(['completed', 'suspended'])
    await room.tasks.replenish(project, 'token', 200)
    await room.tasks.outcome(dear)
    expect([budget(room, project), budget(room, dear)]).toEqual([
      [110, 0, 200],
      [50, 0, 1000],
    ])
  })

  it('[T-188] what is left open is spent by a success and given back by a failure', async () => {
    const room = await openRoom()
    room.tasks.handle('work', async ({ budget, json }) => {
      await budget.reserve('token', 30)
      const returned = await budget.reserve('token', 5)
      await returned.release()
      if (json() === 'fail') throw new Error('no')
    })
    const good = await room.tasks.submit({ kind: 'work', payload: '"ok"', budgets: { token: 100 } })
    const bad = await room.tasks.submit({ kind: 'work', payload: '"fail"', budgets: { token: 100 } })
    await Promise.all([room.tasks.outcome(good), room.tasks.outcome(bad)])
    expect([budget(room, good), budget(room, bad)]).toEqual([
      [30, 0, 100],
      [0, 0, 100],
    ])
  })

  it('[T-188] what a handler spent that never answered counts in full', async () => {
    const room = await openRoom()
    room.tasks.handle('work', async ({ budget }) => {
      await budget.reserve('token', 30)
      await new Promise(() => {})
    })
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 }, constraints: { timeoutMs: 1000 } })
    await room.pass(3)
    expect([room.statesOf(id), budget(room, id)]).toEqual([['failed'], [30, 0, 100]])
  })

  it('[T-189] an amount can be set aside before every attempt, and is settled with what was reported', async () => {
    const room = await openRoom()
    const gates = [createDeferred<void>(), createDeferred<void>()]
    let started = 0
    room.tasks.handle(
      'work',
      async ({ budget }) => {
        const gate = gates[started]
        started += 1
        await gate?.promise
        budget.report('token', 10)
        budget.report('token', 15)
      },
      { reserve: { token: 60 } },
    )
    const policy = { type: 'repeat', count: 2, intervalMs: 1000 } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy: policy, budgets: { token: 100 } })
    await room.pass(5)
    // The second does not start while the first may still spend its share.
    expect([started, budget(room, id)]).toEqual([1, [0, 60, 100]])
    gates[0]?.resolve()
    await room.settle()
    expect([started, budget(room, id)]).toEqual([2, [25, 60, 100]])
    gates[1]?.resolve()
    await room.tasks.outcome(id)
    expect(budget(room, id)).toEqual([50, 0, 100])
  })

  it('[T-181] what is reported without a reservation is recorded, even beyond the limit; no budget counts nothing', async () => {
    const room = await openRoom()
    room.tasks.handle('work', ({ budget }) => {
      expect(() => budget.report('token', -1)).toThrow(expect.objectContaining({ code: 'invalid_amount' }))
      budget.report('token', 130)
      budget.report('cost:usd', 7)
      return budget.remaining('token')
    })
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    const { output } = await room.tasks.outcome(id)
    expect([budget(room, id), Buffer.from(output ?? []).toString()]).toEqual([[130, 0, 100], '100'])
  })

  it('[T-186] an attempt whose budget runs out meanwhile is told to stop and suspended', async () => {
    const room = await openRoom()
    const causes: unknown[] = []
    room.tasks.handle('work', async ({ signal }) => {
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          causes.push(signal.reason)
          reject(new Error('stopped'))
        })
      })
    })
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 10 } })
    await room.settle()
    await room.authority.submit({ type: 'budget_consume', taskId: id, dimension: token, amount: 10, atMs: start })
    await room.settle()
    expect(causes).toMatchObject([{ data: { cause: 'budget_exhausted' } }])
    expect(room.statesOf(id)).toEqual(['suspended'])
  })

  it('a cancelled attempt settles what it can still say, and nothing stays reserved', async () => {
    const room = await openRoom()
    let held: Spending | undefined
    room.tasks.handle('work', async ({ budget, signal }) => {
      held = await budget.reserve('token', 40)
      await budget.reserve('token', 20)
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve)
      })
      await held.settle(15)
      throw new Error('stopped')
    })
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await room.settle()
    expect(await room.tasks.cancel(id)).toBe('cancelled')
    await room.settle()
    expect([room.statesOf(id), budget(room, id)]).toEqual([['cancelled'], [15, 0, 100]])
  })

  it('[T-188] what an attempt had set aside counts as spent when its process was lost', async () => {
    const room = await openRoom()
    room.tasks.handle('work', async ({ budget }) => {
      await budget.reserve('token', 40)
      await new Promise(() => {})
    })
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await room.settle()
    const later = await room.crash()
    await later.tasks.start()
    await later.settle()
    expect([later.statesOf(id), budget(later, id)]).toEqual([['ready'], [40, 0, 100]])
  })

  it('a refusal that does not come from the budget of the attempt is a failure as any other, and ends', async () => {
    const room = await openRoom({ dispatch: { backoff: { type: 'fixed', delayMs: 0 } } })
    let calls = 0
    room.tasks.handle('work', () => {
      calls += 1
      throw new StatewardError('budget_exceeded', 'the account of somebody else is empty', {})
    })
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 }, constraints: { maxAttempts: 2 } })
    const { status, error } = await room.tasks.outcome(id)
    expect([status, error, calls]).toEqual(['failed', 'the account of somebody else is empty', 2])
  })

  it('[T-187] a replenishment between the refusal and the suspension is not waited for in vain', async () => {
    const room = await openRoom()
    const gate = createDeferred<void>()
    let calls = 0
    room.tasks.handle('work', async ({ budget }) => {
      calls += 1
      try {
        await (await budget.reserve('token', 150)).settle(150)
      } catch (refusal) {
        await gate.promise
        throw refusal
      }
    })
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await room.settle()
    await room.tasks.replenish(id, 'token', 200)
    expect([calls, room.statesOf(id)]).toEqual([1, ['running']])
    gate.resolve()
    await room.settle()
    expect([calls, room.statesOf(id), budget(room, id)]).toEqual([2, ['completed'], [150, 0, 200]])
  })

  it('[T-187] a replenishment right behind a suspension that is not durable yet finds the run', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    const runId = room.runsOf(id)[0]?.id as RunId
    await room.authority.transact((batch) => {
      const states = ['scheduled', 'ready', 'leased', 'running'] as const
      states.slice(1).forEach((newState, index) => {
        const previousState = states[index] as RunState
        batch.submit({ type: 'run_state_transition', runId, previousState, newState, atMs: start })
      })
    })
    const suspending = room.authority.submit({
      type: 'run_suspend',
      runId,
      reason: 'budget_exhausted',
      atMs: start,
    })
    expect(room.statesOf(id)).toEqual(['running'])
    await Promise.all([suspending, room.tasks.replenish(id, 'token', 200)])
    expect(room.statesOf(id)).toEqual(['ready'])
  })

  it('[T-188] reservations of a run cancelled just before a crash are settled in full at the next start', async () => {
    const room = await openRoom()
    room.tasks.handle('work', async ({ budget }) => {
      await budget.reserve('token', 40)
      await new Promise(() => {})
    })
    const id = await room.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await room.settle()
    await room.tasks.cancel(id)
    const later = await room.crash()
    await later.tasks.start()
    await later.settle()
    expect(budget(later, id)).toEqual([40, 0, 100])
  })
})
