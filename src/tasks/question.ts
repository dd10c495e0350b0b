import * as v from 'valibot'
import type { Draft } from '../state/draft.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import type { RunId, TaskId } from './ids.js'
import { isTerminalRunState } from './run.js'
import type { RunReads, RunRows } from './run-commands.js'
import { idSchema, jsonTextSchema, labelSchema, naturalSchema } from './scalars.js'
import { checkNewRow, storedTask } from './task.js'

/** An answer that came before its question. */
export interface EarlyAnswer {
  readonly taskId: TaskId
  readonly name: string
  /** JSON text; absent for `undefined`. */
  readonly value?: string
  readonly givenAtMs: number
}

/** Where a question was asked: a wait of a run. */
export interface Asked {
  readonly runId: RunId
  readonly key: string
}

/** The questions that all runs of one task asked under one name. An immutable row. */
export interface Question {
  readonly taskId: TaskId
  readonly name: string
  /** Asked and not yet answered, oldest first. */
  readonly open: readonly Asked[]
  /** Runs whose question was answered. */
  readonly answered: readonly RunId[]
}

/** The tables defined in this file. */
export interface QuestionRows extends RunRows {
  /** By {@link questionKey}. */
  readonly questions: Table<string, Question>
  /** By {@link questionKey}. */
  readonly answers: Table<string, EarlyAnswer>
}

/** The reads defined in this file. */
export interface QuestionReads extends RunReads {
  question(taskId: TaskId, name: string): Question | undefined
  /** An answer that came before its question. */
  earlyAnswer(taskId: TaskId, name: string): EarlyAnswer | undefined
}

type QuestionDraft = Draft<QuestionRows, QuestionReads>

/** Key of a question in its table. */
export function questionKey(taskId: TaskId, name: string): string {
  return `${taskId}/${name}`
}

/** The oldest open question of this name. */
export function askerOf(view: QuestionReads, taskId: TaskId, name: string): Asked | undefined {
  return view.question(taskId, name)?.open.find(({ runId }) => isOpen(view, runId))
}

/**
 * Where an answer goes: to the oldest open question of this name; `undefined` if none was asked yet. Raises
 * `question_already_answered`: each question is answered once, and a second answer never counts for the next question.
 */
export function addresseeOf(view: QuestionReads, taskId: TaskId, name: string): Asked | undefined {
  const asked = askerOf(view, taskId, name)
  if (asked !== undefined) return asked
  const { answered = [] } = view.question(taskId, name) ?? {}
  if (view.earlyAnswer(taskId, name) !== undefined || answered.some((runId) => isOpen(view, runId))) {
    throw new TaskError('question_already_answered', { taskId, name })
  }
  return undefined
}

/** Records that a run asks. Returns the early answer, if there is one, and removes it. */
export function ask(draft: QuestionDraft, taskId: TaskId, name: string, asked: Asked): EarlyAnswer | undefined {
  const early = draft.view.earlyAnswer(taskId, name)
  const question = current(draft, taskId, name)
  if (early === undefined) put(draft, { ...question, open: [...question.open, asked] })
  else {
    draft.put(draft.tables.answers, questionKey(taskId, name), undefined)
    put(draft, { ...question, answered: withRun(question, asked) })
  }
  return early
}

/** Records that the question of a run is answered or withdrawn. */
export function close(draft: QuestionDraft, taskId: TaskId, name: string, asked: Asked, isAnswered: boolean): void {
  const question = current(draft, taskId, name)
  const open = question.open.filter(({ runId, key }) => runId !== asked.runId || key !== asked.key)
  put(draft, { ...question, open, ...(isAnswered && { answered: withRun(question, asked) }) })
}

/** Keeps an answer until its question is asked. */
export function keep(draft: QuestionDraft, early: EarlyAnswer): void {
  draft.put(draft.tables.answers, questionKey(early.taskId, early.name), early)
}

const defineRow = rowDefiner<QuestionRows, QuestionReads>()

/** The snapshot row of an early answer. Open questions are derived from the waits. */
export const answerRow = defineRow('answer', {
  fields: {
    taskId: idSchema<TaskId>(),
    name: labelSchema,
    value: v.exactOptional(jsonTextSchema),
    givenAtMs: naturalSchema,
  },
  capture: ({ answers }) => answers.rows(),
  restore: (draft, early) => {
    const { taskId, name } = early
    storedTask(draft, taskId, 'answer')
    checkNewRow(draft.view.earlyAnswer(taskId, name), 'answer', questionKey(taskId, name))
    keep(draft, early)
  },
})

/** The question without runs that have ended, which no longer ask. */
function current({ view }: QuestionDraft, taskId: TaskId, name: string): Question {
  const { open = [], answered = [] } = view.question(taskId, name) ?? {}
  return {
    taskId,
    name,
    open: open.filter(({ runId }) => isOpen(view, runId)),
    answered: answered.filter((runId) => isOpen(view, runId)),
  }
}

function withRun({ answered }: Question, { runId }: Asked): readonly RunId[] {
  return answered.includes(runId) ? answered : [...answered, runId]
}

function isOpen(view: RunReads, runId: RunId): boolean {
  const run = view.run(runId)
  return run !== undefined && !isTerminalRunState(run.state)
}

function put(draft: QuestionDraft, question: Question): void {
  draft.put(draft.tables.questions, questionKey(question.taskId, question.name), question)
}
