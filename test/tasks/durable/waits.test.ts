import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { createDeferred } from '../../../src/base/promises.js'
import { budgetDimension, defineTask, type HandlerContext } from '../../../src/tasks/index.js'
import { codeOf, leftovers, nothingLeft, openService, start, textOf } from '../acceptance/support.js'

const never = (): Promise<never> => new Promise(() => {})

describe('answers', () => {
  it('[T-246] an answer reaches its question, is checked by its schema, and is given once', async () => {
    const service = await openService()
    service.tasks.handle('work', async ({ waitFor }) => {
      const { approved } = await waitFor('approval', v.object({ approved: v.boolean() }))
      return approved ? 'yes' : 'no'
    })
    const id = await service.tasks.submit({ kind: 'work' })
    await service.settle()
    const outcome = service.tasks.outcome(id)
    await service.tasks.answer(id, 'approval', { approved: true })
    expect(textOf((await outcome).output)).toBe('yes')
    expect(await codeOf(service.tasks.answer(id, 'approval', {}))).toBe('answer_too_late')
  })

  it('[T-246] one that the schema of the handler at work refuses is refused, and its question stays open', async () => {
    const service = await openService()
    service.tasks.handle('work', ({ waitFor }) => waitFor('count', v.pipe(v.string(), v.transform(Number))))
    const id = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 1 } })
    await service.settle()
    await expect(service.tasks.answer(id, 'count', 5)).rejects.toMatchObject({
      code: 'invalid_input',
      data: { subject: 'answer to count' },
    })
    expect(service.tasks.questions()).toHaveLength(1)
    await service.tasks.answer(id, 'count', '5')
    expect(textOf((await service.tasks.outcome(id)).output)).toBe('5')
  })

  it('[T-246] one that was still checked when another one came is not for the next question of the name', async () => {
    const service = await openService()
    const gate = createDeferred<void>()
    const slow = v.pipeAsync(
      v.string(),
      v.checkAsync(async (name) => {
        if (name === 'late') await gate.promise
        return true
      }),
    )
    service.tasks.handle('work', async ({ waitFor }) => [await waitFor('name', slow), await waitFor('name', slow)])
    const id = await service.tasks.submit({ kind: 'work' })
    await service.settle()
    const late = codeOf(service.tasks.answer(id, 'name', 'late'))
    await service.tasks.answer(id, 'name', 'first')
    await service.settle()
    expect(service.tasks.questions()).toHaveLength(1)
    gate.resolve()
    expect(await late).toBe('question_already_answered')
    await service.tasks.answer(id, 'name', 'second')
    expect(textOf((await service.tasks.outcome(id)).output)).toBe('["first","second"]')
  })

  it('[T-246] an answer before its question is kept, a second one is refused; so is one to a question that was answered', async () => {
    const service = await openService()
    service.tasks.handle('work', async ({ waitFor }) => {
      const first = await waitFor('approval')
      await waitFor('other')
      return [first, await waitFor('approval')]
    })
    const id = await service.tasks.submit({ kind: 'work', at: start + 2000 })
    await service.tasks.answer(id, 'approval', 'early')
    expect(await codeOf(service.tasks.answer(id, 'approval', 'again'))).toBe('question_already_answered')
    await service.pass(2)
    // A second click is never taken for the answer to the next question of the name.
    expect(await codeOf(service.tasks.answer(id, 'approval', 'again'))).toBe('question_already_answered')
    await service.tasks.answer(id, 'other')
    await service.settle()
    await service.tasks.answer(id, 'approval', 'late')
    expect(textOf((await service.tasks.outcome(id)).output)).toBe('["early","late"]')
  })

  it('[T-356] one that came too early to be checked is left aside, and its question is asked again', async () => {
    const told: string[] = []
    const refused = 'an answer was refused and its question is asked again'
    const ignore = (): void => {}
    const warn = (_: object, message: string): void => {
      if (message === refused) told.push(message)
    }
    const before = await openService({ logger: { debug: ignore, info: ignore, warn, error: warn } })
    const amount = v.object({ amount: v.number() })
    let asked: unknown[] = []
    const handler = async ({ waitFor }: HandlerContext): Promise<unknown> => {
      asked = []
      for (const count of [1, 2]) asked.push(count, await waitFor('amount', amount, { whom: 'ann' }))
      return asked
    }
    const id = await before.tasks.submit({ kind: 'work', constraints: { maxAttempts: 1 } })
    await before.tasks.answer(id, 'amount', 'much')
    before.tasks.handle('work', handler)
    await before.settle()
    expect(before.tasks.questions()).toMatchObject([{ name: 'amount', whom: 'ann' }])
    expect(told).toEqual([refused])
    await expect(before.tasks.answer(id, 'amount', 'more')).rejects.toMatchObject({ code: 'invalid_input' })

    // While nobody handles it, the same again; then one that is right.
    const between = await before.crash()
    await between.tasks.answer(id, 'amount', 'most')
    between.tasks.handle('work', handler)
    await between.settle()
    expect(told).toEqual([refused, refused])
    await between.tasks.answer(id, 'amount', { amount: 1 })
    await between.settle()
    expect(asked).toEqual([1, { amount: 1 }])

    const service = await between.crash()
    service.tasks.handle('work', handler)
    await service.settle()
    expect(told).toEqual([refused, refused])
    await service.tasks.answer(id, 'amount', { amount: 2 })
    expect(textOf((await service.tasks.outcome(id)).output)).toBe('[1,{"amount":1},2,{"amount":2}]')
  })

  it('[T-246] each run of a repeating task asks anew', async () => {
    const service = await openService()
    const answers: unknown[] = []
    service.tasks.handle('work', async ({ waitFor }) => void answers.push(await waitFor('approval')))
    const id = await service.tasks.submit({ kind: 'work', runPolicy: { type: 'repeat', count: 2, intervalMs: 1000 } })
    await service.pass(2)
    expect(service.tasks.questions({ taskId: id })).toHaveLength(2)
    await service.tasks.answer(id, 'approval', 1)
    await service.tasks.answer(id, 'approval', 2)
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect(answers).toEqual([1, 2])
  })

  it('[T-246] refuses what is no answer', async () => {
    const service = await openService()
    const id = await service.tasks.submit({ kind: 'work' })
    expect(await codeOf(service.tasks.answer(id, '', 1))).toBe('invalid_input')
    expect(await codeOf(service.tasks.answer(id, 'a', new Map()))).toBe('invalid_input')
    expect(await codeOf(service.tasks.answer('00000000-0000-4000-8000-00000000000a' as never, 'a', 1))).toBe(
      'unknown_task',
    )
    expect(() => service.tasks.questions({ task: id } as never)).toThrow(
      expect.objectContaining({ code: 'invalid_input' }),
    )
  })

  it('[T-247] what is asked and not answered is listed with whom it is asked of, oldest first', async () => {
    const service = await openService()
    service.tasks.handle('work', ({ waitFor, json }) =>
      waitFor(json() as string, undefined, { timeoutMs: 5000, whom: 'ann' }),
    )
    const first = await service.tasks.submit({ kind: 'work', payload: '"one"', metadata: { description: 'a loan' } })
    await service.pass(1)
    const second = await service.tasks.submit({ kind: 'work', payload: '"two"' })
    await service.settle()
    const asked = { kind: 'work', type: undefined, whom: 'ann' }
    const { type: _, ...common } = asked
    expect(service.tasks.questions()).toEqual([
      {
        ...common,
        taskId: first,
        runId: service.run(first).id,
        name: 'one',
        description: 'a loan',
        askedAtMs: start,
        untilMs: start + 5000,
      },
      {
        ...common,
        taskId: second,
        runId: service.run(second).id,
        name: 'two',
        askedAtMs: start + 1000,
        untilMs: start + 6000,
      },
    ])
    expect(service.tasks.questions({ taskId: second })).toHaveLength(1)
    await service.tasks.cancel(first)
    await service.tasks.answer(second, 'two')
    expect(service.tasks.questions()).toEqual([])
  })

  it('[T-248] a question and a sleep end at their instants, also when nothing ran then', async () => {
    const before = await openService()
    const handler = async ({ waitFor, sleep }: HandlerContext): Promise<unknown> => {
      const answer = await codeOf(waitFor('a', undefined, { timeoutMs: 10_000 }))
      await sleep(5000)
      return answer
    }
    before.tasks.handle('work', handler)
    const id = await before.tasks.submit({ kind: 'work' })
    await before.pass(9)
    expect(before.run(id)).toMatchObject({ state: 'running', isWaiting: true })
    const service = await before.crash({ seconds: 60 })
    service.tasks.handle('work', handler)
    await service.pass(4)
    expect(service.statesOf(id)).toEqual(['running'])
    await service.pass(1)
    expect(textOf((await service.tasks.outcome(id)).output)).toBe('wait_timed_out')
    expect(service.run(id).attempts.map(({ outcome }) => outcome?.result)).toEqual(['suspended', 'success'])
  })
})

describe('calls', () => {
  it('[T-249] [T-250] a handler waits for its children without their slot, at concurrency 1', async () => {
    const service = await openService({ dispatch: { concurrency: 1 } })
    service.tasks.handle('parent', ({ call }) =>
      Promise.all([1, 2, 3].map((number) => call({ kind: 'child', output: v.number() }, { number }))),
    )
    service.tasks.handle('child', ({ json }) => (json() as { number: number }).number * 10)
    const id = await service.tasks.submit({ kind: 'parent' })
    expect(textOf((await service.tasks.outcome(id)).output)).toBe('[10,20,30]')
    expect([...service.projection.children(id)]).toHaveLength(3)
    expect(leftovers(service)).toEqual(nothingLeft)
  })

  it('[T-249] a definition is called with what it says of its schemas and limits; values cross as they are', async () => {
    const service = await openService()
    const Amount = v.pipe(v.string(), v.transform(Number))
    const child = defineTask(
      'child',
      { input: Amount, output: Amount, maxAttempts: 2 },
      (amount, { attemptNumber }) => {
        if (attemptNumber === 1) throw new Error('once')
        return `${amount * 2}`
      },
    )
    const parent = defineTask('parent', {}, async (_, { call }) => ({
      twice: await call(child, '21'),
      bytes: await call('echo', new Uint8Array([1])),
      text: await call('echo', '5'),
    }))
    service.tasks.handle(child)
    service.tasks.handle(parent)
    service.tasks.handle('echo', ({ input }) => input)
    const handle = await service.tasks.submit(parent, undefined)
    await service.pass(5)
    expect(await handle.result()).toEqual({ twice: 42, bytes: new Uint8Array([1]), text: '5' })
  })

  it('[T-249] what can be submitted can be called, also where its kind could not name a step', async () => {
    const service = await openService()
    const kinds = ['numbered#2', 'k'.repeat(201)]
    for (const kind of kinds) service.tasks.handle(kind, ({ json }) => json())
    service.tasks.handle('parent', ({ call }) => Promise.all(kinds.map((kind, index) => call(kind, index))))
    const id = await service.tasks.submit({ kind: 'parent' })
    expect(textOf((await service.tasks.outcome(id)).output)).toBe('[0,1]')
  })

  it('[T-249] a child and the wait for it are one change', async () => {
    const service = await openService()
    const commits: string[][] = []
    service.tasks.authority.onCommit(({ events }) => void commits.push(events.map(({ type }) => type)))
    service.tasks.handle('parent', ({ call }) => call('child', 1))
    await service.tasks.submit({ kind: 'parent' })
    await service.settle()
    expect(commits).toContainEqual(['task_created', 'wait_begun'])
  })

  it.each([
    ['fails', 'threw', { name: 'TypeError', message: 'no', stack: expect.stringContaining('waits.test') }],
    ['is cancelled', 'cancelled', undefined],
  ])('[T-249] a child that %s fails the call with the reason, and what it threw', async (_, reason, thrown) => {
    const service = await openService()
    service.tasks.handle('parent', async ({ call }) =>
      call({ kind: 'child' }, 1).catch((failure: unknown) => {
        const { code, data, cause } = failure as { code: string; data: object; cause?: Error }
        const { name, message, stack } = cause ?? {}
        return { code, ...data, ...(cause && { cause: { name, message, stack } }) }
      }),
    )
    service.tasks.handle('child', () => {
      if (reason === 'threw') throw new TypeError('no')
      return never()
    })
    const id = await service.tasks.submit({ kind: 'parent' })
    await service.settle()
    const [child] = service.projection.children(id)
    if (reason === 'cancelled') await service.tasks.cancel(child as never)
    const { output } = await service.tasks.outcome(id)
    expect(JSON.parse(textOf(output))).toEqual({
      code: 'call_failed',
      kind: 'child',
      reason,
      ...(thrown && { cause: thrown }),
    })
  })

  it('[T-249] the end of a child that came with a crash is noticed by the next process', async () => {
    const before = await openService()
    before.tasks.handle('parent', ({ call }) => call({ kind: 'child' }, 1))
    const id = await before.tasks.submit({ kind: 'parent' })
    await before.settle()
    const [child] = before.projection.children(id)
    const [run] = before.projection.runsOf(child as never)
    // As a host does that has no dispatcher to notice it.
    const host = await before.crash()
    const atMs = start
    await host.tasks.authority.transact((batch) => {
      const runId = run?.id as never
      const { fencingToken } = batch.submit({
        type: 'attempt_begin',
        runId,
        attemptId: '00000009-0000-4000-8000-000000000001' as never,
        owner: 'host',
        expiresAtMs: start + 5000,
        atMs,
      }).applied
      batch.submit({
        type: 'attempt_end',
        runId,
        attemptId: '00000009-0000-4000-8000-000000000001' as never,
        outcome: { result: 'success' },
        newState: 'completed',
        fencingToken,
        atMs,
      })
    })
    const service = await host.crash()
    service.tasks.handle('parent', ({ call }) => call({ kind: 'child' }, 1))
    await service.pass(1)
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'completed' })
  })
})

describe('waiting', () => {
  it('[T-250] the time of an attempt stands still while it waits', async () => {
    const service = await openService()
    service.tasks.handle('work', async ({ sleep, step }) => {
      await sleep(60_000)
      await step('slow', never)
    })
    const id = await service.tasks.submit({ kind: 'work', constraints: { timeoutMs: 2000 } })
    await service.pass(61)
    expect(service.statesOf(id)).toEqual(['running'])
    await service.pass(2)
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'failed', reason: 'deadline' })
  })

  it('[T-250] what it has set aside stays so', async () => {
    const service = await openService()
    service.tasks.handle('work', async ({ waitFor, budget }) => {
      const spending = await budget.reserve('token', 40)
      await waitFor('a')
      await spending.settle(30)
    })
    const id = await service.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    await service.pass(5)
    expect(service.projection.budget(id, budgetDimension('token'))).toMatchObject({ consumed: 0, reserved: 40 })
    await service.tasks.answer(id, 'a')
    await service.tasks.outcome(id)
    expect(service.projection.budget(id, budgetDimension('token'))).toMatchObject({ consumed: 30, reserved: 0 })
  })

  it.each([
    ['hold_during_retry', ['first asks']],
    ['release_on_retry', ['first asks', 'second']],
  ] as const)(
    '[T-250] under %s its concurrency key is kept or given back',
    async (concurrencyKeyHoldPolicy, expected) => {
      const service = await openService()
      const seen: string[] = []
      let finish = (): void => {}
      service.tasks.handle('work', async ({ waitFor, text }) => {
        if (text() === 'second') {
          seen.push('second')
          return new Promise<void>((resolve) => (finish = resolve))
        }
        seen.push('first asks')
        await waitFor('a')
        seen.push('first goes on')
      })
      const constraints = { concurrencyKey: 'k', concurrencyKeyHoldPolicy }
      const first = await service.tasks.submit({ kind: 'work', payload: 'first', constraints })
      await service.settle()
      const second = await service.tasks.submit({ kind: 'work', payload: 'second', constraints })
      await service.settle()
      expect(seen).toEqual(expected)
      await service.tasks.answer(first, 'a')
      await service.settle()
      // Whoever has the key meanwhile is waited for.
      expect(seen.includes('first goes on')).toBe(concurrencyKeyHoldPolicy === 'hold_during_retry')
      finish()
      await service.settle()
      finish()
      await Promise.all([service.tasks.outcome(first), service.tasks.outcome(second)])
      expect(seen.toSorted()).toEqual(['first asks', 'first goes on', 'second'])
    },
  )

  it('[T-251] a run that waits is cancelled at once, and its handler is told', async () => {
    const service = await openService()
    let told: unknown
    service.tasks.handle('work', ({ waitFor }) => waitFor('a').catch((reason: unknown) => (told = reason)))
    const id = await service.tasks.submit({ kind: 'work' })
    await service.settle()
    await service.tasks.cancel(id)
    expect(await service.tasks.outcome(id)).toMatchObject({ status: 'cancelled' })
    await service.settle()
    expect(told).toMatchObject({ code: 'attempt_aborted', data: { cause: 'cancelled' } })
    expect(leftovers(service)).toEqual(nothingLeft)
  })

  it.each(['close', 'loss'])(
    '[T-252] at a %s it is suspended until the wait is over, and that is no loss',
    async (end) => {
      const before = await openService()
      let begun = 0
      const handler = ({ waitFor }: HandlerContext): Promise<unknown> => {
        begun += 1
        return waitFor('a')
      }
      before.tasks.handle('work', handler)
      const id = await before.tasks.submit({ kind: 'work', constraints: { maxLosses: 1 } })
      await before.settle()
      if (end === 'close') {
        // Nobody waits the time of grace for somebody who waits for days.
        await before.runtime.close({ graceMs: 86_400_000 })
      }
      let service = await before.crash({ seconds: 1 })
      service.tasks.handle('work', handler)
      await service.pass(10)
      expect(service.run(id).history.at(-1)).toMatchObject({ to: 'suspended', reason: 'waiting' })
      service = await service.crash()
      service.tasks.handle('work', handler)
      await service.pass(10)
      expect(begun).toBe(1)
      await service.tasks.answer(id, 'a', 'at last')
      expect(textOf((await service.tasks.outcome(id)).output)).toBe('at last')
      expect(begun).toBe(2)
    },
  )

  it('[T-252] a run that works while it waits for something else is lost like any other', async () => {
    const before = await openService()
    let done = 0
    const slow = (): Promise<void> => (++done === 1 ? never() : Promise.resolve())
    const handler = ({ waitFor, step }: HandlerContext): Promise<unknown> =>
      Promise.all([waitFor('a'), step('notify', slow)])
    before.tasks.handle('work', handler)
    const id = await before.tasks.submit({ kind: 'work' })
    await before.settle()
    expect(before.run(id).isWaiting).toBe(undefined)
    const service = await before.crash()
    service.tasks.handle('work', handler)
    await service.pass(1)
    expect([done, service.run(id).isWaiting]).toEqual([2, true])
    expect(service.run(id).attempts[0]?.outcome).toMatchObject({ result: 'lost' })
  })

  it('[T-252] one that waits again for the rest, or for what an earlier attempt began, is no loss either', async () => {
    let service = await openService()
    const handler = ({ waitFor }: HandlerContext): Promise<unknown> => Promise.all([waitFor('a'), waitFor('b')])
    service.tasks.handle('work', handler)
    const id = await service.tasks.submit({ kind: 'work', constraints: { maxLosses: 1 } })
    await service.settle()
    await service.tasks.answer(id, 'a', 1)
    await service.settle()
    expect(service.run(id).isWaiting).toBe(true)
    service = await service.crash()
    await service.tasks.start()
    await service.tasks.resume(service.run(id).id)
    service.tasks.handle('work', handler)
    await service.settle()
    expect(service.run(id)).toMatchObject({ state: 'running', isWaiting: true })
    service = await service.crash()
    service.tasks.handle('work', handler)
    await service.settle()
    expect(service.statesOf(id)).toEqual(['suspended'])
    await service.tasks.answer(id, 'b', 2)
    expect(textOf((await service.tasks.outcome(id)).output)).toBe('[1,2]')
  })
})

describe('closing', () => {
  it('[T-254] tells handlers at once, and stops them after the time of grace and of cooperation', async () => {
    const service = await openService({ dispatch: { cooperationMs: 3000 } })
    const seen: string[] = []
    service.tasks.handle('work', ({ retiring, signal }) => {
      retiring.addEventListener('abort', () => seen.push('retiring'))
      signal.addEventListener('abort', () => seen.push('stopped'))
      return never()
    })
    await service.tasks.submit({ kind: 'work' })
    await service.settle()
    let isClosed = false
    const closed = service.runtime.close({ graceMs: 10_000 }).then(() => (isClosed = true))
    await service.pass(9)
    expect(seen).toEqual(['retiring'])
    await service.pass(1)
    expect(seen).toEqual(['retiring', 'stopped'])
    await service.pass(2)
    expect(isClosed).toBe(false)
    await service.pass(1)
    await closed
  })
})
