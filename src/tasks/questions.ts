import * as v from 'valibot'
import { decode, readable } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import { checkText, optionsSchema, textOf } from '../base/options.js'
import { decodeValue, encodeValue } from '../work/values.js'
import type { TaskMutations } from './authority.js'
import type { CheckAnswer } from './dispatch/answers.js'
import { resumeWaiting } from './dispatch/wait-ends.js'
import { TaskError } from './errors.js'
import type { RunId, TaskId } from './ids.js'
import { askerOf } from './question.js'
import { idSchema, labelMaxLength } from './scalars.js'
import type { TaskProjection } from './view.js'

/** A handler's question that is still open. Instants are epoch milliseconds. */
export interface PendingQuestion {
  readonly taskId: TaskId
  readonly runId: RunId
  readonly name: string
  /** Kind of the task that asks. */
  readonly kind: string
  readonly description?: string
  /** Who is asked, if the handler stated it. */
  readonly whom?: string
  readonly askedAtMs: number
  /** When the handler gives up. */
  readonly untilMs?: number
}

/** Which questions to list. */
export interface QuestionsOptions {
  readonly taskId?: TaskId
}

const questionsSchema = optionsSchema<QuestionsOptions>({ taskId: v.optional(idSchema<TaskId>()) })

/** What answering a question needs. */
export interface AnswerUse {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly checkAnswer: CheckAnswer
  readonly now: () => number
}

/** Answers a question: the oldest open one of this name of the task, or the first that it will ask. */
export async function answerQuestion(
  { mutations, projection, checkAnswer, now }: AnswerUse,
  taskId: TaskId,
  name: string,
  value: unknown,
): Promise<void> {
  checkText('task id', taskId)
  checkName(name)
  const encoded = readable('answer', () => encodeValue(value, 'answer'))
  const asked = askerOf(projection, taskId, name)
  const checked = asked && checkAnswer(asked, decodeValue(encoded))
  if (checked !== undefined) await checked
  await mutations.transact((batch) => {
    // If someone else answered it during the check, this answer must not count for the next question of the name.
    const asking = askerOf(batch.view, taskId, name)
    if (checked !== undefined && asking !== undefined && (asking.runId !== asked?.runId || asking.key !== asked.key)) {
      throw new TaskError('question_already_answered', { taskId, name })
    }
    const atMs = now()
    const answer = encoded === undefined ? {} : { value: JSON.stringify(encoded) }
    const { applied } = batch.submit({ type: 'question_answer', taskId, name, ...answer, atMs })
    if (applied.runId !== undefined) resumeWaiting(batch, applied.runId, atMs)
  })
}

/** All open questions, oldest first. */
export function pendingQuestions(projection: TaskProjection, options: QuestionsOptions): readonly PendingQuestion[] {
  const { taskId: wanted } = decode(questionsSchema, options, 'questions options')
  const questions: PendingQuestion[] = []
  for (const { runId, subject, begunAtMs } of projection.openWaits()) {
    const taskId = projection.run(runId)?.taskId
    const task = taskId === undefined ? undefined : projection.task(taskId)
    if (subject.type !== 'answer' || task === undefined) continue
    if (wanted !== undefined && task.spec.id !== wanted) continue
    const { kind, metadata } = task.spec
    const { type: _, ...asked } = subject
    questions.push({
      taskId: task.spec.id,
      runId,
      kind,
      ...(metadata.description !== undefined && { description: metadata.description }),
      ...asked,
      askedAtMs: begunAtMs,
    })
  }
  return questions
}

function checkName(name: unknown): void {
  if (typeof name === 'string' && name !== '' && name.length <= labelMaxLength) return
  const reason = `expected the name of a question, got ${textOf(name)}`
  throw new InvalidInputError({ subject: 'answer', field: 'name', reason })
}
