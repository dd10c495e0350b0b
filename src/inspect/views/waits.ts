import { pendingQuestions, type Run } from '../../tasks/index.js'
import { hasEnded } from '../../tasks/task.js'
import type { BarrierRow, ItemRef, QuestionRow, WaitRow, WaitsView } from '../stream/protocol.js'
import { cut, nameOf, operationRowOf, processWaitText, taskRef } from './item-rows.js'
import { mostMissing, mostWaits } from './limits.js'
import { pageOf } from './pages.js'
import type { InspectedState } from './state.js'

/** Who waits for what. O(open waits + processes that run). */
export async function waitsView(state: InspectedState): Promise<WaitsView> {
  return {
    view: 'waits',
    barriers: pageOf([...barriersOf(state)], mostWaits),
    questions: pageOf(questionsOf(state), mostWaits),
    waits: pageOf([...runWaits(state), ...(await processWaits(state))], mostWaits),
  }
}

/** Waits for all of several operations, with the members that have not ended. */
export function* barriersOf(state: InspectedState): Iterable<BarrierRow> {
  for (const session of state.sessions()) {
    for (const { requestId, turnId, operationIds } of session.operations.pendingWaits()) {
      const missing = operationIds.filter((id) => session.operations.snapshot(id)?.terminal !== true)
      yield {
        id: requestId,
        session: session.id,
        turnId,
        members: operationIds.length,
        missing: missing.slice(0, mostMissing).flatMap((id) => operationRowOf(session, id, state.shown) ?? []),
        missingCount: missing.length,
      }
    }
  }
}

/** Questions of tasks that have not been answered. */
export function questionsOf(state: InspectedState): readonly QuestionRow[] {
  return pendingQuestions(state.tasks, {}).map((question) => questionRow(state, question))
}

function questionRow({ tasks }: InspectedState, question: ReturnType<typeof pendingQuestions>[number]): QuestionRow {
  const { taskId, runId, name, kind, description, whom, askedAtMs, untilMs } = question
  const spec = tasks.task(taskId)?.spec
  return {
    task: taskRef(taskId),
    run: { type: 'run', id: runId },
    name: cut(name),
    taskName: spec === undefined ? kind : nameOf(spec),
    kind,
    ...(description !== undefined && { description: cut(description) }),
    ...(whom !== undefined && { whom: cut(whom) }),
    askedAtMs,
    ...(untilMs !== undefined && { untilMs }),
  }
}

function* runWaits({ tasks }: InspectedState): Iterable<WaitRow> {
  const rowOf = (run: Run, waitsFor: string, more: Partial<WaitRow>): WaitRow => {
    const spec = tasks.task(run.taskId)?.spec
    const name = spec === undefined ? run.id : nameOf(spec)
    return { item: { type: 'run', id: run.id }, name, waitsFor, ...more }
  }
  for (const { runId, subject, begunAtMs: sinceMs } of tasks.openWaits()) {
    const run = tasks.run(runId)
    if (run === undefined || subject.type === 'answer') continue
    if (subject.type === 'time') yield rowOf(run, 'its time', { sinceMs, untilMs: subject.untilMs })
    else yield rowOf(run, 'the end of a call', { sinceMs, on: taskRef(subject.childTaskId) })
  }
  for (const run of tasks.runsIn('retry_wait')) {
    const { lastStateChangeAtMs: sinceMs, retryAtMs: untilMs } = run
    yield rowOf(run, 'its retry', { sinceMs, ...(untilMs !== undefined && { untilMs }) })
  }
  for (const run of tasks.runsIn('scheduled')) {
    if (tasks.dependencyGate(run.taskId) === 'open') {
      yield rowOf(run, 'its time', { sinceMs: run.createdAtMs, untilMs: run.scheduledAtMs })
    } else {
      const [on] = tasks.prerequisites(run.taskId).filter((id) => !hasEnded(tasks.task(id)))
      yield rowOf(run, 'prerequisites', { sinceMs: run.createdAtMs, ...(on !== undefined && { on: taskRef(on) }) })
    }
  }
}

async function processWaits({ processes }: InspectedState): Promise<readonly WaitRow[]> {
  const waiting = await processes.listProcesses()
  return waiting.flatMap(({ id, identity, wait }): readonly WaitRow[] => {
    if (wait === undefined) return []
    const { kind, sinceMs } = wait
    const on: ItemRef | undefined = kind.type === 'process' ? { type: 'process', id: kind.processId } : undefined
    return [
      {
        item: { type: 'process', id },
        name: cut(identity.label ?? id),
        waitsFor: processWaitText(kind),
        sinceMs,
        ...(on !== undefined && { on }),
        ...(kind.type === 'timer' && { untilMs: kind.untilMs }),
      },
    ]
  })
}
