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

/** How a door is made; every field has a default. */
export interface McpTasksOptions {
  /** Who asks. Default: client, issuer and subject of who is logged in; without a login everybody is the same. */
  readonly principal?: PrincipalOf
  /** Asked before something is done to a task, where being the same principal is not enough. */
  readonly authorize?: Authorize
  /** Milliseconds for which handles are good, unless their tool says otherwise; `null`: for ever. Default 24 hours. */
  readonly ttlMs?: number | null
  /** The longest time that a tool may ask for. Default: any. */
  readonly maxTtlMs?: number
  /** Milliseconds that people have for a question: a handle stays for as long. Default 24 hours. */
  readonly inputGraceMs?: number
  /** Milliseconds for which a task that has ended is kept at least. Default 0: as long as its handle is good. */
  readonly keepEndedMs?: number
  /** What becomes of work whose handle is no longer good. Default `cancel`; `detach` lets it go on unseen. */
  readonly ttlAction?: TtlAction
  /** Milliseconds that hosts are told to leave between two looks. Default 1,000. */
  readonly pollIntervalMs?: number
  /** False: what an earlier process has left runs again at the first request. Default true: when the door is started. */
  readonly recoverOnStart?: boolean
  /** True: hosts are told the texts of all errors. Default: of faults of the program and of the system only that there was one. */
  readonly exposeErrors?: boolean
  /**
   * True: plain tools `task_status`, `task_answer` and `task_cancel` for hosts that do not declare the extension; a call of a durable
   * tool that has not ended after `inlineMs` tells them its id. Default false: they await the result.
   */
  readonly companionTools?: boolean
  readonly limits?: McpLimits
  /** Where ids come from: so many bytes that nobody can guess. Default the generator of the system. */
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

const listOptionsSchema = optionsSchema<{ readonly principal?: string }>({ principal: v.optional(v.string()) })
const resultSchema = v.looseObject({}, 'not an object')

function checkTaskId(taskId: unknown): void {
  if (typeof taskId === 'string') return
  throw new InvalidInputError({ subject: 'id of a task', field: '$', reason: `not text: ${textOf(taskId)}` })
}

/**
 * Makes tools of MCP whose calls survive the server: they are answered with a handle at once, and their work is a process of the
 * runtime. Raises `invalid_input` for a wrong option, and for a runtime whose processes several hosts share.
 */
export function createMcpTasks(runtime: Runtime, options: McpTasksOptions = {}): McpTasks {
  return new McpTasks(runtime, decode(doorOptionsSchema, options, 'options of MCP tasks'))
}

/** Tasks of the Model Context Protocol on one runtime; outlives the servers that it is attached to. */
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
   * Defines a durable tool: by a name, how it is listed and run, and its function; or by the definition of a process or a task, whose
   * schemas it takes. Tools are there on every server that is attached from now on. Raises `invalid_input` and
   * `mcp_tool_defined`.
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

  /** The same for those who look for it under the older line: a tool is defined once, for both; see `registerTools` of `stateward/mcp/v1`. */
  get v1(): Pick<McpTasks, 'tool'> {
    return this
  }

  /** Takes up what an earlier process has left; later calls share the first one. Rejects with the errors of the store. */
  start(): Promise<void> {
    return this.#life.start()
  }

  /**
   * Puts the durable tools on a server, before it has other tools, and gives it back: for the factory that `createMcpHandler` or
   * `serveStdio` is given. Raises `mcp_attached_too_late`.
   */
  attach(server: McpServer, context: Pick<McpRequestContext, 'era'>): McpServer {
    return attach(server, context, this.#context, this.#tools, this.#gate)
  }

  /** The face of a handler with notifications of tasks, for whatever speaks Fetch. */
  fetch(handler: Pick<McpHttpHandler, 'fetch' | 'bus'>): FetchFace {
    return fetchFront(handler, this.#context, this.#listen)
  }

  /** A transport with notifications of tasks, for `serveStdio`. */
  transport(transport: Transport): Transport {
    return transportFront(transport, this.#context, this.#listen)
  }

  /** A task as its host is told it, whoever that is; `undefined` for what is not there. */
  async get(taskId: string): Promise<DetailedTask | undefined> {
    checkTaskId(taskId)
    await this.#life.ready()
    const state = await this.#life.read(taskId)
    return state === undefined ? undefined : this.#life.detailed(state)
  }

  /** Tasks whose handles are good, the oldest first: of one principal, or all of them. */
  async list(options: { readonly principal?: string } = {}): Promise<readonly DetailedTask[]> {
    const { principal } = decode(listOptionsSchema, options, 'options of a list of tasks')
    await this.#life.ready()
    const states = await this.#life.list(principal === undefined ? undefined : { principal })
    return states.map((state) => this.#life.detailed(state))
  }

  /** Asks a task to end; durable when it resolves. Rejects with `mcp_task_unknown`. */
  async cancel(taskId: string): Promise<void> {
    checkTaskId(taskId)
    await this.#life.ready()
    const state = await this.#life.read(taskId)
    if (state === undefined) throw new McpError('mcp_task_unknown', {})
    await this.#life.cancel(state)
  }

  /**
   * Says what an `external` tool has come to. Rejects with `mcp_task_unknown`, `mcp_task_ended`, `mcp_task_not_external` and
   * `invalid_input`.
   */
  async complete(taskId: string, result: ToolResult): Promise<void> {
    checkTaskId(taskId)
    decode(resultSchema, encodeValue(result, 'result of a task'), 'result of a task')
    await this.#life.ready()
    await this.#life.complete(taskId, result)
  }

  /** Says that an `external` tool has failed, with an error of the protocol. Rejects like {@link McpTasks.complete}. */
  async fail(taskId: string, error: TaskFault): Promise<void> {
    checkTaskId(taskId)
    decode(faultSchema, encodeValue(error, 'fault of a task'), 'fault of a task')
    await this.#life.ready()
    await this.#life.fail(taskId, error)
  }

  /** Lets go of everything but the tasks, which the runtime keeps: close the runtime after it. */
  close(): void {
    this.#life.close()
  }

  /** @internal For the older line of the protocol, `stateward/mcp/v1`. */
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
      // What a definition returns was checked by itself, and may be another thing than its schema takes.
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

/** Any installed copy of the SDK makes errors that this one knows. */
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
