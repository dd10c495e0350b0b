import { describe, expect, it } from 'vitest'
import {
  budgetDimension,
  type BudgetDimension,
  type CommandOf,
  type ReservationId,
  type TaskId,
} from '../../src/tasks/index.js'
import { allocate, consume, runCreate, taskCreate, token } from './support/commands.js'
import { R1, R2, reservationId, T1, T2, T3 } from './support/ids.js'
import { given } from './support/specification.js'

const [V1, V2] = [reservationId(1), reservationId(2)]

const replenish = (newLimit: number): CommandOf<'budget_replenish'> => ({
  type: 'budget_replenish',
  taskId: T1,
  dimension: token,
  newLimit,
  atMs: 150,
})

const reserve = (amount: number, id: ReservationId = V1, taskId: TaskId = T1): CommandOf<'budget_reserve'> => ({
  type: 'budget_reserve',
  reservationId: id,
  taskId,
  dimension: token,
  amount,
  atMs: 140,
})

const settle = (amount: number, id: ReservationId = V1): CommandOf<'budget_settle'> => ({
  type: 'budget_settle',
  reservationId: id,
  amount,
  atMs: 141,
})

const release = (id: ReservationId = V1): CommandOf<'budget_release'> => ({
  type: 'budget_release',
  reservationId: id,
  atMs: 141,
})

/** T1 with a budget of 100 above T2 with a budget of 50 above T3 without one. */
const tree = [
  taskCreate(T1),
  taskCreate(T2, { parentTaskId: T1 }),
  taskCreate(T3, { parentTaskId: T2 }),
  allocate(100, T1),
  allocate(50, T2),
]

describe('budget_allocate', () => {
  it('refuses a dimension that counts seconds', () =>
    given(taskCreate())
      .when({ ...allocate(500), dimension: 'time_secs' as never })
      .isInvalid('dimension'))

  it('[T-19] opens a budget', () =>
    given(taskCreate())
      .when(allocate(500))
      .accepts({
        event: { type: 'budget_allocated', taskId: T1, dimension: 'token', limit: 500, atMs: 105 },
        applied: { type: 'budget_allocate', taskId: T1, dimension: 'token', limit: 500 },
        then: (projection) =>
          expect([...projection.budgetsOf(T1)]).toEqual([
            {
              taskId: T1,
              dimension: 'token',
              limit: 500,
              consumed: 0,
              reserved: 0,
              allocatedAtMs: 105,
              exhausted: false,
            },
          ]),
      }))

  it('[T-184] [T-19] refuses an unknown task, a second allocation and a limit of zero', async () => {
    await given().when(allocate(500)).refuses('unknown_task', { taskId: T1 })
    await given(taskCreate(), allocate(500), consume(10))
      .when(allocate(600))
      .refuses('budget_already_allocated', { taskId: T1, dimension: token })
    await given(taskCreate()).when(allocate(0)).refuses('zero_limit', { dimension: token })
  })
})

describe('budget_consume', () => {
  it('[T-19] counts, and exhausts the budget at its limit', async () => {
    await given(taskCreate(), allocate(100))
      .when(consume(99))
      .accepts({
        event: { type: 'budget_consumed', taskId: T1, dimension: 'token', amount: 99, atMs: 131 },
        applied: { type: 'budget_consume', taskId: T1, dimension: 'token', amount: 99 },
        then: (projection) => {
          expect(projection.budget(T1, token)).toMatchObject({ consumed: 99, exhausted: false })
          expect(projection.isBudgetExhausted(T1)).toBe(false)
        },
      })
    await given(taskCreate(), allocate(100), consume(99))
      .when(consume(1))
      .accepts({
        then: (projection) => {
          expect(projection.budget(T1, token)).toMatchObject({ consumed: 100, exhausted: true })
          expect(projection.isBudgetExhausted(T1)).toBe(true)
        },
      })
  })

  it('[T-181] records what was spent even beyond the limit', () =>
    given(taskCreate(), allocate(100))
      .when(consume(250))
      .accepts({
        then: (projection) => expect(projection.budget(T1, token)).toMatchObject({ consumed: 250, exhausted: true }),
      }))

  it('[T-19] refuses an unknown task, a task without a budget, nothing, and what no budget can count', async () => {
    await given().when(consume(1)).refuses('unknown_task', { taskId: T1 })
    await given(taskCreate()).when(consume(1)).refuses('budget_not_allocated', { taskId: T1, dimension: token })
    await given(taskCreate(), allocate(1)).when(consume(0)).refuses('zero_amount', { dimension: token })
    await given(taskCreate(), allocate(1), consume(Number.MAX_SAFE_INTEGER))
      .when(consume(1))
      .refuses('budget_overflow', { taskId: T1, dimension: token })
  })

  it('[T-180] charges the task and every ancestor with a budget', () =>
    given(tree)
      .when(consume(50, T3))
      .accepts({
        then: (projection) => {
          expect(projection.budget(T1, token)).toMatchObject({ consumed: 50, exhausted: false })
          expect(projection.budget(T2, token)).toMatchObject({ consumed: 50, exhausted: true })
          expect([T1, T2, T3].map((id) => projection.isBudgetExhausted(id))).toEqual([false, true, true])
        },
      }))

  it('[T-180] leaves the budgets of children alone', () =>
    given(tree)
      .when(consume(10, T1))
      .accepts({ then: (projection) => expect(projection.budget(T2, token)?.consumed).toBe(0) }))
})

describe('budget_replenish', () => {
  it('[T-183] raises the limit and keeps what was consumed', () =>
    given(taskCreate(), allocate(100), consume(100))
      .when(replenish(150))
      .accepts({
        event: { type: 'budget_replenished', taskId: T1, dimension: 'token', newLimit: 150, atMs: 150 },
        applied: { type: 'budget_replenish', taskId: T1, dimension: 'token', newLimit: 150 },
        then: (projection) =>
          expect(projection.budget(T1, token)).toMatchObject({ limit: 150, consumed: 100, exhausted: false }),
      }))

  it('[T-183] leaves a budget exhausted that has spent the new limit too', () =>
    given(taskCreate(), allocate(100), consume(200))
      .when(replenish(200))
      .accepts({ then: (projection) => expect(projection.budget(T1, token)?.exhausted).toBe(true) }))

  it('[T-19] refuses an unknown task, a task without a budget, and a limit that is no raise', async () => {
    await given().when(replenish(1)).refuses('unknown_task', { taskId: T1 })
    await given(taskCreate()).when(replenish(1)).refuses('budget_not_allocated', { taskId: T1, dimension: token })
    await given(taskCreate(), allocate(100))
      .when(replenish(100))
      .refuses('budget_not_raised', { taskId: T1, dimension: token, limit: 100, newLimit: 100 })
  })
})

describe('budget_reserve', () => {
  it('[T-182] sets the amount aside on the way up', () =>
    given(tree, runCreate(R1, T3))
      .when({ ...reserve(50, V1, T3), runId: R1 })
      .accepts({
        event: {
          type: 'budget_reserved',
          reservationId: V1,
          taskId: T3,
          dimension: 'token',
          amount: 50,
          runId: R1,
          atMs: 140,
        },
        applied: { type: 'budget_reserve', reservationId: V1, chargedTaskIds: [T2, T1] },
        then: (projection) => {
          expect(projection.budget(T1, token)).toMatchObject({ reserved: 50, consumed: 0 })
          expect(projection.budget(T2, token)).toMatchObject({ reserved: 50, consumed: 0, exhausted: false })
          expect([...projection.reservationsOf(R1)].map((row) => row.reservationId)).toEqual([V1])
        },
      }))

  it('[T-135] refuses what would exceed the task or an ancestor, before it is spent', async () => {
    await given(tree)
      .when(reserve(51, V1, T3))
      .refuses('budget_exceeded', { taskId: T2, dimension: token, limit: 50, consumed: 0, reserved: 0, amount: 51 })
    await given(tree, consume(30, T1), reserve(40, V1, T1))
      .when(reserve(31, V2, T2))
      .refuses('budget_exceeded', { taskId: T1, dimension: token, limit: 100, consumed: 30, reserved: 40, amount: 31 })
    await given(tree, consume(30, T1), reserve(40, V1, T1))
      .when(reserve(30, V2, T2))
      .accepts()
  })

  it('[T-135] refuses an open reservation id, an unknown run and a task without a budget', async () => {
    await given(tree, reserve(1)).when(reserve(1)).refuses('reservation_already_exists', { reservationId: V1 })
    await given(tree)
      .when({ ...reserve(1), runId: R1 })
      .refuses('unknown_run', { runId: R1 })
    await given(taskCreate()).when(reserve(1)).refuses('budget_not_allocated', { taskId: T1, dimension: token })
    await given().when(reserve(1)).refuses('unknown_task', { taskId: T1 })
    await given(tree).when(reserve(0)).refuses('zero_amount', { dimension: token })
  })
})

describe('budget_settle and budget_release', () => {
  it('[T-182] turns a reservation into what was really spent', () =>
    given(tree, reserve(40, V1, T3))
      .when(settle(33))
      .accepts({
        event: { type: 'budget_settled', reservationId: V1, amount: 33, atMs: 141 },
        applied: { type: 'budget_settle', reservationId: V1, amount: 33 },
        then: (projection) => {
          expect(projection.budget(T1, token)).toMatchObject({ reserved: 0, consumed: 33 })
          expect(projection.budget(T2, token)).toMatchObject({ reserved: 0, consumed: 33 })
          expect([...projection.reservations()]).toEqual([])
        },
      }))

  it('[T-182] settles nothing spent, and more than was reserved, as the truth', async () => {
    await given(tree, reserve(40, V1, T3))
      .when(settle(0))
      .accepts({
        then: (projection) => expect(projection.budget(T2, token)).toMatchObject({ reserved: 0, consumed: 0 }),
      })
    await given(tree, reserve(40, V1, T3))
      .when(settle(60))
      .accepts({
        then: (projection) =>
          expect(projection.budget(T2, token)).toMatchObject({ reserved: 0, consumed: 60, exhausted: true }),
      })
  })

  it('charges a budget that was opened after the reservation too', () =>
    given(
      taskCreate(T1),
      taskCreate(T2, { parentTaskId: T1 }),
      allocate(50, T2),
      reserve(40, V1, T2),
      allocate(100, T1),
    )
      .when(settle(40))
      .accepts({
        then: (projection) => {
          expect(projection.budget(T1, token)).toMatchObject({ reserved: 0, consumed: 40 })
          expect(projection.budget(T2, token)).toMatchObject({ reserved: 0, consumed: 40 })
        },
      }))

  it('[T-182] gives a reservation back', () =>
    given(tree, reserve(40, V1, T3))
      .when(release())
      .accepts({
        event: { type: 'budget_released', reservationId: V1, atMs: 141 },
        applied: { type: 'budget_release', reservationId: V1 },
        then: (projection) => {
          expect(projection.budget(T1, token)).toMatchObject({ reserved: 0, consumed: 0 })
          expect(projection.budget(T2, token)).toMatchObject({ reserved: 0, consumed: 0 })
        },
      }))

  it('forgets whose a closed reservation was', () =>
    given(tree, runCreate(R1, T1), runCreate(R2, T1), { ...reserve(1), runId: R1 }, release())
      .when({ ...reserve(1), runId: R2 })
      .accepts({
        then: (projection) => {
          expect([...projection.reservationsOf(R1)]).toEqual([])
          expect([...projection.reservationsOf(R2)]).toHaveLength(1)
        },
      }))

  it('[T-136] refuses a settlement that a budget cannot count, on whichever level', async () => {
    const most = Number.MAX_SAFE_INTEGER
    await given(tree, reserve(10), consume(most - 20, T1))
      .when(settle(21))
      .refuses('budget_overflow', { taskId: T1, dimension: token })
    await given(tree, reserve(10), consume(most - 20, T1))
      .when(settle(20))
      .accepts({ then: (projection) => expect(projection.budget(T1, token)).toMatchObject({ consumed: most }) })
  })

  it('[T-136] refuses a reservation that is not open (any more)', async () => {
    await given(tree).when(settle(1)).refuses('unknown_reservation', { reservationId: V1 })
    await given(tree, reserve(1), release()).when(settle(1)).refuses('unknown_reservation', { reservationId: V1 })
    await given(tree, reserve(1), settle(1)).when(release()).refuses('unknown_reservation', { reservationId: V1 })
  })
})

it('[T-112] keeps budgets of one task apart by dimension', () => {
  const money = budgetDimension('cost:usd')
  return given(taskCreate(), allocate(10), { ...allocate(2_500_000), dimension: money }, consume(10))
    .when({ ...consume(1_000_000), dimension: money })
    .accepts({
      then: (projection) => {
        expect(projection.budget(T1, money)).toMatchObject({ consumed: 1_000_000, exhausted: false })
        expect(projection.budget(T1, token)).toMatchObject({ consumed: 10, exhausted: true })
      },
    })
})

it('[T-112] names a dimension that is not one', () =>
  given(taskCreate())
    .when({ ...allocate(1), dimension: 'Token' as BudgetDimension })
    .isInvalid('dimension'))
