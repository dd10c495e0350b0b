import type { OperationOutcome } from '../machines/operation-vocabulary.js'
import type { DirectoryState, ReadableSession } from './directory-state.js'
import type { JournalReading } from './journal/reading.js'
import type { LostOperation } from './operations/index.js'
import type { ProcessRecord, ProcessStatus } from './processes/index.js'
import {
  pendingQuestions,
  runStates,
  type Budget,
  type PendingQuestion,
  type Run,
  type RunState,
  type TaskId,
  type TaskProjection,
} from './tasks/index.js'
import { phaseOf } from './tasks/task.js'

/** The maximum number of entries in each list of a summary. */
const mostEntries = 100
/** The maximum number of steps shown for one attempt; the latest ones are shown. */
const mostSteps = 20

/** The shown part of a list, and the length of the whole list. */
export interface Excerpt<Entry> {
  readonly total: number
  readonly entries: readonly Entry[]
}

/** An operation that has started and not ended. */
export interface UnfinishedOperation extends Pick<LostOperation, 'id' | 'kind' | 'displayName' | 'status'> {
  /** When it started to run, in epoch milliseconds; `null` if it had not. */
  readonly startedAtMs: number | null
}

/** Summary of one session. */
export interface SessionSummary {
  readonly id: string
  /** Operations that have started and not ended: running if the directory has a live owner, otherwise lost. */
  readonly unfinished: Excerpt<UnfinishedOperation>
  /** Number of retained ends, by outcome type. */
  readonly ended: Readonly<Partial<Record<OperationOutcome['type'], number>>>
  /** Position of the last end in the completion order. */
  readonly lastEnd: number
}

/** A waiting run, and what it waits for. */
export interface WaitingRun {
  readonly runId: string
  readonly taskId: string
  readonly kind: string
  readonly waitsFor: 'its time' | 'its retry' | 'prerequisites' | 'its resumption' | 'an answer' | 'the end of a call'
  /** Epoch milliseconds; `null` if there is no time limit. */
  readonly untilMs: number | null
  readonly reason: string | null
}

/** A running attempt, and the finished steps of its run. */
export interface RunningAttempt {
  readonly runId: string
  readonly taskId: string
  readonly kind: string
  readonly attemptId: string
  /** Counted from 1; suspended attempts count too. */
  readonly attempt: number
  /** Epoch milliseconds. */
  readonly startedAtMs: number
  /** Whether it is only waiting at the moment. */
  readonly isWaiting: boolean
  /** Names of the finished steps; the latest of them if there are many. */
  readonly steps: Excerpt<string>
}

/** Summary of the tasks in a directory. */
export interface TasksSummary {
  readonly total: number
  readonly paused: boolean
  readonly runs: Readonly<Record<RunState, number>>
  /** Number of runs by task kind and state, sorted by kind. */
  readonly kinds: Excerpt<{ readonly kind: string; readonly runs: Readonly<Partial<Record<RunState, number>>> }>
  /** Budgets that can still be spent from come first. */
  readonly budgets: Excerpt<Pick<Budget, 'taskId' | 'dimension' | 'limit' | 'consumed' | 'reserved' | 'exhausted'>>
  readonly running: Excerpt<RunningAttempt>
  readonly waiting: Excerpt<WaitingRun>
  /** Unanswered questions of handlers, oldest first. */
  readonly questions: Excerpt<PendingQuestion>
}

/** A process that has not ended, and what it waits for. */
export interface OpenProcess {
  readonly id: string
  readonly kind: string
  readonly label: string | null
  /** How many times its execution has started. */
  readonly attempt: number
  /** The name of a signal, a time, or the id of another process; `null` if it waits for nothing. */
  readonly waitsFor: string | null
  /** Epoch milliseconds. */
  readonly sinceMs: number | null
  /** Epoch milliseconds; `null` if there is no time limit. */
  readonly untilMs: number | null
}

/** Summary of the processes in a directory. */
export interface ProcessesSummary {
  readonly total: number
  readonly statuses: Readonly<Partial<Record<ProcessStatus, number>>>
  readonly open: Excerpt<OpenProcess>
}

/** An overview of a directory: plain data, bounded in size however much the directory holds. */
export interface DirectorySummary extends Pick<JournalReading, 'nextSequence' | 'cuts'> {
  readonly owner: NonNullable<JournalReading['owner']> | null
  readonly brokenEnd: NonNullable<JournalReading['brokenEnd']> | null
  readonly sessions: Excerpt<SessionSummary>
  readonly tasks: TasksSummary
  readonly processes: ProcessesSummary
}

/** Summarizes the state of a directory. O(operations + runs + processes). */
export async function summarize(state: DirectoryState): Promise<DirectorySummary> {
  const { nextSequence, cuts, owner = null, brokenEnd = null, sessions, tasks, processes } = state
  return {
    nextSequence,
    owner,
    brokenEnd,
    cuts: cuts.slice(-mostEntries),
    sessions: { total: sessions.length, entries: sessions.slice(0, mostEntries).map(summaryOfSession) },
    tasks: summaryOfTasks(tasks),
    processes: summaryOfProcesses(await processes.listProcesses({ status: 'any' })),
  }
}

function summaryOfSession({ id, lost, feed }: ReadableSession): SessionSummary {
  const ended: Partial<Record<OperationOutcome['type'], number>> = {}
  for (const { outcome } of feed.since(0).entries) ended[outcome.type] = (ended[outcome.type] ?? 0) + 1
  const entries = lost
    .slice(0, mostEntries)
    .map(({ id: operationId, kind, displayName, status, startedAtMs = null }) => {
      return { id: operationId, kind, displayName, status, startedAtMs }
    })
  return { id, unfinished: { total: lost.length, entries }, ended, lastEnd: feed.watermark() }
}

function summaryOfTasks(tasks: TaskProjection): TasksSummary {
  const kinds = new Map<string, Partial<Record<RunState, number>>>()
  for (const state of runStates) {
    for (const { taskId } of tasks.runsIn(state)) {
      const kind = tasks.task(taskId)?.spec.kind ?? ''
      const runs = kinds.get(kind) ?? {}
      runs[state] = (runs[state] ?? 0) + 1
      kinds.set(kind, runs)
    }
  }
  const runs = Object.fromEntries(runStates.map((state) => [state, tasks.countIn(state)])) as Record<RunState, number>
  return {
    total: tasks.taskCount,
    paused: tasks.engine.paused,
    runs,
    kinds: excerptOf(
      [...kinds].sort(([one], [other]) => (one < other ? -1 : 1)).map(([kind, counts]) => ({ kind, runs: counts })),
    ),
    budgets: excerptOf(budgetsOf(tasks)),
    running: excerptOf(runningAttempts(tasks)),
    waiting: excerptOf(waitingRuns(tasks)),
    questions: excerptOf(pendingQuestions(tasks, {})),
  }
}

function summaryOfProcesses(processes: readonly ProcessRecord[]): ProcessesSummary {
  const statuses: Partial<Record<ProcessStatus, number>> = {}
  for (const { status } of processes) statuses[status] = (statuses[status] ?? 0) + 1
  const open = processes.filter(({ status }) => status === 'running').map(openProcess)
  return { total: processes.length, statuses, open: excerptOf(open) }
}

function openProcess({ id, identity, firstStarted, wait }: ProcessRecord): OpenProcess {
  return {
    id,
    kind: identity.kind,
    label: identity.label ?? null,
    attempt: firstStarted?.attempt ?? 0,
    waitsFor: wait === undefined ? null : waitText(wait.kind),
    sinceMs: wait?.sinceMs ?? null,
    untilMs: wait?.kind.type === 'timer' ? wait.kind.untilMs : null,
  }
}

function waitText(kind: NonNullable<ProcessRecord['wait']>['kind']): string {
  switch (kind.type) {
    case 'signal':
      return `signal ${kind.name}`
    case 'timer':
      return 'its time'
    case 'process':
      return `process ${kind.processId}`
  }
}

/** Budgets that can still be spent from come first, because there may be very many ended tasks. */
function* budgetsOf(tasks: TaskProjection): Iterable<TasksSummary['budgets']['entries'][number]> {
  for (const isWanted of [true, false]) {
    for (const { spec } of tasks.tasks()) {
      const budgets = [...tasks.budgetsOf(spec.id)]
      if (budgets.length === 0 || isOpenBelow(tasks, spec.id) !== isWanted) continue
      for (const { taskId, dimension, limit, consumed, reserved, exhausted } of budgets) {
        yield { taskId, dimension, limit, consumed, reserved, exhausted }
      }
    }
  }
}

/** Whether the task or any task below it has not ended. */
function isOpenBelow(tasks: TaskProjection, taskId: TaskId): boolean {
  const task = tasks.task(taskId)
  if (task === undefined) return false
  return phaseOf(task) === 'open' || [...tasks.children(taskId)].some((child) => isOpenBelow(tasks, child))
}

function* runningAttempts(tasks: TaskProjection): Iterable<RunningAttempt> {
  for (const run of tasks.runsIn('running')) {
    const attempt = run.attempts.at(-1)
    if (attempt === undefined) continue
    const names = Array.from(tasks.stepsOf(run.id), ({ key }) => key.replace(/^step:/, ''))
    yield {
      runId: run.id,
      taskId: run.taskId,
      kind: tasks.task(run.taskId)?.spec.kind ?? '',
      attemptId: attempt.attemptId,
      attempt: run.attempts.length,
      startedAtMs: attempt.startedAtMs,
      isWaiting: run.isWaiting === true,
      steps: { total: names.length, entries: names.slice(-mostSteps) },
    }
  }
}

/** What a suspended run waits for, and the latest time at which it resumes. */
function resumptionOf(tasks: TaskProjection, run: Run): Pick<WaitingRun, 'waitsFor' | 'untilMs'> {
  if (run.history.at(-1)?.reason !== 'waiting') return { waitsFor: 'its resumption', untilMs: null }
  for (const { subject, end } of tasks.waitsOf(run.id)) {
    if (end !== undefined) continue
    if (subject.type === 'answer') return { waitsFor: 'an answer', untilMs: subject.untilMs ?? null }
    if (subject.type === 'time') return { waitsFor: 'its time', untilMs: subject.untilMs }
    return { waitsFor: 'the end of a call', untilMs: null }
  }
  return { waitsFor: 'its resumption', untilMs: null }
}

function* waitingRuns(tasks: TaskProjection): Iterable<WaitingRun> {
  const wait = (run: Run, waitsFor: WaitingRun['waitsFor'], untilMs: number | null): WaitingRun => ({
    runId: run.id,
    taskId: run.taskId,
    kind: tasks.task(run.taskId)?.spec.kind ?? '',
    waitsFor,
    untilMs,
    reason: waitsFor === 'its resumption' ? (run.history.at(-1)?.reason ?? null) : null,
  })
  for (const run of tasks.runsIn('suspended')) {
    const { waitsFor, untilMs } = resumptionOf(tasks, run)
    yield wait(run, waitsFor, untilMs)
  }
  for (const run of tasks.runsIn('retry_wait')) yield wait(run, 'its retry', run.retryAtMs ?? null)
  for (const run of tasks.runsIn('scheduled')) {
    const isFree = tasks.dependencyGate(run.taskId) === 'open'
    yield wait(run, isFree ? 'its time' : 'prerequisites', isFree ? run.scheduledAtMs : null)
  }
}

function excerptOf<Entry>(all: Iterable<Entry>): Excerpt<Entry> {
  const entries: Entry[] = []
  let total = 0
  for (const entry of all) {
    total += 1
    if (entries.length < mostEntries) entries.push(entry)
  }
  return { total, entries }
}
