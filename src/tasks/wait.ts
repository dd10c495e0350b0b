import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import type { RunId, TaskId } from './ids.js'
import { ask, close, type QuestionReads, type QuestionRows } from './question.js'
import { advanceRun, knownRun, replayedRun } from './run-commands.js'
import { isTerminalRunState, selectMove } from './run.js'
import {
  fenced,
  idSchema,
  jsonTextSchema,
  labelSchema,
  naturalSchema,
  ofAttempt,
  ofRun,
  optionalTime,
} from './scalars.js'
import { checkWorkedOn, durableKey, type StepReads } from './step.js'
import { checkNewRow, hasEnded } from './task.js'

/** What a run waits for. */
export type WaitSubject =
  /** An answer of this name, until an instant if there is one. */
  | { readonly type: 'answer'; readonly name: string; readonly untilMs?: number; readonly whom?: string }
  /** An instant. */
  | { readonly type: 'time'; readonly untilMs: number }
  /** The end of a child task, which was submitted with the wait. */
  | { readonly type: 'call'; readonly childTaskId: TaskId }

/** How a wait ended: by an answer, by a timeout, or because its time came or its child ended. */
export type WaitEnd =
  | { readonly type: 'answered'; readonly value?: string }
  | { readonly type: 'timed_out' }
  | { readonly type: 'over' }

/** A wait of a run. An immutable row. */
export interface DurableWait {
  readonly runId: RunId
  /** Its key, unique within the run. */
  readonly key: string
  readonly subject: WaitSubject
  readonly begunAtMs: number
  readonly end?: WaitEnd
  readonly endedAtMs?: number
}

/** The tables defined in this file. */
export interface WaitRows extends QuestionRows {
  /** By {@link durableKey}. */
  readonly waits: Table<string, DurableWait>
}

/** The reads defined in this file. */
export interface WaitReads extends QuestionReads, StepReads {
  wait(runId: RunId, key: string): DurableWait | undefined
}

type WaitDraft = Draft<WaitRows, WaitReads>

const subjectSchema: v.GenericSchema<unknown, WaitSubject> = v.variant('type', [
  strictSchema({
    type: v.literal('answer'),
    name: labelSchema,
    untilMs: optionalTime,
    whom: v.exactOptional(labelSchema),
  }),
  strictSchema({ type: v.literal('time'), untilMs: naturalSchema }),
  strictSchema({ type: v.literal('call'), childTaskId: idSchema<TaskId>() }),
])

const endSchema: v.GenericSchema<unknown, WaitEnd> = v.variant('type', [
  strictSchema({ type: v.literal('answered'), value: v.exactOptional(jsonTextSchema) }),
  strictSchema({ type: v.literal('timed_out') }),
  strictSchema({ type: v.literal('over') }),
])

const ofWait = { ...ofRun, key: labelSchema }
const beginEntries = {
  ...ofWait,
  subject: subjectSchema,
  /** True when the attempt does nothing but wait from now on. */
  isWaiting: v.exactOptional(v.literal(true)),
}

const defineEvent = eventDefiner<WaitRows, WaitReads>()
const defineCommand = commandDefiner<WaitReads>()
const defineRow = rowDefiner<WaitRows, WaitReads>()

/** A run begins to wait; if the answer came earlier, the wait is already over. */
export const waitBegun = defineEvent('wait_begun', {
  fields: beginEntries,
  evolve: (draft, event) => {
    const { runId, key, subject, isWaiting, atMs, sequence } = event
    const run = replayedRun(draft, event)
    if (draft.view.wait(runId, key) !== undefined) {
      throw new TaskError('replay_duplicate_event', { sequence, id: durableKey(runId, key) })
    }
    const early = subject.type === 'answer' ? ask(draft, run.taskId, subject.name, { runId, key }) : undefined
    const wait = { runId, key, subject, begunAtMs: atMs }
    if (early === undefined) {
      putWait(draft, wait)
      if (isWaiting === true && run.isWaiting !== true) advanceRun(draft, event, { type: 'wait' }, event)
    } else {
      const { value } = early
      putWait(draft, { ...wait, end: { type: 'answered', ...(value !== undefined && { value }) }, endedAtMs: atMs })
    }
  },
})

/** A wait has ended or timed out; an attempt that did nothing but wait goes on. */
export const waitEnded = defineEvent('wait_ended', {
  fields: { ...ofWait, isTimedOut: v.exactOptional(v.literal(true)) },
  evolve: (draft, event) => {
    endWait(draft, event, event.isTimedOut === true ? { type: 'timed_out' } : { type: 'over' })
  },
})

/** The attempt of a run does nothing but wait. */
export const attemptWaiting = defineEvent('attempt_waiting', {
  fields: ofAttempt,
  evolve: (draft, event) => advanceRun(draft, event, { type: 'wait' }, event),
})

/** The attempt of a run is working again. */
export const attemptWorking = defineEvent('attempt_working', {
  fields: ofAttempt,
  evolve: (draft, event) => advanceRun(draft, event, { type: 'go_on' }, event),
})

/**
 * Checks: run known; an attempt under way; token; not begun before; a called task is known and a child of the run's
 * task.
 */
export const waitBegin = defineCommand('wait_begin', {
  fields: { ...beginEntries, ...fenced },
  decide: (view, { type: _, fencingToken, ...payload }, sequence) => {
    const { runId, key, subject } = payload
    const run = knownRun(view, runId)
    checkWorkedOn(run, fencingToken)
    if (view.wait(runId, key) !== undefined) throw new TaskError('wait_already_begun', { runId, key })
    if (subject.type === 'call') {
      const { childTaskId: taskId } = subject
      if (view.task(taskId)?.spec.parentTaskId !== run.taskId) throw new TaskError('unknown_task', { taskId })
    }
    return { event: waitBegun.create(sequence, payload), applied: { type: 'wait_begin', runId, key } as const }
  },
})

/**
 * Ends a wait for a time, for the end of a task, or for an answer that did not come in time. The clock is not
 * consulted: the caller decides that it is over. Checks: run known; wait known; open; its subject ends this way.
 */
export const waitEnd = defineCommand('wait_end', {
  fields: { ...ofWait, isTimedOut: v.exactOptional(v.literal(true)) },
  decide: (view, { runId, key, isTimedOut, atMs }, sequence) => {
    const run = knownRun(view, runId)
    const wait = view.wait(runId, key)
    if (wait === undefined) throw new TaskError('unknown_wait', { runId, key })
    if (wait.end !== undefined || isTerminalRunState(run.state))
      throw new TaskError('wait_already_ended', { runId, key })
    const isOver = isTimedOut === true ? isLimited(wait.subject) : isEndedBy(view, wait.subject)
    if (!isOver) throw new TaskError('wait_ends_otherwise', { runId, key })
    const payload = { runId, key, ...(isTimedOut && { isTimedOut }), atMs }
    return { event: waitEnded.create(sequence, payload), applied: { type: 'wait_end', runId, key } as const }
  },
})

/** Checks: run known; an attempt under way; token; it is working. */
export const attemptWait = defineCommand('attempt_wait', {
  fields: { ...ofAttempt, ...fenced },
  decide: (view, { runId, attemptId, fencingToken, atMs }, sequence) => {
    checkMove(view, runId, fencingToken, 'wait')
    const event = attemptWaiting.create(sequence, { runId, attemptId, atMs })
    return { event, applied: { type: 'attempt_wait', runId, attemptId } as const }
  },
})

/** Checks: run known; an attempt under way; token; it is only waiting. */
export const attemptGoOn = defineCommand('attempt_go_on', {
  fields: { ...ofAttempt, ...fenced },
  decide: (view, { runId, attemptId, fencingToken, atMs }, sequence) => {
    checkMove(view, runId, fencingToken, 'go_on')
    const event = attemptWorking.create(sequence, { runId, attemptId, atMs })
    return { event, applied: { type: 'attempt_go_on', runId, attemptId } as const }
  },
})

/** The snapshot row of a wait. */
export const waitRow = defineRow('wait', {
  fields: {
    runId: idSchema<RunId>(),
    key: labelSchema,
    subject: subjectSchema,
    begunAtMs: naturalSchema,
    end: v.exactOptional(endSchema),
    endedAtMs: optionalTime,
  },
  capture: ({ waits }) => waits.rows(),
  restore: (draft, wait) => {
    const { runId, key, subject, end } = wait
    const run = draft.view.run(runId)
    if (run === undefined) throw new TaskError('snapshot_unknown_run', { row: 'wait', runId })
    checkNewRow(draft.view.wait(runId, key), 'wait', durableKey(runId, key))
    putWait(draft, wait)
    if (subject.type !== 'answer') return
    ask(draft, run.taskId, subject.name, { runId, key })
    if (end !== undefined) close(draft, run.taskId, subject.name, { runId, key }, end.type === 'answered')
  },
})

/** Ends a wait as a stored event says; raises `replay_corrupted_data` if it is not open. */
export function endWait(
  draft: WaitDraft,
  event: { readonly runId: RunId; readonly key: string; readonly atMs: number; readonly sequence: number },
  end: WaitEnd,
): void {
  const { runId, key, atMs, sequence } = event
  const run = replayedRun(draft, event)
  const wait = draft.view.wait(runId, key)
  if (wait === undefined || wait.end !== undefined) {
    throw new TaskError('replay_corrupted_data', { sequence, reason: `run ${runId} does not wait for ${key}` })
  }
  putWait(draft, { ...wait, end, endedAtMs: atMs })
  if (wait.subject.type === 'answer')
    close(draft, run.taskId, wait.subject.name, { runId, key }, end.type === 'answered')
  if (run.isWaiting === true) advanceRun(draft, event, { type: 'go_on' }, event)
}

/** Asks the chart whether the attempt can start waiting or go on. */
function checkMove(view: WaitReads, runId: RunId, fencingToken: number | undefined, type: 'wait' | 'go_on'): void {
  const run = knownRun(view, runId)
  checkWorkedOn(run, fencingToken)
  if (!selectMove(run, { type }).selection.isTaken) throw new TaskError('waiting_unchanged', { runId })
}

function isLimited(subject: WaitSubject): boolean {
  return subject.type === 'answer' && subject.untilMs !== undefined
}

function isEndedBy(view: WaitReads, subject: WaitSubject): boolean {
  if (subject.type === 'call') return hasEnded(view.task(subject.childTaskId))
  return subject.type === 'time'
}

function putWait(draft: WaitDraft, wait: DurableWait): void {
  draft.put(draft.tables.waits, durableKey(wait.runId, wait.key), wait)
}
