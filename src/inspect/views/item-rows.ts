import { messageOf } from '../../base/errors.js'
import type { LostOperation, OperationView } from '../../operations/index.js'
import type { ProcessRecord } from '../../processes/index.js'
import type { Run, Task, TaskId, TaskProjection } from '../../tasks/index.js'
import { phaseOf } from '../../tasks/task.js'
import type { JobInfo } from '../../work/job-list.js'
import type { ItemPhase, ItemRef, ItemRow } from '../stream/protocol.js'
import type { ShownValues } from '../stream/shown-values.js'
import type { InspectedSession } from './state.js'

/** The maximum length of a name or error in a row. */
const longestText = 500

const operationPhases: Readonly<Record<OperationView['status'], ItemPhase>> = {
  queued: 'waiting',
  provisioning: 'running',
  running: 'running',
  retiring: 'ending',
  completed: 'completed',
  failed: 'failed',
  aborted: 'cancelled',
  cancelled: 'cancelled',
  retired: 'completed',
  terminated: 'cancelled',
}

/** The row of an operation. */
export function operationRow(session: string, view: OperationView, shown: ShownValues): ItemRow {
  const { id, displayName, kind, status, progress, outcome, createdAtMs, completedAtMs } = view
  // For an operation that ended in another process, the row has no time.
  const isOfThisProcess = outcome === null || completedAtMs !== undefined
  const error = outcome !== null && 'error' in outcome ? outcome.error : undefined
  return {
    type: 'operation',
    id,
    session,
    name: cut(displayName),
    kind,
    phase: operationPhases[status],
    status,
    owner: session,
    ...(isOfThisProcess && { createdAtMs }),
    ...(completedAtMs !== undefined && { endedAtMs: completedAtMs }),
    ...(progress !== undefined && { progress: { ...progress, message: cut(shown.text(progress.message)) } }),
    ...(error !== undefined && { error: cut(shown.text(error)) }),
  }
}

/** The row of an operation without an outcome: lost with its process, or still running there. */
export function unfinishedRow(session: string, lost: LostOperation, isOwned: boolean): ItemRow {
  const { id, kind, displayName, status, parentId } = lost
  return {
    type: 'operation',
    id,
    session,
    name: cut(displayName),
    kind,
    phase: isOwned ? 'running' : 'lost',
    status,
    owner: session,
    ...(parentId !== undefined && { parent: { type: 'operation', id: parentId, session } }),
  }
}

/** The row of an operation, as its session knows it. */
export function operationRowOf(session: InspectedSession, id: string, shown: ShownValues): ItemRow | undefined {
  const view = session.view.row(id as OperationView['id'])
  return view && operationRow(session.id, view, shown)
}

const phaseOfState: Readonly<Record<Run['state'], ItemPhase>> = {
  scheduled: 'waiting',
  ready: 'waiting',
  leased: 'running',
  running: 'running',
  retry_wait: 'waiting',
  suspended: 'waiting',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
}

/** The display name of a task: its description, its key, or its kind. */
export function nameOf({ metadata, key, kind }: Task['spec']): string {
  return cut(metadata.description ?? key ?? kind)
}

/** The row of a task, according to its latest run that can still change, or else its last run. */
export function taskRow(tasks: TaskProjection, task: Task, shown: ShownValues): ItemRow {
  const { spec, createdAtMs, cancelledAtMs } = task
  const { id, kind, parentTaskId } = spec
  const phase = phaseOf(task)
  const [run = tasks.runsOf(id).at(-1)] = tasks.openRunsOf(id)
  const isOpen = phase === 'open'
  const error = run && errorOf(run)
  const started = run?.attempts.at(-1)?.startedAtMs
  const isEnding = isOpen && cancelledAtMs !== undefined
  return {
    type: 'task',
    id,
    name: nameOf(spec),
    kind,
    phase: isEnding ? 'ending' : isOpen ? phaseOfRun(run) : phase,
    status: isOpen ? (run?.state ?? 'open') : phase,
    createdAtMs,
    ...(run !== undefined && run.attemptCount > 0 && { attempt: run.attemptCount }),
    ...(run?.lease !== undefined && { owner: run.lease.owner }),
    ...(isOpen && run !== undefined && waitOf(tasks, run)),
    ...(error !== undefined && { error: cut(shown.text(error)) }),
    ...(parentTaskId !== undefined && { parent: { type: 'task', id: parentTaskId } as const }),
    ...(started !== undefined && { startedAtMs: started }),
    ...(!isOpen && run !== undefined && { endedAtMs: run.lastStateChangeAtMs }),
  }
}

function phaseOfRun(run: Run | undefined): ItemPhase {
  if (run === undefined || run.isWaiting === true) return 'waiting'
  return phaseOfState[run.state]
}

/** The row of a run. */
export function runRow(tasks: TaskProjection, run: Run, shown: ShownValues): ItemRow {
  const { id, taskId, state, attemptCount, createdAtMs, lastStateChangeAtMs, lease } = run
  const task = tasks.task(taskId)
  const error = errorOf(run)
  const phase = phaseOfRun(run)
  const started = run.attempts.at(-1)?.startedAtMs
  return {
    type: 'run',
    id,
    name: cut(task?.spec.metadata.description ?? task?.spec.kind ?? id),
    kind: task?.spec.kind ?? '',
    phase,
    status: state,
    createdAtMs,
    parent: { type: 'task', id: taskId },
    ...(attemptCount > 0 && { attempt: attemptCount }),
    ...(lease !== undefined && { owner: lease.owner }),
    ...waitOf(tasks, run),
    ...(error !== undefined && { error: cut(shown.text(error)) }),
    ...(started !== undefined && { startedAtMs: started }),
    ...(['completed', 'failed', 'cancelled'].includes(phase) && { endedAtMs: lastStateChangeAtMs }),
  }
}

function errorOf({ attempts }: Run): string | undefined {
  const outcome = attempts.findLast((attempt) => attempt.outcome !== undefined)?.outcome
  return outcome !== undefined && 'error' in outcome ? outcome.error : undefined
}

/** What a run waits for, in words, if it waits. */
function waitOf(tasks: TaskProjection, run: Run): { readonly waitsFor?: string } {
  const waitsFor = waitText(tasks, run)
  return waitsFor === undefined ? {} : { waitsFor }
}

function waitText(tasks: TaskProjection, run: Run): string | undefined {
  switch (run.state) {
    case 'scheduled':
      return tasks.dependencyGate(run.taskId) === 'open' ? 'its time' : 'prerequisites'
    case 'ready':
      return 'its turn'
    case 'retry_wait':
      return 'its retry'
    case 'running':
      return run.isWaiting === true ? (durableWaitText(tasks, run) ?? 'something') : undefined
    case 'suspended':
      return durableWaitText(tasks, run) ?? run.history.at(-1)?.reason ?? 'its resumption'
    default:
      return undefined
  }
}

function durableWaitText(tasks: TaskProjection, { id }: Run): string | undefined {
  for (const { subject, end } of tasks.waitsOf(id)) {
    if (end !== undefined) continue
    if (subject.type === 'answer')
      return cut(`answer ${subject.name}${subject.whom === undefined ? '' : ` of ${subject.whom}`}`)
    return subject.type === 'time' ? 'its time' : 'the end of a call'
  }
  return undefined
}

/** The row of a process. */
export function processRow(record: ProcessRecord, shown: ShownValues): ItemRow {
  const { id, identity, status, wait, firstStarted, createdAtMs, updatedAtMs, outcome, cancelRequested } = record
  const phase = status === 'running' ? (wait === undefined ? 'running' : 'waiting') : status
  const error = outcome?.type === 'failure' ? outcome.message : undefined
  const isStarted = firstStarted !== undefined
  return {
    type: 'process',
    id,
    name: cut(identity.label ?? id),
    kind: identity.kind,
    phase:
      phase === 'abandoned'
        ? 'lost'
        : phase === 'running' && cancelRequested
          ? 'ending'
          : isStarted || phase !== 'running'
            ? phase
            : 'waiting',
    status,
    createdAtMs,
    ...(isStarted && {
      attempt: firstStarted.attempt,
      owner: firstStarted.owner.ownerId,
      startedAtMs: firstStarted.startedAtMs,
    }),
    ...(wait !== undefined && { waitsFor: processWaitText(wait.kind) }),
    ...(error !== undefined && { error: cut(shown.text(error)) }),
    ...(status !== 'running' && { endedAtMs: updatedAtMs }),
  }
}

/** What a process waits for, in words. */
export function processWaitText(kind: NonNullable<ProcessRecord['wait']>['kind']): string {
  switch (kind.type) {
    case 'signal':
      return cut(`signal ${kind.name}`)
    case 'timer':
      return 'its time'
    case 'process':
      return `process ${kind.processId}`
  }
}

const jobPhases: Readonly<Record<JobInfo['state'], ItemPhase>> = {
  working: 'running',
  waiting: 'waiting',
  stopping: 'ending',
  left_behind: 'ending',
  ended: 'completed',
}

/** The row of a job. */
export function jobRow(job: JobInfo, shown: ShownValues): ItemRow {
  const { id, room, kind, displayName, owner, state, progress, startedAtMs } = job
  return {
    type: 'job',
    id,
    name: cut(displayName),
    kind: `${room}: ${kind}`,
    phase: jobPhases[state],
    status: state,
    startedAtMs,
    ...(owner !== undefined && { owner }),
    ...(progress !== undefined && { progress: { ...progress, message: cut(shown.text(progress.message)) } }),
  }
}

/** A reference to a task. */
export function taskRef(id: TaskId | string): ItemRef {
  return { type: 'task', id }
}

/** Cuts a foreign text for display in a row. */
export function cut(text: string): string {
  const known = typeof text === 'string' ? text : messageOf(text)
  return known.length <= longestText ? known : `${known.slice(0, longestText)}…`
}
