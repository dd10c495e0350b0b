import type { Instruments, Measure } from '../base/meter.js'
import { errorTypeOf } from '../work/job-span.js'
import type { TaskCommit } from './authority.js'
import type { BudgetDimension } from './budget.js'
import type { EventOf, TaskEvent } from './catalogue.js'
import type { ReservationId, RunId, TaskId } from './ids.js'
import { outcomeOf } from './outcome.js'
import { isTerminalRunState, runStates } from './run.js'
import type { TaskProjection } from './view.js'

const system = { 'messaging.system': 'stateward' } as const

/**
 * Measures tasks, one durable change after another. Names follow the OpenTelemetry conventions for messaging where they
 * fit: a task is a message, its kind the destination. Created only if there is a meter.
 */
export class TaskMetrics {
  readonly #projection: TaskProjection
  readonly #submitted: Measure
  readonly #waited: Measure
  readonly #ran: Measure
  readonly #ended: Measure
  readonly #spent: Measure
  /** The dimension of each open reservation: once settled, a reservation is gone. */
  readonly #reservations = new Map<ReservationId, BudgetDimension>()

  constructor(projection: TaskProjection, instruments: Instruments) {
    this.#projection = projection
    this.#submitted = instruments.counter('messaging.client.sent.messages', '{message}', 'Tasks that were submitted')
    this.#waited = instruments.duration(
      'stateward.task.wait.duration',
      'Time that a run is ready before its attempt starts',
    )
    this.#ran = instruments.duration('messaging.process.duration', 'Time from the start to the end of an attempt')
    this.#ended = instruments.counter('stateward.task.ended', '{task}', 'Tasks that have ended')
    this.#spent = instruments.counter('stateward.budget.spent', '1', 'What was spent of budgets')
    instruments.level('stateward.task.runs', '{run}', 'Runs that have not ended', (observe) => {
      for (const state of runStates) {
        if (!isTerminalRunState(state)) observe(projection.countIn(state), { 'stateward.run.state': state })
      }
    })
    for (const { reservationId, dimension } of projection.reservations()) {
      this.#reservations.set(reservationId, dimension)
    }
  }

  /** Handles a durable commit. */
  observe({ events, ended }: TaskCommit): void {
    for (const event of events) this.#take(event)
    for (const taskId of ended.tasks) this.#takeEnd(taskId)
  }

  #take(event: TaskEvent): void {
    switch (event.type) {
      case 'task_created':
        return this.#submitted(1, { ...destination(event.taskSpec.kind), 'messaging.operation.name': 'submit' })
      case 'attempt_begun':
        this.#noteReservations(event.reservations)
        return this.#takeBegin(event)
      case 'attempt_ended':
        this.#takeSpending(event)
        return this.#takeAttemptEnd(event)
      case 'step_recorded':
        return this.#takeSpending(event)
      case 'budget_reserved':
        return this.#noteReservations([event])
      case 'budget_consumed':
        return this.#spend(event.dimension, event.amount)
      case 'budget_settled':
        return this.#settle(event.reservationId, event.amount)
      case 'budget_released':
        return void this.#reservations.delete(event.reservationId)
      default:
    }
  }

  #takeBegin({ runId, atMs }: EventOf<'attempt_begun'>): void {
    const ready = this.#projection.run(runId)?.history.findLast(({ to, atMs: at }) => to === 'ready' && at <= atMs)
    if (ready !== undefined) this.#waited(Math.max(0, atMs - ready.atMs), destination(this.#kindOf(runId)))
  }

  #takeAttemptEnd({ runId, attemptId, outcome, atMs }: EventOf<'attempt_ended'>): void {
    const attempt = this.#projection.run(runId)?.attempts.findLast((one) => one.attemptId === attemptId)
    if (attempt === undefined) return
    this.#ran(Math.max(0, atMs - attempt.startedAtMs), {
      ...destination(this.#kindOf(runId)),
      'messaging.operation.name': 'attempt',
      'stateward.attempt.outcome': outcome.result,
      ...errorTypeIn(outcome),
    })
  }

  #takeEnd(taskId: TaskId): void {
    const outcome = outcomeOf(this.#projection, taskId)
    const kind = this.#projection.task(taskId)?.spec.kind
    if (outcome === undefined || kind === undefined) return
    const { status, reason } = outcome
    this.#ended(1, {
      ...destination(kind),
      'stateward.task.status': status,
      ...(reason !== undefined && { 'stateward.task.reason': reason }),
    })
  }

  #takeSpending({ settlements = [], consumptions = [] }: EventOf<'attempt_ended'> | EventOf<'step_recorded'>): void {
    for (const { reservationId, amount } of settlements) this.#settle(reservationId, amount)
    for (const { dimension, amount } of consumptions) this.#spend(dimension, amount)
  }

  #noteReservations(
    reservations: readonly { readonly reservationId: ReservationId; readonly dimension: BudgetDimension }[] = [],
  ): void {
    for (const { reservationId, dimension } of reservations) this.#reservations.set(reservationId, dimension)
  }

  #settle(reservationId: ReservationId, amount: number): void {
    const dimension = this.#reservations.get(reservationId)
    this.#reservations.delete(reservationId)
    if (dimension !== undefined) this.#spend(dimension, amount)
  }

  #spend(dimension: BudgetDimension, amount: number): void {
    if (amount > 0) this.#spent(amount, { 'stateward.budget.dimension': dimension })
  }

  #kindOf(runId: RunId): string {
    const run = this.#projection.run(runId)
    return (run === undefined ? undefined : this.#projection.task(run.taskId)?.spec.kind) ?? ''
  }
}

function destination(kind: string) {
  return { ...system, 'messaging.destination.name': kind }
}

function errorTypeIn(outcome: EventOf<'attempt_ended'>['outcome']): { readonly 'error.type'?: string } {
  switch (outcome.result) {
    case 'failure':
      return { 'error.type': outcome.cause === undefined ? (outcome.reason ?? 'failure') : errorTypeOf(outcome.cause) }
    case 'timeout':
    case 'lost':
      return { 'error.type': outcome.result }
    case 'success':
    case 'suspended':
      return {}
  }
}
