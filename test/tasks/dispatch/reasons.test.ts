import { describe, expect, it, vi } from 'vitest'
import { StatewardError } from '../../../src/base/errors.js'
import { maxPayloadBytes } from '../../../src/journal/frame.js'
import { TerminalFailure, type Handler } from '../../../src/tasks/index.js'
import { openRoom, type Room } from './support/room.js'

async function outcomeOf(room: Room, handler: Handler, constraints: object = {}) {
  room.tasks.handle('work', handler)
  const id = await room.tasks.submit({ kind: 'work', constraints })
  await room.pass(3)
  return room.tasks.outcome(id)
}

describe('how an end came about', () => {
  it('threw: what was thrown is kept whole, with its code, stack, cause and members, also after a crash', async () => {
    const room = await openRoom()
    const outcome = await outcomeOf(room, () => {
      const disk = Object.assign(new Error('disk full'), { code: 'ENOSPC' })
      throw new AggregateError([new RangeError('one')], 'both failed', { cause: disk })
    })
    const cause = {
      name: 'AggregateError',
      message: 'both failed',
      stack: expect.stringContaining('reasons.test.ts'),
      cause: { name: 'Error', message: 'disk full', code: 'ENOSPC', stack: expect.any(String) },
      errors: [{ name: 'RangeError', message: 'one', stack: expect.any(String) }],
    }
    expect(outcome).toMatchObject({ status: 'failed', error: 'both failed', reason: 'threw', runs: [{ cause }] })
    expect(outcome.cause).toEqual(cause)
    const later = await room.crash()
    expect(await later.tasks.outcome(outcome.taskId)).toEqual(outcome)
  })

  it('threw: also for a terminal failure, whose code tells', async () => {
    const outcome = await outcomeOf(await openRoom(), () => {
      throw new TerminalFailure('no such file')
    })
    expect(outcome).toMatchObject({ reason: 'threw', cause: { name: 'TerminalFailure', code: 'terminal_failure' } })
  })

  it('deadline: it took too long, whether or not its handler heeded that', async () => {
    const outcome = await outcomeOf(await openRoom(), () => new Promise(() => {}), { timeoutMs: 1000 })
    expect([outcome.reason, outcome.cause]).toEqual(['deadline', undefined])
  })

  it('cancelled: somebody cancelled it', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work' })
    await room.tasks.cancel(id)
    expect(await room.tasks.outcome(id)).toMatchObject({ reason: 'cancelled', runs: [{ reason: 'cancelled' }] })
  })

  it('lost: its owner is gone', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => new Promise(() => {}))
    const id = await room.tasks.submit({ kind: 'work', constraints: { maxLosses: 1 } })
    await room.settle()
    const later = await room.crash()
    await later.tasks.start()
    await later.settle()
    expect(await later.tasks.outcome(id)).toMatchObject({ status: 'failed', reason: 'lost' })
  })

  it.each([
    ['an output that JSON cannot say', () => 1n, 'invalid_input'],
    ['an output that the journal cannot hold', () => 'x'.repeat(maxPayloadBytes), 'lane_not_appended'],
  ])('refused: %s', async (_, handler, code) => {
    const outcome = await outcomeOf(await openRoom(), handler)
    expect(outcome).toMatchObject({ status: 'failed', reason: 'refused', cause: { code } })
  })
})

describe('a handler that throws a refusal of a budget', () => {
  it('which its own attempt has not met fails, and is not begun again at once for ever', async () => {
    const room = await openRoom()
    let calls = 0
    const outcome = await outcomeOf(
      room,
      () => {
        // Nobody would wait for so many.
        if (++calls > 20) return new Promise(() => {})
        throw new StatewardError('budget_exceeded', 'the budget of somebody else', {})
      },
      { maxAttempts: 1 },
    )
    expect([outcome.status, outcome.reason, outcome.cause?.code, calls]).toEqual([
      'failed',
      'threw',
      'budget_exceeded',
      1,
    ])
  })
})

describe('what a handler does not look at', () => {
  it('is not made: no signal, no text of its payload, no account', async () => {
    const room = await openRoom()
    const controllers = vi.spyOn(globalThis, 'AbortController')
    const any = vi.spyOn(AbortSignal, 'any')
    try {
      expect(await outcomeOf(room, ({ taskId }) => taskId)).toMatchObject({ status: 'completed' })
      expect([controllers.mock.calls.length, any.mock.calls.length]).toEqual([0, 0])
      const looking = room.tasks.handle('looks', ({ signal }) => signal.aborted)
      await room.tasks.outcome(await room.tasks.submit({ kind: 'looks' }))
      looking[Symbol.dispose]()
      expect([controllers.mock.calls.length, any.mock.calls.length]).toEqual([1, 0])
    } finally {
      vi.restoreAllMocks()
    }
  })

  it('can be taken out of the context', async () => {
    const room = await openRoom()
    const outcome = await outcomeOf(room, async (context) => {
      const { text, json, submit, children, progress, budget } = context
      progress('begun')
      const child = await submit({ kind: 'nobody handles this' })
      expect([text(), budget.remaining('token'), children().map(({ taskId }) => taskId)]).toEqual([
        '',
        undefined,
        [child],
      ])
      expect(() => json()).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    })
    expect(outcome.status).toBe('completed')
  })
})

describe('leases', () => {
  it('of all attempts are renewed together: one change, however many there are', async () => {
    const room = await openRoom({ dispatch: { concurrency: 8, leaseMs: 30_000 } })
    room.tasks.handle('work', () => new Promise(() => {}))
    const ids = await Promise.all(Array.from({ length: 8 }, () => room.tasks.submit({ kind: 'work' })))
    await room.settle()
    const groups: number[] = []
    room.authority.onCommit(({ events }) => groups.push(events.filter(({ type }) => type === 'lease_heartbeat').length))
    await room.pass(20)
    expect(groups).toEqual([8])
    await room.pass(100)
    expect(ids.flatMap((id) => room.statesOf(id))).toEqual(ids.map(() => 'running'))
  })
})
