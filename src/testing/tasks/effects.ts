import type { PlainCommand } from './port.js'
import type { OracleBudget, OracleDurableWait, OracleRun } from './rows.js'
import type { OracleState } from './state.js'
import { isFinal } from './tables.js'

/** Applies an accepted command. */
export function applyTo(state: OracleState, command: PlainCommand): void {
  const run = 'runId' in command && command.runId !== undefined ? state.runs.get(command.runId) : undefined
  switch (command.type) {
    case 'task_create': {
      const parent = command.taskSpec.parentTaskId
      const depth = parent === undefined ? 0 : (state.tasks.get(parent)?.depth ?? 0) + 1
      const isRepeating = command.taskSpec.runPolicy.type !== 'once'
      const { atMs: createdAtMs } = command
      const { key, retryOf } = command.taskSpec
      state.tasks.set(command.taskSpec.id, {
        parent,
        isCancelled: false,
        isRepeating,
        forgotten: [],
        retryOf,
        depth,
        createdAtMs,
      })
      if (key !== undefined) state.keys.set(key, command.taskSpec.id)
      if (retryOf !== undefined) state.retries.set(retryOf, command.taskSpec.id)
      for (const { id } of command.runs ?? []) state.runs.set(id, freshRun(command.taskSpec.id))
      return
    }
    case 'run_create': {
      const { id, taskId } = command.runInstance
      state.runs.set(id, freshRun(taskId))
      return
    }
    case 'run_state_transition':
      return enter(run, command.newState)
    case 'run_suspend':
      return enter(run, 'suspended')
    case 'run_resume':
      return enter(run, 'ready')
    case 'attempt_start':
      run?.attempts.push(command.attemptId)
      if (run !== undefined) {
        run.attempt = command.attemptId
        run.startedAtMs ??= command.atMs
      }
      return
    case 'attempt_finish':
      if (run !== undefined) closeAttempt(run)
      return
    case 'attempt_wait':
    case 'attempt_go_on':
      if (run !== undefined) run.isWaiting = command.type === 'attempt_wait'
      return
    case 'step_record':
      run?.steps.add(command.key)
      for (const { dimension, amount } of command.consumptions ?? []) {
        for (const budget of state.budgetsFor(run?.task, dimension)) budget.consumed += amount
      }
      return
    case 'wait_begin': {
      const { subject } = command
      const name = subject.type === 'answer' ? subject.name : undefined
      const isEarly = name !== undefined && state.early.delete(`${run?.task} ${name}`)
      const end = isEarly ? 'answered' : undefined
      const isLimited = subject.type === 'answer' && subject.untilMs !== undefined
      run?.waits.set(command.key, { type: subject.type, name, isLimited, begunAt: state.sequence, end })
      if (run !== undefined && !isEarly && command.isWaiting === true) run.isWaiting = true
      return
    }
    case 'wait_end':
      return endWait(run, run?.waits.get(command.key), command.isTimedOut === true ? 'timed_out' : 'over')
    case 'question_answer': {
      const asked = state.askedOf(command.taskId, command.name)
      if (asked === undefined) state.early.add(`${command.taskId} ${command.name}`)
      const asker = state.runsOf(command.taskId).find(({ waits }) => [...waits.values()].some((wait) => wait === asked))
      return endWait(asker, asked, 'answered')
    }
    case 'lease_acquire':
      if (run !== undefined)
        run.lease = { owner: command.owner, expiresAtMs: command.expiresAtMs, token: state.sequence }
      return
    case 'lease_heartbeat':
      if (run?.lease !== undefined) run.lease.expiresAtMs = command.expiresAtMs
      return
    case 'lease_expire':
    case 'lease_release':
      if (run === undefined) return
      run.lease = undefined
      if (run.state === 'leased') enter(run, 'ready')
      return
    case 'task_cancel': {
      const task = state.tasks.get(command.taskId)
      if (task !== undefined) task.isCancelled = true
      return
    }
    case 'tasks_forget':
      for (const id of command.taskIds) forgetTask(state, id)
      return
    case 'runs_forget': {
      const task = state.tasks.get(command.taskId)
      for (const id of command.runIds) {
        task?.forgotten.push(state.runs.get(id)?.state ?? '')
        state.runs.delete(id)
      }
      return
    }
    case 'tombstones_expire':
      for (const id of command.taskIds) {
        state.tombstones.delete(id)
        for (const [key, holder] of state.keys) if (holder === id) state.keys.delete(key)
      }
      return
    case 'schedule_change':
      for (const id of command.dropped) state.runs.delete(id)
      for (const { id } of command.runs) state.runs.set(id, freshRun(command.taskId))
      return
    case 'dependency_declare': {
      const { taskId, dependsOn, after = [] } = command
      state.prerequisites.set(taskId, new Set([...(state.prerequisites.get(taskId) ?? []), ...dependsOn]))
      state.followed.set(taskId, new Set([...(state.followed.get(taskId) ?? []), ...after]))
      return
    }
    case 'engine_pause':
      state.paused = { at: command.atMs }
      return
    case 'engine_resume':
      state.paused = undefined
      return
    case 'budget_allocate': {
      const budgets = state.budgets.get(command.taskId) ?? new Map<string, OracleBudget>()
      budgets.set(command.dimension, { limit: command.limit, consumed: 0, reserved: 0 })
      state.budgets.set(command.taskId, budgets)
      return
    }
    case 'budget_consume':
      for (const budget of state.budgetsFor(command.taskId, command.dimension)) budget.consumed += command.amount
      return
    case 'budget_replenish': {
      const budget = state.budgets.get(command.taskId)?.get(command.dimension)
      if (budget !== undefined) budget.limit = command.newLimit
      return
    }
    case 'budget_reserve': {
      const charged = state.budgetsFor(command.taskId, command.dimension)
      for (const budget of charged) budget.reserved += command.amount
      const { taskId: task, dimension, amount } = command
      state.reservations.set(command.reservationId, { task, run: command.runId, dimension, amount, charged })
      return
    }
    case 'budget_settle':
    case 'budget_release': {
      const reservation = state.reservations.get(command.reservationId)
      if (reservation === undefined) return
      state.reservations.delete(command.reservationId)
      for (const budget of reservation.charged) budget.reserved -= reservation.amount
      if (command.type === 'budget_release') return
      for (const budget of state.budgetsFor(reservation.task, reservation.dimension)) budget.consumed += command.amount
      return
    }
    case 'subscription_create': {
      const rearm = command.rearm ?? false
      const { taskId: task } = command
      state.subscriptions.set(command.subscriptionId, {
        task,
        rearm,
        isTriggered: false,
        isCancelled: false,
        pending: 0,
      })
      return
    }
    case 'subscription_cancel':
    case 'subscription_trigger':
    case 'subscription_consume': {
      const subscription = state.subscriptions.get(command.subscriptionId)
      if (subscription === undefined) return
      if (command.type === 'subscription_cancel') subscription.isCancelled = true
      if (command.type === 'subscription_consume') subscription.pending -= 1
      if (command.type !== 'subscription_trigger') return
      subscription.isTriggered = true
      subscription.pending += 1
      return
    }
    case 'actor_register':
      state.actors.add(command.registration.actorId)
      return
    case 'tenant_create':
      state.tenants.add(command.registration.tenantId)
      return
    case 'ledger_append':
      state.entries.push(command.entry.entryId)
      return
    default:
  }
}

function forgetTask(state: OracleState, id: string): void {
  for (const [run, { task }] of state.runs) if (task === id) state.runs.delete(run)
  for (const [key, { task }] of state.subscriptions) if (task === id) state.subscriptions.delete(key)
  for (const answer of state.early) if (answer.startsWith(id)) state.early.delete(answer)
  const retryOf = state.tasks.get(id)?.retryOf
  if (retryOf !== undefined && state.retries.get(retryOf) === id) state.retries.delete(retryOf)
  state.prerequisites.delete(id)
  state.followed.delete(id)
  state.budgets.delete(id)
  state.tasks.delete(id)
  state.tombstones.add(id)
}

function freshRun(task: string): OracleRun {
  return {
    task,
    state: 'scheduled',
    attempt: undefined,
    attempts: [],
    startedAtMs: undefined,
    isWaiting: false,
    steps: new Set(),
    waits: new Map(),
    lease: undefined,
    history: ['scheduled'],
  }
}

/** Moves a run into a state, and clears what does not belong there. */
function enter(run: OracleRun | undefined, state: string): void {
  if (run === undefined) return
  run.state = state
  run.history.push(state)
  if (state !== 'running') closeAttempt(run)
  if (isFinal(state)) run.lease = undefined
}

function closeAttempt(run: OracleRun): void {
  run.attempt = undefined
  run.isWaiting = false
}

/** Ends a wait; its run is no longer only waiting. */
function endWait(run: OracleRun | undefined, wait: OracleDurableWait | undefined, end: string): void {
  if (run === undefined || wait === undefined) return
  wait.end = end
  run.isWaiting = false
}
