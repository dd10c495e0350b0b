import type { TaskCommand } from '../../../src/tasks/index.js'

/** A run as the sheet's tables describe it; nothing here is shared with the code under test. */
interface RunModel {
  readonly task: string
  state: string
  attempt: string | undefined
  attempts: string[]
  lease: { owner: string; expiresAtMs: number; token: number } | undefined
  history: string[]
}

interface BudgetModel {
  limit: number
  consumed: number
  reserved: number
}

interface SubscriptionModel {
  readonly rearm: boolean
  isTriggered: boolean
  isCancelled: boolean
  pending: number
}

/** Spec mutation authority 2.1. */
const edges: Readonly<Record<string, string>> = {
  scheduled: 'ready cancelled',
  ready: 'leased cancelled',
  leased: 'running ready cancelled',
  running: 'retry_wait suspended completed failed cancelled',
  retry_wait: 'ready failed cancelled',
  suspended: 'ready cancelled',
}
const isEdge = (from: string, to: string): boolean => edges[from]?.split(' ').includes(to) ?? false
const isTerminal = (state: string): boolean => edges[state] === undefined

/**
 * What the sheet says about every command: the code it is refused with, or nothing, and what it changes.
 * Written from spec mutation authority 2 and 3 and its rulings, with mutable maps and no other structure.
 */
export class Oracle {
  sequence = 0
  paused: { at: number } | undefined
  readonly tasks = new Map<
    string,
    { parent: string | undefined; isCancelled: boolean; depth: number; createdAtMs: number }
  >()
  readonly runs = new Map<string, RunModel>()
  readonly prerequisites = new Map<string, Set<string>>()
  readonly budgets = new Map<string, Map<string, BudgetModel>>()
  readonly reservations = new Map<string, { task: string; dimension: string; amount: number; charged: BudgetModel[] }>()
  readonly subscriptions = new Map<string, SubscriptionModel>()
  readonly actors = new Set<string>()
  readonly tenants = new Set<string>()
  readonly entries: string[] = []

  /** The refusal's code; without one the command has been applied. */
  submit(command: TaskCommand): string | undefined {
    const refusal = this.#refusal(command)
    if (refusal === undefined) {
      this.sequence += 1
      this.#apply(command)
    }
    return refusal
  }

  runsOf(task: string): RunModel[] {
    return [...this.runs.values()].filter((run) => run.task === task)
  }

  /** The ledgers a task spends from. */
  ledgers(task: string | undefined, dimension: string): BudgetModel[] {
    if (task === undefined) return []
    const own = this.budgets.get(task)?.get(dimension)
    return [...(own === undefined ? [] : [own]), ...this.ledgers(this.tasks.get(task)?.parent, dimension)]
  }

  /** Spec mutation authority 7.9, with the two sets of D-17 kept apart. */
  gate(task: string): string {
    const states = [...(this.prerequisites.get(task) ?? [])].map((prerequisite) => {
      const runs = this.runsOf(prerequisite)
      if (runs.some(({ state }) => !isTerminal(state))) return 'waiting'
      if (runs.some(({ state }) => state === 'completed')) return 'open'
      return runs.length > 0 || this.tasks.get(prerequisite)?.isCancelled === true ? 'failed' : 'waiting'
    })
    if (states.includes('failed')) return 'failed'
    return states.includes('waiting') ? 'waiting' : 'open'
  }

  #refusal(command: TaskCommand): string | undefined {
    switch (command.type) {
      case 'task_create': {
        const { id, parentTaskId } = command.taskSpec
        if (this.tasks.has(id)) return 'task_already_exists'
        if (parentTaskId === undefined) return undefined
        const parent = this.tasks.get(parentTaskId)
        const runs = this.runsOf(parentTaskId)
        const isOver = runs.length > 0 && runs.every(({ state }) => isTerminal(state))
        if (parent === undefined || parent.isCancelled || isOver) return 'orphan_prevention'
        return parent.depth >= 8 ? 'depth_limit_exceeded' : undefined
      }
      case 'run_create': {
        const { id, taskId } = command.runInstance
        if (!this.tasks.has(taskId)) return 'unknown_task'
        if (this.runs.has(id)) return 'run_already_exists'
        return this.tasks.get(taskId)?.isCancelled === true ? 'task_already_cancelled' : undefined
      }
      case 'run_state_transition': {
        const run = this.runs.get(command.runId)
        if (run === undefined) return 'unknown_run'
        if (run.state !== command.previousState) return 'previous_state_mismatch'
        const to = command.newState
        if (!isEdge(run.state, to)) return 'invalid_transition'
        if (['ready', 'leased', 'running'].includes(to) && this.#isCancelled(run)) return 'run_of_cancelled_task'
        return this.#fence(run, command.fencingToken, to !== 'cancelled') ?? this.#leaving(run, to)
      }
      case 'attempt_start': {
        const run = this.runs.get(command.runId)
        if (run === undefined) return 'attempt_start_unknown_run'
        if (run.state !== 'running') return 'attempt_start_requires_running'
        if (run.attempt !== undefined) return 'attempt_start_already_active'
        if (this.#isCancelled(run)) return 'run_of_cancelled_task'
        const fence = this.#fence(run, command.fencingToken, true)
        return fence ?? (run.attempts.includes(command.attemptId) ? 'attempt_id_reused' : undefined)
      }
      case 'attempt_finish': {
        const run = this.runs.get(command.runId)
        if (run === undefined) return 'attempt_finish_unknown_run'
        if (run.state !== 'running') return 'attempt_finish_requires_running'
        if (run.attempt === undefined) return 'attempt_finish_missing_active'
        if (run.attempt !== command.attemptId) return 'attempt_finish_attempt_mismatch'
        return this.#fence(run, command.fencingToken, true)
      }
      case 'task_cancel':
        if (!this.tasks.has(command.taskId)) return 'unknown_task'
        if (this.tasks.get(command.taskId)?.isCancelled === true) return 'task_already_cancelled'
        return command.atMs < (this.tasks.get(command.taskId)?.createdAtMs ?? 0) ? 'cancel_before_create' : undefined
      case 'dependency_declare': {
        const { taskId, dependsOn } = command
        if (dependsOn.length === 0) return 'empty_dependency_list'
        if ([taskId, ...dependsOn].some((id) => !this.tasks.has(id))) return 'unknown_task'
        return dependsOn.some((id) => this.#needs(id, taskId)) ? 'dependency_cycle' : undefined
      }
      case 'run_suspend': {
        const run = this.runs.get(command.runId)
        if (run === undefined) return 'unknown_run'
        if (run.state !== 'running') return 'run_suspend_requires_running'
        return this.#fence(run, command.fencingToken, true) ?? this.#leaving(run, 'suspended')
      }
      case 'run_resume': {
        const run = this.runs.get(command.runId)
        if (run === undefined) return 'unknown_run'
        if (run.state !== 'suspended') return 'run_resume_requires_suspended'
        return this.#isCancelled(run) ? 'run_of_cancelled_task' : undefined
      }
      case 'lease_acquire': {
        const run = this.runs.get(command.runId)
        if (run === undefined) return 'lease_unknown_run'
        if (run.state !== 'ready' && run.state !== 'leased') return 'lease_invalid_run_state'
        if (run.lease !== undefined) return 'lease_already_active'
        return this.#isCancelled(run) ? 'run_of_cancelled_task' : undefined
      }
      case 'lease_heartbeat':
      case 'lease_expire':
      case 'lease_release': {
        const run = this.runs.get(command.runId)
        if (run === undefined) return 'lease_unknown_run'
        const isHeartbeat = command.type === 'lease_heartbeat'
        const states = isHeartbeat ? ['leased', 'running'] : ['ready', 'leased', 'running']
        if (!states.includes(run.state)) return 'lease_invalid_run_state'
        if (run.lease === undefined) return 'lease_missing_active'
        if (run.lease.owner !== command.owner) return 'lease_owner_mismatch'
        if (isHeartbeat && command.expiresAtMs < run.lease.expiresAtMs) return 'lease_heartbeat_expiry_regression'
        if (!isHeartbeat && command.expiresAtMs !== run.lease.expiresAtMs) return 'lease_expiry_mismatch'
        return command.type === 'lease_expire' ? undefined : this.#fence(run, command.fencingToken, false)
      }
      case 'engine_pause':
        return this.paused === undefined ? undefined : 'engine_already_paused'
      case 'engine_resume':
        if (this.paused === undefined) return 'engine_not_paused'
        return command.atMs < this.paused.at ? 'resume_before_pause' : undefined
      case 'budget_allocate':
        if (!this.tasks.has(command.taskId)) return 'unknown_task'
        return this.budgets.get(command.taskId)?.has(command.dimension) === true
          ? 'budget_already_allocated'
          : undefined
      case 'budget_consume':
        if (!this.tasks.has(command.taskId)) return 'unknown_task'
        return this.ledgers(command.taskId, command.dimension).length === 0 ? 'budget_not_allocated' : undefined
      case 'budget_replenish': {
        if (!this.tasks.has(command.taskId)) return 'unknown_task'
        const ledger = this.budgets.get(command.taskId)?.get(command.dimension)
        if (ledger === undefined) return 'budget_not_allocated'
        return command.newLimit > ledger.limit ? undefined : 'budget_not_raised'
      }
      case 'budget_reserve': {
        if (!this.tasks.has(command.taskId)) return 'unknown_task'
        if (command.runId !== undefined && !this.runs.has(command.runId)) return 'unknown_run'
        if (this.reservations.has(command.reservationId)) return 'reservation_already_exists'
        const ledgers = this.ledgers(command.taskId, command.dimension)
        if (ledgers.length === 0) return 'budget_not_allocated'
        const fits = ledgers.every(({ limit, consumed, reserved }) => limit - consumed - reserved >= command.amount)
        return fits ? undefined : 'budget_exceeded'
      }
      case 'budget_settle':
      case 'budget_release':
        return this.reservations.has(command.reservationId) ? undefined : 'unknown_reservation'
      case 'subscription_create':
        if (!this.tasks.has(command.taskId)) return 'unknown_task'
        return this.subscriptions.has(command.subscriptionId) ? 'subscription_already_exists' : undefined
      case 'subscription_cancel':
      case 'subscription_trigger':
      case 'subscription_consume': {
        const subscription = this.subscriptions.get(command.subscriptionId)
        if (subscription === undefined) return 'unknown_subscription'
        if (subscription.isCancelled) return 'subscription_already_cancelled'
        if (command.type === 'subscription_trigger' && subscription.isTriggered && !subscription.rearm) {
          return 'subscription_already_triggered'
        }
        if (command.type !== 'subscription_consume') return undefined
        if (subscription.pending === 0) return 'subscription_not_triggered'
        return command.runId === undefined || this.runs.has(command.runId) ? undefined : 'unknown_run'
      }
      case 'actor_deregister':
      case 'actor_heartbeat':
        return this.actors.has(command.actorId) ? undefined : 'unknown_actor'
      case 'role_assign':
      case 'capability_grant':
      case 'capability_revoke':
        if (!this.actors.has(command.actorId)) return 'unknown_actor'
        return this.tenants.has(command.tenantId) ? undefined : 'unknown_tenant'
      case 'ledger_append':
        if (!this.tenants.has(command.entry.tenantId)) return 'unknown_tenant'
        return this.entries.includes(command.entry.entryId) ? 'ledger_entry_already_exists' : undefined
      case 'actor_register':
      case 'tenant_create':
        return undefined
    }
  }

  #apply(command: TaskCommand): void {
    const run = 'runId' in command && command.runId !== undefined ? this.runs.get(command.runId) : undefined
    switch (command.type) {
      case 'task_create': {
        const parent = command.taskSpec.parentTaskId
        const depth = parent === undefined ? 0 : (this.tasks.get(parent)?.depth ?? 0) + 1
        this.tasks.set(command.taskSpec.id, { parent, isCancelled: false, depth, createdAtMs: command.atMs })
        return
      }
      case 'run_create': {
        const { id, taskId } = command.runInstance
        const fresh = { state: 'scheduled', attempt: undefined, attempts: [], lease: undefined, history: ['scheduled'] }
        this.runs.set(id, { task: taskId, ...fresh })
        return
      }
      case 'run_state_transition':
        return this.#enter(run, command.newState)
      case 'run_suspend':
        return this.#enter(run, 'suspended')
      case 'run_resume':
        return this.#enter(run, 'ready')
      case 'attempt_start':
        run?.attempts.push(command.attemptId)
        if (run !== undefined) run.attempt = command.attemptId
        return
      case 'attempt_finish':
        if (run !== undefined) run.attempt = undefined
        return
      case 'lease_acquire':
        if (run !== undefined)
          run.lease = { owner: command.owner, expiresAtMs: command.expiresAtMs, token: this.sequence }
        return
      case 'lease_heartbeat':
        if (run?.lease !== undefined) run.lease.expiresAtMs = command.expiresAtMs
        return
      case 'lease_expire':
      case 'lease_release':
        if (run === undefined) return
        run.lease = undefined
        if (run.state === 'leased') this.#enter(run, 'ready')
        return
      case 'task_cancel': {
        const task = this.tasks.get(command.taskId)
        if (task !== undefined) task.isCancelled = true
        return
      }
      case 'dependency_declare': {
        const set = this.prerequisites.get(command.taskId) ?? new Set()
        for (const id of command.dependsOn) set.add(id)
        this.prerequisites.set(command.taskId, set)
        return
      }
      case 'engine_pause':
        this.paused = { at: command.atMs }
        return
      case 'engine_resume':
        this.paused = undefined
        return
      case 'budget_allocate': {
        const ledgers = this.budgets.get(command.taskId) ?? new Map<string, BudgetModel>()
        ledgers.set(command.dimension, { limit: command.limit, consumed: 0, reserved: 0 })
        this.budgets.set(command.taskId, ledgers)
        return
      }
      case 'budget_consume':
        for (const ledger of this.ledgers(command.taskId, command.dimension)) ledger.consumed += command.amount
        return
      case 'budget_replenish': {
        const ledger = this.budgets.get(command.taskId)?.get(command.dimension)
        if (ledger !== undefined) ledger.limit = command.newLimit
        return
      }
      case 'budget_reserve': {
        const charged = this.ledgers(command.taskId, command.dimension)
        for (const ledger of charged) ledger.reserved += command.amount
        const { taskId: task, dimension, amount } = command
        this.reservations.set(command.reservationId, { task, dimension, amount, charged })
        return
      }
      case 'budget_settle':
      case 'budget_release': {
        const reservation = this.reservations.get(command.reservationId)
        if (reservation === undefined) return
        this.reservations.delete(command.reservationId)
        for (const ledger of reservation.charged) ledger.reserved -= reservation.amount
        if (command.type === 'budget_release') return
        for (const ledger of this.ledgers(reservation.task, reservation.dimension)) ledger.consumed += command.amount
        return
      }
      case 'subscription_create': {
        const rearm = command.rearm ?? false
        this.subscriptions.set(command.subscriptionId, { rearm, isTriggered: false, isCancelled: false, pending: 0 })
        return
      }
      case 'subscription_cancel':
      case 'subscription_trigger':
      case 'subscription_consume': {
        const subscription = this.subscriptions.get(command.subscriptionId)
        if (subscription === undefined) return
        if (command.type === 'subscription_cancel') subscription.isCancelled = true
        if (command.type === 'subscription_consume') subscription.pending -= 1
        if (command.type !== 'subscription_trigger') return
        subscription.isTriggered = true
        subscription.pending += 1
        return
      }
      case 'actor_register':
        this.actors.add(command.registration.actorId)
        return
      case 'tenant_create':
        this.tenants.add(command.registration.tenantId)
        return
      case 'ledger_append':
        this.entries.push(command.entry.entryId)
        return
      default:
    }
  }

  #enter(run: RunModel | undefined, state: string): void {
    if (run === undefined) return
    run.state = state
    run.history.push(state)
    if (state !== 'running') run.attempt = undefined
    if (isTerminal(state)) run.lease = undefined
  }

  #isCancelled(run: RunModel): boolean {
    return this.tasks.get(run.task)?.isCancelled ?? false
  }

  #fence({ lease }: RunModel, token: number | undefined, isRequired: boolean): string | undefined {
    if (token !== undefined) return token === lease?.token ? undefined : 'fencing_token_superseded'
    return isRequired && lease !== undefined ? 'fencing_token_required' : undefined
  }

  #leaving(run: RunModel, to: string): string | undefined {
    if (run.state === 'running' && to !== 'cancelled' && run.attempt !== undefined) return 'attempt_still_active'
    const keepsLease = to === 'retry_wait' || to === 'suspended' || (run.state === 'leased' && to === 'ready')
    return keepsLease && run.lease !== undefined ? 'lease_still_held' : undefined
  }

  #needs(task: string, goal: string): boolean {
    return task === goal || [...(this.prerequisites.get(task) ?? [])].some((next) => this.#needs(next, goal))
  }
}
