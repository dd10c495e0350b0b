import { isTerminalRunState, type TaskEvent, type TaskSpec } from '../../../../src/tasks/index.js'

interface OracleRun {
  readonly taskId: string
  hasEnded: boolean
  lease: number | undefined
  lastToken: number
  open: string | undefined
  counted: number
}

interface OracleBudget {
  limit: number
  consumed: number
  reserved: number
}

interface OracleReservation {
  readonly amount: number
  readonly charged: readonly OracleBudget[]
}

/**
 * Reads the log of the tasks room the way an auditor would, with plain tables and no code of the library, and notes what
 * must not be in it.
 */
export class TaskLogOracle {
  readonly problems: string[] = []
  #sequence = 0
  readonly #parents = new Map<string, string | undefined>()
  readonly #caps = new Map<string, number>()
  readonly #runs = new Map<string, OracleRun>()
  readonly #attempts = new Set<string>()
  readonly #budgets = new Map<string, OracleBudget>()
  readonly #reservations = new Map<string, OracleReservation>()

  take(event: TaskEvent): void {
    this.#sequence += 1
    this.#check(event.sequence === this.#sequence, `sequence ${event.sequence} in place ${this.#sequence}`)
    switch (event.type) {
      case 'task_created':
        this.#parents.set(event.taskSpec.id, event.taskSpec.parentTaskId)
        // What a task does not state is not written.
        this.#caps.set(event.taskSpec.id, (event.taskSpec as Partial<TaskSpec>).constraints?.maxAttempts ?? 1)
        for (const { id } of event.runs ?? []) this.#create(id, event.taskSpec.id)
        return
      case 'run_created': {
        const { id, taskId } = event.runInstance
        return this.#create(id, taskId)
      }
      case 'budget_allocated':
        this.#budgets.set(`${event.taskId} ${event.dimension}`, { limit: event.limit, consumed: 0, reserved: 0 })
        return
      case 'budget_replenished':
        for (const budget of this.#budgetsOf(event.taskId, event.dimension).slice(0, 1)) budget.limit = event.newLimit
        return
      case 'budget_reserved':
        return this.#reserve(event.reservationId, event.amount, this.#budgetsOf(event.taskId, event.dimension))
      case 'budget_settled':
        return this.#close(event.reservationId, event.amount)
      case 'budget_released':
        return this.#close(event.reservationId, 0)
      case 'budget_consumed':
        return this.#consume(event.taskId, event.dimension, event.amount)
      default:
        if ('runId' in event && event.runId !== undefined) this.#takeOfRun(event, event.runId)
    }
  }

  /** The numbers of one budget. */
  budget(taskId: string, dimension: string): OracleBudget | undefined {
    return this.#budgets.get(`${taskId} ${dimension}`)
  }

  #takeOfRun(event: TaskEvent, runId: string): void {
    const run = this.#runs.get(runId)
    if (run === undefined) return this.#check(false, `${event.type} of unknown run ${runId}`)
    this.#check(!run.hasEnded, `${event.type} of run ${runId}, which has ended`)
    switch (event.type) {
      case 'run_state_changed':
        if (!isTerminalRunState(event.newState)) return
        this.#check(event.newState === 'cancelled' || run.open === undefined, `run ${runId} ended within an attempt`)
        run.hasEnded = true
        return
      case 'lease_acquired':
        return this.#lease(run, runId, event.sequence)
      case 'lease_expired':
      case 'lease_released':
        run.lease = undefined
        return
      case 'attempt_started':
        return this.#open(run, runId, event.attemptId)
      case 'attempt_finished':
        return this.#finish(run, event.attemptId, event.result)
      case 'attempt_begun':
        for (const { reservationId, dimension, amount } of event.reservations ?? []) {
          this.#reserve(reservationId, amount, this.#budgetsOf(run.taskId, dimension))
        }
        this.#lease(run, runId, event.sequence)
        return this.#open(run, runId, event.attemptId)
      case 'attempt_ended':
        this.#finish(run, event.attemptId, event.outcome.result)
        run.lease = undefined
        for (const { reservationId, amount } of event.settlements ?? []) this.#close(reservationId, amount)
        for (const { dimension, amount } of event.consumptions ?? []) this.#consume(run.taskId, dimension, amount)
        if (event.newState === 'completed' || event.newState === 'failed') run.hasEnded = true
        for (const { id, taskId } of event.runs ?? []) this.#create(id, taskId)
        return
      default:
        return
    }
  }

  #create(id: string, taskId: string): void {
    this.#check(!this.#runs.has(id), `run ${id} was created twice`)
    const fresh = { hasEnded: false, lease: undefined, lastToken: 0, open: undefined, counted: 0 }
    this.#runs.set(id, { taskId, ...fresh })
  }

  #lease(run: OracleRun, runId: string, token: number): void {
    this.#check(run.lease === undefined, `run ${runId} was leased twice`)
    this.#check(token > run.lastToken, `the tokens of run ${runId} do not grow`)
    run.lease = token
    run.lastToken = token
  }

  #open(run: OracleRun, runId: string, attemptId: string): void {
    const cap = this.#caps.get(run.taskId) ?? 0
    this.#check(run.lease !== undefined, `attempt ${attemptId} has no lease`)
    this.#check(run.open === undefined, `attempts of run ${runId} overlap`)
    this.#check(!this.#attempts.has(attemptId), `attempt ${attemptId} started twice`)
    this.#check(run.counted < cap, `run ${runId} has more attempts than ${cap}`)
    this.#attempts.add(attemptId)
    run.open = attemptId
    run.counted += 1
  }

  #finish(run: OracleRun, attemptId: string, result: string): void {
    this.#check(run.open === attemptId, `attempt ${attemptId} finished and was not open`)
    run.open = undefined
    if (result === 'suspended' || result === 'lost') run.counted -= 1
  }

  /** The budgets on the way up, nearest first. */
  #budgetsOf(taskId: string, dimension: string): readonly OracleBudget[] {
    const found: OracleBudget[] = []
    for (let next: string | undefined = taskId; next !== undefined; next = this.#parents.get(next)) {
      const budget = this.budget(next, dimension)
      if (budget !== undefined) found.push(budget)
    }
    return found
  }

  #reserve(id: string, amount: number, charged: readonly OracleBudget[]): void {
    for (const budget of charged) {
      const { limit, consumed, reserved } = budget
      this.#check(consumed + reserved + amount <= limit, `reservation ${id} exceeds a limit of ${limit}`)
      budget.reserved += amount
    }
    this.#reservations.set(id, { amount, charged })
  }

  #consume(taskId: string, dimension: string, amount: number): void {
    for (const budget of this.#budgetsOf(taskId, dimension)) budget.consumed += amount
  }

  #close(id: string, spent: number): void {
    const reservation = this.#reservations.get(id)
    if (reservation === undefined) return this.#check(false, `reservation ${id} is closed and was not open`)
    this.#reservations.delete(id)
    for (const budget of reservation.charged) {
      budget.reserved -= reservation.amount
      budget.consumed += spent
    }
  }

  #check(isRight: boolean, problem: string): void {
    if (!isRight) this.problems.push(problem)
  }
}
