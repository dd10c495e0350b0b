import { initialMcpTask, mcpTaskChart, type McpTaskMove, type McpTaskPlace } from '../../../machines/mcp-task.js'
import type { AwaitOutput, ProcessEvent, ProcessRecord } from '../../processes/index.js'
import { decodeValue } from '../../work/values.js'
import { errorCodes } from './errors.js'
import { answerType, faultType, mcpKind, questionType, resultPartType, statusType } from './names.js'
import {
  answerSchema,
  faultSchema,
  fits,
  questionSchema,
  resultPartSchema,
  statusSchema,
  taskEndSchema,
  taskPayloadSchema,
  type DetailedTask,
  type InputRequest,
  type TaskFault,
  type TaskPayload,
} from './shapes.js'

/** A task as described by the log of its process up to some event. Immutable; values derived from it are cached. */
export interface TaskState {
  readonly taskId: string
  /** Distinguishes it from an earlier task with the same id. Empty where that does not matter. */
  readonly registrationHash: string
  readonly payload: TaskPayload
  readonly place: McpTaskPlace
  /** Every question that was asked, by key. */
  readonly requests: ReadonlyMap<string, InputRequest>
  /** The first answer to each question. */
  readonly answers: ReadonlyMap<string, unknown>
  /** The stored status text. */
  readonly statusMessage: string | undefined
  readonly updatedAtMs: number
  /** When a question was last asked or answered. Questions extend the life of a task. */
  readonly askedAtMs: number | undefined
  readonly parts: ReadonlyMap<string, string>
  /** The error that it is about to end with. */
  readonly fault: TaskFault | undefined
  readonly end: TaskBody | undefined
  /** The last event of the log that it includes. */
  readonly sequence: number
}

type TaskBody = Pick<DetailedTask, 'result' | 'error' | 'statusMessage'>

/** What is known in addition to the log. */
export interface TaskSurroundings {
  readonly nowMs: number
  /** The latest status text. It is lost when the server stops. */
  readonly statusMessage?: string | undefined
}

/** The task of a process. `undefined` if the process is not a task. */
export function taskOf({ id, input, registrationHash }: ProcessRecord): TaskState | undefined {
  if (input.type !== 'engine' || input.kind !== mcpKind) return undefined
  return begunTask(id, decodeValue(input.payload), registrationHash)
}

const nothing = new Map<string, never>()

/** The task at the start of its process, from what was registered. `undefined` if that is not the payload of a task. */
export function begunTask(id: string, payload: unknown, registrationHash = ''): TaskState | undefined {
  return fits(taskPayloadSchema, payload) ? taskAtStart(id, payload, registrationHash) : undefined
}

/** The task at the start of its process. */
export function taskAtStart(id: string, payload: TaskPayload, registrationHash: string): TaskState {
  return {
    taskId: id,
    registrationHash,
    payload,
    place: initialMcpTask,
    requests: nothing,
    answers: nothing,
    statusMessage: undefined,
    updatedAtMs: payload.createdAtMs,
    askedAtMs: undefined,
    parts: nothing,
    fault: undefined,
    end: undefined,
    sequence: 0,
  }
}

/** The task after one more event of its process. An event that hosts do not see changes only the sequence. */
export function advance(state: TaskState, event: ProcessEvent): TaskState {
  const { sequence, eventType, occurredAt, semantics } = event
  const next = { ...state, sequence }
  // The wall clock may go back, but the reported time must not.
  const updatedAtMs = Math.max(state.updatedAtMs, occurredAt)
  const terminal = semantics.terminal?.awaitOutput
  if (terminal !== undefined) {
    const end = bodyOf(terminal, state)
    const place = moved(state, { type: end === undefined ? 'cancel' : 'error' in end ? 'fail' : 'complete' })
    return place === undefined ? next : { ...next, place, updatedAtMs, end, parts: nothing }
  }
  const payload = decodeValue(event.payload)
  switch (eventType) {
    case questionType: {
      if (!fits(questionSchema, payload)) return next
      const { key, request } = payload
      const place = moved(state, { type: 'ask', key })
      if (place === undefined) return next
      const requests = new Map(state.requests).set(key, request)
      return { ...next, place, updatedAtMs, requests, askedAtMs: updatedAtMs }
    }
    case answerType: {
      if (!fits(answerSchema, payload)) return next
      const { key, response } = payload
      const place = moved(state, { type: 'answer', key })
      if (place === undefined) return next
      return { ...next, place, updatedAtMs, answers: new Map(state.answers).set(key, response), askedAtMs: updatedAtMs }
    }
    case statusType:
      return fits(statusSchema, payload) ? { ...next, updatedAtMs, statusMessage: payload.message } : next
    case resultPartType: {
      if (!fits(resultPartSchema, payload)) return next
      return { ...next, parts: new Map(state.parts).set(partKey(payload.attempt, payload.part), payload.text) }
    }
    case faultType:
      return fits(faultSchema, payload) ? { ...next, fault: payload } : next
    default:
      return next
  }
}

/** Whether the state is final. */
export function hasEnded({ place: { value } }: TaskState): boolean {
  return value === 'completed' || value === 'failed' || value === 'cancelled'
}

/** Open questions, by key. */
export function openRequests({ place, requests }: TaskState): Readonly<Record<string, InputRequest>> {
  return Object.fromEntries(place.context.open.map((key) => [key, requests.get(key) as InputRequest]))
}

/** Granularity of the extension by open questions, in milliseconds, so that the reported time changes rarely. */
const grainMs = 60_000

/**
 * How long a task can be queried, in milliseconds from its creation. While a question is open, it lasts at least until
 * the time for an answer, counted from now. When all are answered, it stays at the last value (M-26).
 */
export function ttlOf(state: TaskState, nowMs: number): number | null {
  const { payload, askedAtMs, place } = state
  const { ttlMs, createdAtMs, inputGraceMs } = payload
  if (ttlMs === null || askedAtMs === undefined) return ttlMs
  const asOfMs = place.value === 'input_required' ? Math.max(nowMs, askedAtMs) : askedAtMs
  return Math.max(ttlMs, Math.ceil((asOfMs - createdAtMs) / grainMs) * grainMs + inputGraceMs)
}

/** A task as hosts see it. Used by `tasks/get`, notifications, answers of inline calls and the command line (M-9). */
export function detailedTask(state: TaskState, { nowMs, statusMessage }: TaskSurroundings): DetailedTask {
  const { taskId, payload, place, updatedAtMs, end } = state
  const text = end === undefined ? (statusMessage ?? state.statusMessage) : end.statusMessage
  const base = {
    taskId,
    status: place.value,
    ...(text !== undefined && { statusMessage: text }),
    createdAt: new Date(payload.createdAtMs).toISOString(),
    lastUpdatedAt: new Date(updatedAtMs).toISOString(),
    ttlMs: ttlOf(state, nowMs),
    pollIntervalMs: payload.pollIntervalMs,
  }
  switch (place.value) {
    case 'input_required':
      return { ...base, inputRequests: openRequests(state) }
    case 'completed':
      return { ...base, result: end?.result ?? {} }
    case 'failed':
      return { ...base, error: end?.error ?? { code: errorCodes.internal, message: 'the task has failed' } }
    default:
      return base
  }
}

/** The fields in the answer to the call that created the task. */
export function createdTask(task: DetailedTask): Omit<DetailedTask, 'inputRequests' | 'result' | 'error'> {
  const { inputRequests: _, result: _result, error: _error, ...base } = task
  return base
}

function moved({ place }: TaskState, move: McpTaskMove): McpTaskPlace | undefined {
  return mcpTaskChart.move(place, move)
}

function partKey(attempt: number, part: number): string {
  return `${attempt}/${part}`
}

/** The final part of a task, from the output of its process. `undefined` if it was cancelled. */
function bodyOf(output: AwaitOutput, { parts, fault }: TaskState): TaskBody | undefined {
  switch (output.type) {
    case 'cancelled':
      return undefined
    case 'abandoned': {
      const { writer } = output.evidence
      return lost('the server has lost the work, which is not started again', { reason: 'abandoned', writer })
    }
    case 'failure':
      if (fault !== undefined) return { statusMessage: fault.message, error: fault }
      return lost(output.message, { reason: output.code })
    case 'success': {
      const end = decodeValue(output.value)
      if (!fits(taskEndSchema, end)) return { result: resultOf({ content: [], structuredContent: end }) }
      if ('result' in end) return { result: resultOf(end.result) }
      const texts = Array.from({ length: end.parts }, (_, part) => parts.get(partKey(end.attempt, part)) ?? '')
      return { result: resultOf(JSON.parse(texts.join('')) as object) }
    }
  }
}

/** A result marked as complete. Clients of the extension refuse it otherwise. */
function resultOf(result: object): NonNullable<DetailedTask['result']> {
  return { ...result, resultType: 'complete' }
}

function lost(message: string, data: Readonly<Record<string, unknown>>): TaskBody {
  return { statusMessage: message, error: { code: errorCodes.internal, message, data } }
}
