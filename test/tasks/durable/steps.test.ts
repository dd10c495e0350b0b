import { describe, expect, it } from 'vitest'
import { messageOf } from '../../../src/base/errors.js'
import { createDeferred } from '../../../src/base/promises.js'
import { budgetDimension, type HandlerContext, type TaskId } from '../../../src/tasks/index.js'
import { codeOf, openService, textOf, type Service } from '../acceptance/support.js'
import type { StepOptions } from '../../../src/work/durable-context.js'
import { openRoom } from '../dispatch/support/room.js'

const token = budgetDimension('token')
const fail = (): never => {
  throw new Error('no usage')
}
const never = (): Promise<never> => new Promise(() => {})

/** Limit, spent and reserved of a task. */
function ledger({ projection }: Pick<Service, 'projection'>, taskId: TaskId): readonly (number | undefined)[] {
  const { limit, consumed, reserved } = projection.budget(taskId, token) ?? {}
  return [limit, consumed, reserved]
}

describe('steps', () => {
  it('[T-240] a result and what it cost are one change, durable before the handler goes on', async () => {
    const service = await openService()
    const seen: unknown[] = []
    service.tasks.authority.onCommit(({ events }) => {
      for (const { type } of events) seen.push(type)
    })
    service.tasks.handle('work', async ({ step, taskId }) => {
      await step('call', () => 7, { reserve: { token: 40 }, spent: () => ({ token: 15, 'cost:usd': 3 }) })
      seen.push('went on', ...ledger(service, taskId))
      return 'done'
    })
    const id = await service.tasks.submit({ kind: 'work', budgets: { token: 100, 'cost:usd': 10 } })
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect(seen.slice(-7)).toEqual(['budget_reserved', 'step_recorded', 'went on', 100, 15, 0, 'attempt_ended'])
    expect(service.projection.budget(id, budgetDimension('cost:usd'))).toMatchObject({ consumed: 3 })
  })

  it('[T-240] what was set aside counts where a step does not say what it spent; one that no ledger counts is free', async () => {
    const service = await openService()
    service.tasks.handle('work', async ({ step }) => {
      await step('a', () => 1, { reserve: { token: 40, 'time:ms': 5 } })
    })
    const id = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await service.tasks.outcome(id)
    expect(ledger(service, id)).toEqual([100, 40, 0])
  })

  it('[T-240] what a step has not spent of what it set aside lets others start, while its handler goes on', async () => {
    const service = await openService()
    const { promise: isAsked, resolve: ask } = createDeferred<void>()
    const { promise: answer, resolve: give } = createDeferred<number>()
    service.tasks.handle('first', async ({ step }) => {
      const call = (): Promise<number> => {
        ask()
        return answer
      }
      await step('call', call, { reserve: { token: 80 }, spent: () => ({ token: 10 }) })
      await never()
    })
    service.tasks.handle('second', () => 'done', { reserve: { token: 50 } })
    const parentTaskId = await service.tasks.submit({ kind: 'nobody', budgets: { token: 100 } })
    await service.tasks.submit({ kind: 'first', parentTaskId })
    await isAsked
    // Beside that of the parent, which nobody handles.
    const { promise: isReady, resolve: tell } = createDeferred<void>()
    service.tasks.authority.onCommit(() => service.projection.countIn('ready') === 2 && tell())
    const second = await service.tasks.submit({ kind: 'second', parentTaskId })
    await isReady
    give(7)
    expect(await service.tasks.outcome(second)).toMatchObject({ status: 'completed' })
  })

  it('[T-240] a retry is handed what is done and pays nothing twice', async () => {
    const service = await openService()
    let calls = 0
    service.tasks.handle('work', async ({ step, attemptNumber }) => {
      const first = await step('first', () => ++calls, { spent: () => ({ token: 10 }) })
      if (attemptNumber === 1) throw new Error('broken')
      return first
    })
    const id = await service.tasks.submit({ kind: 'work', budgets: { token: 100 }, constraints: { maxAttempts: 2 } })
    await service.pass(5)
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect([calls, ledger(service, id)]).toEqual([1, [100, 10, 0]])
  })

  it('[T-242] a budget that refuses what a step sets aside suspends the run, which goes on where it was', async () => {
    const service = await openService()
    const calls: number[] = []
    service.tasks.handle('work', async ({ step }) => {
      for (let call = 1; call <= 3; call += 1) {
        await step('call', () => calls.push(call), { reserve: { token: 40 } })
      }
    })
    const id = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await service.settle()
    expect([service.statesOf(id), calls, ledger(service, id)]).toEqual([['suspended'], [1, 2], [100, 80, 0]])
    await service.tasks.replenish(id, token, 120)
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect([calls, ledger(service, id)]).toEqual([
      [1, 2, 3],
      [120, 120, 0],
    ])
  })

  it('[T-242] a step that throws gives back what it set aside, and is not recorded', async () => {
    const service = await openService()
    let held: unknown
    service.tasks.handle('work', async ({ step, taskId }) => {
      const failing = step('call', () => Promise.reject(new Error('no')), { reserve: { token: 40 } })
      expect(await failing.catch(messageOf)).toBe('no')
      held = ledger(service, taskId)
    })
    const id = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect([held, [...service.projection.stepsOf(service.run(id).id)]]).toEqual([[100, 0, 0], []])
  })

  it.each<[string, StepOptions<unknown>, () => unknown, number]>([
    ['whose result cannot be recorded', { reserve: { token: 40 }, spent: () => ({ token: 15 }) }, () => new Map(), 15],
    ['that reserved nothing', { spent: () => ({ token: 15 }) }, () => new Map(), 15],
    ['that does not say what it spent', { reserve: { token: 40 } }, () => new Map(), 40],
    ['that fails to say what it spent', { reserve: { token: 40 }, spent: () => fail() }, () => 1, 40],
    ['that says no amount', { reserve: { token: 40 }, spent: () => ({ token: Number.NaN }) }, () => 1, 40],
    ['that promises an amount', { reserve: { token: 40 }, spent: async () => ({ token: 1 }) } as never, () => 1, 40],
  ])('[T-242] one %s was done, and counts what it has spent', async (_, options, work, spent) => {
    const service = await openService()
    let held: unknown
    let failure: unknown
    service.tasks.handle('work', async ({ step, taskId }) => {
      failure = await step('call', work, options).then(() => undefined, messageOf)
      held = ledger(service, taskId)
    })
    const id = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect([failure, held, ledger(service, id)]).toEqual([expect.any(String), [100, spent, 0], [100, spent, 0]])
    expect([...service.projection.stepsOf(service.run(id).id)]).toEqual([])
  })

  it('[T-242] what a lost process had set aside for a step is taken over by whoever does the step again', async () => {
    const before = await openService()
    before.tasks.handle('work', ({ step }) => step('call', never, { reserve: { token: 60 } }))
    const id = await before.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await before.settle()
    const service = await before.crash()
    // Twice would be more than there is.
    service.tasks.handle('work', ({ step }) =>
      step('call', () => 1, { reserve: { token: 60 }, spent: () => ({ token: 50 }) }),
    )
    await service.pass(1)
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect(ledger(service, id)).toEqual([100, 50, 0])
  })

  it('[T-242] an amount that has changed meanwhile is set aside anew', async () => {
    const before = await openService()
    before.tasks.handle('work', ({ step }) => step('call', never, { reserve: { token: 60 } }))
    const id = await before.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await before.settle()
    const service = await before.crash()
    service.tasks.handle('work', ({ step }) => step('call', () => 1, { reserve: { token: 70 } }))
    await service.pass(1)
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect(ledger(service, id)).toEqual([100, 70, 0])
  })

  it.each([
    ['ends without doing it again', 'complete'],
    ['is cancelled before it could', 'cancel'],
    ['is lost for good', 'lose'],
  ])('[T-242] it counts as spent in full where the run %s', async (_, end) => {
    const before = await openService()
    before.tasks.handle('work', ({ step }) => step('call', never, { reserve: { token: 60 } }))
    const constraints = end === 'lose' ? { maxLosses: 1 } : {}
    const id = await before.tasks.submit({ kind: 'work', budgets: { token: 100 }, constraints })
    await before.settle()
    const service = await before.crash()
    if (end === 'complete') service.tasks.handle('work', () => 'done')
    else await service.tasks.start()
    await service.pass(1)
    if (end === 'cancel') {
      expect(ledger(service, id)).toEqual([100, 0, 60])
      await service.tasks.cancel(id)
    }
    await service.pass(1)
    expect(ledger(service, id)).toEqual([100, 60, 0])
  })

  it('[T-241] a step in flight is done again under a higher token, and what the old one writes late is refused', async () => {
    const service = await openService()
    const contexts: HandlerContext[] = []
    const late: Promise<unknown>[] = []
    const finish: (() => void)[] = []
    service.tasks.handle('work', (context) => {
      contexts.push(context)
      const done = context.step(
        'call',
        () => new Promise<number>((resolve) => finish.push(() => resolve(contexts.length))),
      )
      late.push(done.catch((failure: unknown) => failure))
      return done
    })
    const id = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    await service.settle()
    const { id: runId, lease, currentAttemptId: attemptId } = service.run(id)
    await service.tasks.authority.transact((batch) => {
      const atMs = service.clock.wallNow()
      batch.submit({ type: 'lease_expire', runId, owner: 'local', expiresAtMs: lease?.expiresAtMs as number, atMs })
      batch.submit({
        type: 'attempt_finish',
        runId,
        attemptId: attemptId as never,
        outcome: { result: 'suspended' },
        atMs,
      })
      batch.submit({ type: 'run_suspend', runId, atMs })
      batch.submit({ type: 'run_resume', runId, atMs })
    })
    await service.pass(1)
    expect(contexts).toHaveLength(2)
    finish[0]?.()
    expect(await late[0]).toMatchObject({ code: 'fencing_token_superseded' })
    expect([...service.projection.stepsOf(runId)]).toEqual([])
    finish[1]?.()
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect([...service.projection.stepsOf(runId)]).toMatchObject([{ key: 'step:call', output: '2' }])
    expect(contexts[1]?.fencingToken).toBeGreaterThan(contexts[0]?.fencingToken as number)
  })

  it('[T-244] recorded steps that new code does not ask for are told, and which code did them stands with them', async () => {
    const before = await openRoom()
    before.tasks.handle(
      'work',
      async ({ step, sleep }) => {
        await step('old', () => 1)
        await step('kept', () => 2)
        await sleep(1000)
      },
      { version: '1' },
    )
    const id = await before.tasks.submit({ kind: 'work' })
    await before.settle()
    const room = await before.crash(1)
    room.tasks.handle('work', ({ step }) => step('kept', () => 3), { version: '2' })
    await room.pass(1)
    expect(textOf((await room.tasks.outcome(id)).output)).toBe('2')
    expect(room.warnings).toEqual(['a handler has not asked for steps that were recorded: its code has changed'])
    expect([...room.tasks.projection.stepsOf(room.runsOf(id)[0]?.id as never)]).toMatchObject([
      { key: 'step:old', codeVersion: '1' },
      { key: 'step:kept', codeVersion: '1' },
    ])
  })

  it('[T-245] steps, waits and early answers are rows of their own, and a snapshot holds each of them', async () => {
    const before = await openService()
    before.tasks.handle('work', async ({ step, waitFor }) => {
      await step('a', () => ({ nested_key: [1], camelKey: 'x' }), { spent: () => ({ token: 5 }) })
      await Promise.all([waitFor('asked', undefined, { timeoutMs: 5000, whom: 'ann' }), waitFor('given')])
    })
    const id = await before.tasks.submit({ kind: 'work', budgets: { token: 9 } })
    await before.tasks.answer(id, 'given', 1)
    await before.tasks.answer(id, 'later', 2)
    await before.settle()
    await before.runtime.compact()
    const rows = [...before.tasks.authority.capture()]
    expect(rows.map(({ row }) => row)).toEqual(expect.arrayContaining(['step', 'wait', 'answer']))
    const service = await before.crash()
    expect([...service.tasks.authority.capture()]).toEqual(rows)
    expect([...service.projection.stepsOf(service.run(id).id)][0]?.output).toBe('{"nested_key":[1],"camelKey":"x"}')
    expect(service.tasks.questions()).toEqual(before.tasks.questions())
    expect(await codeOf(service.tasks.answer(id, 'later'))).toBe('question_already_answered')
  })
})
