import { describe, expect, it } from 'vitest'
import { createDeferred } from '../../../src/base/promises.js'
import {
  budgetDimension,
  suspend,
  type HandlerContext,
  type ReservationId,
  type RunState,
  type Spending,
  type TaskId,
} from '../../../src/tasks/index.js'
import { openRoom, start, type Room, type RoomOptions } from './support/room.js'

const token = budgetDimension('token')

/** What became of a reservation so far. */
interface Wish {
  state: 'waits' | 'granted' | 'refused'
  spending?: Spending
  reason?: unknown
}

interface Worker {
  readonly context: HandlerContext
  reserve(amount: number, options?: { readonly signal?: AbortSignal }): Wish
  answer(value?: unknown): void
  fail(reason: unknown): void
}

/** A tree with 1,000 tokens; what its workers do, a test says. */
class Workshop {
  readonly room: Room
  readonly root: TaskId
  readonly workers: Worker[] = []
  #reservationCount = 0

  private constructor(room: Room, root: TaskId) {
    this.room = room
    this.root = root
    room.tasks.handle('work', (context) => {
      const answer = createDeferred<unknown>()
      this.workers.push({
        context,
        answer: answer.resolve,
        fail: answer.reject,
        reserve: (amount, options) => {
          const wish: Wish = { state: 'waits' }
          context.budget.reserve('token', amount, options).then(
            (spending) => Object.assign(wish, { state: 'granted', spending }),
            (reason: unknown) => Object.assign(wish, { state: 'refused', reason }),
          )
          return wish
        },
      })
      return answer.promise
    })
  }

  static async open(count: number, options: RoomOptions = { dispatch: { concurrency: 8 } }): Promise<Workshop> {
    const room = await openRoom(options)
    const root = await room.tasks.submit({ kind: 'nobody handles this', budgets: { token: 1000 } })
    const shop = new Workshop(room, root)
    for (let worker = 0; worker < count; worker += 1) await shop.submit()
    await room.settle()
    return shop
  }

  submit(more: object = {}): Promise<TaskId> {
    return this.room.tasks.submit({ kind: 'work', parentTaskId: this.root, ...more })
  }

  worker(index: number): Worker {
    const worker = this.workers[index]
    if (worker === undefined) throw new Error(`there are only ${this.workers.length} attempts`)
    return worker
  }

  stateOf(index: number): RunState | undefined {
    return this.room.authority.projection.run(this.worker(index).context.runId)?.state
  }

  get budget(): readonly [consumed: number | undefined, reserved: number | undefined] {
    const budget = this.room.authority.projection.budget(this.root, token)
    return [budget?.consumed, budget?.reserved]
  }

  /** Sets an amount aside as a host does, outside of any attempt. */
  async reserveOutside(amount: number): Promise<ReservationId> {
    this.#reservationCount += 1
    const reservationId = `00000000-0000-4000-8000-00000000000${this.#reservationCount}` as ReservationId
    const { root: taskId, room } = this
    await room.authority.submit({
      type: 'budget_reserve',
      reservationId,
      taskId,
      dimension: token,
      amount,
      atMs: start,
    })
    return reservationId
  }
}

describe('an amount that others have set aside', () => {
  it('[T-190] is waited for: those who want it are served one after another, as they came', async () => {
    const shop = await Workshop.open(4)
    const wishes = [0, 1, 2, 3].map((index) => shop.worker(index).reserve(600))
    const [first, second] = wishes
    await shop.room.settle()
    const states = () => wishes.map(({ state }) => state)
    expect([states(), shop.budget]).toEqual([
      ['granted', 'waits', 'waits', 'waits'],
      [0, 600],
    ])
    await first?.spending?.settle(100)
    await shop.room.settle()
    expect([states(), shop.budget]).toEqual([
      ['granted', 'granted', 'waits', 'waits'],
      [100, 600],
    ])
    await second?.spending?.release()
    await shop.room.settle()
    expect(states()).toEqual(['granted', 'granted', 'granted', 'waits'])
    // The end of an attempt gives back as well.
    shop.worker(2).fail(new Error('no'))
    await shop.room.settle()
    expect([states(), shop.budget]).toEqual([
      ['granted', 'granted', 'granted', 'granted'],
      [100, 600],
    ])
  })

  it('is not given to a small wish that came later, on the same budget', async () => {
    const shop = await Workshop.open(3)
    const holder = shop.worker(0).reserve(600)
    await shop.room.settle()
    const large = shop.worker(1).reserve(600)
    const small = shop.worker(2).reserve(10)
    await shop.room.settle()
    expect([large.state, small.state]).toEqual(['waits', 'waits'])
    await holder.spending?.settle(0)
    await shop.room.settle()
    expect([large.state, small.state]).toEqual(['granted', 'granted'])
  })

  it('goes to those who are at work before a run starts that sets it aside with its attempt', async () => {
    const shop = await Workshop.open(2)
    shop.room.tasks.handle('reserving', () => {}, { reserve: { token: 300 } })
    const holder = shop.worker(0).reserve(600)
    await shop.room.settle()
    const waiting = shop.worker(1).reserve(600)
    await shop.room.settle()
    const late = await shop.submit({ kind: 'reserving' })
    await shop.room.settle()
    expect(shop.room.statesOf(late)).toEqual(['ready'])
    await holder.spending?.settle(0)
    await shop.room.settle()
    // Nothing has been given back since, but nobody is in line any more.
    expect([waiting.state, shop.room.statesOf(late)]).toEqual(['granted', ['completed']])
  })

  it('leaves an amount on another budget alone', async () => {
    const shop = await Workshop.open(2)
    const own = await shop.room.tasks.submit({ kind: 'work', budgets: { token: 10 } })
    shop.worker(0).reserve(1000)
    await shop.room.settle()
    const waiting = shop.worker(1).reserve(1)
    const other = shop.worker(2).reserve(10)
    await shop.room.settle()
    expect([waiting.state, other.state, shop.worker(2).context.taskId]).toEqual(['waits', 'granted', own])
  })

  it('is refused once so much is spent that it can never be had', async () => {
    const shop = await Workshop.open(3)
    const holder = shop.worker(0).reserve(600)
    await shop.room.settle()
    const [large, small] = [shop.worker(1).reserve(600), shop.worker(2).reserve(300)]
    await shop.room.settle()
    await holder.spending?.settle(500)
    await shop.room.settle()
    expect(large).toMatchObject({ state: 'refused', reason: { code: 'budget_exceeded', data: { consumed: 500 } } })
    expect(small.state).toBe('granted')
    shop.worker(1).fail(large.reason)
    await shop.room.settle()
    expect(shop.stateOf(1)).toBe('suspended')
    const { history } = shop.room.authority.projection.run(shop.worker(1).context.runId) ?? {}
    expect(history?.at(-1)?.reason).toBe('budget_exhausted')
  })

  it('a replenishment serves who waits in line, and a run that waits to start', async () => {
    const shop = await Workshop.open(2)
    shop.room.tasks.handle('reserving', () => {}, { reserve: { token: 600 } })
    const holder = shop.worker(0).reserve(600)
    await shop.room.settle()
    const waiting = shop.worker(1).reserve(600)
    const ready = await shop.submit({ kind: 'reserving' })
    await shop.room.settle()
    await shop.room.tasks.replenish(shop.root, 'token', 1200)
    await shop.room.settle()
    expect([waiting.state, shop.room.statesOf(ready)]).toEqual(['granted', ['ready']])
    await shop.room.tasks.replenish(shop.root, 'token', 1800)
    await shop.room.settle()
    expect([holder.state, shop.room.statesOf(ready)]).toEqual(['granted', ['completed']])
  })
})

describe('a wait in line', () => {
  it('ends with the signal of the attempt, of which a timeout is one', async () => {
    const shop = await Workshop.open(1)
    await shop.submit({ constraints: { timeoutMs: 5000 } })
    shop.worker(0).reserve(600)
    await shop.room.settle()
    const waiting = shop.worker(1).reserve(600)
    await shop.room.pass(4)
    expect(waiting.state).toBe('waits')
    await shop.room.pass(1)
    expect(waiting).toMatchObject({ state: 'refused', reason: { code: 'attempt_aborted', data: { cause: 'timeout' } } })
    shop.worker(1).fail(waiting.reason)
    await shop.room.settle()
    expect(shop.budget).toEqual([0, 600])
  })

  it('ends with the signal it was given, and lets those behind go on', async () => {
    const shop = await Workshop.open(3)
    shop.worker(0).reserve(600)
    await shop.room.settle()
    const controller = new AbortController()
    const large = shop.worker(1).reserve(600, { signal: controller.signal })
    const small = shop.worker(2).reserve(300)
    shop.room.tasks.handle('reserving', () => {}, { reserve: { token: 100 } })
    const ready = await shop.submit({ kind: 'reserving' })
    await shop.room.settle()
    expect(shop.room.statesOf(ready)).toEqual(['ready'])
    controller.abort('enough')
    await shop.room.settle()
    expect([large, small.state]).toMatchObject([{ state: 'refused', reason: 'enough' }, 'granted'])
    expect(shop.room.statesOf(ready)).toEqual(['completed'])
    await expect(
      shop.worker(2).context.budget.reserve('token', 1, { signal: AbortSignal.abort('before') }),
    ).rejects.toBe('before')
    await expect(shop.worker(2).context.budget.reserve('token', 1, { signal: 'now' } as never)).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field: 'signal' },
    })
  })

  it('ends with the attempt, whose handler does not get what it no longer waits for', async () => {
    const shop = await Workshop.open(3)
    const holder = shop.worker(0).reserve(600)
    await shop.room.settle()
    const [inFront, forgotten] = [shop.worker(1).reserve(600), shop.worker(2).reserve(300)]
    await shop.room.settle()
    shop.worker(2).answer('done without it')
    await shop.room.settle()
    expect(forgotten).toMatchObject({ state: 'refused', reason: { code: 'fencing_token_superseded' } })
    expect([inFront.state, shop.stateOf(2), shop.budget]).toEqual(['waits', 'completed', [0, 600]])
    await holder.spending?.release()
    const late = shop.worker(2).reserve(1)
    await shop.room.settle()
    expect(late).toMatchObject({ state: 'refused', reason: { code: 'fencing_token_superseded' } })
  })

  it('puts no listener of its own on the signals', async () => {
    const shop = await Workshop.open(2)
    shop.worker(0).reserve(1000)
    await shop.room.settle()
    const warnings: Error[] = []
    const onWarning = (warning: Error): void => void warnings.push(warning)
    process.on('warning', onWarning)
    const { signal } = new AbortController()
    for (let wish = 0; wish < 20; wish += 1) shop.worker(1).reserve(1, { signal })
    await shop.room.settle()
    process.off('warning', onWarning)
    expect(warnings).toEqual([])
  })
})

describe('who would wait for ever', () => {
  it('for what it holds itself is refused at once, and suspended until there is more', async () => {
    const shop = await Workshop.open(1)
    shop.worker(0).reserve(600)
    await shop.room.settle()
    const more = shop.worker(0).reserve(600)
    await shop.room.settle()
    expect(more).toMatchObject({ state: 'refused', reason: { code: 'budget_exceeded', data: { reserved: 600 } } })
    shop.worker(0).fail(more.reason)
    await shop.room.pass(10)
    expect([shop.workers.length, shop.stateOf(0)]).toEqual([1, 'suspended'])
    await shop.room.tasks.replenish(shop.root, 'token', 1200)
    await shop.room.settle()
    expect([shop.workers.length, shop.stateOf(0)]).toEqual([2, 'running'])
  })

  it('[T-190] because two would wait for one another: the last comer is refused, the other gets what it gives back', async () => {
    const shop = await Workshop.open(2)
    shop.worker(0).reserve(400)
    shop.worker(1).reserve(400)
    await shop.room.settle()
    const first = shop.worker(0).reserve(500)
    await shop.room.settle()
    const second = shop.worker(1).reserve(500)
    await shop.room.settle()
    expect([first.state, second.state]).toEqual(['waits', 'refused'])
    shop.worker(1).fail(second.reason)
    await shop.room.settle()
    expect([first.state, shop.stateOf(1), shop.workers.length]).toEqual(['granted', 'ready', 2])
    // Only reservations stood in its way: it goes on as soon as both amounts can be had, without anybody's help.
    await first.spending?.settle(0)
    await shop.room.settle()
    expect([shop.stateOf(1), shop.workers.length]).toEqual(['ready', 2])
    shop.worker(0).fail(new Error('gives back'))
    await shop.room.settle()
    expect([shop.stateOf(1), shop.workers.length, shop.worker(2).context.attemptNumber]).toEqual(['running', 3, 1])
    const { history } = shop.room.authority.projection.run(shop.worker(1).context.runId) ?? {}
    expect(history?.map(({ reason }) => reason)).toContain('budget_reserved')
    expect(history?.map(({ reason }) => reason)).not.toContain('budget_exhausted')
  })

  it('when whoever worked has joined the line: the last comer is refused, the others wait for it', async () => {
    const shop = await Workshop.open(3)
    for (const index of [0, 1, 2]) shop.worker(index).reserve(300)
    await shop.room.settle()
    const [first, second] = [shop.worker(0).reserve(300), shop.worker(1).reserve(300)]
    await shop.room.settle()
    expect([first.state, second.state]).toEqual(['waits', 'waits'])
    const third = shop.worker(2).reserve(300)
    await shop.room.settle()
    expect([first.state, second.state, third.state]).toEqual(['waits', 'waits', 'refused'])
  })

  it('when the last one who worked has ended: the last comer is refused', async () => {
    const shop = await Workshop.open(3)
    const holder = shop.worker(2).reserve(200)
    shop.worker(0).reserve(400)
    shop.worker(1).reserve(400)
    await shop.room.settle()
    const [first, second] = [shop.worker(0).reserve(500), shop.worker(1).reserve(500)]
    await shop.room.settle()
    expect([first.state, second.state]).toEqual(['waits', 'waits'])
    await holder.spending?.release()
    await shop.room.settle()
    expect([first.state, second.state]).toEqual(['waits', 'refused'])
  })

  it('behind somebody who waits for it is served out of turn', async () => {
    const shop = await Workshop.open(2)
    const held = shop.worker(0).reserve(600)
    await shop.room.settle()
    const inFront = shop.worker(1).reserve(600)
    await shop.room.settle()
    const little = shop.worker(0).reserve(10)
    await shop.room.settle()
    expect([inFront.state, little.state, shop.budget]).toEqual(['waits', 'granted', [0, 610]])
    await held.spending?.settle(0)
    await shop.room.settle()
    expect(inFront.state).toBe('granted')
  })

  it('for what no run has set aside is refused at once; its run goes on when that is given back', async () => {
    const shop = await Workshop.open(1)
    const reservationId = await shop.reserveOutside(600)
    const wish = shop.worker(0).reserve(600)
    await shop.room.settle()
    expect(wish).toMatchObject({ state: 'refused', reason: { code: 'budget_exceeded' } })
    shop.worker(0).fail(wish.reason)
    await shop.room.pass(10)
    expect([shop.stateOf(0), shop.workers.length]).toEqual(['ready', 1])
    await shop.room.authority.submit({ type: 'budget_release', reservationId, atMs: start + 10_000 })
    await shop.room.settle()
    expect([shop.stateOf(0), shop.workers.length]).toEqual(['running', 2])
    shop.worker(1).answer(suspend())
  })

  it('is decided on what is durable: a reservation on its way to the journal is waited for', async () => {
    const shop = await Workshop.open(2)
    // Neither call has seen the other's reservation in the projection.
    const [first, second] = [shop.worker(0).reserve(600), shop.worker(1).reserve(600)]
    expect(shop.budget).toEqual([0, 0])
    await shop.room.settle()
    expect([first.state, second.state]).toEqual(['granted', 'waits'])
  })
})

describe('what handlers set aside with every attempt', () => {
  it('and no budget can bear keeps their runs in line, is told once, and slows nobody', async () => {
    const { room, root } = await Workshop.open(0)
    room.tasks.handle('greedy', () => {}, { reserve: { token: 1001 } })
    const greedy = await Promise.all(
      [1, 2, 3].map(() => room.tasks.submit({ kind: 'greedy', parentTaskId: root, metadata: { priority: 9 } })),
    )
    room.tasks.handle('modest', async ({ budget }) => (await budget.reserve('token', 10)).settle(1))
    for (let run = 0; run < 20; run += 1) {
      await room.tasks.outcome(await room.tasks.submit({ kind: 'modest', parentTaskId: root }))
    }
    await room.settle()
    expect(greedy.flatMap((id) => room.statesOf(id))).toEqual(['ready', 'ready', 'ready'])
    expect(room.warnings).toEqual([expect.stringContaining('a run is waiting for a larger budget')])
    await room.tasks.replenish(root, 'token', 4000)
    await room.settle()
    expect(greedy.flatMap((id) => room.statesOf(id))).toEqual(['completed', 'completed', 'completed'])
  })
})
