import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { InvalidInputError, isList } from '../../base/errors.js'
import type { IdSource } from '../../base/ids.js'
import { epochMs, type Instant, instantSchema } from '../../base/instant.js'
import { longestDurationMs, optionsSchema, recordSchema, textOf, wholeNumberSchema } from '../../base/options.js'
import { traceparentSchema } from '../../work/trace-context.js'
import { budgetDimension } from '../budget.js'
import { checkValue, encodeValue, type Schema } from '../../work/values.js'
import { type Content, contentOf, essenceOf, isBytes, payloadDigest } from '../content.js'
import type { TaskConstraints } from '../task-spec.js'
import { TaskError } from '../errors.js'
import type { SubscriptionId, TaskId, TenantId } from '../ids.js'
import type { TaskBatch } from '../authority.js'
import { checkOccurs, type RunPolicy, runPolicySchema } from '../task-spec.js'
import { idSchema, labelSchema } from '../scalars.js'
import { type EventFilter, eventFilterSchema } from '../subscription.js'
import { taskSpecOf, type TaskMetadata, type TaskPayload, type TaskSpec } from '../task-spec.js'
import type { TaskView } from '../view.js'
import { firstRuns } from './cron-window.js'

/** A task to submit. */
export interface SubmitInput {
  /** Name of the handler. */
  readonly kind: string
  /** Generated when absent. Submitting an id again is refused with `task_already_exists`: a way to submit once. */
  readonly id?: TaskId
  /**
   * Text, bytes or a JSON value, which may contain bytes; a value that JSON would change is refused with the path. With
   * a `contentType`: bytes unchanged, text as UTF-8, anything else as JSON text in which bytes are
   * `{ "$bytes": base64 }`.
   */
  readonly payload?: unknown
  /** Default: follows from the payload. */
  readonly contentType?: string
  /**
   * A name chosen by the service, such as `order-42`. Submitting under a known key returns the existing task, or the
   * last of its retries; another kind or payload is refused with `key_in_use`. All other fields count the first time
   * only.
   */
  readonly key?: string
  /** Default: once. */
  readonly runPolicy?: RunPolicy
  /**
   * When the first run is due, and when a cron or repeat policy begins: epoch milliseconds or a `Date`, at most 25
   * years from now. Default: now.
   */
  readonly at?: Instant
  readonly constraints?: Partial<TaskConstraints>
  readonly metadata?: Partial<TaskMetadata>
  readonly parentTaskId?: TaskId
  readonly tenantId?: TenantId
  /** Tasks that must complete before this one may start. */
  readonly dependsOn?: readonly TaskId[]
  /** Tasks that must end, in any way, before this one may start. */
  readonly after?: readonly TaskId[]
  /** Limits by dimension, for this task and its descendants together; money in micro-units, `cost:usd`. */
  readonly budgets?: Readonly<Record<string, number>>
  /** Events that release the earliest run before its time; each once. */
  readonly releasedBy?: readonly EventFilter[]
  /**
   * A W3C `traceparent` that the spans of its attempts link to. Default: with a tracer, that of the span in which the
   * task is submitted.
   */
  readonly traceparent?: string
}

/** Options of a submission, besides kind and input. */
export type SubmitTaskOptions = Omit<SubmitInput, 'kind' | 'payload' | 'contentType'>

/** The input of a definition, optional if it may be `undefined`, and the options. */
export type SubmitArguments<Input> = undefined extends Input
  ? [input?: Input, options?: SubmitTaskOptions]
  : [input: Input, options?: SubmitTaskOptions]

/** The parts of a definition that a submission needs. */
export interface SubmitDefinition {
  readonly kind: string
  readonly input?: Schema
  readonly options: Pick<Partial<TaskConstraints>, 'maxAttempts' | 'timeoutMs' | 'maxLosses'>
}

/**
 * The submission of an input of a definition. Rejects with `invalid_input` for an input that its schema refuses, and
 * for wrong options. The input is stored as given: the schema is applied again when the handler receives it.
 */
export async function submissionOf(
  { kind, input: schema, options: { maxAttempts, timeoutMs, maxLosses } }: SubmitDefinition,
  input: unknown,
  options: SubmitTaskOptions,
): Promise<SubmitInput> {
  const decoded = decode(submitOptionsSchema, options, 'submit options')
  if (schema !== undefined) await checkValue(schema, input, `input of ${kind}`)
  const constraints = {
    ...(maxAttempts !== undefined && { maxAttempts }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(maxLosses !== undefined && { maxLosses }),
    ...decoded.constraints,
  }
  return { ...decoded, constraints, kind, payload: input }
}

/** Accepts any object; the task spec checks its fields. */
function partSchema<Part extends object>(): v.GenericSchema<unknown, Part> {
  return v.custom<Part>(
    (input) => typeof input === 'object' && input !== null && !isList(input),
    ({ input }) => `not an object: ${textOf(input)}`,
  )
}

/** The fields of {@link SubmitInput} that a task of a graph also has. */
export const submitFields = {
  kind: labelSchema,
  id: v.optional(idSchema<TaskId>()),
  payload: v.optional(v.unknown()),
  contentType: v.optional(labelSchema),
  key: v.optional(labelSchema),
  runPolicy: v.optional(runPolicySchema),
  at: v.optional(instantSchema),
  constraints: v.optional(partSchema<Partial<TaskConstraints>>()),
  metadata: v.optional(partSchema<Partial<TaskMetadata>>()),
  parentTaskId: v.optional(idSchema<TaskId>()),
  tenantId: v.optional(idSchema<TenantId>()),
  budgets: v.optional(recordSchema(wholeNumberSchema(0))),
  releasedBy: v.optional(v.array(eventFilterSchema, 'not a list')),
  traceparent: v.optional(traceparentSchema),
} as const

const prerequisites = v.optional(v.array(idSchema<TaskId>(), 'not a list'))
const prerequisiteFields = { dependsOn: prerequisites, after: prerequisites } as const
const submitSchema = optionsSchema<SubmitInput>({ ...submitFields, ...prerequisiteFields })
const { kind: _kind, payload: _payload, contentType: _type, ...optionFields } = submitFields
const submitOptionsSchema = optionsSchema<SubmitTaskOptions>({ ...optionFields, ...prerequisiteFields })
const { parentTaskId: _parent, ...childFields } = submitFields
const childSchema = optionsSchema<Omit<SubmitInput, 'parentTaskId'>>({ ...childFields, ...prerequisiteFields })

/** Decodes a submission, field by field; the rules of construction are checked later. Raises `invalid_input`. */
export function decodeSubmit(input: SubmitInput): SubmitInput {
  return decode(submitSchema, input, 'task')
}

/** The same for a child of a task, which cannot name another parent. */
export function decodeChild(input: Omit<SubmitInput, 'parentTaskId'>): Omit<SubmitInput, 'parentTaskId'> {
  return decode(childSchema, input, 'child task')
}

/** The result of a submission: the task, and whether it is new. */
export interface Submitted {
  readonly taskId: TaskId
  readonly isNew: boolean
}

/**
 * Adds a task with its runs, prerequisites, budgets and subscriptions to a batch, all or nothing. If its key is known,
 * changes nothing. Raises `invalid_input`, `key_in_use`, the construction errors of a task spec and the refusals of its
 * commands.
 */
export function submitInto(batch: TaskBatch, input: SubmitInput, atMs: number, ids: IdSource): TaskId {
  return submitOnce(batch, input, atMs, ids).taskId
}

/** The same, and tells whether the task is new. */
export function submitOnce(batch: TaskBatch, input: SubmitInput, atMs: number, ids: IdSource): Submitted {
  const known = knownByKey(batch.view, input)
  if (known !== undefined) return { taskId: known, isNew: false }
  const taskId = createInto(batch, input, atMs, ids)
  connectInto(batch, taskId, input, atMs, ids)
  return { taskId, isNew: true }
}

/** The existing task with the key of an input. Raises `key_in_use` if its kind or payload differs. */
function knownByKey(view: TaskView, input: SubmitInput): TaskId | undefined {
  const { key } = input
  const taskId = key === undefined ? undefined : view.taskByKey(key)
  if (key === undefined || taskId === undefined) return undefined
  const { kind, payload } = specOf({ kind: input.kind, ...payloadIn(input) }, { uuid: () => taskId })
  const known = view.task(taskId)?.spec ?? view.tombstone(taskId)
  if (known === undefined) return undefined
  const isSame =
    'payload' in known ? isSamePayload(payload, known.payload) : payloadDigest(payload) === known.payloadDigest
  if (kind !== known.kind || !isSame) throw new TaskError('key_in_use', { key, taskId })
  return taskId
}

/** Adds a task that retries a failed one. Raises the refusals of its commands. */
export function createAgain(
  batch: TaskBatch,
  spec: TaskSpec,
  { traceparent, ...connections }: Pick<SubmitInput, 'dependsOn' | 'after' | 'budgets' | 'traceparent'>,
  atMs: number,
  ids: IdSource,
): TaskId {
  const { traceparent: _, ...same } = spec
  const taskSpec = {
    ...same,
    id: ids.uuid() as TaskId,
    retryOf: spec.id,
    ...(traceparent !== undefined && { traceparent }),
  }
  createWith(batch, taskSpec, connections.budgets, { origin: atMs, createdAtMs: atMs }, ids)
  connectInto(batch, taskSpec.id, connections, atMs, ids)
  return taskSpec.id
}

/** The first half: the task, its runs and its budgets. */
function createInto(batch: TaskBatch, input: SubmitInput, atMs: number, ids: IdSource): TaskId {
  const origin = originOf(input, atMs)
  const taskSpec = specOf(input, ids)
  createWith(batch, taskSpec, input.budgets, { origin, createdAtMs: atMs }, ids)
  return taskSpec.id
}

function createWith(
  batch: TaskBatch,
  taskSpec: TaskSpec,
  budgets: Readonly<Record<string, number>> = {},
  { origin, createdAtMs: atMs }: { readonly origin: number; readonly createdAtMs: number },
  ids: IdSource,
): void {
  const taskId = taskSpec.id
  checkOccurs(taskSpec.runPolicy, origin)
  batch.submit({ type: 'task_create', taskSpec, runs: firstRuns(taskSpec, { origin, now: atMs }, ids), atMs })
  for (const [name, limit] of Object.entries(budgets)) {
    batch.submit({ type: 'budget_allocate', taskId, dimension: budgetDimension(name), limit, atMs })
  }
}

/** The second half: its prerequisites and subscriptions, once the other tasks of the batch exist. */
function connectInto(
  batch: TaskBatch,
  taskId: TaskId,
  { dependsOn = [], after = [], releasedBy = [] }: Pick<SubmitInput, 'dependsOn' | 'after' | 'releasedBy'>,
  atMs: number,
  ids: IdSource,
): void {
  if (dependsOn.length > 0 || after.length > 0) {
    batch.submit({ type: 'dependency_declare', taskId, dependsOn, ...(after.length > 0 && { after }), atMs })
  }
  for (const filter of releasedBy) {
    const subscriptionId = ids.uuid() as SubscriptionId
    batch.submit({ type: 'subscription_create', subscriptionId, taskId, filter, atMs })
  }
}

/** Raises `invalid_input` for an instant more than 25 years away, which must be a mistake. */
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

/** The spec of a decoded input. */
function specOf(input: SubmitInput, ids: Pick<IdSource, 'uuid'>): TaskSpec {
  const { id = ids.uuid() as TaskId, payload: _, contentType: __, ...rest } = input
  const payload = payloadOf(input)
  return taskSpecOf({ ...rest, id, ...(payload !== undefined && { payload }) })
}

/** Raises `invalid_input` naming the part that JSON would change: the handler would receive something else. */
function payloadOf({ payload, contentType }: SubmitInput): Content | undefined {
  if (contentType === undefined) return contentOf(payload, 'task', 'payload')
  if (isBytes(payload)) return { bytes: payload, contentType }
  const text = typeof payload === 'string' ? payload : JSON.stringify(encodeValue(payload, 'task', 'payload'))
  return { bytes: Buffer.from(text ?? ''), contentType }
}

function payloadIn({ payload, contentType }: SubmitInput): Pick<SubmitInput, 'payload' | 'contentType'> {
  return { payload, ...(contentType !== undefined && { contentType }) }
}

/** Whether two payloads are equal, whatever the order of their fields. */
function isSamePayload(one: TaskPayload, other: TaskPayload): boolean {
  if (one.contentType !== other.contentType) return false
  return one.bytes === other.bytes || essenceOf(one) === essenceOf(other)
}

/** A task of a graph; it refers to other tasks by their names in the graph. */
export interface GraphNode<Name extends string> extends Omit<SubmitInput, 'dependsOn' | 'after' | 'parentTaskId'> {
  /** Tasks of the graph that must complete before this one may start. */
  readonly dependsOn?: readonly NoInfer<Name>[]
  /** Tasks of the graph that must end, in any way, before this one may start. */
  readonly after?: readonly NoInfer<Name>[]
  /** The parent of this task, within the graph: the task spends from its budgets and is cancelled with it. */
  readonly parent?: NoInfer<Name>
  /** A parent outside the graph. */
  readonly parentTaskId?: TaskId
}

/** Tasks by name. */
export type TaskGraph<Name extends string> = { readonly [Key in Name]: GraphNode<Name> }

const nodeSchema = optionsSchema<GraphNode<string>>({
  ...submitFields,
  dependsOn: v.optional(v.array(v.string(), 'not a list')),
  after: v.optional(v.array(v.string(), 'not a list')),
  parent: v.optional(v.string()),
})

const graphSchema = recordSchema(nodeSchema)

/** Decodes a graph, task by task; the rules of construction are checked later. Raises `invalid_input`. */
export function decodeGraph<Name extends string>(graph: TaskGraph<Name>): TaskGraph<Name> {
  return decode(graphSchema, graph, 'task graph') as TaskGraph<Name>
}

/**
 * Adds a whole graph to a batch, all or nothing. Raises `unknown_task_name`, `parent_cycle`, and what submitting each
 * task raises, including `dependency_cycle`.
 */
export function submitGraphInto<Name extends string>(
  batch: TaskBatch,
  graph: TaskGraph<Name>,
  atMs: number,
  ids: IdSource,
  trace: Pick<SubmitInput, 'traceparent'> = {},
): Readonly<Record<Name, TaskId>> {
  const nodes = new Map(Object.entries(graph) as [Name, GraphNode<Name>][])
  const known = new Map(Array.from(nodes, ([name, node]) => [name, knownByKey(batch.view, nodeInput(node))]))
  const taskIds = new Map(
    Array.from(nodes, ([name, { id }]) => [name, known.get(name) ?? id ?? (ids.uuid() as TaskId)]),
  )
  const idOf = (name: Name, usedBy: Name): TaskId => {
    const id = taskIds.get(name)
    if (id === undefined) throw new TaskError('unknown_task_name', { name, usedBy })
    return id
  }
  const inputs = new Map<Name, SubmitInput>()
  for (const [name, node] of nodes) {
    const { dependsOn = [], after = [], parent } = node
    inputs.set(name, {
      ...trace,
      ...nodeInput(node),
      id: idOf(name, name),
      dependsOn: dependsOn.map((prerequisite) => idOf(prerequisite, name)),
      after: after.map((prerequisite) => idOf(prerequisite, name)),
      ...(parent !== undefined && { parentTaskId: idOf(parent, name) }),
    })
  }
  const isNew = (name: Name): boolean => known.get(name) === undefined
  for (const name of parentsFirst(nodes)) {
    if (isNew(name)) createInto(batch, inputs.get(name) as SubmitInput, atMs, ids)
  }
  for (const [name, input] of inputs) if (isNew(name)) connectInto(batch, idOf(name, name), input, atMs, ids)
  return Object.fromEntries(taskIds) as Record<Name, TaskId>
}

/** The input of a task of a graph without its references to others. */
function nodeInput({ dependsOn: _, after: __, parent: ___, ...input }: GraphNode<string>): SubmitInput {
  return input
}

function parentsFirst<Name extends string>(nodes: ReadonlyMap<Name, GraphNode<Name>>): Iterable<Name> {
  const ordered = new Set<Name>()
  for (const name of nodes.keys()) {
    // From here up to an ancestor that is already placed: a chain may be as long as the graph.
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
