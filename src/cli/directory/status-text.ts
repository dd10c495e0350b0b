import type {
  DirectorySummary,
  Excerpt,
  OpenProcess,
  ProcessesSummary,
  RunningAttempt,
  SessionSummary,
  TasksSummary,
  WaitingRun,
} from '../../directory-summary.js'
import type { PendingQuestion } from '../../tasks/index.js'
import { count, duration, fit, plain } from '../text.js'

/** How to print a summary. */
export interface StatusTextOptions {
  /** Width of a line in columns; longer lines are cut. */
  readonly columns: number
  /** The current time, in epoch milliseconds. */
  readonly nowMs: number
}

/** The contents of a directory at a glance, for people. */
export function statusText(directory: string, summary: DirectorySummary, options: StatusTextOptions): string {
  const { sessions, tasks, processes, brokenEnd, cuts } = summary
  const lines = [
    `${directory}: ${count(summary.nextSequence - 1, 'record')}, ${ownerText(summary)}`,
    `sessions: ${sessions.total}`,
    ...listed(sessions, (session) => sessionLines(session, isRunning(summary), options.nowMs)),
    `tasks: ${tasks.total}${tasks.paused ? ', paused' : ''}`,
    ...tasksLines(tasks, isRunning(summary), options.nowMs),
    ...processesLines(processes, options.nowMs),
  ]
  if (brokenEnd !== null) {
    const { cause, file, offset, reason } = brokenEnd
    lines.push(`the log stops before its end: ${cause} (${reason}) in ${file} at ${offset}`)
  }
  if (cuts.length > 0)
    lines.push('cut from the end of the log by earlier openings:', ...cuts.map((name) => `  ${name}`))
  return lines.map((line) => `${fit(plainIndented(line), options.columns)}\n`).join('')
}

function isRunning({ owner }: DirectorySummary): boolean {
  return owner !== null && owner.standing !== 'ended'
}

function ownerText({ owner }: DirectorySummary): string {
  if (owner === null) return 'no owner'
  const process = `process ${owner.pid} on ${owner.host}`
  switch (owner.standing) {
    case 'running':
      return `owned by ${process}`
    case 'ended':
      return `left by ${process}, which did not close it`
    case 'unknown':
      return `owned by ${process}, if that still runs`
  }
}

function sessionLines({ id, unfinished, ended }: SessionSummary, isOwned: boolean, nowMs: number): string[] {
  const word = isOwned ? 'running' : 'lost'
  const counts = Object.entries(ended).map(([type, amount]) => `${amount} ${type}`)
  if (unfinished.total > 0) counts.unshift(`${unfinished.total} ${word}`)
  const operations = listed(unfinished, ({ displayName, kind, status, startedAtMs }) => {
    const since = startedAtMs === null ? undefined : duration(Math.max(0, nowMs - startedAtMs))
    const time = since === undefined ? '' : isOwned ? ` for ${since}` : `, started ${since} ago`
    return [`${displayName}  ${kind}  ${isOwned ? status : word}${time}`]
  })
  return [`${id}  ${counts.join(', ') || 'nothing yet'}`, ...operations]
}

function tasksLines(
  { kinds, budgets, running, waiting, questions }: TasksSummary,
  isOwned: boolean,
  nowMs: number,
): string[] {
  const lines = listed(kinds, ({ kind, runs }) => {
    const counts = Object.entries(runs).map(([state, amount]) => `${amount} ${state}`)
    return [`${kind}  ${counts.join(', ')}`]
  })
  if (running.total > 0) lines.push(`attempts: ${running.total}`)
  lines.push(...listed(running, (attempt) => [attemptText(attempt, isOwned, nowMs)]))
  if (waiting.total > 0) lines.push(`waiting: ${waiting.total}`)
  lines.push(...listed(waiting, (run) => [waitingText(run, nowMs)]))
  if (questions.total > 0) lines.push(`questions: ${questions.total}`)
  lines.push(...listed(questions, (question) => [questionText(question, nowMs)]))
  if (budgets.total > 0) lines.push(`budgets: ${budgets.total}`)
  lines.push(
    ...listed(budgets, ({ taskId, dimension, limit, consumed, reserved, exhausted }) => [
      `${taskId}  ${dimension}  ${consumed} of ${limit} spent, ${reserved} reserved${exhausted ? ', exhausted' : ''}`,
    ]),
  )
  return lines
}

/** Prints nothing if there are no processes, as in most directories. */
function processesLines({ total, statuses, open }: ProcessesSummary, nowMs: number): string[] {
  if (total === 0) return []
  const counts = Object.entries(statuses).map(([status, amount]) => `${amount} ${status}`)
  return [`processes: ${counts.join(', ')}`, ...listed(open, (process) => [processText(process, nowMs)])]
}

function processText({ id, kind, label, waitsFor, untilMs }: OpenProcess, nowMs: number): string {
  const waits = waitsFor === null ? '' : `  waits for ${waitsFor}${timeText(untilMs, nowMs)}`
  return `${id}  ${kind}${label === null ? '' : `  ${label}`}${waits}`
}

function attemptText(attempt: RunningAttempt, isOwned: boolean, nowMs: number): string {
  const { runId, kind, startedAtMs, isWaiting, steps } = attempt
  const since = duration(Math.max(0, nowMs - startedAtMs))
  const state = isOwned ? `for ${since}${isWaiting ? ', waits' : ''}` : `interrupted, started ${since} ago`
  const names = `${steps.total > steps.entries.length ? '…, ' : ''}${steps.entries.join(', ')}`
  const done = steps.total === 0 ? '' : `, ${count(steps.total, 'step')} done: ${names}`
  return `${runId}  ${kind}  attempt ${attempt.attempt} ${state}${done}`
}

function questionText({ taskId, kind, name, whom, untilMs }: PendingQuestion, nowMs: number): string {
  const asked = whom === undefined ? '' : ` of ${whom}`
  return `${taskId}  ${kind}  asks for ${name}${asked}${timeText(untilMs ?? null, nowMs)}`
}

function timeText(untilMs: number | null, nowMs: number): string {
  return untilMs === null ? '' : untilMs <= nowMs ? ', due' : `, in ${duration(untilMs - nowMs)}`
}

function waitingText({ runId, kind, waitsFor, untilMs, reason }: WaitingRun, nowMs: number): string {
  const time = timeText(untilMs, nowMs)
  return `${runId}  ${kind}  waits for ${waitsFor}${time}${reason === null ? '' : `: ${reason}`}`
}

function listed<Entry>({ total, entries }: Excerpt<Entry>, linesOf: (entry: Entry) => string[]): string[] {
  const lines = entries.flatMap(linesOf)
  if (total > entries.length) lines.push(`and ${total - entries.length} more`)
  return lines.map((line) => `  ${line}`)
}

/** Makes untrusted names safe to print, and keeps our indentation. */
function plainIndented(line: string): string {
  const indent = /^ */.exec(line)?.[0] ?? ''
  return indent + plain(line)
}
