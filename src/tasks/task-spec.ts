import * as v from 'valibot'
import { decode, readable } from '../base/decode.js'
import { isNilUuid } from '../base/ids.js'
import { strictSchema } from '../base/options.js'
import { base64Schema, encodeBytes, type Base64, type BytesInput } from './bytes.js'
import { checkConstraints, constraintsSchema, defaultConstraints, type TaskConstraints } from './constraints.js'
import { TaskError } from './errors.js'
import type { TaskId, TenantId } from './ids.js'
import { checkRunPolicy, runPolicySchema, type RunPolicy } from './run-policy.js'
import { idSchema, labelSchema, prioritySchema } from './scalars.js'

/** What a handler works on. */
export interface TaskPayload {
  readonly bytes: Base64
  /** Free text hint. */
  readonly contentType?: string
}

/** What people and selection know about a task (spec mutation authority 1.5). */
export interface TaskMetadata {
  readonly tags: readonly string[]
  /** Copied to every run; higher is more urgent. */
  readonly priority: number
  readonly description?: string
}

/** What must run (spec mutation authority 1.2). Immutable once accepted. */
export interface TaskSpec {
  /** Never nil. */
  readonly id: TaskId
  /** Names the handler that runs it; not empty. */
  readonly kind: string
  readonly runPolicy: RunPolicy
  readonly constraints: TaskConstraints
  readonly payload: TaskPayload
  readonly metadata: TaskMetadata
  readonly parentTaskId?: TaskId
  readonly tenantId?: TenantId
}

/** What {@link createTaskSpec} needs; everything else has a default. */
export interface TaskSpecInput {
  readonly id: TaskId
  readonly kind: string
  /** Default: once. */
  readonly runPolicy?: RunPolicy
  readonly constraints?: Partial<TaskConstraints>
  /** Default: no bytes. */
  readonly payload?: { readonly bytes?: BytesInput; readonly contentType?: string }
  readonly metadata?: Partial<TaskMetadata>
  readonly parentTaskId?: TaskId
  readonly tenantId?: TenantId
}

/** The shape of a {@link TaskSpec}; its rules are {@link checkTaskSpec}'s. */
export const taskSpecSchema: v.GenericSchema<unknown, TaskSpec> = strictSchema({
  id: idSchema<TaskId>(),
  kind: labelSchema,
  runPolicy: runPolicySchema,
  constraints: constraintsSchema,
  payload: strictSchema({ bytes: base64Schema, contentType: v.exactOptional(labelSchema) }),
  metadata: strictSchema({
    tags: v.array(labelSchema),
    priority: prioritySchema,
    description: v.exactOptional(v.string()),
  }),
  parentTaskId: v.exactOptional(idSchema<TaskId>()),
  tenantId: v.exactOptional(idSchema<TenantId>()),
})

/**
 * Builds a task spec. Raises `invalid_input` for a wrong shape, then the errors of {@link checkTaskSpec}.
 */
export function createTaskSpec(input: TaskSpecInput): TaskSpec {
  const candidate = readable('task spec', () => {
    const { payload, constraints, metadata, runPolicy, ...rest } = input
    return {
      ...rest,
      runPolicy: runPolicy ?? { type: 'once' },
      constraints: { ...defaultConstraints, ...constraints },
      payload: { ...payload, bytes: encodeBytes(payload?.bytes ?? new Uint8Array()) },
      metadata: { tags: [], priority: 0, ...metadata },
    }
  })
  const spec = decode(taskSpecSchema, candidate, 'task spec')
  checkTaskSpec(spec)
  return spec
}

/** The same spec with parts that state nothing taken from one shared copy: a million plain tasks cost half the memory. */
export function shareDefaults(spec: TaskSpec): TaskSpec {
  const { runPolicy, constraints, payload, metadata } = spec
  return {
    ...spec,
    runPolicy: runPolicy.type === 'once' ? once : runPolicy,
    constraints: statesNothing(constraints) ? defaultConstraints : constraints,
    payload: payload.bytes === '' && payload.contentType === undefined ? noPayload : payload,
    metadata:
      metadata.tags.length === 0 && Object.keys(metadata).length === 2 && metadata.priority === 0
        ? noMetadata
        : metadata,
  }
}

const once: RunPolicy = { type: 'once' }
const noPayload: TaskPayload = { bytes: encodeBytes(new Uint8Array()) }
const noMetadata: TaskMetadata = { tags: [], priority: 0 }

function statesNothing(constraints: TaskConstraints): boolean {
  const keys = Object.keys(constraints) as (keyof TaskConstraints)[]
  return keys.every((key) => constraints[key] === defaultConstraints[key])
}

/**
 * Raises `invalid_task_id`, then what {@link checkRunPolicy} and {@link checkConstraints} raise, then
 * `empty_kind`: the order of spec mutation authority 1.2.
 */
export function checkTaskSpec(spec: TaskSpec): void {
  if (isNilUuid(spec.id)) throw new TaskError('invalid_task_id', { taskId: spec.id })
  checkRunPolicy(spec.runPolicy)
  checkConstraints(spec.constraints)
  if (spec.kind === '') throw new TaskError('empty_kind', {})
}
