import type { Clock } from '../../base/clock.js'
import type { JsonValue } from '../../base/json.js'
import type { ProcessDefinition, Processes } from '../../processes/index.js'
import { decodeValue } from '../../work/values.js'
import { hasEnded, type TaskState } from '../wire/detailed-task.js'
import { mcpKind, type QuestionMethod } from '../wire/names.js'
import type { TaskPayload } from '../wire/shapes.js'
import { idBytes, type DirectorySecret } from './dedupe.js'
import { McpError } from './errors.js'
import { bytesOf, Quota, type TakenLimits } from './limits.js'
import { dispositionOf } from './recovery.js'
import { isOver, type Retention } from './retention.js'
import type { TaskLog } from './task-log.js'
import type { DurableTool } from './tool.js'

/** The caller of a request, as identified by the service. */
export interface Caller {
  readonly principal: string
  /** Display name, stored unchanged. */
  readonly display?: string
}

/** A request for a new task. */
export interface NewTask {
  readonly tool: DurableTool
  /** The arguments, encoded as they are stored. */
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

/** What {@link TaskCreation} works with. */
export interface TaskCreationOptions {
  readonly processes: Processes
  readonly clock: Clock
  readonly random: (size: number) => Uint8Array
  readonly limits: TakenLimits
  readonly inputGraceMs: number
  readonly log: TaskLog
  readonly retention: Retention
  readonly definitions: ReadonlyMap<string, ProcessDefinition>
}

/** Creates tasks: counts those that have not ended, and finds them by their deduplication keys. */
export class TaskCreation {
  readonly #options: TaskCreationOptions
  readonly #live: Quota
  /** Live tasks, by deduplication key. */
  readonly #keyed = new Map<string, string>()
  /** Calls in progress, by deduplication key. */
  readonly #creating = new Map<string, Promise<void>>()

  constructor(options: TaskCreationOptions) {
    const { maxLivePerPrincipal, maxLive } = options.limits
    this.#options = options
    this.#live = new Quota(
      { limit: 'maxLivePerPrincipal', most: maxLivePerPrincipal },
      { limit: 'maxLive', most: maxLive },
    )
  }

  /** Adds a live task of an earlier process. */
  add({ taskId, payload: { principal, key } }: TaskState): void {
    this.#live.add(principal)
    if (key !== undefined) this.#keyed.set(key, taskId)
  }

  /** Removes a task that has ended. */
  remove({ taskId, payload: { principal, key } }: TaskState): void {
    this.#live.release(principal)
    if (key !== undefined && this.#keyed.get(key) === taskId) this.#keyed.delete(key)
  }

  /**
   * Creates a task. It is durable when this resolves. Rejects with `mcp_limit_reached`, `mcp_too_large`, and
   * `store.unavailable` if the journal fails.
   */
  async create(task: NewTask, secret: DirectorySecret): Promise<TaskState> {
    const { tool, args, caller, key } = task
    const { limits, random } = this.#options
    const bytes = bytesOf(args)
    if (bytes > limits.maxArgumentBytes)
      throw new McpError('mcp_too_large', { limit: 'maxArgumentBytes', bytes, most: limits.maxArgumentBytes })
    const principal = secret.principal(caller.principal)
    if (key === undefined) return this.#register(Buffer.from(random(idBytes)).toString('base64url'), task, principal)
    // One call at a time per key, so that the second finds the task of the first.
    const place = secret.keyOf(principal, tool.name, key)
    const creating = this.#after(this.#creating.get(place), place, task, principal, secret)
    const done = settled(creating)
    this.#creating.set(place, done)
    try {
      return await creating
    } finally {
      if (this.#creating.get(place) === done) this.#creating.delete(place)
    }
  }

  async #after(
    before: Promise<void> | undefined,
    key: string,
    task: NewTask,
    principal: string,
    secret: DirectorySecret,
  ): Promise<TaskState> {
    await before
    const { log, random } = this.#options
    const taskId = this.#keyed.get(key)
    const found = taskId === undefined ? undefined : await log.read(taskId)
    if (found !== undefined && !hasEnded(found) && !isOver(found, this.#nowMs())) return found
    return this.#register(secret.taskId(key, random(idBytes)), task, principal, key)
  }

  async #register(id: string, task: NewTask, principal: string, key?: string): Promise<TaskState> {
    const { processes, log, retention, definitions } = this.#options
    const { name, recovery, pollIntervalMs } = task.tool
    const definition = definitions.get(name)
    if (definition === undefined) throw new TypeError(`the tool ${name} is not defined`)
    const payload = this.#payloadOf(task, principal, key)
    this.#live.take(principal, pollIntervalMs)
    let isThere = false
    try {
      await processes.register({
        id,
        // Encoded already: encoding it again would change arguments that look like encoded bytes.
        input: { type: 'engine', kind: mcpKind, payload: payload as unknown as JsonValue },
        disposition: dispositionOf(recovery),
        identity: { kind: mcpKind, ...(labelPattern.test(name) && { label: name }) },
        eventTypes: definition.eventTypes,
        provenance: { originator: { type: 'host' } },
        envRef: definition.envRef,
      })
      isThere = true
    } finally {
      if (!isThere) this.#live.release(principal)
    }
    if (key !== undefined) this.#keyed.set(key, id)
    const state = await log.begun(id, { ...payload, args: decodeValue(payload.args) as JsonValue })
    if (!hasEnded(state)) retention.keep(state)
    return state
  }

  #payloadOf(
    { tool, args, caller, questions, isInline, ttlMs: askedMs }: NewTask,
    principal: string,
    key: string | undefined,
  ): TaskPayload {
    return {
      v: 1,
      tool: tool.name,
      args,
      questions,
      principal,
      ...(key !== undefined && { key }),
      ...(caller.display !== undefined && { display: caller.display }),
      ttlMs: askedMs === undefined ? tool.ttlMs : Math.min(askedMs, tool.ttlMs ?? askedMs),
      pollIntervalMs: tool.pollIntervalMs,
      createdAtMs: this.#nowMs(),
      inputGraceMs: this.#options.inputGraceMs,
      ...(isInline === true && { isInline }),
    }
  }

  #nowMs(): number {
    return Math.trunc(this.#options.clock.wallNow())
  }
}

/** Names that fit the label of a process. */
const labelPattern = /^[\x21-\x7e]{1,256}$/

/** Resolves once the promise has settled either way. */
async function settled(promise: Promise<unknown>): Promise<void> {
  await Promise.allSettled([promise])
}
