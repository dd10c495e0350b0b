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
  /** JSON text; absent for nothing. */
  readonly value?: string
  readonly givenAtMs: number
}

/** Where a question was asked: the wait of a run. */
export interface Asked {
  readonly runId: RunId
  readonly key: string
}

/** What is asked under one name for one task, by all its runs. An immutable row. */
export interface Question {
  readonly taskId: TaskId
  readonly name: string
  /** Asked and not answered, oldest first. */
  readonly open: readonly Asked[]
  /** Runs that were answered. */
  readonly answered: readonly RunId[]
}

/** Tables of this file. */
export interface QuestionRows extends RunRows {
  /** By {@link questionKey}. */
  readonly questions: Table<string, Question>
  /** By {@link questionKey}. */
  readonly answers: Table<string, EarlyAnswer>
}

/** Reads of this file. */
export interface QuestionReads extends RunReads {
  question(taskId: TaskId, name: string): Question | undefined
  /** An answer that nobody has asked for yet. */
  earlyAnswer(taskId: TaskId, name: string): EarlyAnswer | undefined
}

type QuestionDraft = Draft<QuestionRows, QuestionReads>

/** Key of a question in its table. */
export function questionKey(taskId: TaskId, name: string): string {
  return `${taskId}/${name}`
}

/** Who asks a question of this name now, the oldest first. */
export function askerOf(view: QuestionReads, taskId: TaskId, name: string): Asked | undefined {
  return view.question(taskId, name)?.open.find(({ runId }) => isOpen(view, runId))
}

/**
 * Where an answer goes: to the oldest question of this name that a run still asks; nowhere yet when none has asked. Raises
 * `question_already_answered`: each question is answered once, and a second answer is never taken for the next one.
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

/** Notes that a run asks. Returns the answer that was there before, which is taken with it. */
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

/** Notes that what a run has asked is answered, or that it asks no more. */
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

/** An answer that nobody has asked for yet; what is asked follows from the waits. */
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

/** Without runs that have ended: they ask no more. */
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
