import { isTerminalRunState, type TaskEvent } from '../../../../src/tasks/index.js'

interface OracleRun {
  readonly taskId: string
  hasEnded: boolean
  lease: number | undefined
  lastToken: number
  open: string | undefined
  counted: number
}

interface OracleLedger {
  limit: number
  consumed: number
  reserved: number
}

interface OracleReservation {
  readonly amount: number
  readonly charged: readonly OracleLedger[]
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
  readonly #ledgers = new Map<string, OracleLedger>()
  readonly #reservations = new Map<string, OracleReservation>()

  take(event: TaskEvent): void {
    this.#sequence += 1
    this.#check(event.sequence === this.#sequence, `sequence ${event.sequence} in place ${this.#sequence}`)
    switch (event.type) {
      case 'task_created':
        this.#parents.set(event.taskSpec.id, event.taskSpec.parentTaskId)
        this.#caps.set(event.taskSpec.id, event.taskSpec.constraints.maxAttempts)
        return
      case 'run_created': {
        const { id, taskId } = event.runInstance
        this.#check(!this.#runs.has(id), `run ${id} was created twice`)
        const fresh = { hasEnded: false, lease: undefined, lastToken: 0, open: undefined, counted: 0 }
        this.#runs.set(id, { taskId, ...fresh })
        return
      }
      case 'budget_allocated':
        this.#ledgers.set(`${event.taskId} ${event.dimension}`, { limit: event.limit, consumed: 0, reserved: 0 })
        return
      case 'budget_replenished':
        for (const ledger of this.#ledgersOf(event.taskId, event.dimension).slice(0, 1)) ledger.limit = event.newLimit
        return
      case 'budget_reserved':
        return this.#reserve(event.reservationId, event.amount, this.#ledgersOf(event.taskId, event.dimension))
      case 'budget_settled':
        return this.#close(event.reservationId, event.amount)
      case 'budget_released':
        return this.#close(event.reservationId, 0)
      case 'budget_consumed':
        for (const ledger of this.#ledgersOf(event.taskId, event.dimension)) ledger.consumed += event.amount
        return
      default:
        if ('runId' in event && event.runId !== undefined) this.#takeOfRun(event, event.runId)
    }
  }

  /** The numbers of one ledger. */
  ledger(taskId: string, dimension: string): OracleLedger | undefined {
    return this.#ledgers.get(`${taskId} ${dimension}`)
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
        this.#check(run.lease === undefined, `run ${runId} was leased twice`)
        this.#check(event.sequence > run.lastToken, `the tokens of run ${runId} do not grow`)
        run.lease = event.sequence
        run.lastToken = event.sequence
        return
      case 'lease_expired':
      case 'lease_released':
        run.lease = undefined
        return
      case 'attempt_started': {
        const cap = this.#caps.get(run.taskId) ?? 0
        this.#check(run.lease !== undefined, `attempt ${event.attemptId} has no lease`)
        this.#check(run.open === undefined, `attempts of run ${runId} overlap`)
        this.#check(!this.#attempts.has(event.attemptId), `attempt ${event.attemptId} started twice`)
        this.#check(run.counted < cap, `run ${runId} has more attempts than ${cap}`)
        this.#attempts.add(event.attemptId)
        run.open = event.attemptId
        run.counted += 1
        return
      }
      case 'attempt_finished':
        this.#check(run.open === event.attemptId, `attempt ${event.attemptId} finished and was not open`)
        run.open = undefined
        if (event.result === 'suspended') run.counted -= 1
        return
      default:
        return
    }
  }

  /** The ledgers on the way up, nearest first. */
  #ledgersOf(taskId: string, dimension: string): readonly OracleLedger[] {
    const found: OracleLedger[] = []
    for (let next: string | undefined = taskId; next !== undefined; next = this.#parents.get(next)) {
      const ledger = this.ledger(next, dimension)
      if (ledger !== undefined) found.push(ledger)
    }
    return found
  }

  #reserve(id: string, amount: number, charged: readonly OracleLedger[]): void {
    for (const ledger of charged) {
      const { limit, consumed, reserved } = ledger
      this.#check(consumed + reserved + amount <= limit, `reservation ${id} exceeds a limit of ${limit}`)
      ledger.reserved += amount
    }
    this.#reservations.set(id, { amount, charged })
  }

  #close(id: string, spent: number): void {
    const reservation = this.#reservations.get(id)
    if (reservation === undefined) return this.#check(false, `reservation ${id} is closed and was not open`)
    this.#reservations.delete(id)
    for (const ledger of reservation.charged) {
      ledger.reserved -= reservation.amount
      ledger.consumed += spent
    }
  }

  #check(isRight: boolean, problem: string): void {
    if (!isRight) this.problems.push(problem)
  }
}
