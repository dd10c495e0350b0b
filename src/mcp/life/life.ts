import type { Clock } from '../../base/clock.js'
import type { DeadlineQueue } from '../../base/deadline-queue.js'
import { faultFields } from '../../base/error-details.js'
import { StatewardError } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { onAbort } from '../../base/abort.js'
import { createDeferred, silence } from '../../base/promises.js'
import { encodeValue } from '../../work/values.js'
import type { ProcessDefinition, Processes } from '../../processes/index.js'
import { detailedTask, hasEnded, openRequests, type TaskState } from '../wire/detailed-task.js'
import { answerSignal, mcpKind } from '../wire/names.js'
import { fitsMethod, type DetailedTask, type TaskFault, type ToolResult } from '../wire/shapes.js'
import { TaskCreation, type Caller, type NewTask } from './creation.js'
import { DirectorySecret } from './dedupe.js'
import { McpError } from './errors.js'
import { ExternalWork } from './external-work.js'
import { definitionOf, type TaskRunOptions } from './handler-context.js'
import { bytesOf, type TakenLimits } from './limits.js'
import { isOver, Retention, type TtlAction } from './retention.js'
import { TaskLog, type TaskListener } from './task-log.js'
import type { DurableTool } from './tool.js'

/** Options of {@link TaskLife}. */
export interface TaskLifeOptions {
  readonly processes: Processes
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  readonly random: (size: number) => Uint8Array
  readonly limits: TakenLimits
  readonly inputGraceMs: number
  readonly keepEndedMs: number
  readonly ttlAction: TtlAction
  readonly recoverOnStart: boolean
  readonly exposeErrors: boolean
  readonly protocolErrorOf: TaskRunOptions['protocolErrorOf']
}

/**
 * The life cycle of tasks. Tasks are processes of the runtime; this creates, reads, answers, ends and deletes them. It
 * does not depend on any protocol package.
 */
export class TaskLife {
  readonly #options: TaskLifeOptions
  readonly #log: TaskLog
  readonly #retention: Retention
  readonly #creation: TaskCreation
  readonly #external: ExternalWork
  readonly #tools = new Map<string, DurableTool>()
  readonly #definitions = new Map<string, ProcessDefinition>()
  readonly #defined = new Set<string>()
  readonly #runOptions: TaskRunOptions
  readonly #closing = new AbortController()
  #secret: DirectorySecret | undefined
  #starting: Promise<void> | undefined
  #isRecovering = false

  constructor(options: TaskLifeOptions) {
    const { processes, clock, deadlines, random, limits, protocolErrorOf, exposeErrors, inputGraceMs } = options
    this.#options = options
    const onFault = (failure: unknown): void => this.#warn(failure, 'an MCP task could not be read, ended or deleted')
    this.#log = new TaskLog(processes, { onFault, onEnd: (state) => this.#onEnd(state) })
    this.#retention = new Retention({
      processes,
      clock,
      deadlines,
      keepEndedMs: options.keepEndedMs,
      ttlAction: options.ttlAction,
      read: (taskId) => this.#log.read(taskId),
      cancel: (state) => this.#cancel(state, 'expired'),
      onForgotten: (taskId) => this.#log.forget(taskId),
      onFault,
    })
    this.#creation = new TaskCreation({
      processes,
      clock,
      random,
      limits,
      inputGraceMs,
      log: this.#log,
      retention: this.#retention,
      definitions: this.#definitions,
    })
    this.#external = new ExternalWork({
      processes,
      log: this.#log,
      tools: this.#tools,
      random,
      maxResultBytes: limits.maxResultBytes,
      exposeErrors,
      closing: this.closing,
      onFault: (failure) => this.#warn(failure, 'the end of an MCP task could not be written'),
    })
    this.#runOptions = {
      eventsOf: (taskId) => processes.store.eventsAfter(taskId, 0),
      append: (...event) => this.#log.append(...event),
      say: (taskId, text) => this.#log.say(taskId, text),
      protocolErrorOf,
      maxResultBytes: limits.maxResultBytes,
      maxOpenQuestions: limits.maxOpenQuestions,
      exposeErrors,
      onFault: (taskId, thrown) => options.logger.info({ taskId, ...faultFields(thrown) }, 'an MCP tool threw'),
    }
  }

  /** Aborts when the door is closed. Its reason is the error for waiting callers. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  get tools(): ReadonlyMap<string, DurableTool> {
    return this.#tools
  }

  /** Adds a tool. Raises `mcp_tool_defined`. */
  define(tool: DurableTool): void {
    const { name } = tool
    if (this.#tools.has(name)) throw new McpError('mcp_tool_defined', { tool: name })
    this.#tools.set(name, tool)
    this.#definitions.set(name, definitionOf(tool, this.#runOptions))
    if (this.#isRecovering)
      silence(this.#recover().catch((failure: unknown) => this.#warn(failure, 'MCP tasks could not be resumed')))
  }

  /** Resumes the tasks left by an earlier process. Repeated calls return the same promise. */
  start(): Promise<void> {
    this.#starting ??= this.#start().catch((failure: unknown) => {
      this.#starting = undefined
      throw failure
    })
    return this.#starting
  }

  /** Waits until requests can be handled. Rejects with `mcp_closed`. */
  async ready(): Promise<void> {
    this.closing.throwIfAborted()
    if (this.#starting === undefined || !this.#isRecovering) {
      await this.start()
      if (!this.#isRecovering) await this.#recover()
    } else await this.#starting
  }

  /** The stored form of a caller's principal. */
  principalOf({ principal }: Caller): string {
    return this.#secretNow.principal(principal)
  }

  /**
   * Creates a task. It is durable when this resolves. Rejects with `mcp_limit_reached`, `mcp_too_large`, and
   * `store.unavailable` if the journal fails.
   */
  async create(task: NewTask): Promise<TaskState> {
    const state = await this.#creation.create(task, this.#secretNow)
    this.#external.begin(state)
    return state
  }

  /**
   * Finds a task of the caller. Rejects with the same `mcp_task_unknown` whether it belongs to another principal, has
   * expired or never existed.
   */
  async find(taskId: string, caller: Caller): Promise<TaskState> {
    const principal = this.principalOf(caller)
    const state = await this.#log.read(taskId)
    if (state === undefined || state.payload.principal !== principal || this.isOver(state))
      throw new McpError('mcp_task_unknown', {})
    return state
  }

  /** Reads a task of any principal, for the service itself. */
  read(taskId: string): Promise<TaskState | undefined> {
    return this.#log.read(taskId)
  }

  /** Lists tasks of a principal, or all, oldest first. */
  async list(caller?: Caller): Promise<readonly TaskState[]> {
    const principal = caller === undefined ? undefined : this.principalOf(caller)
    const records = await this.#options.processes.list({ identityKind: mcpKind, status: 'any' })
    const states = await Promise.all(records.map((record) => this.#log.readRecord(record)))
    return states
      .filter((state) => state !== undefined)
      .filter((state) => (principal === undefined || state.payload.principal === principal) && !this.isOver(state))
      .sort((one, other) => one.payload.createdAtMs - other.payload.createdAtMs)
  }

  /** The latest status text, stored or not. */
  textOf({ taskId, statusMessage }: TaskState): string | undefined {
    return this.#log.textOf(taskId) ?? statusMessage
  }

  /** A task as hosts see it. */
  detailed(state: TaskState): DetailedTask {
    const { taskId } = state
    return detailedTask(state, { nowMs: this.#nowMs(), statusMessage: this.#log.textOf(taskId) })
  }

  /**
   * Accepts answers to open questions. They are durable when this resolves. Other answers are ignored. Rejects with
   * `mcp_too_large` and `mcp_answer_invalid`, and then accepts none.
   */
  async answer(state: TaskState, responses: Readonly<Record<string, unknown>>): Promise<void> {
    const { limits, processes } = this.#options
    // All answers are encoded before the first is written, so that one that cannot be stored refuses all.
    const bytes = bytesOf(encodeValue(responses, 'answers'))
    if (bytes > limits.maxAnswerBytes)
      throw new McpError('mcp_too_large', { limit: 'maxAnswerBytes', bytes, most: limits.maxAnswerBytes })
    const open = openRequests(state)
    const accepted = Object.entries(responses).filter(([key]) => Object.hasOwn(open, key))
    for (const [key, response] of accepted) {
      const request = open[key]
      if (request !== undefined && !fitsMethod(request.method, response))
        throw new McpError('mcp_answer_invalid', { key })
    }
    const handle = processes.get(undefined, state.taskId)
    await Promise.all(
      accepted.map(async ([key, response]) => {
        try {
          await handle.signal(answerSignal, { key, response }, { id: key })
        } catch (refusal) {
          // Answered or ended before: nothing changes.
          if (!isSettled(refusal)) throw refusal
        }
      }),
    )
  }

  /** Asks a task to end. The request is durable when this resolves. An ended task does not change. */
  async cancel(state: TaskState): Promise<void> {
    if (!hasEnded(state)) await this.#cancel(state, 'client')
  }

  /**
   * Completes a task of an `external` tool. Rejects with `mcp_task_unknown`, `mcp_task_ended` and, for a task that is
   * run here, `mcp_task_not_external`.
   */
  complete(taskId: string, result: ToolResult): Promise<void> {
    return this.#external.complete(taskId, result)
  }

  /** Fails a task of an `external` tool with a protocol error. Rejects like {@link TaskLife.complete}. */
  fail(taskId: string, fault: TaskFault): Promise<void> {
    return this.#external.fail(taskId, fault)
  }

  /** Sends a status text to current followers. It is lost when the server stops. */
  say(taskId: string, text: string): void {
    this.#log.say(taskId, text)
  }

  /** Calls the listener for every change of a task after this state. */
  follow(state: TaskState, listener: TaskListener): Disposable {
    return this.#log.follow(state, listener)
  }

  /**
   * Resolves with the first state that meets the condition, or with `undefined` after the timeout. Rejects with the
   * signal's reason, and with `mcp_closed`.
   */
  async until(
    state: TaskState,
    isReached: (state: TaskState) => boolean,
    { signal, timeoutMs }: { readonly signal?: AbortSignal; readonly timeoutMs?: number } = {},
  ): Promise<TaskState | undefined> {
    signal?.throwIfAborted()
    this.closing.throwIfAborted()
    if (isReached(state)) return state
    const reached = createDeferred<TaskState | undefined>()
    const following = this.#log.follow(state, (next) => {
      if (isReached(next)) reached.resolve(next)
    })
    const deadline =
      timeoutMs === undefined ? undefined : this.#options.deadlines.after(timeoutMs, () => reached.resolve(undefined))
    const forget = [signal, this.closing].map((ending) => onAbort(ending, () => reached.reject(ending?.reason)))
    try {
      return await reached.promise
    } finally {
      following[Symbol.dispose]()
      deadline?.[Symbol.dispose]()
      for (const one of forget) one()
    }
  }

  /** Whether the task's handle has expired. */
  isOver(state: TaskState): boolean {
    return isOver(state, this.#nowMs())
  }

  close(): void {
    this.#closing.abort(new McpError('mcp_closed', {}))
    this.#retention[Symbol.dispose]()
    this.#log[Symbol.dispose]()
  }

  get #secretNow(): DirectorySecret {
    if (this.#secret === undefined) throw new TypeError('the door was used before it was started')
    return this.#secret
  }

  async #start(): Promise<void> {
    const { processes, random, recoverOnStart } = this.#options
    this.#secret ??= await DirectorySecret.open(processes, random)
    for (const record of await processes.list({ identityKind: mcpKind, status: 'any' })) {
      const state = await this.#log.readRecord(record)
      if (state === undefined) continue
      if (!hasEnded(state)) {
        this.#creation.add(state)
        this.#log.expectEnd(state.taskId)
      }
      this.#retention.keep(state)
    }
    if (recoverOnStart) await this.#recover()
  }

  /** Resumes everything that can be run. */
  async #recover(): Promise<void> {
    this.#isRecovering = true
    const fresh = [...this.#tools.values()].filter(({ name }) => !this.#defined.has(name))
    for (const { name } of fresh) this.#defined.add(name)
    const names = new Set(fresh.map(({ name }) => name))
    for (const record of names.size === 0 ? [] : await this.#options.processes.list({ identityKind: mcpKind })) {
      const state = await this.#log.readRecord(record)
      if (state === undefined || !names.has(state.payload.tool)) continue
      const isCancelled = record.cancelRequested === true && record.disposition === 'externally_owned'
      // Its caller is gone, or the server was lost while cancelling it.
      if (state.payload.isInline === true || isCancelled) await this.#cancel(state, 'caller lost')
      else this.#external.begin(state)
    }
    for (const { name } of fresh) this.#options.processes.define(this.#definitions.get(name) as ProcessDefinition)
  }

  async #cancel(state: TaskState, reason: string): Promise<void> {
    try {
      await this.#options.processes.get(undefined, state.taskId).cancel(reason)
      await this.#external.cancel(state, reason)
    } catch (refusal) {
      if (!isSettled(refusal) && !StatewardError.is(refusal, 'mcp_task_ended')) throw refusal
    }
  }

  #onEnd(state: TaskState): void {
    this.#creation.remove(state)
    this.#retention.keep(state)
  }

  #warn(failure: unknown, message: string): void {
    if (!this.closing.aborted) this.#options.logger.warn({ ...faultFields(failure) }, message)
  }

  #nowMs(): number {
    return Math.trunc(this.#options.clock.wallNow())
  }
}

/** Whether a refusal means that the task had already ended or was already answered, so that nothing changes. */
function isSettled(refusal: unknown): boolean {
  return StatewardError.is(refusal, 'process.replay_conflict') || StatewardError.is(refusal, 'process.already_terminal')
}
