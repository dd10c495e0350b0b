import { describe, expect, it, vi } from 'vitest'
import { maxPayloadBytes } from '../../../src/journal/frame.js'
import { budgetDimension, suspend, type HandlerContext, type SubscriptionId } from '../../../src/tasks/index.js'
import { isArmed } from '../../../src/tasks/subscription.js'
import { strangeThrows, unsayableResults } from '../../support/thrown.js'
import { unhandledDuring } from '../../support/unhandled.js'
import { openRoom, start, type Room } from './support/room.js'

const token = budgetDimension('token')
const immediately = { dispatch: { backoff: { type: 'fixed', delayMs: 0 } } } as const

/** Runs one task to its end; its handler may have been called more than once. */
async function endOf(room: Room, handler: (context: HandlerContext) => unknown, more: object = {}) {
  let calls = 0
  room.tasks.handle('work', (context) => {
    calls += 1
    return handler(context)
  })
  const id = await room.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 }, ...more })
  const { status, error } = await room.tasks.outcome(id)
  const { consumed, reserved } = room.authority.projection.budget(id, token) ?? {}
  expect(room.runsOf(id)[0]?.lease).toBeUndefined()
  return { status, error, calls, consumed, reserved }
}

describe('the end of an attempt is not lost', () => {
  it.each(strangeThrows)('when its handler throws %s: it is retried as any other', async (_, make, error) => {
    const unhandled = await unhandledDuring(async () => {
      const ended = await endOf(await openRoom(immediately), () => {
        throw make()
      })
      expect(ended).toMatchObject({ status: 'failed', error, calls: 2 })
    })
    expect(unhandled).toEqual([])
  })

  it.each(unsayableResults)('when its output is %s: no further attempt can help', async (_, make, reason) => {
    for (const handler of [make, () => suspend(make())]) {
      const { status, error, calls } = await endOf(await openRoom(immediately), handler)
      expect([status, calls]).toEqual(['failed', 1])
      expect(error).toMatch(/^the output cannot be recorded: /)
      expect(error).toContain(reason)
    }
  })

  it('when its output is bytes that are not there any more', async () => {
    const { status, error, calls } = await endOf(await openRoom(immediately), () => {
      const bytes = new Uint8Array(8)
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
      return bytes
    })
    expect([status, calls]).toEqual(['failed', 1])
    expect(error).toContain('detached')
  })

  it('when the end itself is refused: the run fails for good, and carries the refusal', async () => {
    const room = await openRoom({
      random: () => Number.NaN,
      dispatch: { backoff: { type: 'fixed', delayMs: 1000, jitter: 0.5 } },
    })
    const { status, error, calls } = await endOf(room, () => {
      throw new Error('broken')
    })
    expect([status, calls]).toEqual(['failed', 1])
    expect(error).toMatch(/^the end was refused: .*retryAt/)
  })

  it('when what follows from it is refused: the end stands', async () => {
    const room = await openRoom()
    const fill = vi.spyOn(room.authority.projection, 'subscriptionsFor')
    const { status, calls } = await endOf(room, () => {
      fill.mockImplementation(() => {
        throw Object.create(null)
      })
    })
    expect([status, calls]).toEqual(['completed', 1])
  })

  it('when what follows from it does not fit the journal: the end stands, and the triggers follow it', async () => {
    const room = await openRoom()
    const blocked = await room.tasks.submit({ kind: 'nobody handles this' })
    const taskId = await room.tasks.submit({ kind: 'work' })
    await room.authority.transact((batch) => {
      for (let number = 0; number < 2000; number += 1) {
        const subscriptionId = `00000000-0000-7000-8000-${String(number).padStart(12, '0')}` as SubscriptionId
        const filter = { type: 'task_completed', taskId } as const
        batch.submit({ type: 'subscription_create', subscriptionId, taskId: blocked, filter, atMs: start })
      }
    })
    // In base64 almost as much as one append may be: the output alone fits, the events of 2,000 triggers do not fit beside it.
    const output = 'x'.repeat(((maxPayloadBytes - 100_000) * 3) / 4)
    room.tasks.handle('work', () => output)
    const outcome = await room.tasks.outcome(taskId)
    expect([outcome.status, outcome.output?.length, outcome.runs[0]?.attempts]).toEqual(['completed', output.length, 1])
    await room.settle()
    const waiting = [...room.authority.projection.subscriptionsOf(blocked)]
    const triggered = waiting.filter((subscription) => !isArmed(subscription))
    expect([triggered.length, room.errors]).toEqual([2000, []])
  })
})

describe('what a handler does not await', () => {
  it('ends no process when it is refused', async () => {
    const unhandled = await unhandledDuring(async () => {
      const ended = await endOf(
        await openRoom(),
        ({ budget, submit }) => {
          void budget.reserve('token', 101)
          void budget.reserve('no dimension', 1)
          void submit({ kind: '' })
          void submit(undefined as never)
        },
        { budgets: { token: 100 } },
      )
      expect(ended).toMatchObject({ status: 'completed', consumed: 0, reserved: 0 })
    })
    expect(unhandled).toEqual([])
  })
})

describe('an amount that is no amount', () => {
  const amounts = [
    0.5,
    '5',
    5n,
    -5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    undefined,
    Symbol('5'),
    Object.create(null),
  ]

  it.each(amounts)(
    'is refused by settle and changes nothing: what is open at a success is spent in full',
    async (amount) => {
      const refusals: unknown[] = []
      const ended = await endOf(
        await openRoom(),
        async ({ budget }) => {
          const spending = await budget.reserve('token', 10)
          await spending.settle(amount as number).catch((refusal: unknown) => refusals.push(refusal))
          return 'done'
        },
        { budgets: { token: 100 } },
      )
      expect(ended).toMatchObject({ status: 'completed', calls: 1, consumed: 10, reserved: 0 })
      expect(refusals).toMatchObject([{ code: 'invalid_amount' }])
    },
  )

  it.each(amounts)('is refused by report and changes nothing', async (amount) => {
    const ended = await endOf(
      await openRoom(),
      ({ budget }) => {
        budget.report('token', 3)
        expect(() => budget.report('token', amount as number)).toThrow(
          expect.objectContaining({ code: 'invalid_amount' }),
        )
      },
      { budgets: { token: 100 } },
    )
    expect(ended).toMatchObject({ status: 'completed', calls: 1, consumed: 3, reserved: 0 })
  })

  it('is refused where nothing is limited, too', async () => {
    const ended = await endOf(await openRoom(), async ({ budget }) => {
      const spending = await budget.reserve('token', 10)
      await expect(spending.settle(0.5)).rejects.toMatchObject({ code: 'invalid_amount' })
    })
    expect(ended).toMatchObject({ status: 'completed' })
  })

  it('harms nobody who does not await the answer', async () => {
    const unhandled = await unhandledDuring(async () => {
      const ended = await endOf(
        await openRoom(),
        async ({ budget }) => {
          void (await budget.reserve('token', 10)).settle(-1)
        },
        { budgets: { token: 100 } },
      )
      expect(ended).toMatchObject({ status: 'completed', consumed: 10 })
    })
    expect(unhandled).toEqual([])
  })

  it('leaves the amount that was settled before', async () => {
    const room = await openRoom()
    const ended = await endOf(
      room,
      async ({ budget }) => {
        const spending = await budget.reserve('token', 40)
        room.store.failNext('write')
        await spending.settle(15).catch(() => {})
        await spending.settle(Number.NaN).catch(() => {})
      },
      { budgets: { token: 100 } },
    )
    expect(ended).toMatchObject({ status: 'completed', consumed: 15, reserved: 0 })
  })
})

describe('a budget that can count no further', () => {
  const most = Number.MAX_SAFE_INTEGER

  it('refuses a report that it cannot count, when it is made', async () => {
    const ended = await endOf(
      await openRoom(),
      async ({ budget }) => {
        await (await budget.reserve('token', 10)).settle(10)
        budget.report('token', 5)
        expect(() => budget.report('token', most - 14)).toThrow(expect.objectContaining({ code: 'budget_overflow' }))
        expect(() => budget.report('token', most)).toThrow(expect.objectContaining({ code: 'invalid_amount' }))
      },
      { budgets: { token: most } },
    )
    expect(ended).toMatchObject({ status: 'completed', consumed: 15 })
  })

  it('refuses a settlement that it cannot count, and what was set aside is spent', async () => {
    const ended = await endOf(
      await openRoom(),
      async ({ budget }) => {
        await (await budget.reserve('token', 10)).settle(10)
        const spending = await budget.reserve('token', 7)
        await expect(spending.settle(most)).rejects.toMatchObject({ code: 'budget_overflow' })
      },
      { budgets: { token: 100 } },
    )
    expect(ended).toMatchObject({ status: 'completed', consumed: 17, reserved: 0 })
  })

  it('is full at the end of an attempt, whose end it does not hinder', async () => {
    const room = await openRoom()
    const ended = await endOf(
      room,
      async ({ budget, taskId }) => {
        budget.report('token', most)
        const dimension = token
        await room.authority.submit({ type: 'budget_consume', taskId, dimension, amount: 1, atMs: start })
      },
      { budgets: { token: 100 } },
    )
    expect(ended).toMatchObject({ status: 'completed', consumed: most })
  })
})
