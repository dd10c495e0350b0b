import {
  budgetDimension,
  createRun,
  createTaskSpec,
  succeeded,
  type AttemptId,
  type AttemptOutcome,
  type CommandOf,
  type EventFilter,
  type RunId,
  type RunInput,
  type RunState,
  type SubscriptionId,
  type TaskCommand,
  type TaskId,
  type TaskSpecInput,
} from '../../../src/tasks/index.js'
import { A1, R1, T1 } from './ids.js'

export const token = budgetDimension('token')

export function taskCreate(id: TaskId = T1, spec: Partial<TaskSpecInput> = {}, atMs = 100): CommandOf<'task_create'> {
  return { type: 'task_create', taskSpec: createTaskSpec({ id, kind: 'work', ...spec }), atMs }
}

export function runCreate(id: RunId = R1, taskId: TaskId = T1, run: Partial<RunInput> = {}): CommandOf<'run_create'> {
  return { type: 'run_create', runInstance: createRun({ id, taskId, createdAtMs: 100, scheduledAtMs: 100, ...run }) }
}

export function move(
  previousState: RunState,
  newState: RunState,
  rest: Partial<CommandOf<'run_state_transition'>> = {},
): CommandOf<'run_state_transition'> {
  return { type: 'run_state_transition', runId: R1, previousState, newState, atMs: 110, ...rest }
}

export function start(
  attemptId: AttemptId = A1,
  rest: Partial<CommandOf<'attempt_start'>> = {},
): CommandOf<'attempt_start'> {
  return { type: 'attempt_start', runId: R1, attemptId, atMs: 120, ...rest }
}

export function finish(
  attemptId: AttemptId = A1,
  outcome: AttemptOutcome = succeeded(),
  rest: Partial<CommandOf<'attempt_finish'>> = {},
): CommandOf<'attempt_finish'> {
  return { type: 'attempt_finish', runId: R1, attemptId, outcome, atMs: 130, ...rest }
}

type LeaseType = 'lease_acquire' | 'lease_heartbeat' | 'lease_expire' | 'lease_release'

export function lease<Type extends LeaseType>(type: Type, rest: Partial<CommandOf<LeaseType>> = {}): CommandOf<Type> {
  return {
    runId: R1,
    owner: 'worker',
    expiresAtMs: 5000,
    atMs: 115,
    ...rest,
    type,
  } as CommandOf<LeaseType> as CommandOf<Type>
}

export function depend(taskId: TaskId, ...dependsOn: readonly TaskId[]): CommandOf<'dependency_declare'> {
  return { type: 'dependency_declare', taskId, dependsOn, atMs: 105 }
}

export function cancel(taskId: TaskId = T1, atMs = 140): CommandOf<'task_cancel'> {
  return { type: 'task_cancel', taskId, atMs }
}

export function subscribe(
  id: SubscriptionId,
  filter: EventFilter,
  rest: { readonly rearm?: boolean; readonly taskId?: TaskId } = {},
): CommandOf<'subscription_create'> {
  return { type: 'subscription_create', subscriptionId: id, taskId: T1, filter, atMs: 105, ...rest }
}

export function allocate(limit: number, taskId: TaskId = T1): CommandOf<'budget_allocate'> {
  return { type: 'budget_allocate', taskId, dimension: token, limit, atMs: 105 }
}

export function consume(amount: number, taskId: TaskId = T1): CommandOf<'budget_consume'> {
  return { type: 'budget_consume', taskId, dimension: token, amount, atMs: 131 }
}

/** Commands that bring run R1 of task T1 into a state; a lease taken on the way is released again. */
export const reach: Readonly<Record<RunState, readonly TaskCommand[]>> = (() => {
  const scheduled = [taskCreate(), runCreate()]
  const ready = [...scheduled, move('scheduled', 'ready')]
  const leased = [...ready, move('ready', 'leased')]
  const running = [...leased, move('leased', 'running')]
  return {
    scheduled,
    ready,
    leased,
    running,
    retry_wait: [...running, move('running', 'retry_wait')],
    suspended: [...running, { type: 'run_suspend', runId: R1, atMs: 125 }],
    completed: [...running, move('running', 'completed')],
    failed: [...running, move('running', 'failed')],
    cancelled: [...scheduled, move('scheduled', 'cancelled')],
  }
})()

/** R1 leased by `worker` until 5000; the acquire is command 5, so its token is 5. */
export const held: readonly TaskCommand[] = [...reach.leased, lease('lease_acquire')]

/** R1 running under that lease with attempt A1 under way. */
export const working: readonly TaskCommand[] = [
  ...held,
  move('leased', 'running', { fencingToken: 5 }),
  start(A1, { fencingToken: 5 }),
]
