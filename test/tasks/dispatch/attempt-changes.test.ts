import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Lane } from '../../../src/lane/lane.js'
import {
  budgetDimension,
  failed,
  succeeded,
  suspended,
  TaskAuthority,
  timedOut,
  type AttemptOutcome,
  type BudgetDimension,
  type ReservationId,
  type Run,
  type TaskCommand,
} from '../../../src/tasks/index.js'
import {
  finishAttempt,
  orRefuse,
  startAttempt,
  type TakeConsequence,
} from '../../../src/tasks/dispatch/attempt-changes.js'
import type { SuspendReason } from '../../../src/tasks/dispatch/attempt-report.js'
import { createTaskClock } from '../../../src/tasks/dispatch/task-clock.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { allocate, move, runCreate, subscribe, taskCreate, token } from '../support/commands.js'
import { attemptId, reservationId, runId, subscriptionId, taskId } from '../support/ids.js'
import { fromWire } from '../support/wire.js'

const time = budgetDimension('time:ms')
const now = 1000

/** One attempt, from its claim to its end. */
interface Step {
  /** Picks one of the ready runs. */
  readonly pick: number
  readonly outcome: AttemptOutcome
  readonly suspendReason: SuspendReason
  readonly isAnswered: boolean
  /** Set aside before it starts, where a budget can bear it. */
  readonly atStart: readonly (readonly [BudgetDimension, number])[]
  /** Set aside while it works, and what was settled of it, if that was said. */
  readonly reserved: readonly (readonly [BudgetDimension, amount: number, settled: number | undefined])[]
  readonly reported: readonly (readonly [BudgetDimension, number])[]
  readonly refused: readonly [BudgetDimension, number] | undefined
}

const dimension = fc.constantFrom(token, time)
const spent = fc.tuple(dimension, fc.integer({ min: 1, max: 9 }))
const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({
    pick: fc.nat(9),
    outcome: fc.constantFrom(
      succeeded(),
      succeeded(),
      suspended(),
      failed('broken', 'retryable'),
      failed('broken', 'terminal'),
      timedOut(5),
    ),
    suspendReason: fc.constantFrom('handler', 'budget_exhausted', 'shutdown'),
    isAnswered: fc.boolean(),
    atStart: fc.uniqueArray(spent, { maxLength: 2, selector: ([name]) => name }),
    reserved: fc.array(fc.tuple(dimension, fc.integer({ min: 1, max: 9 }), fc.option(fc.nat(12), { nil: undefined })), {
      maxLength: 3,
    }),
    reported: fc.uniqueArray(spent, { maxLength: 2, selector: ([name]) => name }),
    refused: fc.option(spent, { nil: undefined }),
  }),
  { minLength: 3, maxLength: 20, size: 'max' },
)

const [root, repeating, hourly] = [taskId(1), taskId(2), taskId(3)]
const before: readonly TaskCommand[] = [
  taskCreate(root, { constraints: { maxAttempts: 2 } }),
  taskCreate(repeating, { parentTaskId: root, runPolicy: { type: 'repeat', count: 12, intervalMs: 10 } }),
  taskCreate(hourly, { parentTaskId: root, runPolicy: { type: 'cron', expression: '0 0 * * * * *' } }),
  allocate(60, root),
  allocate(40, repeating),
  { ...allocate(50, root), dimension: time },
  ...[root, repeating, hourly].flatMap((task, index) =>
    // A repetition with one run: its end is not that of the task, because the next ones come with it.
    (task === repeating ? [1] : [1, 2, 3]).map((number) => runCreate(runId(10 * index + number), task)),
  ),
  ...[
    { type: 'task_completed', taskId: root } as const,
    { type: 'task_completed', taskId: repeating } as const,
    { type: 'run_state_changed', taskId: repeating, state: 'completed' } as const,
    { type: 'run_state_changed', taskId: root, state: 'suspended' } as const,
    { type: 'budget_threshold', taskId: root, dimension: token, thresholdPercent: 50 } as const,
    { type: 'budget_threshold', taskId: repeating, dimension: token, thresholdPercent: 20 } as const,
  ].flatMap((filter, index) => [
    subscribe(subscriptionId(2 * index + 1), filter, { taskId: hourly }),
    subscribe(subscriptionId(2 * index + 2), filter, { taskId: root, rearm: true }),
  ]),
]

/** The room in memory, and the ends of attempts taken in one of two ways. */
class Side {
  readonly authority = new TaskAuthority()
  readonly #consequence: TakeConsequence | undefined
  #ids = 1000

  constructor(consequence?: TakeConsequence) {
    this.#consequence = consequence
  }

  async open(): Promise<void> {
    this.authority.start(await Lane.open({ streamFor: () => this.authority }))
    for (const command of before) await this.authority.submit(command)
  }

  /** The code that the end is refused with; `nothing` where no attempt can start. */
  async take(step: Step, number: number): Promise<string | undefined> {
    const { authority } = this
    const { projection } = authority
    for (const { id } of [...projection.runsIn('scheduled')].slice(0, 2)) {
      await authority.submit(move('scheduled', 'ready', { runId: id }))
    }
    for (const { id } of Array.from(projection.runsIn('retry_wait'))) {
      await authority.submit(move('retry_wait', 'ready', { runId: id }))
    }
    for (const { id } of [...projection.runsIn('suspended')].slice(1)) {
      await authority.submit({ type: 'run_resume', runId: id, atMs: now })
    }
    const ready = [...projection.ready()]
    const run = ready[step.pick % Math.max(1, ready.length)]
    if (run === undefined) return 'nothing'
    try {
      await this.#attempt(step, number, run)
      return undefined
    } catch (refusal) {
      return (refusal as { readonly code: string }).code
    }
  }

  async #attempt({ outcome, ...step }: Step, number: number, run: Run): Promise<void> {
    const { authority } = this
    const reserve = new Map(
      step.atStart.map(([name, amount], index) => [
        name,
        { reservationId: reservationId(100 * number + index), amount },
      ]),
    )
    const claim = { owner: 'local', expiresAtMs: 9000, attemptId: attemptId(number + 1), reserve, atMs: now }
    const identity = await authority.transact((batch) => startAttempt(batch, run.id, claim))
    if (identity === undefined) throw new Error('not ready')
    const settled = new Map<ReservationId, number>()
    const reservationIds = Array.from(reserve.values(), ({ reservationId: id }) => id)
    for (const [index, [name, amount, said]] of step.reserved.entries()) {
      const id = reservationId(100 * number + 10 + index)
      const wanted = { reservationId: id, taskId: run.taskId, runId: run.id, dimension: name, amount, atMs: now }
      const isTaken = await authority.submit({ type: 'budget_reserve', ...wanted }).then(
        () => true,
        () => false,
      )
      if (!isTaken) continue
      reservationIds.push(id)
      if (said !== undefined) settled.set(id, said)
    }
    const spending = {
      reservationIds,
      reservedAtStart: new Map(Array.from(reserve, ([name, { reservationId: id }]) => [name, id])),
      settled,
      refused: step.refused && { dimension: step.refused[0], amount: step.refused[1] },
      reported: new Map(step.reported),
    }
    const report = { outcome, suspendReason: step.suspendReason, isAnswered: step.isAnswered }
    const uuid = <Id extends string>(): Id =>
      `00000000-0000-7000-8000-${String((this.#ids += 1)).padStart(12, '0')}` as Id
    const options = {
      delayOf: () => 5,
      times: createTaskClock(new SimulatedClock(now)),
      projection: authority.projection,
      ids: { uuid },
      atMs: now,
      consequence: this.#consequence,
    }
    await authority.transact((batch) => finishAttempt(batch, identity, report, spending, options))
  }

  /**
   * Everything remembered but the numbers of the events, of which the steps need more, and the feed: step by step a task
   * that goes on has ended for a moment (T-333).
   */
  get rows(): unknown[] {
    const [, ...rows] = [...this.authority.capture()]
    const isNumber = (name: string): boolean => ['fencingToken', 'sequence', 'seq'].includes(name)
    const kept = rows.filter(({ row }) => row !== 'task_end')
    return kept.map((row) =>
      JSON.parse(JSON.stringify(fromWire(row), (name, part: unknown) => (isNumber(name) ? 'a number' : part))),
    )
  }
}

it('the end of an attempt leaves the same rows at once as step by step, whatever it spends and triggers', async () => {
  const seen = new Set<string>()
  const property = fc.asyncProperty(steps, async (history) => {
    const [atOnce, stepwise] = [new Side(), new Side(orRefuse)]
    await atOnce.open()
    await stepwise.open()
    for (const [number, step] of history.entries()) {
      const refusal = await atOnce.take(step, number)
      expect({ step, refusal: await stepwise.take(step, number) }).toEqual({ step, refusal })
      expect(stepwise.rows).toEqual(atOnce.rows)
      seen.add(refusal ?? step.outcome.result)
    }
    for (const { pendingTriggers, filter } of atOnce.authority.projection.triggeredSubscriptions()) {
      if (pendingTriggers > 0) seen.add(filter.type)
    }
  })
  await fc.assert(property, { numRuns: 60 })
  const results = ['success', 'suspended', 'failure', 'timeout', 'run_state_changed', 'budget_threshold']
  expect([...seen]).toEqual(expect.arrayContaining(results))
}, 30_000)
