import { expect } from 'vitest'
import { isTerminalRunState, runStates, type Run, type TaskProjection } from '../../../src/tasks/index.js'

/** Recomputes every derived index from the rows by brute force and expects the projection to agree. */
export function expectConsistentIndexes(projection: TaskProjection): void {
  const tasks = [...projection.tasks()]
  const runs = tasks.flatMap(({ spec }) => projection.runsOf(spec.id))
  const mayRun = new Set(
    tasks
      .filter(({ cancelledAtMs, spec }) => cancelledAtMs === undefined && projection.dependencyGate(spec.id) === 'open')
      .map(({ spec }) => spec.id),
  )
  expect(projection.runCount).toBe(runs.length)
  expect(projection.taskCount).toBe(tasks.length)
  for (const state of runStates) {
    expect(projection.countIn(state)).toBe(inState(runs, state).length)
    expect(ids(projection.runsIn(state)).sort()).toEqual(ids(inState(runs, state)).sort())
  }
  const scheduled = inState(runs, 'scheduled').filter(({ taskId }) => mayRun.has(taskId))
  expect(ids(projection.dueScheduled(Number.MAX_SAFE_INTEGER))).toEqual(
    ids(sorted(scheduled, (run) => [run.scheduledAtMs <= run.createdAtMs ? 0 : run.scheduledAtMs, run.scheduledAtMs])),
  )
  expect(ids(projection.ready())).toEqual(
    ids(sorted(inState(runs, 'ready'), (run) => [-run.effectivePriority, run.createdAtMs])),
  )
  expect(ids(projection.dueRetries(Number.MAX_SAFE_INTEGER))).toEqual(
    ids(sorted(inState(runs, 'retry_wait'), (run) => [run.retryAtMs ?? run.lastStateChangeAtMs])),
  )
  expect(ids(projection.leased())).toEqual(
    ids(
      sorted(
        runs.filter(({ lease }) => lease !== undefined),
        (run) => [run.lease?.expiresAtMs ?? 0],
      ),
    ),
  )
  for (const { spec, progress: counted, forgottenRuns } of tasks) {
    const { lastScheduledAtMs: _, ...progress } = counted
    const forgotten = { runs: 0, completed: 0, failed: 0, ...forgottenRuns }
    const own = runs.filter(({ taskId }) => taskId === spec.id)
    expect(progress).toEqual({
      runs: own.length + forgotten.runs,
      open: own.filter(({ state }) => !isTerminalRunState(state)).length,
      completed: inState(own, 'completed').length + forgotten.completed,
      failed: inState(own, 'failed').length + forgotten.failed,
    })
    expect([...projection.children(spec.id)]).toEqual(
      tasks.filter((task) => task.spec.parentTaskId === spec.id).map((task) => task.spec.id),
    )
    expect([...projection.dependents(spec.id)].sort()).toEqual(
      tasks
        .filter((task) => projection.prerequisites(task.spec.id).includes(spec.id))
        .map((task) => task.spec.id)
        .sort(),
    )
  }
  const isOpen = ({ state }: Run): boolean => !isTerminalRunState(state)
  const waits = runs
    .filter(isOpen)
    .flatMap(({ id }) => [...projection.waitsOf(id)].filter(({ end }) => end === undefined))
  const key = ({ runId, key }: { runId: string; key: string }): string => `${runId}/${key}`
  expect(Array.from(projection.openWaits(), key).sort()).toEqual(waits.map(key).sort())
  const due = waits.flatMap(({ subject }) =>
    subject.type !== 'call' && subject.untilMs !== undefined ? [subject.untilMs] : [],
  )
  expect([...projection.dueWaits(Number.MAX_SAFE_INTEGER)]).toHaveLength(due.length)
  expect(projection.nextWaitDueAtMs()).toBe(due.length === 0 ? undefined : Math.min(...due))
  const reservations = [...projection.reservations()]
  for (const run of runs) {
    expect([...projection.reservationsOf(run.id)]).toEqual(reservations.filter(({ runId }) => runId === run.id))
  }
}

function inState(runs: readonly Run[], state: string): Run[] {
  return runs.filter((run) => run.state === state)
}

function ids(runs: Iterable<Run>): string[] {
  return [...runs].map(({ id }) => id)
}

function sorted(runs: readonly Run[], keys: (run: Run) => readonly number[]): Run[] {
  return runs.toSorted((one, other) => {
    const [left, right] = [keys(one), keys(other)]
    const place = left.findIndex((key, index) => key !== right[index])
    if (place !== -1) return (left[place] ?? 0) - (right[place] ?? 0)
    return one.id < other.id ? -1 : 1
  })
}
