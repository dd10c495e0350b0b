import * as v from 'valibot'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { TaskError } from './errors.js'
import { addresseeOf, keep } from './question.js'
import { jsonTextSchema, labelSchema, ofTask, optionalRunId } from './scalars.js'
import { hasEnded, knownTask, replayedTask } from './task.js'
import { endWait, type WaitReads, type WaitRows } from './wait.js'

const ofAnswer = { ...ofTask, name: labelSchema, value: v.exactOptional(jsonTextSchema) }

const defineEvent = eventDefiner<WaitRows, WaitReads>()
const defineCommand = commandDefiner<WaitReads>()

/** A question is answered: the one of the named run and wait, or else the first one asked later. */
export const questionAnswered = defineEvent('question_answered', {
  fields: { ...ofAnswer, runId: optionalRunId, key: v.exactOptional(labelSchema) },
  evolve: (draft, { taskId, name, value, runId, key, atMs, sequence }) => {
    replayedTask(draft.view, taskId, sequence)
    const given = value === undefined ? {} : { value }
    if (runId === undefined || key === undefined) return keep(draft, { taskId, name, ...given, givenAtMs: atMs })
    endWait(draft, { runId, key, atMs, sequence }, { type: 'answered', ...given })
  },
})

/**
 * Checks: task known; its question not answered before; not ended. An answer that comes before its question is kept.
 */
export const questionAnswer = defineCommand('question_answer', {
  fields: ofAnswer,
  decide: (view, { type: _, ...payload }, sequence) => {
    const { taskId, name } = payload
    const task = knownTask(view, taskId)
    const asked = addresseeOf(view, taskId, name)
    if (asked === undefined && hasEnded(task)) throw new TaskError('answer_too_late', { taskId, name })
    return {
      event: questionAnswered.create(sequence, { ...payload, ...asked }),
      applied: { type: 'question_answer', taskId, name, ...(asked !== undefined && { runId: asked.runId }) } as const,
    }
  },
})
