import { describe, expect, it } from 'vitest'
import { suspend, type TaskId } from '../../../src/tasks/index.js'
import {
  Bench,
  codeOf,
  createRandom,
  leftovers,
  nothingLeft,
  openService,
  openWithBench,
  type Service,
} from './support.js'

/** The numbers of a task's one budget. */
function budgetOf({ projection }: Service, taskId: TaskId): object {
  const [budget, ...others] = [...projection.budgetsOf(taskId)]
  if (budget === undefined || others.length > 0) throw new Error(`task ${taskId} has not exactly one budget`)
  const { limit, consumed, reserved, exhausted } = budget
  return { limit, consumed, reserved, exhausted }
}

describe('an exhausted budget', () => {
  it('[T-88] leaves the next run ready until it is replenished; the numbers survive a restart', async () => {
    const before = await openService()
    before.tasks.handle('work', ({ budget }) => budget.report('token', 60))
    const runPolicy = { type: 'repeat', count: 3, intervalMs: 10_000 } as const
    const taskId = await before.tasks.submit({ kind: 'work', runPolicy, budgets: { token: 100 } })
    await before.pass(60)
    // What was used is recorded even where it exceeds the limit.
    expect(budgetOf(before, taskId)).toEqual({ limit: 100, consumed: 120, reserved: 0, exhausted: true })
    expect(before.statesOf(taskId).toSorted()).toEqual(['completed', 'completed', 'ready'])

    const service = await before.crash({ seconds: 60 })
    service.tasks.handle('work', ({ budget }) => budget.report('token', 60))
    await service.pass(60)
    expect(budgetOf(service, taskId)).toEqual({ limit: 100, consumed: 120, reserved: 0, exhausted: true })
    expect(service.statesOf(taskId).toSorted()).toEqual(['completed', 'completed', 'ready'])

    await service.tasks.replenish(taskId, 'token', 200)
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed' })
    expect(budgetOf(service, taskId)).toEqual({ limit: 200, consumed: 180, reserved: 0, exhausted: false })
  })

  it('[T-88] is not opened by a limit that is still spent, nor by none', async () => {
    const { service, bench } = await openWithBench()
    const runPolicy = { type: 'repeat', count: 2, intervalMs: 1000 } as const
    const taskId = await service.tasks.submit({ kind: 'work', runPolicy, budgets: { token: 10 } })
    await service.settle()
    bench.last.context.budget.report('token', 30)
    bench.last.answer()
    await service.pass(1)
    expect(await codeOf(service.tasks.replenish(taskId, 'token', 10))).toBe('budget_not_raised')
    expect(await codeOf(service.tasks.replenish(taskId, 'cost:usd', 10))).toBe('budget_not_allocated')
    await service.tasks.replenish(taskId, 'token', 30)
    await service.pass(5)
    expect(bench.calls).toHaveLength(1)
    await service.tasks.replenish(taskId, 'token', 31)
    await service.settle()
    expect(bench.calls).toHaveLength(2)
  })

  it('[T-88] of any one dimension is enough', async () => {
    const { service, bench } = await openWithBench()
    const runPolicy = { type: 'repeat', count: 2, intervalMs: 1000 } as const
    await service.tasks.submit({ kind: 'work', runPolicy, budgets: { token: 100, 'cost:usd': 5, pages: 3 } })
    await service.settle()
    bench.last.context.budget.report('pages', 3)
    bench.last.answer()
    await service.pass(10)
    expect(bench.calls).toHaveLength(1)
  })

  it('[T-88] does not hold up others', async () => {
    const { service, bench } = await openWithBench()
    const runPolicy = { type: 'repeat', count: 2, intervalMs: 1000 } as const
    await service.tasks.submit({ kind: 'work', runPolicy, budgets: { token: 10 }, metadata: { priority: 9 } })
    await service.settle()
    bench.last.context.budget.report('token', 10)
    bench.last.answer()
    await service.pass(1)
    const other = await service.tasks.submit({ kind: 'work', budgets: { token: 10 } })
    await service.settle()
    expect(bench.last.context.taskId).toBe(other)
  })

  it('[T-88] counts from the moment of the spending, also for a start that is under way', async () => {
    const { service, bench } = await openWithBench()
    const parent = await service.tasks.submit({ kind: 'nobody handles this', budgets: { token: 100 } })
    await service.tasks.submit({ kind: 'work', parentTaskId: parent })
    const other = await service.tasks.submit({ kind: 'other', parentTaskId: parent })
    await service.settle()
    const spending = await bench.last.context.budget.reserve('token', 100)
    // Neither is durable before the other is decided.
    const settled = spending.settle(100)
    const others = new Bench()
    service.tasks.handle('other', others.handler)
    await settled
    bench.last.answer()
    await service.pass(2)
    expect(service.statesOf(other)).toEqual(['ready'])
    expect(others.calls).toEqual([])
  })

  it('[T-89] lets a resumed run wait in ready', async () => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work', budgets: { token: 10 } })
    await service.settle()
    bench.last.context.budget.report('token', 10)
    bench.last.answer(suspend())
    await service.settle()
    expect(service.statesOf(taskId)).toEqual(['suspended'])
    await service.tasks.resume(service.run(taskId).id)
    await service.pass(10)
    expect(service.statesOf(taskId)).toEqual(['ready'])
    expect(bench.calls).toHaveLength(1)
    await service.tasks.replenish(taskId, 'token', 20)
    await service.settle()
    bench.last.answer()
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed', runs: [{ attempts: 2 }] })
  })

  it('[T-186] stops attempts that are running, suspends them, and goes on with them once it is replenished', async () => {
    const { service, bench } = await openWithBench()
    const parent = await service.tasks.submit({ kind: 'nobody handles this', budgets: { token: 100 } })
    const [one, other] = [
      await service.tasks.submit({ kind: 'work', parentTaskId: parent }),
      await service.tasks.submit({ kind: 'work', parentTaskId: parent }),
    ]
    await service.settle()
    const [first, second] = [bench.call(0), bench.call(1)]
    second.context.signal.addEventListener('abort', () => second.answer(suspend('half')))
    const spending = await first.context.budget.reserve('token', 100)
    await spending.settle(100)
    first.answer()
    await service.settle()
    expect(await service.tasks.outcome(one)).toMatchObject({ status: 'completed' })
    expect(second.context.signal.reason).toMatchObject({ data: { cause: 'budget_exhausted' } })
    expect(service.run(other)).toMatchObject({ state: 'suspended' })
    expect(service.run(other).history.at(-1)?.reason).toBe('budget_exhausted')

    await service.tasks.replenish(parent, 'token', 150)
    await service.settle()
    expect(bench.calls).toHaveLength(3)
    expect(Buffer.from(bench.last.context.resumeFrom ?? []).toString()).toBe('half')
    bench.last.answer()
    expect(await service.tasks.outcome(other)).toMatchObject({ status: 'completed' })
  })

  it('[T-175] stops a handler that does not listen, after a quarter of a second', async () => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await service.settle()
    const spending = await bench.last.context.budget.reserve('token', 100)
    await spending.settle(100)
    await service.settle()
    service.clock.advance(249)
    await service.settle()
    expect(service.statesOf(taskId)).toEqual(['running'])
    service.clock.advance(1)
    await service.settle()
    expect(service.statesOf(taskId)).toEqual(['suspended'])
  })
})

describe('a reservation', () => {
  it('[T-182] is made before, settled after, and the rest is given back', async () => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await service.settle()
    const { budget } = bench.last.context
    expect(budget.remaining('token')).toBe(100)
    const spending = await budget.reserve('token', 60)
    expect(budgetOf(service, taskId)).toMatchObject({ consumed: 0, reserved: 60 })
    expect(budget.remaining('token')).toBe(40)
    await spending.settle(25)
    expect(budgetOf(service, taskId)).toMatchObject({ consumed: 25, reserved: 0 })
    const unused = await budget.reserve('token', 75)
    expect(budget.remaining('token')).toBe(0)
    await unused.release()
    expect(budgetOf(service, taskId)).toMatchObject({ consumed: 25, reserved: 0 })
    bench.last.answer()
    await service.tasks.outcome(taskId)
    expect(budgetOf(service, taskId)).toEqual({ limit: 100, consumed: 25, reserved: 0, exhausted: false })
  })

  it('[T-185] that would exceed is refused before the call starts, with the numbers', async () => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await service.settle()
    const { budget } = bench.last.context
    await budget.reserve('token', 60)
    await expect(budget.reserve('token', 41)).rejects.toMatchObject({
      code: 'budget_exceeded',
      data: { taskId, dimension: 'token', limit: 100, consumed: 0, reserved: 60, amount: 41 },
    })
    await budget.reserve('token', 40)
    expect(budgetOf(service, taskId)).toMatchObject({ consumed: 0, reserved: 100 })
  })

  it('[T-182] records the truth even if more was spent than reserved', async () => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await service.settle()
    const spending = await bench.last.context.budget.reserve('token', 60)
    await spending.settle(130)
    expect(budgetOf(service, taskId)).toEqual({ limit: 100, consumed: 130, reserved: 0, exhausted: true })
  })

  it('[T-188] is spent in full when a handler ends well without settling it', async () => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await service.settle()
    await bench.last.context.budget.reserve('token', 60)
    bench.last.answer()
    await service.tasks.outcome(taskId)
    expect(budgetOf(service, taskId)).toMatchObject({ consumed: 60, reserved: 0 })
  })

  it.each([
    ['fails', (bench: Bench) => bench.last.fail(new Error('broken'))],
    ['is suspended', (bench: Bench) => bench.last.answer(suspend())],
  ])('is given back when the attempt %s', async (_, end) => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await service.settle()
    await bench.last.context.budget.reserve('token', 60)
    end(bench)
    await service.settle()
    expect(budgetOf(service, taskId)).toMatchObject({ consumed: 0, reserved: 0 })
  })

  it('[T-188] of an attempt that a crash cut off counts as spent: the call may have been made', async () => {
    const { service: before, bench } = await openWithBench()
    const taskId = await before.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 }, budgets: { token: 100 } })
    await before.settle()
    await bench.last.context.budget.reserve('token', 60)
    const service = await before.crash()
    expect(budgetOf(service, taskId)).toMatchObject({ consumed: 0, reserved: 60 })
    await service.tasks.start()
    expect(budgetOf(service, taskId)).toMatchObject({ consumed: 60, reserved: 0 })
  })

  it('[T-185] that is refused and not caught suspends the run until the budget is replenished', async () => {
    const service = await openService()
    let calls = 0
    service.tasks.handle('work', async ({ budget }) => {
      calls += 1
      const spending = await budget.reserve('token', 150)
      await spending.settle(120)
    })
    const taskId = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await service.pass(10)
    expect(service.run(taskId)).toMatchObject({ state: 'suspended', attemptCount: 1 })
    const reopened = await service.crash({ seconds: 10 })
    expect(reopened.statesOf(taskId)).toEqual(['suspended'])
    reopened.tasks.handle('work', async ({ budget }) => {
      calls += 1
      const spending = await budget.reserve('token', 150)
      await spending.settle(120)
    })
    await reopened.pass(5)
    expect(calls).toBe(1)
    await reopened.tasks.replenish(taskId, 'token', 150)
    expect(await reopened.tasks.outcome(taskId)).toMatchObject({ status: 'completed' })
    expect(budgetOf(reopened, taskId)).toEqual({ limit: 150, consumed: 120, reserved: 0, exhausted: false })
    expect(calls).toBe(2)
  })

  it('[T-189] made with every attempt lets runs wait until they can have it', async () => {
    const service = await openService({ dispatch: { concurrency: 8 } })
    const bench = new Bench()
    service.tasks.handle('work', bench.handler, { reserve: { token: 40 } })
    const parent = await service.tasks.submit({ kind: 'nobody handles this', budgets: { token: 100 } })
    const submit = () => service.tasks.submit({ kind: 'work', parentTaskId: parent })
    const taskIds = [await submit(), await submit(), await submit()]
    await service.settle()
    expect(bench.calls).toHaveLength(2)
    expect(budgetOf(service, parent)).toMatchObject({ consumed: 0, reserved: 80 })
    bench.call(0).context.budget.report('token', 5)
    bench.call(0).answer()
    await service.settle()
    expect(bench.calls).toHaveLength(3)
    expect(budgetOf(service, parent)).toMatchObject({ consumed: 5, reserved: 80 })
    for (const call of bench.calls) call.answer()
    await Promise.all(taskIds.map((id) => service.tasks.outcome(id)))
    expect(budgetOf(service, parent)).toMatchObject({ consumed: 85, reserved: 0 })
  })
})

describe('a tree of tasks', () => {
  it('[T-180] shares the budget of its root, and each budget on the way up counts', async () => {
    const { service, bench } = await openWithBench()
    const { root, branch, leaf } = await service.tasks.submitGraph({
      root: { kind: 'nobody handles this', budgets: { token: 100 } },
      branch: { kind: 'nobody handles this', parent: 'root', budgets: { token: 60 } },
      leaf: { kind: 'work', parent: 'branch' },
      other: { kind: 'work', parent: 'root' },
    })
    await service.settle()
    const [inLeaf, inOther] =
      bench.calls[0]?.context.taskId === leaf ? [bench.call(0), bench.call(1)] : [bench.call(1), bench.call(0)]
    const spending = await inLeaf.context.budget.reserve('token', 50)
    expect(budgetOf(service, branch)).toMatchObject({ reserved: 50 })
    expect(budgetOf(service, root)).toMatchObject({ reserved: 50 })
    await expect(inLeaf.context.budget.reserve('token', 11)).rejects.toMatchObject({ data: { taskId: branch } })
    await expect(inOther.context.budget.reserve('token', 101)).rejects.toMatchObject({ data: { taskId: root } })
    await inOther.context.budget.reserve('token', 50)
    await spending.settle(30)
    expect(budgetOf(service, branch)).toMatchObject({ consumed: 30, reserved: 0 })
    expect(budgetOf(service, root)).toMatchObject({ consumed: 30, reserved: 50 })
    inLeaf.answer()
    inOther.answer()
    await service.settle()
    expect(budgetOf(service, branch)).toMatchObject({ consumed: 30, reserved: 0 })
    expect(budgetOf(service, root)).toMatchObject({ consumed: 80, reserved: 0 })
  })

  it.each([1, 2, 3, 4])('[T-191] never spends past its budget, however many spend at once (seed %i)', async (seed) => {
    const random = createRandom(seed)
    const upTo = (limit: number): number => Math.floor(random() * limit)
    const service = await openService({ dispatch: { concurrency: 8 } })
    let spent = 0
    let refused = 0
    service.tasks.handle('work', async ({ budget, signal }) => {
      for (let round = 1 + upTo(4); round > 0 && !signal.aborted; round -= 1) {
        const amount = 1 + upTo(40)
        const spending = await budget.reserve('token', amount).catch((reason: unknown) => {
          refused += 1
          throw reason
        })
        await service.runtime.flush()
        if (upTo(5) === 0) {
          await spending.release()
        } else {
          const used = upTo(amount + 1)
          spent += used
          await spending.settle(used)
        }
      }
      if (upTo(4) === 0) throw new Error('by chance')
    })
    const parent = await service.tasks.submit({ kind: 'nobody handles this', budgets: { token: 400 } })
    const overdrafts: object[] = []
    service.tasks.authority.onCommit(() => {
      for (const budget of service.projection.budgetsOf(parent)) {
        if (budget.consumed + budget.reserved > budget.limit) overdrafts.push(budget)
      }
    })
    const submit = () => service.tasks.submit({ kind: 'work', parentTaskId: parent, constraints: { maxAttempts: 3 } })
    const children = await Promise.all(Array.from({ length: 40 }, submit))
    await service.pass(30)
    expect(refused).toBeGreaterThan(0)
    expect(budgetOf(service, parent)).toMatchObject({ consumed: spent, reserved: 0 })
    expect(spent).toBeGreaterThan(200)

    await service.tasks.replenish(parent, 'token', 100_000)
    await service.pass(30)
    const outcomes = await Promise.all(children.map((id) => service.tasks.outcome(id)))
    expect(outcomes).toHaveLength(40)
    expect(budgetOf(service, parent)).toMatchObject({ consumed: spent, reserved: 0 })
    expect(overdrafts).toEqual([])
    await service.tasks.cancel(parent)
    expect(leftovers(service)).toEqual(nothingLeft)
  })
})
