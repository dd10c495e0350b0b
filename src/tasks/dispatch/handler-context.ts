import { InvalidInputError, messageOf } from '../../base/errors.js'
import type { JsonValue } from '../../base/json.js'
import { decodeBytes } from '../bytes.js'
import type { TaskId } from '../ids.js'
import { hasEnded } from '../task.js'
import type { Run } from '../run.js'
import type { TaskSpec } from '../task-spec.js'
import type { TaskProjection } from '../view.js'
import type { Account, AccountOptions } from './account.js'
import { checkHeld, effectiveAttempts } from './attempt-batches.js'
import type { AttemptScope } from './attempt-runner.js'
import type { ChildView, HandlerContext } from './handler.js'
import { decodeChild, submitInto } from './submission.js'
import type { TaskClock } from './task-clock.js'

/** What a handler's context is made from. */
export interface HandlerContextOptions extends Omit<AccountOptions, 'signal' | 'reservedAtStart'> {
  /** The run as it was when the attempt started. */
  readonly run: Run
  readonly task: TaskSpec
  readonly scope: AttemptScope
  readonly account: Account
  readonly times: TaskClock
}

/** Makes the context of one attempt. */
export function createHandlerContext(options: HandlerContextOptions): HandlerContext {
  const { attempt, run, task, scope, account, mutations, projection, ids, times } = options
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
    text: () => textOf(payload),
    json: () => jsonOf(payload),
    resumeFrom: lastSuspendedOutput(run),
    signal: scope.signal,
    progress: scope.progress,
    budget: account,
    submit: async (child) => {
      const input = { ...decodeChild(child), parentTaskId: taskId }
      return mutations.transact((batch) => {
        checkHeld(batch, attempt)
        return submitInto(batch, input, times.wall(), ids)
      })
    },
    children: () => Array.from(projection.children(taskId), (child) => childView(projection, child)),
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}

function jsonOf(payload: Uint8Array): JsonValue {
  try {
    return JSON.parse(textOf(payload)) as JsonValue
  } catch (cause) {
    const reason = `not JSON: ${messageOf(cause)}`
    throw new InvalidInputError({ subject: 'task payload', field: '$', reason }, { cause })
  }
}

function lastSuspendedOutput({ attempts }: Run): Uint8Array | undefined {
  const outcome = attempts.findLast(({ outcome: ended }) => ended !== undefined)?.outcome
  return outcome?.result === 'suspended' && outcome.output !== undefined ? decodeBytes(outcome.output) : undefined
}

function childView(projection: TaskProjection, taskId: TaskId): ChildView {
  const runs = projection.runsOf(taskId).map(({ state }) => state)
  return { taskId, runs, isFinished: hasEnded(projection.task(taskId)) }
}
