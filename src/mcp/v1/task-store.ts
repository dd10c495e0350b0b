import type { CreateTaskOptions, TaskStore } from '@modelcontextprotocol/sdk/experimental/tasks'
import type { Request, Result, Task } from '@modelcontextprotocol/sdk/types.js'
import { decode } from '../../base/decode.js'
import { InvalidInputError, StatewardError } from '../../base/errors.js'
import type { JsonValue } from '../../base/json.js'
import { nameSchema, optionsSchema } from '../../base/options.js'
import { checkValue, encodeValue } from '../../work/values.js'
import type { McpTasks } from '../door.js'
import { McpError } from '../life/errors.js'
import type { TaskLife } from '../life/life.js'
import type { DurableTool } from '../life/tool.js'
import { hasEnded, type TaskState } from '../wire/detailed-task.js'
import type { DetailedTask, ToolResult } from '../wire/shapes.js'

/** Options of {@link createTaskStore}. */
export interface TaskStoreOptions {
  /**
   * The login of this session, as the door would identify it. Do not use session ids: they are lost with the process.
   */
  readonly principal: string
}

const storeOptionsSchema = optionsSchema<TaskStoreOptions>({ principal: nameSchema })

/**
 * Stands for tools that are not defined by the door: their tasks are stored here and executed by whoever registered the
 * tool.
 */
const passiveTool: DurableTool = {
  name: 'stateward.v1-store',
  taskSupport: 'optional',
  recovery: 'external',
  ttlMs: null,
  pollIntervalMs: 1000,
  run: () => undefined,
}

/**
 * A durable `taskStore` for servers of SDK 1.x (2025-11-25 line), one per session and principal. The runtime executes
 * the tasks of the door's tools, also after a restart. Tasks of other tools are kept until their owner stores a result.
 * Raises `invalid_input`.
 */
export function createTaskStore(door: McpTasks, options: TaskStoreOptions): TaskStore {
  const { principal } = decode(storeOptionsSchema, options, 'options of a task store')
  const { life } = door.parts
  if (!life.tools.has(passiveTool.name)) life.define(passiveTool)
  return new DurableTaskStore(door, principal)
}

class DurableTaskStore implements TaskStore {
  readonly #door: McpTasks
  readonly #life: TaskLife
  readonly #caller: { readonly principal: string }

  constructor(door: McpTasks, principal: string) {
    this.#door = door
    this.#life = door.parts.life
    this.#caller = { principal }
  }

  async createTask(params: CreateTaskOptions, _requestId: unknown, request: Request): Promise<Task> {
    await this.#life.ready()
    const { name = '', arguments: given = {} } = (request.params ?? {}) as { name?: string; arguments?: unknown }
    const listed = this.#door.parts.tools.get(name)
    let args: unknown = given
    if (listed?.options.inputSchema !== undefined) {
      const checked = await checkValue(listed.options.inputSchema, given, `arguments of ${name}`)
      if (listed.tool.begin === undefined) args = checked
    }
    const { ttl } = params
    const state = await this.#life.create({
      tool: listed?.tool ?? passiveTool,
      args: encodeValue(args, `arguments of ${name}`) as JsonValue,
      caller: this.#caller,
      questions: [],
      ...(typeof ttl === 'number' && { ttlMs: wholeMs(ttl) }),
    })
    return this.#asTask(state)
  }

  async getTask(taskId: string): Promise<Task | null> {
    const state = await this.#find(taskId)
    return state === undefined ? null : this.#asTask(state)
  }

  async storeTaskResult(taskId: string, status: 'completed' | 'failed', result: Result): Promise<void> {
    await this.#known(taskId)
    await this.#life.complete(taskId, status === 'failed' ? { ...result, isError: true } : result)
  }

  async getTaskResult(taskId: string): Promise<Result> {
    const { status, result, error } = this.#life.detailed(await this.#known(taskId))
    if (result !== undefined) return plain(result)
    if (error !== undefined) throw new McpError('mcp_task_failed', { message: error.message })
    throw new InvalidInputError({ subject: 'task', field: taskId, reason: `has no result: it is ${status}` })
  }

  async updateTaskStatus(taskId: string, status: Task['status'], statusMessage?: string): Promise<void> {
    const state = await this.#known(taskId)
    if (hasEnded(state)) throw new McpError('mcp_task_ended', { taskId })
    if (status === 'cancelled') await this.#life.cancel(state)
    else if (statusMessage !== undefined) this.#life.say(taskId, statusMessage)
  }

  async listTasks(cursor?: string): Promise<{ tasks: Task[]; nextCursor?: string }> {
    await this.#life.ready()
    const states = await this.#life.list(this.#caller)
    const from = cursor === undefined ? 0 : states.findIndex(({ taskId }) => taskId === cursor) + 1
    const page = states.slice(from, from + pageSize)
    const last = page.at(-1)
    const isMore = from + page.length < states.length
    return { tasks: page.map((state) => this.#asTask(state)), ...(isMore && last && { nextCursor: last.taskId }) }
  }

  async #find(taskId: string): Promise<TaskState | undefined> {
    await this.#life.ready()
    try {
      return await this.#life.find(taskId, this.#caller)
    } catch (refusal) {
      if (StatewardError.is(refusal, 'mcp_task_unknown')) return undefined
      throw refusal
    }
  }

  async #known(taskId: string): Promise<TaskState> {
    const state = await this.#find(taskId)
    if (state === undefined) throw new McpError('mcp_task_unknown', {})
    return state
  }

  #asTask(state: TaskState): Task {
    const { taskId, createdAt, lastUpdatedAt, ttlMs, pollIntervalMs, statusMessage, ...task } =
      this.#life.detailed(state)
    return {
      taskId,
      status: statusOf(task),
      createdAt,
      lastUpdatedAt,
      ttl: ttlMs,
      ...(pollIntervalMs !== undefined && { pollInterval: pollIntervalMs }),
      ...(statusMessage !== undefined && { statusMessage }),
    }
  }
}

/** A requested validity as whole milliseconds within the allowed range. */
function wholeMs(ttl: number): number {
  return Math.trunc(Math.min(Math.max(ttl, 0) || 0, Number.MAX_SAFE_INTEGER))
}

const pageSize = 100

/** The status of a task. The older protocol line uses `failed` also for a tool result that is an error. */
function statusOf({ status, result }: Pick<DetailedTask, 'status' | 'result'>): Task['status'] {
  return status === 'completed' && result?.isError === true ? 'failed' : status
}

function plain({ resultType: _, ...result }: ToolResult): Omit<ToolResult, 'resultType'> {
  return result
}
