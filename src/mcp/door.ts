import {
  ProtocolError,
  type McpHttpHandler,
  type McpRequestContext,
  type McpServer,
  type Transport,
} from '@modelcontextprotocol/server'
import type { StandardSchemaWithJSON } from '@modelcontextprotocol/server'
import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { guardedLogger } from '../base/observers.js'
import { randomInBlocks } from '../base/random.js'
import {
  checkFunction,
  durationSchema,
  functionSchema,
  optionsSchema,
  portSchema,
  textOf,
  wholeNumberSchema,
} from '../base/options.js'
import { encodeValue } from '../work/values.js'
import type { SchemaMap } from '../processes/index.js'
import type { Runtime } from '../runtime.js'
import { asDurableTool, isDefinition, type ToolDefinition } from './definition-tool.js'
import { McpError } from './life/errors.js'
import { defaultLimits, limitsSchema, PollGate, Quota, type McpLimits, type TakenLimits } from './life/limits.js'
import { TaskLife } from './life/life.js'
import type { TtlAction } from './life/retention.js'
import type { DurableTool, McpRecovery } from './life/tool.js'
import { attach } from './sdk/attach.js'
import type { ListedTool } from './sdk/call-tool.js'
import { companionTools } from './sdk/companion-tools.js'
import type { ListenOptions } from './sdk/listen.js'
import { fetchFront, type FetchFace } from './sdk/listen-http.js'
import { transportFront } from './sdk/listen-stdio.js'
import { HttpNotes } from './sdk/http-notes.js'
import { defaultPrincipal, type Authorize, type DoorContext, type PrincipalOf } from './sdk/request.js'
import {
  definitionOptionsSchema,
  toolNameSchema,
  toolOptionsSchema,
  type DefinitionToolOptions,
  type McpToolOptions,
  type McpToolRun,
} from './sdk/tool-definition.js'
import { SerializedResults } from './wire/serialized-results.js'
import { faultSchema, type DetailedTask, type TaskFault, type ToolResult } from './wire/shapes.js'
import { InvalidInputError } from '../base/errors.js'

/** Options of {@link createMcpTasks}. Every field has a default. */
export interface McpTasksOptions {
  /**
   * Identifies the caller. Default: client, issuer and subject of the login. Without a login, all callers are the same.
   */
  readonly principal?: PrincipalOf
  /** Called before anything is done to a task, if being the same principal is not enough. */
  readonly authorize?: Authorize
  /**
   * Milliseconds for which task handles are valid, unless their tool sets another time. `null` means forever. Default
   * 24 hours.
   */
  readonly ttlMs?: number | null
  /** The longest validity that a tool may request, in milliseconds. Default: unlimited. */
  readonly maxTtlMs?: number
  /** Milliseconds that people have to answer a question. The handle stays valid meanwhile. Default 24 hours. */
  readonly inputGraceMs?: number
  /** The minimum time in milliseconds for which an ended task is kept. Default 0: as long as its handle is valid. */
  readonly keepEndedMs?: number
  /**
   * What happens to running work when its handle expires. Default `cancel`. With `detach` it continues, but can no
   * longer be queried.
   */
  readonly ttlAction?: TtlAction
  /** The poll interval recommended to hosts, in milliseconds. Default 1,000. */
  readonly pollIntervalMs?: number
  /**
   * If true, tasks left by an earlier process continue when the door is started. If false, at the first request.
   * Default true.
   */
  readonly recoverOnStart?: boolean
  /**
   * If true, hosts receive the messages of all errors. By default, faults of the program and of the system are reported
   * without details.
   */
  readonly exposeErrors?: boolean
  /**
   * If true, hosts that do not declare the extension get the plain tools `task_status`, `task_answer` and
   * `task_cancel`, and the id of a task that has not ended after `inlineMs`. Default false: their calls wait for the
   * result.
   */
  readonly companionTools?: boolean
  readonly limits?: McpLimits
  /** Generates unguessable bytes for ids. Default: the system's random generator. */
  readonly random?: (size: number) => Uint8Array
}

const dayMs = 86_400_000

const doorOptionsSchema = optionsSchema<McpTasksOptions>({
  principal: v.optional(functionSchema<PrincipalOf>()),
  authorize: v.optional(functionSchema<Authorize>()),
  ttlMs: v.optional(v.nullable(durationSchema)),
  maxTtlMs: v.optional(durationSchema),
  inputGraceMs: v.optional(durationSchema),
  keepEndedMs: v.optional(durationSchema),
  ttlAction: v.optional(v.picklist(['cancel', 'detach'])),
  pollIntervalMs: v.optional(wholeNumberSchema(0, dayMs)),
  recoverOnStart: v.optional(v.boolean()),
  exposeErrors: v.optional(v.boolean()),
  companionTools: v.optional(v.boolean()),
  limits: v.optional(limitsSchema),
  random: v.optional(functionSchema<(size: number) => Uint8Array>()),
})

const runtimeSchema = portSchema<Runtime>(['findSession', 'sessions'])
const listOptionsSchema = optionsSchema<{ readonly principal?: string }>({ principal: v.optional(v.string()) })
const resultSchema = v.looseObject({}, 'not an object')

function checkTaskId(taskId: unknown): void {
  if (typeof taskId === 'string') return
  throw new InvalidInputError({ subject: 'id of a task', field: '$', reason: `not text: ${textOf(taskId)}` })
}

/**
 * Makes MCP tools whose calls survive the server: a call is answered at once with a task handle, and its work is a
 * process of the runtime. Raises `invalid_input` for a wrong option, and if several hosts share the processes of the
 * runtime.
 */
export function createMcpTasks(runtime: Runtime, options: McpTasksOptions = {}): McpTasks {
  const checked = decode(runtimeSchema, runtime, 'runtime of MCP tasks')
  return new McpTasks(checked, decode(doorOptionsSchema, options, 'options of MCP tasks'))
}

/** Durable MCP tasks on one runtime. Independent of the servers that it is attached to. */
export class McpTasks {
  readonly #runtime: Runtime
  readonly #options: McpTasksOptions
  readonly #life: TaskLife
  readonly #context: DoorContext
  readonly #listen: ListenOptions
  readonly #gate: PollGate | undefined
  readonly #tools = new Map<string, ListedTool>()

  /** @internal Made by {@link createMcpTasks}. */
  constructor(runtime: Runtime, options: McpTasksOptions) {
    const { clock, deadlines, logger: given } = runtime.forDoors
    const { processes } = runtime
    if (processes.store.writers === 'many') {
      const reason = 'its processes are shared by several hosts, which this door does not serve yet'
      throw new InvalidInputError({ subject: 'runtime of MCP tasks', field: 'processes', reason })
    }
    const logger = guardedLogger(given)
    const limits: TakenLimits = { ...defaultLimits, ...definedOf(options.limits ?? {}) }
    this.#runtime = runtime
    this.#options = options
    this.#life = new TaskLife({
      processes,
      clock,
      deadlines,
      logger,
      random: options.random ?? randomInBlocks(),
      limits,
      inputGraceMs: Math.trunc(options.inputGraceMs ?? dayMs),
      keepEndedMs: options.keepEndedMs ?? 0,
      ttlAction: options.ttlAction ?? 'cancel',
      recoverOnStart: options.recoverOnStart ?? true,
      exposeErrors: options.exposeErrors ?? false,
      protocolErrorOf,
    })
    const { principal = defaultPrincipal, authorize, companionTools: hasCompanions = false } = options
    const notes = new HttpNotes(new SerializedResults())
    this.#context = { life: this.#life, logger, principal, authorize, notes, companionTools: hasCompanions }
    const streams = new Quota({ limit: 'maxStreamsPerPrincipal', most: limits.maxStreamsPerPrincipal })
    this.#listen = { clock, deadlines, limits, streams }
    this.#gate = limits.minPollMs === undefined ? undefined : new PollGate(limits.minPollMs, clock)
  }

  /**
   * Defines a durable tool: by name, options and function, or by the definition of a process or task, whose schemas it
   * uses. Servers attached from now on have the tool. Raises `invalid_input` and `mcp_tool_defined`.
   */
  tool<Input extends StandardSchemaWithJSON | undefined = undefined>(
    name: string,
    options: McpToolOptions<Input>,
    run: McpToolRun<Input>,
  ): void
  tool<Input, Output, Events extends SchemaMap, Signals extends SchemaMap>(
    definition: ToolDefinition<Input, Output, Events, Signals>,
    options?: DefinitionToolOptions,
  ): void
  tool(
    named: string | ToolDefinition,
    given: McpToolOptions | DefinitionToolOptions = {},
    run?: McpToolRun<never>,
  ): void {
    if (isDefinition(named)) {
      const { name = named.kind, ...options } = decode(definitionOptionsSchema, given, `tool of ${named.kind}`)
      const { listed, ...work } = asDurableTool(named, this.#runtime)
      return this.#add(name, { ...listed, ...options, recovery: 'external' }, work)
    }
    checkFunction(`tool ${named}`, run)
    this.#add(named, given, { run: run as unknown as DurableTool['run'] })
  }

  /**
   * The same `tool`, for servers of the 2025-11-25 protocol line. A tool is defined once, for both; see `registerTools`
   * of `stateward/mcp/v1`.
   */
  get v1(): Pick<McpTasks, 'tool'> {
    return this
  }

  /**
   * Resumes the tasks left by an earlier process. Repeated calls return the same promise. Rejects with the errors of
   * the store.
   */
  start(): Promise<void> {
    return this.#life.start()
  }

  /**
   * Adds the durable tools to a server that has no tools yet, and returns the server. Use it in the factory given to
   * `createMcpHandler` or `serveStdio`. Raises `mcp_attached_too_late`.
   */
  attach(server: McpServer, context: Pick<McpRequestContext, 'era'>): McpServer {
    return attach(server, context, this.#context, this.#tools, this.#gate)
  }

  /** Wraps an HTTP handler as a Fetch function that also serves task notifications. */
  fetch(handler: Pick<McpHttpHandler, 'fetch' | 'bus'>): FetchFace {
    return fetchFront(handler, this.#context, this.#listen)
  }

  /** Wraps a transport, for `serveStdio`, so that it also serves task notifications. */
  transport(transport: Transport): Transport {
    return transportFront(transport, this.#context, this.#listen)
  }

  /** Returns a task as hosts see it, without checking who asks. `undefined` if there is none. */
  async get(taskId: string): Promise<DetailedTask | undefined> {
    checkTaskId(taskId)
    await this.#life.ready()
    const state = await this.#life.read(taskId)
    return state === undefined ? undefined : this.#life.detailed(state)
  }

  /** Lists tasks with valid handles, oldest first: of one principal, or all. */
  async list(options: { readonly principal?: string } = {}): Promise<readonly DetailedTask[]> {
    const { principal } = decode(listOptionsSchema, options, 'options of a list of tasks')
    await this.#life.ready()
    const states = await this.#life.list(principal === undefined ? undefined : { principal })
    return states.map((state) => this.#life.detailed(state))
  }

  /** Asks a task to end. The request is durable when this resolves. Rejects with `mcp_task_unknown`. */
  async cancel(taskId: string): Promise<void> {
    checkTaskId(taskId)
    await this.#life.ready()
    const state = await this.#life.read(taskId)
    if (state === undefined) throw new McpError('mcp_task_unknown', {})
    await this.#life.cancel(state)
  }

  /**
   * Completes a task of an `external` tool with its result. Rejects with `mcp_task_unknown`, `mcp_task_ended`,
   * `mcp_task_not_external` and `invalid_input`.
   */
  async complete(taskId: string, result: ToolResult): Promise<void> {
    checkTaskId(taskId)
    decode(resultSchema, encodeValue(result, 'result of a task'), 'result of a task')
    await this.#life.ready()
    await this.#life.complete(taskId, result)
  }

  /** Fails a task of an `external` tool with a protocol error. Rejects like {@link McpTasks.complete}. */
  async fail(taskId: string, error: TaskFault): Promise<void> {
    checkTaskId(taskId)
    decode(faultSchema, encodeValue(error, 'fault of a task'), 'fault of a task')
    await this.#life.ready()
    await this.#life.fail(taskId, error)
  }

  /** Releases everything except the tasks, which the runtime keeps. Close the runtime afterwards. */
  close(): void {
    this.#life.close()
  }

  /** @internal For the 2025-11-25 protocol line, `stateward/mcp/v1`. */
  get parts(): { readonly life: TaskLife; readonly tools: ReadonlyMap<string, ListedTool> } {
    return { life: this.#life, tools: this.#tools }
  }

  #add(name: string, given: McpToolOptions, work: Pick<DurableTool, 'run' | 'begin' | 'cancel'>): void {
    const checkedName = decode(toolNameSchema, name, 'name of a tool')
    if (this.#context.companionTools && companionTools.has(checkedName))
      throw new McpError('mcp_tool_defined', { tool: checkedName })
    const options = decode(toolOptionsSchema, given, `tool ${checkedName}`)
    const { taskSupport = 'optional', recovery = { rerun: 3 } satisfies McpRecovery, outputSchema } = options
    const { pollIntervalMs = this.#options.pollIntervalMs ?? 1000 } = options
    const tool: DurableTool = {
      name: checkedName,
      taskSupport,
      recovery,
      ttlMs: this.#ttlOf(options.ttlMs),
      pollIntervalMs,
      // A definition checks its own results, and what it returns may differ from what its schema accepts.
      ...(outputSchema !== undefined && work.begin === undefined && { outputSchema }),
      ...work,
    }
    this.#life.define(tool)
    this.#tools.set(checkedName, { tool, options })
  }

  #ttlOf(asked: number | null | undefined): number | null {
    const { ttlMs: usual = dayMs, maxTtlMs } = this.#options
    const ttlMs = asked === undefined ? usual : asked
    if (maxTtlMs === undefined) return ttlMs === null ? null : Math.trunc(ttlMs)
    return Math.trunc(Math.min(ttlMs ?? maxTtlMs, maxTtlMs))
  }
}

/** Recognizes protocol errors of any installed copy of the SDK. */
function protocolErrorOf(thrown: unknown): TaskFault | undefined {
  if (!(thrown instanceof ProtocolError)) return undefined
  const { code, message, data } = thrown
  return { code, message, ...(data !== undefined && { data }) }
}

function definedOf<Options extends object>(
  options: Options,
): { [Key in keyof Options]: Exclude<Options[Key], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
}
