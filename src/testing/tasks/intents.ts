import type fastCheck from 'fast-check'
import {
  budgetDimension,
  createRun,
  createTaskSpec,
  failed,
  runStates,
  succeeded,
  type CommandType,
  type RunState,
} from '../../tasks/public.js'
import { actorId, attemptId, entryId, reservationId, runId, subscriptionId, taskId, tenantId } from './ids.js'
import type { PlainCommand } from './port.js'
import type { OracleState } from './state.js'

/** Raw numbers that are turned into a command once it is known what would make sense. */
export interface Intent {
  readonly type: PlainCommand['type'] | 'advance'
  /** Picks ids, amounts and states. */
  readonly dice: readonly number[]
  /** Whether to aim at something legal; otherwise the dice decide alone. */
  readonly isSensible: boolean
}

const weights: readonly (readonly [PlainCommand['type'] | 'advance', number])[] = [
  ['advance', 90],
  ['task_create', 6],
  ['run_create', 6],
  ['run_state_transition', 22],
  ['attempt_start', 8],
  ['attempt_finish', 8],
  ['task_cancel', 1],
  ['dependency_declare', 3],
  ['run_suspend', 3],
  ['run_resume', 3],
  ['lease_acquire', 7],
  ['lease_heartbeat', 3],
  ['lease_expire', 3],
  ['lease_release', 4],
  ['engine_pause', 1],
  ['engine_resume', 1],
  ['budget_allocate', 8],
  ['budget_consume', 4],
  ['budget_replenish', 2],
  ['subscription_create', 6],
  ['subscription_cancel', 1],
  ['subscription_trigger', 3],
  ['actor_register', 1],
  ['actor_deregister', 1],
  ['actor_heartbeat', 1],
  ['tenant_create', 1],
  ['role_assign', 1],
  ['capability_grant', 1],
  ['capability_revoke', 1],
  ['ledger_append', 1],
  ['budget_reserve', 8],
  ['budget_settle', 3],
  ['budget_release', 2],
  ['subscription_consume', 3],
  ['step_record', 4],
  ['wait_begin', 8],
  ['wait_end', 4],
  ['attempt_wait', 3],
  ['attempt_go_on', 2],
  ['question_answer', 6],
]

/** Intents, as often as what they lead to should come up; only towards these commands, all by default. */
export function intentSteps(
  fc: typeof fastCheck,
  commands?: readonly CommandType[],
): readonly (readonly [weight: number, intent: fastCheck.Arbitrary<Intent>])[] {
  const possible = weights.filter(([type]) => type === 'advance' || commands?.includes(type) !== false)
  return possible.map(([type, weight]) => [
    weight,
    fc.record({
      type: fc.constant(type),
      dice: fc.array(fc.nat({ max: 11 }), { minLength: 5, maxLength: 5 }),
      isSensible: fc.oneof({ arbitrary: fc.constant(true), weight: 5 }, { arbitrary: fc.constant(false), weight: 1 }),
    }),
  ])
}

/** What budgets are given for. */
export const dimensions = ['token', 'time:ms'] as const

const [token, time] = [budgetDimension('token'), budgetDimension('time:ms')]
const next: Readonly<Record<string, readonly RunState[]>> = {
  scheduled: ['ready'],
  ready: ['leased'],
  leased: ['running'],
  running: ['completed', 'retry_wait', 'failed', 'suspended', 'cancelled'],
  retry_wait: ['ready', 'failed', 'cancelled'],
  suspended: ['ready', 'cancelled'],
}

/** The next step of some run towards an end, or a task and a run to begin with. */
function advance(oracle: OracleState, [, b = 0, c = 0, d = 0, e = 0]: readonly number[], atMs: number): PlainCommand {
  if (oracle.tasks.size < 2) {
    return {
      type: 'task_create',
      taskSpec: createTaskSpec({ id: taskId(oracle.tasks.size + 1), kind: 'k' }),
      atMs,
    }
  }
  const id = runId(b + 1)
  const run = oracle.runs.get(id)
  if (run === undefined) {
    return {
      type: 'run_create',
      runInstance: createRun({ id, taskId: taskId((c % 2) + 1), createdAtMs: atMs, scheduledAtMs: atMs }),
    }
  }
  const fence = run.lease === undefined ? {} : { fencingToken: run.lease.token }
  const ofRun = { runId: id, atMs, ...fence }
  const isLeasing = run.lease === undefined && c % 2 === 0
  if (run.state === 'leased' && isLeasing) {
    return { type: 'lease_acquire', runId: id, owner: `w${d % 2}`, expiresAtMs: 1000 + d, atMs }
  }
  if (run.state === 'running' && run.attempt !== undefined) {
    const open = [...run.waits].find(([, { end, type }]) => end === undefined && type === 'time')
    if (open !== undefined) return { type: 'wait_end', runId: id, key: open[0], atMs }
    if (d % 3 === 0 && !run.waits.has(`wait:${e}`)) {
      const subject = { type: 'time', untilMs: atMs } as const
      return { type: 'wait_begin', ...ofRun, key: `wait:${e}`, subject, isWaiting: true }
    }
    return { type: 'attempt_finish', ...ofRun, attemptId: run.attempt as never, outcome: succeeded() }
  }
  if (run.state === 'running' && d % 3 === 0) {
    return { type: 'attempt_start', ...ofRun, attemptId: attemptId(oracle.sequence + 100) }
  }
  if (run.state === 'running' && run.lease !== undefined && d % 3 === 1) {
    const { owner, expiresAtMs } = run.lease
    return { type: 'lease_release', ...ofRun, owner, expiresAtMs }
  }
  const choices = next[run.state] ?? runStates
  const previousState = run.state as RunState
  return { type: 'run_state_transition', ...ofRun, previousState, newState: choices[e % choices.length] ?? 'ready' }
}

/** The command an intent means in a given state. */
export function commandOf({ type, dice, isSensible }: Intent, oracle: OracleState): PlainCommand {
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = dice
  const atMs = 100 + a * 10 + b
  const task = taskId((a % 4) + 1)
  const run = runId(b + 1)
  const model = oracle.runs.get(run)
  const fence = isSensible && model?.lease !== undefined ? { fencingToken: model.lease.token } : {}
  const wild = !isSensible && d % 3 === 0 ? { fencingToken: e + 1 } : {}
  const ofRun = { runId: run, atMs }
  const ofLease = {
    ...ofRun,
    owner: isSensible ? (model?.lease?.owner ?? `w${c % 2}`) : `w${c % 2}`,
    expiresAtMs: isSensible ? (model?.lease?.expiresAtMs ?? 1000 + d) : 1000 + d,
  }
  const ofActor = { actorId: actorId((a % 2) + 1), atMs }
  const ofTenant = { ...ofActor, tenantId: tenantId((b % 2) + 1) }
  const ofBudget = { taskId: task, dimension: c % 4 === 0 ? time : token, atMs }
  const ofSubscription = { subscriptionId: subscriptionId((b % 2) + 1), atMs }
  switch (type) {
    case 'advance':
      return advance(oracle, dice, atMs)
    case 'task_create': {
      const parent = c % 2 === 0 ? {} : { parentTaskId: taskId((d % 4) + 1) }
      return { type, taskSpec: createTaskSpec({ id: task, kind: 'k', ...parent }), atMs }
    }
    case 'run_create':
      return {
        type,
        runInstance: createRun({
          id: run,
          taskId: task,
          createdAtMs: atMs,
          scheduledAtMs: atMs + c,
          priority: d,
        }),
      }
    case 'run_state_transition': {
      const previousState = isSensible ? (model?.state as RunState | undefined) : runStates[c % 9]
      const choices = isSensible ? (next[previousState ?? ''] ?? runStates) : runStates
      return {
        type,
        ...ofRun,
        ...fence,
        ...wild,
        previousState: previousState ?? 'scheduled',
        newState: choices[d % choices.length] ?? 'ready',
      }
    }
    case 'attempt_start':
      return {
        type,
        ...ofRun,
        ...fence,
        ...wild,
        attemptId: attemptId(isSensible ? oracle.sequence + 100 : (c % 3) + 1),
      }
    case 'attempt_finish': {
      const id = isSensible ? (model?.attempt as ReturnType<typeof attemptId> | undefined) : undefined
      const outcome = d % 2 === 0 ? succeeded() : failed(`e${e}`, e % 2 === 0 ? 'retryable' : 'terminal')
      return { type, ...ofRun, ...fence, ...wild, attemptId: id ?? attemptId((c % 3) + 1), outcome }
    }
    case 'attempt_wait':
    case 'attempt_go_on':
      return { type, ...ofRun, ...fence, ...wild, attemptId: (model?.attempt ?? attemptId(1)) as never }
    case 'step_record': {
      const consumptions = d % 3 === 0 ? { consumptions: [{ dimension: token, amount: d + 1 }] } : {}
      return { type, ...ofRun, ...fence, ...wild, key: `step:${c % 3}`, output: `${d}`, ...consumptions }
    }
    case 'wait_begin': {
      const isWaiting = e % 2 === 0 ? ({ isWaiting: true } as const) : {}
      const untilMs = c % 3 === 0 ? {} : { untilMs: atMs + d }
      const subject =
        d % 3 === 0
          ? ({ type: 'time', untilMs: atMs + d } as const)
          : ({ type: 'answer', name: `q${d % 2}`, ...untilMs } as const)
      return { type, ...ofRun, ...fence, ...wild, key: `wait:${c}`, subject, ...isWaiting }
    }
    case 'wait_end': {
      const open = [...(model?.waits ?? [])].find(([, { end }]) => end === undefined)
      const [key, wait] = isSensible && open !== undefined ? open : [`wait:${c}`, undefined]
      const isTimedOut = wait === undefined ? d % 2 === 0 : wait.type === 'answer'
      return { type, ...ofRun, key, ...(isTimedOut && { isTimedOut: true as const }) }
    }
    case 'question_answer':
      return { type, taskId: task, name: `q${d % 2}`, value: `${e}`, atMs }
    case 'task_cancel':
      return { type, taskId: task, atMs: atMs + (isSensible ? 200 : 0) }
    case 'dependency_declare':
      return { type, taskId: task, dependsOn: [taskId((b % 4) + 1), taskId((c % 4) + 1)].slice(d % 3), atMs }
    case 'run_suspend':
      return { type, ...ofRun, ...fence, ...wild, ...(c % 2 === 0 && { reason: `r${d}` }) }
    case 'run_resume':
      return { type, ...ofRun }
    case 'lease_acquire':
    case 'lease_expire':
      return { type, ...ofLease }
    case 'lease_heartbeat':
      return { type, ...ofLease, ...wild, expiresAtMs: ofLease.expiresAtMs + (d % 2) }
    case 'lease_release':
      return { type, ...ofLease, ...wild }
    case 'engine_pause':
    case 'engine_resume':
      return { type, atMs }
    case 'budget_allocate':
      return { type, ...ofBudget, limit: d * 5 + 1 }
    case 'budget_consume':
      return { type, ...ofBudget, amount: d + 1 }
    case 'budget_replenish':
      return { type, ...ofBudget, newLimit: d * 10 + 1 }
    case 'budget_reserve':
      return {
        type,
        ...ofBudget,
        reservationId: reservationId((b % 2) + 1),
        amount: d + 1,
        ...(e % 2 === 0 && { runId: run }),
      }
    case 'budget_settle':
      return { type, reservationId: reservationId((b % 2) + 1), amount: d, atMs }
    case 'budget_release':
      return { type, reservationId: reservationId((b % 2) + 1), atMs }
    case 'subscription_create':
      return { type, ...ofSubscription, taskId: task, filter: { type: 'custom', key: `k${c % 2}` }, rearm: d % 2 === 0 }
    case 'subscription_cancel':
    case 'subscription_trigger':
      return { type, ...ofSubscription }
    case 'subscription_consume':
      return { type, ...ofSubscription, ...(c % 2 === 0 && { runId: run }) }
    case 'actor_register': {
      const registration = {
        actorId: ofActor.actorId,
        identity: `a${c}`,
        capabilities: ['x'],
        heartbeatIntervalMs: 30,
      }
      return { type, registration, atMs }
    }
    case 'actor_deregister':
    case 'actor_heartbeat':
      return { type, ...ofActor }
    case 'tenant_create':
      return { type, registration: { tenantId: ofTenant.tenantId, name: `t${c}` }, atMs }
    case 'role_assign':
      return { type, ...ofTenant, role: { type: 'operator' } }
    case 'capability_grant':
    case 'capability_revoke':
      return { type, ...ofTenant, capability: { type: 'can_submit' } }
    case 'ledger_append': {
      const entry = {
        entryId: entryId((c % 4) + 1),
        tenantId: ofTenant.tenantId,
        ledgerKey: `k${d}`,
        payload: '' as never,
        atMs,
      }
      return { type, entry, atMs }
    }
  }
}
