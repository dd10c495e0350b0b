import * as v from 'valibot'
import { decode, readable } from '../../base/decode.js'
import { InvalidInputError, isList } from '../../base/errors.js'
import type { IdSource } from '../../base/ids.js'
import { epochMs, type Instant, instantSchema } from '../../base/instant.js'
import { toJsonText } from '../../base/json.js'
import { longestDurationMs, optionsSchema, recordSchema, textOf, wholeNumberSchema } from '../../base/options.js'
import { budgetDimension } from '../budget.js'
import type { BytesInput } from '../bytes.js'
import type { TaskConstraints } from '../task-spec.js'
import { TaskError } from '../errors.js'
import type { SubscriptionId, TaskId, TenantId } from '../ids.js'
import type { TaskBatch } from '../authority.js'
import { checkOccurs, type RunPolicy, runPolicySchema } from '../task-spec.js'
import { idSchema, labelSchema } from '../scalars.js'
import { type EventFilter, eventFilterSchema } from '../subscription.js'
import { createTaskSpec, type TaskMetadata, type TaskSpec } from '../task-spec.js'
import { firstRuns } from './cron-window.js'

/** What must run, as a service says it. */
export interface SubmitInput {
  /** Names the handler. */
  readonly kind: string
  /** Minted when absent. Submitting an id again is refused with `task_already_exists`: a way to submit once. */
  readonly id?: TaskId
  /** Bytes as they are; text as UTF-8; anything else as JSON text. */
  readonly payload?: unknown
  readonly contentType?: string
  /** Default: once. */
  readonly runPolicy?: RunPolicy
  /**
   * When the first run is due, and where a cron or repeat policy begins: epoch milliseconds or a `Date`, at most 25 years
   * from now. Default: now.
   */
  readonly at?: Instant
  readonly constraints?: Partial<TaskConstraints>
  readonly metadata?: Partial<TaskMetadata>
  readonly parentTaskId?: TaskId
  readonly tenantId?: TenantId
  /** Tasks that must have completed before this one may start. */
  readonly dependsOn?: readonly TaskId[]
  /** Limits by dimension, for this task and everything below it; money in micro-units, `cost:usd`. */
  readonly budgets?: Readonly<Record<string, number>>
  /** Events that release the earliest run before its time; each once. */
  readonly releasedBy?: readonly EventFilter[]
}

/** Parts that the task spec checks field by field; here only that they have fields. */
function partSchema<Part extends object>(): v.GenericSchema<unknown, Part> {
  return v.custom<Part>(
    (input) => typeof input === 'object' && input !== null && !isList(input),
    ({ input }) => `not an object: ${textOf(input)}`,
  )
}

/** The fields of {@link SubmitInput} that a task of a graph has too. */
export const submitFields = {
  kind: labelSchema,
  id: v.optional(idSchema<TaskId>()),
  payload: v.optional(v.unknown()),
  contentType: v.optional(labelSchema),
  runPolicy: v.optional(runPolicySchema),
  at: v.optional(instantSchema),
  constraints: v.optional(partSchema<Partial<TaskConstraints>>()),
  metadata: v.optional(partSchema<Partial<TaskMetadata>>()),
  parentTaskId: v.optional(idSchema<TaskId>()),
  tenantId: v.optional(idSchema<TenantId>()),
  budgets: v.optional(recordSchema(wholeNumberSchema(0))),
  releasedBy: v.optional(v.array(eventFilterSchema, 'not a list')),
} as const

const prerequisites = v.optional(v.array(idSchema<TaskId>(), 'not a list'))
const submitSchema = optionsSchema<SubmitInput>({ ...submitFields, dependsOn: prerequisites })
const { parentTaskId: _parent, ...childFields } = submitFields
const childSchema = optionsSchema<Omit<SubmitInput, 'parentTaskId'>>({ ...childFields, dependsOn: prerequisites })

/** What a caller submits, field by field; the rules of construction come later. Raises `invalid_input`. */
export function decodeSubmit(input: SubmitInput): SubmitInput {
  return decode(submitSchema, input, 'task')
}

/** The same for a child of a task, which cannot name another parent. */
export function decodeChild(input: Omit<SubmitInput, 'parentTaskId'>): Omit<SubmitInput, 'parentTaskId'> {
  return decode(childSchema, input, 'child task')
}

/**
 * Adds a task with its runs, prerequisites, budgets and subscriptions to a batch: all of it becomes durable, or none.
 * Raises `invalid_input`, the construction errors of a task spec and the refusals of its commands.
 */
export function submitInto(batch: TaskBatch, input: SubmitInput, atMs: number, ids: IdSource): TaskId {
  const taskId = createInto(batch, input, atMs, ids)
  connectInto(batch, taskId, input, atMs, ids)
  return taskId
}

/** The first half: the task, its runs and its budgets. */
export function createInto(batch: TaskBatch, input: SubmitInput, atMs: number, ids: IdSource): TaskId {
  const { budgets = {} } = input
  const origin = originOf(input, atMs)
  const taskSpec = specOf(input, ids)
  checkOccurs(taskSpec.runPolicy, origin)
  const taskId = taskSpec.id
  batch.submit({ type: 'task_create', taskSpec, runs: firstRuns(taskSpec, origin, ids), atMs })
  for (const [name, limit] of Object.entries(budgets)) {
    batch.submit({ type: 'budget_allocate', taskId, dimension: budgetDimension(name), limit, atMs })
  }
  return taskId
}

/** The second half: what it waits for and what releases it, once the other tasks of a batch are there. */
export function connectInto(
  batch: TaskBatch,
  taskId: TaskId,
  { dependsOn = [], releasedBy = [] }: SubmitInput,
  atMs: number,
  ids: IdSource,
): void {
  if (dependsOn.length > 0) batch.submit({ type: 'dependency_declare', taskId, dependsOn, atMs })
  for (const filter of releasedBy) {
    const subscriptionId = ids.uuid() as SubscriptionId
    batch.submit({ type: 'subscription_create', subscriptionId, taskId, filter, atMs })
  }
}

/** Raises `invalid_input` for an instant that cannot be meant because it is more than 25 years away. */
function originOf({ at }: SubmitInput, now: number): number {
  if (at === undefined) return now
  const atMs = epochMs(at)
  if (isNear(atMs, now)) return atMs
  const hint = isNear(atMs * 1000, now) ? '; these are seconds' : ''
  const reason = `${atMs} is not an instant in epoch milliseconds within 25 years from now (${now})${hint}`
  throw new InvalidInputError({ subject: 'task', field: 'at', reason })
}

function isNear(atMs: number, now: number): boolean {
  return Math.abs(atMs - now) <= longestDurationMs
}

function specOf(input: SubmitInput, ids: IdSource): TaskSpec {
  const { id = ids.uuid() as TaskId, kind, payload, contentType } = input
  const { runPolicy, constraints, metadata, parentTaskId, tenantId } = input
  return createTaskSpec({
    id,
    kind,
    payload: { bytes: payloadOf(payload), ...(contentType !== undefined && { contentType }) },
    ...(runPolicy !== undefined && { runPolicy }),
    ...(constraints !== undefined && { constraints }),
    ...(metadata !== undefined && { metadata }),
    ...(parentTaskId !== undefined && { parentTaskId }),
    ...(tenantId !== undefined && { tenantId }),
  })
}

/** The bytes of a payload. Raises `invalid_input` for what JSON cannot say: it would reach the handler as nothing. */
function payloadOf(payload: unknown): BytesInput {
  if (typeof payload === 'function' || typeof payload === 'symbol') {
    throw new InvalidInputError({ subject: 'task', field: 'payload', reason: `not JSON: ${textOf(payload)}` })
  }
  return readable('task', () => bytesOf(payload, 'task', 'payload'))
}

/** Bytes as they are, text as UTF-8, anything else as JSON text; what JSON leaves out as nothing. Raises `invalid_input` for what it cannot say. */
export function bytesOf(value: unknown, subject: string, field?: string): BytesInput {
  if (value instanceof Uint8Array) return value
  return Buffer.from(typeof value === 'string' ? value : (toJsonText(value, subject, field) ?? ''))
}

/** A task of a graph; it names the others by their keys in the graph. */
export interface GraphNode<Name extends string> extends Omit<SubmitInput, 'dependsOn' | 'parentTaskId'> {
  /** Tasks of the graph that must have completed before this one may start. */
  readonly dependsOn?: readonly NoInfer<Name>[]
  /** The task of the graph below which this one stands: it spends from its budgets and is cancelled with it. */
  readonly parent?: NoInfer<Name>
  /** A parent outside the graph. */
  readonly parentTaskId?: TaskId
}

/** Tasks by name. */
export type TaskGraph<Name extends string> = { readonly [Key in Name]: GraphNode<Name> }

const nodeSchema = optionsSchema<GraphNode<string>>({
  ...submitFields,
  dependsOn: v.optional(v.array(v.string(), 'not a list')),
  parent: v.optional(v.string()),
})

const graphSchema = recordSchema(nodeSchema)

/** What a caller submits, task by task; the rules of construction come later. Raises `invalid_input`. */
export function decodeGraph<Name extends string>(graph: TaskGraph<Name>): TaskGraph<Name> {
  return decode(graphSchema, graph, 'task graph') as TaskGraph<Name>
}

/**
 * Adds a whole graph to a batch: all of it becomes durable, or none. Raises `unknown_task_name`, `parent_cycle`, and what
 * submitting each task raises, `dependency_cycle` among it.
 */
export function submitGraphInto<Name extends string>(
  batch: TaskBatch,
  graph: TaskGraph<Name>,
  atMs: number,
  ids: IdSource,
): Readonly<Record<Name, TaskId>> {
  const nodes = new Map(Object.entries(graph) as [Name, GraphNode<Name>][])
  const taskIds = new Map(Array.from(nodes, ([name, { id }]) => [name, id ?? (ids.uuid() as TaskId)]))
  const idOf = (name: Name, usedBy: Name): TaskId => {
    const id = taskIds.get(name)
    if (id === undefined) throw new TaskError('unknown_task_name', { name, usedBy })
    return id
  }
  const inputs = new Map<Name, SubmitInput>()
  for (const [name, { dependsOn = [], parent, ...input }] of nodes) {
    inputs.set(name, {
      ...input,
      id: idOf(name, name),
      dependsOn: dependsOn.map((prerequisite) => idOf(prerequisite, name)),
      ...(parent !== undefined && { parentTaskId: idOf(parent, name) }),
    })
  }
  for (const name of parentsFirst(nodes)) createInto(batch, inputs.get(name) as SubmitInput, atMs, ids)
  for (const [name, input] of inputs) connectInto(batch, idOf(name, name), input, atMs, ids)
  return Object.fromEntries(taskIds) as Record<Name, TaskId>
}

function parentsFirst<Name extends string>(nodes: ReadonlyMap<Name, GraphNode<Name>>): Iterable<Name> {
  const ordered = new Set<Name>()
  for (const name of nodes.keys()) {
    // From here up to what is placed already: a chain may be as long as the graph.
    const chain = new Set<Name>()
    for (let next: Name | undefined = name; next !== undefined && !ordered.has(next); ) {
      if (chain.has(next)) throw new TaskError('parent_cycle', { name: next })
      chain.add(next)
      next = nodes.get(next)?.parent
    }
    for (const placed of [...chain].toReversed()) ordered.add(placed)
  }
  return ordered
}
