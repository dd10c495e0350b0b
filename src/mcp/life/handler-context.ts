import { messageOf, StatewardError } from '../../base/errors.js'
import { encodeValue } from '../../work/values.js'
import { checkFunction, textOf } from '../../base/options.js'
import { InvalidInputError } from '../../base/errors.js'
import { silence } from '../../base/promises.js'
import {
  defineProcess,
  type ProcessDefinition,
  type ProcessEvent,
  type ProcessRunContext,
} from '../../processes/index.js'
import { advance, begunTask, type TaskState } from '../wire/detailed-task.js'
import { errorCodes } from '../wire/errors.js'
import {
  answerSignal,
  faultType,
  mcpKind,
  questionType,
  resultPartType,
  setAsideType,
  statusType,
} from '../wire/names.js'
import {
  answerSchema,
  faultSchema,
  questionSchema,
  resultPartSchema,
  setAsideSchema,
  statusSchema,
  type TaskEnd,
  type TaskFault,
} from '../wire/shapes.js'
import { McpError } from './errors.js'
import type { McpTask } from './mcp-task.js'
import { Questions } from './questions.js'
import { lostAttempts } from './recovery.js'
import { endWith, resultOf, textForHosts, toolError } from './results.js'
import type { DurableTool } from './tool.js'

/** Dependencies of the runs of tasks. */
export interface TaskRunOptions {
  readonly eventsOf: (taskId: string) => Promise<readonly ProcessEvent[]>
  /** Writes an event to the log of a task, once under its key. */
  readonly append: (taskId: string, eventType: string, payload: unknown, key: string) => Promise<void>
  /** Sends a status text to current followers. */
  readonly say: (taskId: string, text: string) => void
  /** A thrown protocol error. `undefined` for anything else. */
  readonly protocolErrorOf: (thrown: unknown) => TaskFault | undefined
  readonly maxResultBytes: number
  readonly maxOpenQuestions: number
  readonly exposeErrors: boolean
  readonly onFault: (taskId: string, thrown: unknown) => void
}

const events = {
  [questionType]: questionSchema,
  [statusType]: statusSchema,
  [resultPartType]: resultPartSchema,
  [faultType]: faultSchema,
  [setAsideType]: setAsideSchema,
}
const signals = { [answerSignal]: answerSchema }

type TaskContext = ProcessRunContext<unknown, typeof events, typeof signals>

/** The longest status text. */
const longestStatus = 1000

/**
 * The process definition of a tool. Each tool has its own environment, so a server without the tool leaves its tasks
 * alone.
 */
export function definitionOf(tool: DurableTool, options: TaskRunOptions): ProcessDefinition {
  return defineProcess(
    mcpKind,
    { version: tool.name, disposition: 'rerunnable', events, signals },
    (payload: unknown, context: TaskContext) => new TaskRun(tool, context, options).run(payload),
  )
}

/** One attempt at a task. */
class TaskRun {
  readonly #tool: DurableTool
  readonly #context: TaskContext
  readonly #options: TaskRunOptions
  #statuses = 0

  constructor(tool: DurableTool, context: TaskContext, options: TaskRunOptions) {
    this.#tool = tool
    this.#context = context
    this.#options = options
  }

  async run(payload: unknown): Promise<TaskEnd> {
    const { processId, attempt, signal } = this.#context
    // The events are released before the function runs, because it may wait for days.
    const begun = await this.#begin(payload)
    if ('code' in begun) return this.#fail(begun)
    const { questions, args } = begun
    let end: TaskEnd | undefined
    try {
      const returned = await this.#tool.run(args, this.#task(questions))
      const result = await resultOf(returned, this.#tool, this.#options.maxResultBytes)
      if (questions.fault === undefined) end = await this.#endWith(result)
    } catch (thrown) {
      if (signal.aborted) {
        await this.#setAside(signal.reason)
        throw thrown
      }
      const fault = this.#options.protocolErrorOf(thrown)
      if (fault !== undefined) return await this.#fail(fault)
      this.#options.onFault(processId, thrown)
      if (questions.fault === undefined) end = { result: toolError(textForHosts(thrown, this.#options.exposeErrors)) }
    }
    if (end === undefined)
      return this.#fail({ code: errorCodes.internal, message: messageOf(questions.fault), data: { attempts: attempt } })
    return end
  }

  /** The arguments to run the function with, or the fault with which the task ends instead. */
  async #begin(payload: unknown): Promise<{ readonly questions: Questions; readonly args: unknown } | TaskFault> {
    const { processId } = this.#context
    const begun = begunTask(processId, payload)
    if (begun === undefined) return { code: errorCodes.internal, message: 'what is kept of the task cannot be read' }
    const log = await this.#options.eventsOf(processId)
    const lost = lostAttempts(log)
    const { recovery } = this.#tool
    if (typeof recovery === 'object' && lost >= recovery.rerun) {
      const message = 'the server was lost too often while it worked on the task'
      return { code: errorCodes.internal, message, data: { reason: 'attempts_used_up', attempts: lost } }
    }
    const state = log.reduce(advance, begun)
    return { questions: this.#questions(state), args: state.payload.args }
  }

  #questions(state: TaskState): Questions {
    const { emit, waitFor } = this.#context
    return new Questions(
      state,
      {
        ask: (key, request) => emit(questionType, { key, request: request as never }, { key: `mcp-input:${key}` }),
        nextAnswer: () => waitFor(answerSignal),
      },
      this.#options.maxOpenQuestions,
    )
  }

  #task(questions: Questions): McpTask {
    const { processId: taskId, attempt, fencingToken, signal, step } = this.#context
    return {
      taskId,
      attempt,
      fencingToken,
      signal,
      status: (text, options = {}) => silence(this.#status(text, options)),
      input: (requests) => silence(questions.input(requests)),
      once: (key, work) => {
        checkFunction('once', work)
        return silence(step(`once:${key}`, () => work()))
      },
    }
  }

  async #status(text: unknown, { durable = false }: { readonly durable?: boolean }): Promise<void> {
    const { processId, attempt, emit } = this.#context
    if (typeof text !== 'string')
      throw new InvalidInputError({ subject: 'status of a task', field: '$', reason: `not text: ${textOf(text)}` })
    const message = text.slice(0, longestStatus)
    if (!durable) return this.#options.say(processId, message)
    this.#statuses += 1
    await emit(statusType, { message }, { key: `status:${attempt}/${this.#statuses}` })
    this.#options.say(processId, message)
  }

  #endWith(result: Parameters<typeof endWith>[0]): Promise<TaskEnd> {
    const { attempt, emit } = this.#context
    return endWith(result, attempt, (type, payload, key) => emit(type, payload as never, { key }))
  }

  /** Records the error in the log before the process ends with it. */
  async #fail(fault: TaskFault): Promise<never> {
    const { attempt, emit } = this.#context
    await emit(faultType, keptFault(fault), { key: `fault:${attempt}` })
    throw new McpError('mcp_task_failed', { message: fault.message })
  }

  /**
   * Records that the server ended the attempt by shutting down, so that the attempt does not count against the work.
   */
  async #setAside(reason: unknown): Promise<void> {
    if (!StatewardError.is(reason, 'process.run_stopped')) return
    if ((reason.data as { readonly cause?: unknown }).cause !== 'closing') return
    const { processId, attempt } = this.#context
    // Not through the run: any event of the run would end its wait.
    await this.#options.append(processId, setAsideType, { attempt }, `set-aside:${attempt}`).catch(() => {
      // The attempt then counts as lost.
    })
  }
}

/** The longest JSON text of an error's data that is kept, in UTF-16 units. */
const longestData = 65_536

/** An error as it is stored. Data that cannot be written as JSON or are too large are left out. */
function keptFault({ code, message, data }: TaskFault): TaskFault {
  const base = { code: Number.isSafeInteger(code) ? code : errorCodes.internal, message }
  try {
    const kept = encodeValue(data, 'data of an error')
    return kept === undefined || JSON.stringify(kept).length > longestData ? base : { ...base, data: kept }
  } catch {
    return base
  }
}
