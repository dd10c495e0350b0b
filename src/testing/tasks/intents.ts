import type fastCheck from 'fast-check'
import {
  budgetDimension,
  createRun,
  createTaskSpec,
  failed,
  runStates,
  succeeded,
  type AttemptId,
  type CommandOf,
  type CommandType,
  type RunId,
  type RunState,
  type TaskCommand,
  type TaskId,
} from '../../tasks/public.js'
import { actorId, attemptId, entryId, reservationId, runId, subscriptionId, taskId, tenantId } from './ids.js'
import type { PlainCommand } from './port.js'
import type { OracleState } from './state.js'
import { isFinal } from './tables.js'

/** Intents that move on: some run towards its end, or from a failed task to a retry or to a task that follows it. */
type Way = 'advance' | 'retry' | 'follow'

/** Random numbers that are turned into a command once the state is known. */
export interface Intent {
  readonly type: TaskCommand['type'] | Way
  /** Selects ids, amounts and states. */
  readonly dice: readonly number[]
  /** Whether to aim for a legal command; otherwise the dice alone decide. */
  readonly isSensible: boolean
}

const weights: readonly (readonly [TaskCommand['type'] | Way, number])[] = [
  ['advance', 90],
  ['retry', 26],
  ['follow', 6],
  ['task_create', 6],
  ['run_create', 6],
  ['run_state_transition', 22],
  ['attempt_start', 8],
  ['attempt_finish', 8],
  ['task_cancel', 1],
  ['schedule_change', 3],
  ['tasks_forget', 4],
  ['runs_forget', 3],
  ['tombstones_expire', 1],
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
  ['attempt_begin', 14],
  ['attempt_end', 14],
]

/** The command to which each of these intents leads in the end. */
const commandBehind: Readonly<Partial<Record<string, CommandType>>> = {
  retry: 'task_create',
  follow: 'dependency_declare',
}

/** Weighted intents that lead to these commands; by default to all. */
export function intentSteps(
  fc: typeof fastCheck,
  commands?: readonly CommandType[],
): readonly (readonly [weight: number, intent: fastCheck.Arbitrary<Intent>])[] {
  const isCommand = (type: TaskCommand['type'] | Way): type is TaskCommand['type'] => !(type in commandBehind)
  const possible = weights.filter(([type]) => !isCommand(type) || commands?.includes(type) !== false)
  return possible.map(([type, weight]) => [
    weight,
    fc.record({
      type: fc.constant(type),
      dice: fc.array(fc.nat({ max: 11 }), { minLength: 5, maxLength: 5 }),
      isSensible: fc.oneof({ arbitrary: fc.constant(true), weight: 5 }, { arbitrary: fc.constant(false), weight: 1 }),
    }),
  ])
}

/** The keys of submitted tasks. */
export const taskKeys = ['k0', 'k1'] as const

/** The dimensions of budgets. */
export const dimensions = ['token', 'time:ms'] as const

const [token, time] = [budgetDimension('token'), budgetDimension('time:ms')]
/** The run states that the end of an attempt leads to. */
const endStates = ['completed', 'failed', 'retry_wait', 'suspended'] as const
const next: Readonly<Record<string, readonly RunState[]>> = {
  scheduled: ['ready'],
  ready: ['leased'],
  leased: ['running'],
  running: ['completed', 'retry_wait', 'failed', 'suspended', 'cancelled'],
  retry_wait: ['ready', 'failed', 'cancelled'],
  suspended: ['ready', 'cancelled'],
}

/** The command that moves some run one step towards its end, or one that creates a task or a run first. */
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

/** The command that an intent stands for in this state. */
export function commandOf({ type, dice, isSensible }: Intent, oracle: OracleState): TaskCommand {
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
  const until = { tombstonesUntilMs: 500 }
  const ofBudget = { taskId: task, dimension: c % 4 === 0 ? time : token, atMs }
  const ofSubscription = { subscriptionId: subscriptionId((b % 2) + 1), atMs }
  switch (type) {
    case 'advance':
      return advance(oracle, dice, atMs)
    case 'task_create': {
      const parent = c % 2 === 0 ? {} : { parentTaskId: taskId((d % 4) + 1) }
      const runs = e % 3 === 0 ? { runs: [{ id: run, scheduledAtMs: atMs + c }] } : {}
      const policy = a % 2 === 0 ? { runPolicy: { type: 'repeat', count: 9, intervalMs: 10 } as const } : {}
      const names = namesOf(dice, isSensible, oracle)
      return { type, taskSpec: createTaskSpec({ id: task, kind: 'k', ...policy, ...parent, ...names }), ...runs, atMs }
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
    case 'schedule_change': {
      const scheduled = [...oracle.runs].filter(([, { task: of, state }]) => of === task && state === 'scheduled')
      const dropped = isSensible ? scheduled.slice(0, c % 3).map(([id]) => id as RunId) : [run]
      const runs = d % 3 === 0 ? [] : [{ id: run, scheduledAtMs: atMs + c }]
      const policy = e % 4 === 0 ? { runPolicy: { type: 'repeat', count: 5, intervalMs: 20 } as const } : {}
      return { type, taskId: task, ...policy, dropped, runs, atMs }
    }
    case 'tasks_forget': {
      // If sensible, the tasks below are forgotten first.
      const below = [...oracle.tasks].filter(([, { parent }]) => parent === task).map(([id]) => id as TaskId)
      return { type, taskIds: isSensible ? [...below, task] : [task, taskId((c % 4) + 1)], ...until, atMs }
    }
    case 'runs_forget': {
      const ended = [...oracle.runs].filter(([, { task: of, state }]) => of === task && isFinal(state))
      const runIds = isSensible ? ended.slice(0, (c % 2) + 1).map(([id]) => id as RunId) : [run]
      return { type, taskId: task, runIds, atMs }
    }
    case 'tombstones_expire': {
      const [first] = oracle.tombstones
      return { type, taskIds: [isSensible && first !== undefined ? (first as TaskId) : task], atMs }
    }
    case 'task_cancel':
      return { type, taskId: task, atMs: atMs + (isSensible ? 200 : 0) }
    case 'dependency_declare': {
      const dependsOn = [taskId((b % 4) + 1), taskId((c % 4) + 1)].slice(d % 3)
      const after = e % 2 === 0 ? {} : { after: [taskId((e % 4) + 1)] }
      return { type, taskId: task, dependsOn, ...after, atMs }
    }
    case 'follow': {
      const [failedOne = task] = failedOf(oracle, b)
      return { type: 'dependency_declare', taskId: taskId((c % 4) + 1), dependsOn: [], after: [failedOne], atMs }
    }
    case 'retry': {
      if (isSensible && failedOf(oracle, b).length === 0) return towardsFailure(oracle, atMs)
      const names = namesOf(dice, isSensible, oracle)
      return { type: 'task_create', taskSpec: createTaskSpec({ id: freeTask(oracle), kind: 'k', ...names }), atMs }
    }
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
    case 'attempt_begin':
      return beginOf(dice, isSensible, oracle, atMs)
    case 'attempt_end':
      return endOf(dice, isSensible, oracle, atMs)
  }
}

/** The first task id that was never used. */
function freeTask(oracle: OracleState): TaskId {
  let number = 1
  while (oracle.tasks.has(taskId(number)) || oracle.tombstones.has(taskId(number))) number += 1
  return taskId(number)
}

/**
 * The command that moves the only run of a task one step towards failure, or one that creates a task or a run first.
 */
function towardsFailure(oracle: OracleState, atMs: number): PlainCommand {
  const [id, run] =
    [...oracle.runs].find(
      ([, { task, state }]) =>
        !isFinal(state) && oracle.runsOf(task).length === 1 && oracle.tasks.get(task)?.isCancelled === false,
    ) ?? []
  if (id === undefined || run === undefined) {
    const runs = [{ id: runId(20 + oracle.tasks.size + oracle.tombstones.size), scheduledAtMs: atMs }]
    return { type: 'task_create', taskSpec: createTaskSpec({ id: freeTask(oracle), kind: 'k', key: 'k0' }), runs, atMs }
  }
  const ofRun = {
    runId: id as RunId,
    atMs,
    ...(run.lease !== undefined && { fencingToken: run.lease.token }),
  }
  if (run.attempt !== undefined) {
    return { type: 'attempt_finish', ...ofRun, attemptId: run.attempt as AttemptId, outcome: failed('no', 'terminal') }
  }
  const choices = next[run.state] ?? ['ready']
  const newState = choices.includes('failed') ? 'failed' : (choices[0] ?? 'ready')
  return { type: 'run_state_transition', ...ofRun, previousState: run.state as RunState, newState }
}

/** The failed tasks, rotated so that each time another one is first. */
function failedOf(oracle: OracleState, first: number): readonly TaskId[] {
  const failedOnes = [...oracle.tasks.keys()].filter((id) => oracle.phase(id) === 'failed') as TaskId[]
  const place = first % Math.max(1, failedOnes.length)
  return [...failedOnes.slice(place), ...failedOnes.slice(0, place)]
}

/** The key of a new task, and the failed task that it retries; sometimes the key is that of the failed task. */
function namesOf(
  [, b = 0, c = 0, d = 0, e = 0]: readonly number[],
  isSensible: boolean,
  oracle: OracleState,
): { readonly key?: string; readonly retryOf?: TaskId } {
  const [retryOf] = isSensible ? failedOf(oracle, b) : [taskId((e % 4) + 1)]
  const [keyOfFailed] = [...oracle.keys].find(([, holder]) => holder === retryOf) ?? []
  const key = isSensible && c % 2 === 0 ? (keyOfFailed ?? taskKeys[b % 2]) : taskKeys[b % 2]
  return {
    ...(d % 3 > 0 && key !== undefined && { key }),
    ...((isSensible || e % 3 === 0) && c % 4 > 0 && retryOf !== undefined && { retryOf }),
  }
}

/** Claims a run and starts an attempt; sometimes a run that is ready or scheduled, with a reservation. */
function beginOf(
  [a = 0, b = 0, c = 0, d = 0, e = 0]: readonly number[],
  isSensible: boolean,
  oracle: OracleState,
  atMs: number,
): CommandOf<'attempt_begin'> {
  const previousState = c % 3 === 0 ? 'scheduled' : undefined
  const wanted = previousState ?? 'ready'
  const runs = [...oracle.runs].filter(([, { state, lease }]) => state === wanted && lease === undefined)
  const chosen = isSensible ? runs[b % Math.max(1, runs.length)]?.[0] : undefined
  const reservation = {
    reservationId: reservationId((b % 2) + 1),
    dimension: c % 4 === 0 ? time : token,
    amount: d + 1,
  }
  return {
    type: 'attempt_begin',
    runId: (chosen as RunId | undefined) ?? runId(b + 1),
    attemptId: attemptId(isSensible ? oracle.sequence + 100 : (c % 3) + 1),
    ...(previousState !== undefined && { previousState }),
    owner: `w${c % 2}`,
    expiresAtMs: 1000 + d,
    ...(e % 3 === 0 && { reservations: [reservation] }),
    ...(a === 0 && { reservations: [reservation, { ...reservation, reservationId: reservationId(3) }] }),
    atMs,
  }
}

/** Ends an attempt together with everything that follows; sometimes one that is running. */
function endOf(
  [a = 0, b = 0, c = 0, d = 0, e = 0]: readonly number[],
  isSensible: boolean,
  oracle: OracleState,
  atMs: number,
): CommandOf<'attempt_end'> {
  const working = [...oracle.runs].filter(([, { attempt }]) => attempt !== undefined)
  const [id, run] = (isSensible ? working[b % Math.max(1, working.length)] : undefined) ?? [undefined, undefined]
  const token = run?.lease?.token ?? (isSensible || d % 3 > 0 ? undefined : e + 1)
  const newState = endStates[c % endStates.length] ?? 'completed'
  const task = (run?.task as TaskId | undefined) ?? taskId((a % 4) + 1)
  const fresh = createRun({ id: runId(d + 1), taskId: task, createdAtMs: atMs, scheduledAtMs: atMs + c })
  return {
    type: 'attempt_end',
    runId: (id as RunId | undefined) ?? runId(b + 1),
    attemptId: (run?.attempt as AttemptId | undefined) ?? attemptId((c % 3) + 1),
    outcome: d % 2 === 0 ? succeeded() : failed(`e${e}`, e % 2 === 0 ? 'retryable' : 'terminal'),
    newState,
    ...(newState === 'retry_wait' && { retryAtMs: atMs + 50 }),
    ...(newState === 'suspended' && { resume: d % 2 === 0, reason: `r${d}` }),
    ...(e % 3 === 0 && { settlements: [{ reservationId: reservationId((d % 3) + 1), amount: d }] }),
    ...(e % 4 === 1 && { consumptions: [{ dimension: d % 4 === 0 ? time : budgetDimension('token'), amount: d + 1 }] }),
    ...(a % 4 === 0 && { runs: [fresh] }),
    ...(a % 4 === 1 && { triggers: [subscriptionId((d % 2) + 1)] }),
    ...(token !== undefined && { fencingToken: token }),
    atMs,
  }
}
