import { budgetDimension, type RunId, type TaskId } from '../../tasks/public.js'
import { assertSame, type Comparison } from '../comparison.js'
import { dimensions, taskKeys } from './intents.js'
import type { TasksPort } from './port.js'
import type { OracleRun } from './rows.js'
import type { OracleState } from './state.js'

/** A run as reported by a port. */
type ReportedRun = Awaited<ReturnType<NonNullable<TasksPort['run']>>>

/**
 * Compares everything that can be read through the port with the oracle. Rejects with an `AssertionError` if they
 * differ.
 */
export async function assertTasksAgreement(
  port: TasksPort,
  oracle: OracleState,
  comparison: Comparison = 'reported',
): Promise<void> {
  const same = (actual: unknown, expected: unknown, what: string): void =>
    assertSame(actual, expected, what, comparison)
  const sequence = await port.latestSequence
  if (sequence !== undefined) same(sequence, oracle.sequence, 'the last sequence')
  const engine = await port.engine
  if (engine !== undefined) same(engine.paused, oracle.paused !== undefined, 'whether the engine is paused')
  if (port.run !== undefined) {
    for (const [id, run] of oracle.runs) same(rowOf(await port.run(id as RunId)), expectedRow(run), `run ${id}`)
  }
  for (const [id, { steps, waits }] of oracle.runs) {
    for (const key of port.step === undefined ? [] : steps) {
      same((await port.step?.(id as RunId, key))?.key, key, `step ${key} of run ${id}`)
    }
    for (const [key, { type, end }] of port.wait === undefined ? [] : waits) {
      const wait = await port.wait?.(id as RunId, key)
      same({ type: wait?.subject?.type, end: wait?.end?.type }, { type, end }, `wait ${key} of run ${id}`)
    }
  }
  for (const key of port.taskByKey === undefined ? [] : taskKeys) {
    same(await port.taskByKey?.(key), oracle.keys.get(key), `the task of key ${key}`)
  }
  for (const [id, { depth }] of oracle.tasks) {
    const taskId = id as TaskId
    if (port.retryOf !== undefined) same(await port.retryOf(taskId), oracle.retries.get(id), `the retry of task ${id}`)
    const task = await port.task?.(taskId)
    if (port.task !== undefined) same(task && { depth: task.depth }, { depth }, `task ${id}`)
    if (port.dependencyGate !== undefined) {
      same(await port.dependencyGate(taskId), oracle.gate(id), `whether its prerequisites let task ${id} run`)
    }
    if (port.budget === undefined) continue
    for (const name of dimensions) {
      const budget = await port.budget(taskId, budgetDimension(name))
      const expected = oracle.budgets.get(id)?.get(name)
      const { limit, consumed, reserved, exhausted } = budget ?? {}
      same(
        budget && { limit, consumed, reserved, exhausted },
        expected && { ...expected, exhausted: expected.consumed >= expected.limit },
        `budget of ${name} of task ${id}`,
      )
    }
  }
  if (port.reservations !== undefined) {
    const open = [...(await port.reservations())].map(({ reservationId }) => reservationId)
    same(open, [...oracle.reservations.keys()], 'open reservations, oldest first')
  }
  if (port.ledger !== undefined) {
    const entries = [...(await port.ledger())].map(({ entryId }) => entryId)
    same(entries, oracle.entries, 'entries of the ledger')
  }
}

function rowOf(run: ReportedRun): object | undefined {
  if (run === undefined) return undefined
  const { state, currentAttemptId, attempts, lease, isWaiting, history } = run
  return {
    state,
    currentAttemptId,
    attempts: attempts?.map(({ attemptId }) => ({ attemptId })),
    isWaiting,
    lease: lease && { owner: lease.owner, expiresAtMs: lease.expiresAtMs, fencingToken: lease.fencingToken },
    history: history?.map(({ to }) => ({ to })),
  }
}

function expectedRow({ state, attempt, attempts, lease, isWaiting, history }: OracleRun): object {
  return {
    state,
    currentAttemptId: attempt,
    attempts: attempts.map((attemptId) => ({ attemptId })),
    isWaiting: isWaiting ? true : undefined,
    lease: lease && { owner: lease.owner, expiresAtMs: lease.expiresAtMs, fencingToken: lease.token },
    history: history.map((to) => ({ to })),
  }
}
