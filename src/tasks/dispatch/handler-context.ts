import type { IdSource } from '../../base/ids.js'
import type { JsonValue } from '../../base/json.js'
import { budgetDimension } from '../budget.js'
import { decodeBytes } from '../bytes.js'
import type { ReservationId, TaskId } from '../ids.js'
import type { TaskMutations } from '../mutations.js'
import { isTerminalRunState, type Run } from '../run.js'
import type { Timestamp } from '../scalars.js'
import type { TaskSpec } from '../task-spec.js'
import type { TaskProjection } from '../view.js'
import { effectiveAttempts } from './batches.js'
import type { BudgetAccess, ChildView, HandlerContext, Spending } from './handler.js'
import type { AttemptIdentity } from './running-attempt.js'
import { submitInto } from './submission.js'
import { fireForSpending } from './system-events.js'

/** What a handler's context is made from. */
export interface HandlerContextOptions {
  readonly attempt: AttemptIdentity
  /** The run as it was when the attempt started. */
  readonly run: Run
  readonly task: TaskSpec
  readonly signal: AbortSignal
  readonly progress: (message: string, percent?: number) => void
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly ids: IdSource
  readonly now: () => Timestamp
}

/** Makes the context of one attempt. */
export function createHandlerContext(options: HandlerContextOptions): HandlerContext {
  const { attempt, run, task, signal, progress, mutations, projection, ids, now } = options
  const payload = decodeBytes(task.payload.bytes)
  const { taskId, runId, attemptId, fencingToken } = attempt
  return {
    task,
    taskId,
    runId,
    attemptId,
    attemptNumber: effectiveAttempts(run),
    fencingToken,
    payload,
    json: () => JSON.parse(Buffer.from(payload).toString()) as JsonValue,
    resumeFrom: lastSuspendedOutput(run),
    signal,
    progress,
    budget: createBudgetAccess(options),
    submit: (child) => mutations.transact((batch) => submitInto(batch, { ...child, parentTaskId: taskId }, now(), ids)),
    children: () => [...projection.children(taskId)].map((child) => childView(projection, child)),
  }
}

function createBudgetAccess({ attempt, mutations, projection, ids, now }: HandlerContextOptions): BudgetAccess {
  const { taskId, runId } = attempt
  return {
    reserve: async (name, amount) => {
      const dimension = budgetDimension(name)
      if (projection.ledgersFor(taskId, dimension).length === 0) return unlimited
      const reservationId = ids.uuid() as ReservationId
      const timestamp = now()
      await mutations.submit({ type: 'budget_reserve', reservationId, taskId, dimension, amount, runId, timestamp })
      const spending: Spending = {
        settle: (spent) =>
          mutations.transact((batch) => {
            batch.submit({ type: 'budget_settle', reservationId, amount: spent, timestamp: now() })
            fireForSpending(batch, projection, taskId, dimension, now())
          }),
        release: async () => {
          await mutations.submit({ type: 'budget_release', reservationId, timestamp: now() })
        },
      }
      return spending
    },
  }
}

/** What is spent where no ledger counts. */
const unlimited: Spending = { settle: () => Promise.resolve(), release: () => Promise.resolve() }

function lastSuspendedOutput({ attempts }: Run): Uint8Array | undefined {
  const outcome = attempts.findLast(({ outcome: ended }) => ended !== undefined)?.outcome
  return outcome?.result === 'suspended' && outcome.output !== undefined ? decodeBytes(outcome.output) : undefined
}

function childView(projection: TaskProjection, taskId: TaskId): ChildView {
  const runs = projection.runsOf(taskId).map(({ state }) => state)
  return { taskId, runs, isFinished: runs.length > 0 && runs.every((state) => isTerminalRunState(state)) }
}
