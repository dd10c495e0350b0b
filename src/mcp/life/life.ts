import type { Clock } from '../../base/clock.js'
import type { DeadlineQueue } from '../../base/deadline-queue.js'
import { faultFields } from '../../base/error-details.js'
import { StatewardError } from '../../base/errors.js'
import type { JsonValue } from '../../base/json.js'
import type { Logger } from '../../base/logger.js'
import { onAbort } from '../../base/abort.js'
import { createDeferred, silence } from '../../base/promises.js'
import { encodeValue } from '../../work/values.js'
import type { ProcessDefinition, Processes } from '../../processes/index.js'
import { detailedTask, hasEnded, openRequests, ttlOf, type TaskState } from '../wire/detailed-task.js'
import { answerSignal, faultType, mcpKind, type QuestionMethod } from '../wire/names.js'
import { fitsMethod, type DetailedTask, type TaskFault, type TaskPayload, type ToolResult } from '../wire/shapes.js'
import { DirectorySecret, idBytes } from './dedupe.js'
import { McpError } from './errors.js'
import { definitionOf, type TaskRunOptions } from './handler-context.js'
import { bytesOf, Quota, type TakenLimits } from './limits.js'
import { dispositionOf } from './recovery.js'
import { endWith, resultOf, textForHosts, toolError } from './results.js'
import { Retention, type TtlAction } from './retention.js'
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

/** The caller of a request, as identified by the service. */
export interface Caller {
  readonly principal: string
  /** Display name, stored unchanged. */
  readonly display?: string
}

/** A request for a new task. */
export interface NewTask {
  readonly tool: DurableTool
  readonly args: JsonValue
  readonly caller: Caller
  /** The kinds of questions that the client supports. */
  readonly questions: readonly QuestionMethod[]
  /** Deduplication key: a repeated call under it returns the same task. */
  readonly key?: string
  /** Validity in milliseconds requested by the client. The tool's own limit applies. */
  readonly ttlMs?: number
  /** True if the caller waits for the result. The task is hidden from everybody else. */
  readonly isInline?: boolean
}

/**
 * The life cycle of tasks. Tasks are processes of the runtime; this creates, reads, answers, ends and deletes them. It
 * does not depend on any protocol package.
 */
export class TaskLife {
  readonly #options: TaskLifeOptions
  readonly #log: TaskLog
  readonly #retention: Retention
  readonly #live: Quota
  readonly #tools = new Map<string, DurableTool>()
  readonly #definitions = new Map<string, ProcessDefinition>()
  readonly #defined = new Set<string>()
  /** Calls in progress, by deduplication key. */
  readonly #creating = new Map<string, Promise<void>>()
  readonly #runOptions: TaskRunOptions
  /** Live tasks, by deduplication key. */
  readonly #keyed = new Map<string, string>()
  readonly #closing = new AbortController()
  #secret: DirectorySecret | undefined
  #starting: Promise<void> | undefined
  #isRecovering = false

  constructor(options: TaskLifeOptions) {
    const { processes, clock, deadlines, limits, protocolErrorOf, exposeErrors } = options
    this.#options = options
    this.#live = new Quota(
      { limit: 'maxLivePerPrincipal', most: limits.maxLivePerPrincipal },
      { limit: 'maxLive', most: limits.maxLive },
    )
    const onFault = (failure: unknown): void => this.#warn(failure, 'a task of MCP could not be looked after')
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
    this.#runOptions = {
      eventsOf: (taskId) => processes.store.eventsAfter(taskId, 0),
      append: (...event) => this.#append(...event),
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
      silence(this.#recover().catch((failure: unknown) => this.#warn(failure, 'tasks of MCP could not be taken up')))
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
    const { tool, args, caller, key } = task
    const { limits, random } = this.#options
    const bytes = bytesOf(args)
    if (bytes > limits.maxArgumentBytes)
      throw new McpError('mcp_too_large', { limit: 'maxArgumentBytes', bytes, most: limits.maxArgumentBytes })
    const principal = this.principalOf(caller)
    if (key === undefined) return this.#register(Buffer.from(random(idBytes)).toString('base64url'), task, principal)
    // One after another, so that the second of two finds the task of the first.
    const place = this.#secretNow.keyOf(principal, tool.name, key)
    const before = this.#creating.get(place)
    const creating = this.#after(before, task, principal, place)
    const done = settled(creating)
    this.#creating.set(place, done)
    try {
      return await creating
    } finally {
      if (this.#creating.get(place) === done) this.#creating.delete(place)
    }
  }

  /**
   * Finds a task of the caller. Rejects with the same `mcp_task_unknown` whether it belongs to another principal, has
   * expired or never existed.
   */
  async find(taskId: string, caller: Caller): Promise<TaskState> {
    const principal = this.principalOf(caller)
    const state = await this.#log.read(taskId).catch(unknownOfBadId)
    if (state === undefined || state.payload.principal !== principal || this.#isOver(state))
      throw new McpError('mcp_task_unknown', {})
    return state
  }

  /** Reads a task of any principal, for the service itself. */
  async read(taskId: string): Promise<TaskState | undefined> {
    return this.#log.read(taskId).catch(unknownOfBadId)
  }

  /** Lists tasks of a principal, or all, oldest first. */
  async list(caller?: Caller): Promise<readonly TaskState[]> {
    const principal = caller === undefined ? undefined : this.principalOf(caller)
    const records = await this.#options.processes.list({ identityKind: mcpKind, status: 'any' })
    const states = await Promise.all(records.map((record) => this.#log.readRecord(record)))
    return states
      .filter((state) => state !== undefined)
      .filter((state) => (principal === undefined || state.payload.principal === principal) && !this.#isOver(state))
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
    // All of them before the first is written: what has no form in a journal refuses the others with it.
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
          // The first answer stays, and an end is an end.
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
  async complete(taskId: string, result: ToolResult): Promise<void> {
    const state = await this.#external(taskId)
    const tool = this.#tools.get(state.payload.tool) ?? { name: state.payload.tool }
    const kept = await resultOf(result, tool, this.#options.limits.maxResultBytes)
    const end = await endWith(kept, this.#randomNumber(), (eventType, payload, key) =>
      this.#append(taskId, eventType, payload, key),
    )
    await this.#end(taskId, { type: 'success', value: encodeValue(end, 'result') as JsonValue })
  }

  /** Fails a task of an `external` tool with a protocol error. Rejects like {@link TaskLife.complete}. */
  async fail(taskId: string, fault: TaskFault): Promise<void> {
    await this.#external(taskId)
    await this.#append(taskId, faultType, fault, `fault:${this.#randomNumber()}`)
    await this.#end(taskId, { type: 'failure', class: 'external', code: 'mcp_task_failed', message: fault.message })
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
    return this.#isOver(state)
  }

  close(): void {
    this.#closing.abort(new McpError('mcp_closed', {}))
    this.#retention[Symbol.dispose]()
    this.#log[Symbol.dispose]()
  }

  get #secretNow(): DirectorySecret {
    if (this.#secret === undefined) throw new TypeError('the door was asked before it was started')
    return this.#secret
  }

  async #start(): Promise<void> {
    const { processes, random, recoverOnStart } = this.#options
    this.#secret ??= await DirectorySecret.open(processes, random)
    for (const record of await processes.list({ identityKind: mcpKind, status: 'any' })) {
      const state = await this.#log.readRecord(record)
      if (state === undefined) continue
      if (!hasEnded(state)) {
        const { principal, key } = state.payload
        this.#live.add(principal)
        if (key !== undefined) this.#keyed.set(key, state.taskId)
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
      // Whoever awaited it is gone.
      if (state.payload.isInline === true) await this.#cancel(state, 'caller lost')
      else this.#begin(state)
    }
    for (const { name } of fresh) this.#options.processes.define(this.#definitions.get(name) as ProcessDefinition)
  }

  async #after(before: Promise<void> | undefined, task: NewTask, principal: string, key: string): Promise<TaskState> {
    await before
    const taskId = this.#keyed.get(key)
    const found = taskId === undefined ? undefined : await this.#log.read(taskId)
    if (found !== undefined && !hasEnded(found) && !this.#isOver(found)) return found
    return this.#register(this.#secretNow.taskId(key, this.#options.random(idBytes)), task, principal, key)
  }

  async #register(
    id: string,
    { tool, args, caller, questions, isInline, ttlMs: askedMs }: NewTask,
    principal: string,
    key?: string,
  ): Promise<TaskState> {
    const { processes, inputGraceMs } = this.#options
    const { name, recovery, pollIntervalMs } = tool
    const ttlMs = askedMs === undefined ? tool.ttlMs : Math.min(askedMs, tool.ttlMs ?? askedMs)
    const definition = this.#definitions.get(name)
    if (definition === undefined) throw new TypeError(`the tool ${name} is not defined`)
    const payload: TaskPayload = {
      v: 1,
      tool: name,
      args,
      questions,
      principal,
      ...(key !== undefined && { key }),
      ...(caller.display !== undefined && { display: caller.display }),
      ttlMs,
      pollIntervalMs,
      createdAtMs: this.#nowMs(),
      inputGraceMs,
      ...(isInline === true && { isInline }),
    }
    this.#live.take(principal, pollIntervalMs)
    let isThere = false
    try {
      this.#log.expectEnd(id)
      await processes.register({
        id,
        input: { type: 'engine', kind: mcpKind, payload: encodeValue(payload, `task of ${name}`) as JsonValue },
        disposition: dispositionOf(recovery),
        identity: { kind: mcpKind, ...(/^[\x21-\x7e]{1,256}$/.test(name) && { label: name }) },
        eventTypes: definition.eventTypes,
        provenance: { originator: { type: 'host' } },
        envRef: definition.envRef,
      })
      isThere = true
    } finally {
      if (!isThere) {
        this.#live.release(principal)
        this.#log.forget(id)
      }
    }
    const state = await this.#log.read(id)
    if (state === undefined) throw new TypeError(`task ${id} was registered and is not there`)
    if (!hasEnded(state)) {
      this.#retention.keep(state)
      if (key !== undefined) this.#keyed.set(key, id)
    }
    this.#begin(state)
    return state
  }

  /** Starts the work of an `external` tool and transfers its result to the task. */
  #begin(state: TaskState): void {
    const { taskId, payload } = state
    const tool = this.#tools.get(payload.tool)
    if (tool?.begin === undefined || hasEnded(state)) return
    const follow = async (begin: NonNullable<DurableTool['begin']>): Promise<void> => {
      let result: ToolResult
      try {
        result = await begin(payload.args, taskId)
      } catch (thrown) {
        // The work goes on, and so does whoever looks after it next.
        if (this.closing.aborted || isOfClosing(thrown)) return
        if ((await this.#log.read(taskId))?.place.value === 'cancelled') return
        result = toolError(textForHosts(thrown, this.#options.exposeErrors))
      }
      await this.complete(taskId, result).catch((refusal: unknown) => {
        if (!StatewardError.is(refusal, 'mcp_task_ended') && !StatewardError.is(refusal, 'mcp_task_unknown'))
          throw refusal
      })
    }
    silence(
      follow(tool.begin).catch((failure: unknown) => this.#warn(failure, 'the end of a task of MCP was not written')),
    )
  }

  async #cancel({ taskId, payload }: TaskState, reason: string): Promise<void> {
    const { processes } = this.#options
    const tool = this.#tools.get(payload.tool)
    try {
      await processes.get(undefined, taskId).cancel(reason)
      const record = await processes.store.getProcess(taskId)
      if (record?.disposition === 'externally_owned') await tool?.cancel?.(taskId)
      // What nobody runs here ends by this alone.
      else if (tool !== undefined) return
      await this.#end(taskId, { type: 'cancelled', message: 'the task was cancelled', raw: { reason } })
    } catch (refusal) {
      if (!isSettled(refusal) && !StatewardError.is(refusal, 'mcp_task_ended')) throw refusal
    }
  }

  async #external(taskId: string): Promise<TaskState> {
    const state = await this.read(taskId)
    if (state === undefined) throw new McpError('mcp_task_unknown', {})
    if (hasEnded(state)) throw new McpError('mcp_task_ended', { taskId })
    const record = await this.#options.processes.store.getProcess(taskId)
    if (record?.disposition !== 'externally_owned') throw new McpError('mcp_task_not_external', { taskId })
    return state
  }

  /** Ends a process that is not run here. */
  async #end(taskId: string, output: Parameters<Processes['store']['completeProcess']>[1]): Promise<void> {
    const { store } = this.#options.processes
    const record = await store.getProcess(taskId)
    const right =
      record?.disposition === 'externally_owned'
        ? ({ type: 'external_owner' } as const)
        : ({ type: 'workflow_key', key: taskId } as const)
    const { outcome } = await store.completeProcess(taskId, output, right)
    if (outcome === 'superseded') throw new McpError('mcp_task_ended', { taskId })
  }

  async #append(taskId: string, eventType: string, payload: unknown, key: string): Promise<void> {
    await this.#options.processes.store.appendEvent(taskId, {
      eventType,
      payload: encodeValue(payload, eventType) as JsonValue,
      replay: { key: `mcp:${taskId}:${key}` },
    })
  }

  #onEnd(state: TaskState): void {
    const { taskId, payload } = state
    this.#live.release(payload.principal)
    if (payload.key !== undefined && this.#keyed.get(payload.key) === taskId) this.#keyed.delete(payload.key)
    this.#retention.keep(state)
  }

  #isOver(state: TaskState): boolean {
    const { payload } = state
    const ttlMs = ttlOf(state, this.#nowMs())
    return payload.isInline === true || (ttlMs !== null && this.#nowMs() >= payload.createdAtMs + ttlMs)
  }

  #warn(failure: unknown, message: string): void {
    if (!this.closing.aborted) this.#options.logger.warn({ ...faultFields(failure) }, message)
  }

  /** Distinguishes the parts written for one end from those of an earlier attempt cut off by a crash. */
  #randomNumber(): number {
    return Buffer.from(this.#options.random(6)).readUIntBE(0, 6)
  }

  #nowMs(): number {
    return Math.trunc(this.#options.clock.wallNow())
  }
}

/** Whether a refusal means that the task had already ended or was already answered, so that nothing changes. */
function isSettled(refusal: unknown): boolean {
  return StatewardError.is(refusal, 'process.replay_conflict') || StatewardError.is(refusal, 'process.already_terminal')
}

/** Treats an id that no process could have as missing. */
function unknownOfBadId(refusal: unknown): undefined {
  if (StatewardError.is(refusal, 'invalid_input') || StatewardError.is(refusal, 'process.unknown')) return undefined
  throw refusal
}

function isOfClosing(thrown: unknown): boolean {
  return StatewardError.is(thrown, 'process.await_closed') || StatewardError.is(thrown, 'runtime_closed')
}

/** Resolves once the promise has settled either way. */
async function settled(promise: Promise<unknown>): Promise<void> {
  await Promise.allSettled([promise])
}
