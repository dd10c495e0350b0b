import type {
  OracleBudget,
  OracleDurableWait,
  OracleReservation,
  OracleRun,
  OracleSubscription,
  OracleTask,
} from './rows.js'
import { isFinal } from './tables.js'

/** The oracle's state of all tasks: plain mutable maps, everything else is recomputed. */
export class OracleState {
  /** Number of commands applied so far. */
  sequence = 0
  /** Since when the engine is paused. */
  paused: { at: number } | undefined
  readonly tasks = new Map<string, OracleTask>()
  /** Forgotten tasks that are still known to have existed. */
  readonly tombstones = new Set<string>()
  readonly runs = new Map<string, OracleRun>()
  /** For each task, the tasks that must complete before it. */
  readonly prerequisites = new Map<string, Set<string>>()
  /** For each task, the tasks that must end before it, in any state. */
  readonly followed = new Map<string, Set<string>>()
  /** The task that has a key, forgotten or not; of a task and its retries, the last one. */
  readonly keys = new Map<string, string>()
  /** The retry of each failed task. */
  readonly retries = new Map<string, string>()
  /** The own budgets of each task, by dimension. */
  readonly budgets = new Map<string, Map<string, OracleBudget>>()
  /** Open reservations, oldest first. */
  readonly reservations = new Map<string, OracleReservation>()
  /** Answers that arrived before their question, by task and name. */
  readonly early = new Set<string>()
  readonly subscriptions = new Map<string, OracleSubscription>()
  readonly actors = new Set<string>()
  readonly tenants = new Set<string>()
  /** Entries of the ledger, in order. */
  readonly entries: string[] = []

  /** Returns a deep copy. */
  copy(): OracleState {
    return Object.assign(new OracleState(), structuredClone(Object.fromEntries(Object.entries(this))))
  }

  /** The runs of a task, in order of creation. */
  runsOf(task: string): OracleRun[] {
    return [...this.runs.values()].filter((run) => run.task === task)
  }

  /** The oldest open question with this name, among runs that have not ended. */
  askedOf(task: string, name: string): OracleDurableWait | undefined {
    return this.#questionsOf(task, name).find(({ end }) => end === undefined)
  }

  /** Whether a run that has not ended received an answer under this name. */
  isAnswered(task: string, name: string): boolean {
    return this.#questionsOf(task, name).some(({ end }) => end === 'answered')
  }

  /** The budgets from which a task spends. */
  budgetsFor(task: string | undefined, dimension: string): OracleBudget[] {
    if (task === undefined) return []
    const own = this.budgets.get(task)?.get(dimension)
    return [...(own === undefined ? [] : [own]), ...this.budgetsFor(this.tasks.get(task)?.parent, dimension)]
  }

  /**
   * Whether the prerequisites of a task let it run. What counts is that they have completed, not that they could run
   * (T-92).
   */
  gate(task: string): string {
    // Forgotten tasks have ended.
    const known = (ids: Iterable<string> = []) =>
      [...ids].filter((id) => this.tasks.has(id)).map((id) => this.phase(id))
    const needed = known(this.prerequisites.get(task))
    if (needed.some((phase) => phase === 'failed' || phase === 'cancelled')) return 'failed'
    return [...needed, ...known(this.followed.get(task))].includes('open') ? 'waiting' : 'open'
  }

  /** The phase of a task, in which forgotten runs count too. */
  phase(task: string): 'open' | 'completed' | 'failed' | 'cancelled' {
    const { isCancelled = false, forgotten = [] } = this.tasks.get(task) ?? {}
    const states = [...forgotten, ...this.runsOf(task).map(({ state }) => state)]
    if (!states.every(isFinal) || (states.length === 0 && !isCancelled)) return 'open'
    if (states.includes('completed')) return 'completed'
    return states.includes('failed') ? 'failed' : 'cancelled'
  }

  /** Whether a task can no longer change. */
  hasEnded(task: string): boolean {
    return this.phase(task) !== 'open'
  }

  /**
   * Whether the task is still needed: by a task below it, by one above it that has not ended, by one that waits for it,
   * or by a reservation.
   */
  isUsed(task: string): boolean {
    for (let above = this.tasks.get(task)?.parent; above !== undefined; above = this.tasks.get(above)?.parent) {
      if (!this.hasEnded(above) && !this.isLeftBehind(above, task)) return true
    }
    if ([...this.tasks.values()].some(({ parent }) => parent === task)) return true
    const waiting = [...this.prerequisites, ...this.followed]
    if (waiting.some(([id, set]) => set.has(task) && !this.hasEnded(id))) return true
    return [...this.reservations.values()].some((reservation) => reservation.task === task)
  }

  /**
   * Whether the task is below a repeating one and was created before the start of every open run of that task that has
   * started.
   */
  isLeftBehind(above: string, task: string): boolean {
    let below = task
    while (this.tasks.get(below)?.parent !== above) below = this.tasks.get(below)?.parent ?? above
    const createdAtMs = this.tasks.get(below)?.createdAtMs ?? 0
    if (this.tasks.get(above)?.isRepeating !== true) return false
    const open = this.runsOf(above).filter(({ state }) => !isFinal(state))
    return open.every(({ startedAtMs }) => startedAtMs === undefined || startedAtMs > createdAtMs)
  }

  /** Whether the task of a run is cancelled. */
  isCancelled(run: OracleRun): boolean {
    return this.tasks.get(run.task)?.isCancelled ?? false
  }

  /** In the order in which they were asked. */
  #questionsOf(task: string, name: string): OracleDurableWait[] {
    const open = this.runsOf(task).filter(({ state }) => !isFinal(state))
    const asked = open.flatMap(({ waits }) => [...waits.values()]).filter((wait) => wait.name === name)
    return asked.sort((one, other) => one.begunAt - other.begunAt)
  }

  /** Whether a task waits for another, directly or indirectly. */
  needs(task: string, goal: string): boolean {
    const waitedFor = [...(this.prerequisites.get(task) ?? []), ...(this.followed.get(task) ?? [])]
    return task === goal || waitedFor.some((next) => this.needs(next, goal))
  }
}
