import * as v from 'valibot'
import { decode, readable } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import { deepFreeze } from '../base/freeze.js'
import { isNilUuid } from '../base/ids.js'
import { strictSchema } from '../base/options.js'
import { traceparentSchema } from '../work/trace-context.js'
import { base64Schema, encodeBytes, type Base64, type BytesInput } from './bytes.js'
import { checkCron, nextOccurrence } from './cron.js'
import { TaskError } from './errors.js'
import type { TaskId, TenantId } from './ids.js'
import { countSchema, idSchema, labelSchema, naturalSchema, prioritySchema } from './scalars.js'

/** When a task runs (T-108). */
export type RunPolicy =
  | { readonly type: 'once' }
  | {
      readonly type: 'repeat'
      /** 1 to 4,294,967,295. */
      readonly count: number
      /** Milliseconds, from 1; the last repetition must be due by epoch millisecond `Number.MAX_SAFE_INTEGER`. */
      readonly intervalMs: number
    }
  | {
      readonly type: 'cron'
      /** Five fields `min hour dom month dow`, or seven: `sec min hour dom month dow year`. */
      readonly expression: string
      /** The IANA time zone whose wall clock the expression follows, such as `Europe/Berlin`. Default UTC. */
      readonly timezone?: string
      /** 1 to 4,294,967,295; absent means unlimited. Skipped occurrences do not count. */
      readonly maxOccurrences?: number
      /** Default `latest`. */
      readonly catchUp?: CatchUp
      /** Default `allow`. */
      readonly overlap?: Overlap
    }

/**
 * What happens to occurrences that were missed because nothing ran at their time, or dispatch was paused: `all` are
 * made up for, only the `latest` is, or `none` is, and the next occurrence comes at its time. An occurrence that is
 * merely a little late does not count as missed.
 */
export const catchUps = ['all', 'latest', 'none'] as const
export type CatchUp = (typeof catchUps)[number]

/**
 * What happens to an occurrence that is due while an earlier run of the task has not ended: both run (`allow`), the new
 * one is left out (`skip`), or it waits (`queue`), as if all runs of the task had one concurrency key. At most five
 * wait; further ones count as missed.
 */
export const overlaps = ['allow', 'skip', 'queue'] as const
export type Overlap = (typeof overlaps)[number]

/** The shape of a {@link RunPolicy}; {@link checkRunPolicy} checks its rules. */
export const runPolicySchema: v.GenericSchema<unknown, RunPolicy> = v.variant('type', [
  strictSchema({ type: v.literal('once') }),
  strictSchema({ type: v.literal('repeat'), count: countSchema, intervalMs: naturalSchema }),
  strictSchema({
    type: v.literal('cron'),
    expression: labelSchema,
    timezone: v.exactOptional(labelSchema),
    maxOccurrences: v.exactOptional(countSchema),
    catchUp: v.exactOptional(v.picklist(catchUps)),
    overlap: v.exactOptional(v.picklist(overlaps)),
  }),
])

/** Raises `invalid_repeat_count`, `invalid_repeat_interval_ms` or `cron_policy_error`, in this order. */
export function checkRunPolicy(policy: RunPolicy): void {
  switch (policy.type) {
    case 'once':
      return
    case 'repeat':
      if (policy.count === 0) throw new TaskError('invalid_repeat_count', { count: 0 })
      if (policy.intervalMs === 0) throw new TaskError('invalid_repeat_interval_ms', { intervalMs: 0 })
      return
    case 'cron':
      checkCron(policy)
      if (policy.maxOccurrences === 0) {
        throw new TaskError('cron_policy_error', { message: 'maxOccurrences must be at least 1' })
      }
  }
}

/**
 * Raises `invalid_input` for a cron expression without any occurrence from `origin` on, for instance the 30th of
 * February or a past year: its task would never end. Checked when a task is submitted but not when it is read, since
 * its last occurrence may have passed by then.
 */
export function checkOccurs(policy: RunPolicy, origin: number): void {
  if (policy.type !== 'cron' || nextOccurrence(policy.expression, origin - 1, policy.timezone) !== undefined) return
  const reason = `${policy.expression} never occurs from ${origin} on, in epoch milliseconds`
  throw new InvalidInputError({ subject: 'task', field: 'runPolicy.expression', reason })
}

/** Whether a run keeps its concurrency key while it waits for a retry. */
export const holdPolicies = ['hold_during_retry', 'release_on_retry'] as const
export type ConcurrencyKeyHoldPolicy = (typeof holdPolicies)[number]

/** What a handler promises in case it runs twice; advisory. */
export const safetyLevels = ['pure', 'idempotent', 'transactional'] as const
export type SafetyLevel = (typeof safetyLevels)[number]

/** How a task may run (T-106). */
export interface TaskConstraints {
  /** At least 1. Default 1. */
  readonly maxAttempts: number
  /** How many lost attempts in a row fail a run, at least 1. Default 3. */
  readonly maxLosses?: number
  /** Milliseconds per attempt, at least 1; absent means no limit. */
  readonly timeoutMs?: number
  /** Runs with the same key never overlap. */
  readonly concurrencyKey?: string
  readonly requiredCapabilities?: readonly string[]
  /** Default `hold_during_retry`. */
  readonly concurrencyKeyHoldPolicy: ConcurrencyKeyHoldPolicy
  /** Default `pure`. */
  readonly safetyLevel: SafetyLevel
}

/**
 * The key of runs that must not overlap: the one the task states, or one of its own if its runs wait for each other.
 */
export function concurrencyKeyOf({ id, constraints, runPolicy }: TaskSpec): string | undefined {
  if (constraints.concurrencyKey !== undefined) return constraints.concurrencyKey
  return runPolicy.type === 'cron' && runPolicy.overlap === 'queue' ? `task/${id}` : undefined
}

/** The constraints of a task that states none. */
export const defaultConstraints: TaskConstraints = deepFreeze({
  maxAttempts: 1,
  concurrencyKeyHoldPolicy: 'hold_during_retry',
  safetyLevel: 'pure',
})

/** The shape of {@link TaskConstraints}; {@link checkConstraints} checks its rules. */
export const constraintsSchema: v.GenericSchema<unknown, TaskConstraints> = strictSchema({
  maxAttempts: countSchema,
  maxLosses: v.exactOptional(countSchema),
  timeoutMs: v.exactOptional(naturalSchema),
  concurrencyKey: v.exactOptional(labelSchema),
  requiredCapabilities: v.exactOptional(v.array(labelSchema)),
  concurrencyKeyHoldPolicy: v.picklist(holdPolicies),
  safetyLevel: v.picklist(safetyLevels),
})

/**
 * Raises `invalid_max_attempts`, `invalid_max_losses`, `zero_timeout`, `empty_concurrency_key`, `empty_capabilities` or
 * `empty_capability_entry`, in this order.
 */
export function checkConstraints(constraints: TaskConstraints): void {
  const { maxAttempts, maxLosses, timeoutMs, concurrencyKey, requiredCapabilities } = constraints
  if (maxAttempts === 0) throw new TaskError('invalid_max_attempts', { maxAttempts })
  if (maxLosses === 0) throw new TaskError('invalid_max_losses', { maxLosses })
  if (timeoutMs === 0) throw new TaskError('zero_timeout', {})
  if (concurrencyKey === '') throw new TaskError('empty_concurrency_key', {})
  if (requiredCapabilities !== undefined) checkCapabilityNames(requiredCapabilities)
}

/** Raises `empty_capabilities` or `empty_capability_entry`; also used for what an actor offers. */
export function checkCapabilityNames(names: readonly string[]): void {
  if (names.length === 0) throw new TaskError('empty_capabilities', {})
  if (names.includes('')) throw new TaskError('empty_capability_entry', {})
}

/** The input of a handler, as bytes. */
export interface TaskPayload {
  readonly bytes: Base64
  /** Free text; a hint. */
  readonly contentType?: string
}

/** Descriptive data and the priority of a task (T-128, T-76). */
export interface TaskMetadata {
  readonly tags: readonly string[]
  /** Copied to every run; higher is more urgent. */
  readonly priority: number
  readonly description?: string
}

/**
 * The description of a task (T-105). Immutable once accepted, except that a change of schedule replaces the run policy.
 */
export interface TaskSpec {
  /** Never nil. */
  readonly id: TaskId
  /** Name of its handler; not empty. */
  readonly kind: string
  readonly runPolicy: RunPolicy
  readonly constraints: TaskConstraints
  readonly payload: TaskPayload
  readonly metadata: TaskMetadata
  readonly parentTaskId?: TaskId
  readonly tenantId?: TenantId
  /** A name chosen by the service, not empty. Unique, except that a retry takes over the key. */
  readonly key?: string
  /** The failed task that this one retries. */
  readonly retryOf?: TaskId
  /** The trace context of its submission, as a W3C `traceparent`; the spans of its attempts link to it. */
  readonly traceparent?: string
}

/** The input of {@link createTaskSpec}; everything not listed as required has a default. */
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
  readonly key?: string
  readonly retryOf?: TaskId
  readonly traceparent?: string
}

const payloadSchema = strictSchema({ bytes: base64Schema, contentType: v.exactOptional(labelSchema) })

const metadataSchema = strictSchema({
  tags: v.array(labelSchema),
  priority: prioritySchema,
  description: v.exactOptional(v.string()),
})

const taskSpecEntries = {
  id: idSchema<TaskId>(),
  kind: labelSchema,
  runPolicy: runPolicySchema,
  constraints: constraintsSchema,
  payload: payloadSchema,
  metadata: metadataSchema,
  parentTaskId: v.exactOptional(idSchema<TaskId>()),
  tenantId: v.exactOptional(idSchema<TenantId>()),
  key: v.exactOptional(labelSchema),
  retryOf: v.exactOptional(idSchema<TaskId>()),
  traceparent: v.exactOptional(traceparentSchema),
}

/** The shape of a {@link TaskSpec}; {@link checkTaskSpec} checks its rules. */
export const taskSpecSchema: v.GenericSchema<unknown, TaskSpec> = strictSchema(taskSpecEntries)

const partsSchema = strictSchema({ constraints: constraintsSchema, metadata: metadataSchema })

const once: RunPolicy = deepFreeze({ type: 'once' })
const noPayload: TaskPayload = deepFreeze({ bytes: encodeBytes(new Uint8Array()) })
const noMetadata: TaskMetadata = deepFreeze({ tags: [], priority: 0 })

/** The stored shape of a {@link TaskSpec}: parts that equal the defaults of {@link shareDefaults} are left out. */
export const storedTaskSpecSchema: v.GenericSchema<unknown, TaskSpec> = strictSchema({
  ...taskSpecEntries,
  runPolicy: v.optional(runPolicySchema, once),
  constraints: v.optional(constraintsSchema, defaultConstraints),
  payload: v.optional(payloadSchema, noPayload),
  metadata: v.optional(metadataSchema as v.GenericSchema<unknown, TaskMetadata>, noMetadata),
})

/**
 * Builds a task spec. Raises `invalid_input` for a wrong shape, then the errors of {@link checkTaskSpec}.
 */
export function createTaskSpec(input: TaskSpecInput): TaskSpec {
  const candidate = readable('task spec', () => {
    const { payload, constraints, metadata, runPolicy = once, ...rest } = input
    return { ...rest, runPolicy, payload: filledPayload(payload), ...filledParts({ constraints, metadata }) }
  })
  const spec = decode(taskSpecSchema, candidate, 'task spec')
  checkTaskSpec(spec)
  return spec
}

/** Builds a task spec of fields that have been decoded, except `constraints` and `metadata`. Raises the same. */
export function taskSpecOf(input: TaskSpecInput): TaskSpec {
  const { id, kind, runPolicy = once, payload, constraints, metadata, parentTaskId, tenantId, key, traceparent } = input
  const spec: { -readonly [Field in keyof TaskSpec]: TaskSpec[Field] } = {
    id,
    kind,
    runPolicy,
    payload: filledPayload(payload),
    ...partsOf({ constraints, metadata }),
  }
  if (parentTaskId !== undefined) spec.parentTaskId = parentTaskId
  if (tenantId !== undefined) spec.tenantId = tenantId
  if (key !== undefined) spec.key = key
  if (traceparent !== undefined) spec.traceparent = traceparent
  checkTaskSpec(spec)
  return spec
}

/** The parts of a spec of which a caller may state some fields. */
interface StatedParts {
  readonly constraints: Partial<TaskConstraints> | undefined
  readonly metadata: Partial<TaskMetadata> | undefined
}

function partsOf(parts: StatedParts): Pick<TaskSpec, 'constraints' | 'metadata'> {
  // As nearly all tasks have them.
  if (parts.constraints === undefined && parts.metadata === undefined) return filledParts(parts)
  return decode(
    partsSchema,
    readable('task spec', () => filledParts(parts)),
    'task spec',
  )
}

function filledParts({ constraints, metadata }: StatedParts): Pick<TaskSpec, 'constraints' | 'metadata'> {
  return {
    constraints: constraints === undefined ? defaultConstraints : { ...defaultConstraints, ...constraints },
    metadata: metadata === undefined ? noMetadata : { ...noMetadata, ...metadata },
  }
}

function filledPayload(payload: TaskSpecInput['payload']): TaskPayload {
  if (payload === undefined) return noPayload
  const { bytes } = payload
  return bytes === undefined ? { ...payload, ...noPayload } : { ...payload, bytes: encodeBytes(bytes) }
}

/**
 * The same spec with default parts replaced by shared copies: a million plain tasks need half the memory, and shared
 * parts are not written.
 */
export function shareDefaults(spec: TaskSpec): TaskSpec {
  const runPolicy = spec.runPolicy.type === 'once' ? once : spec.runPolicy
  const constraints = statesNothing(spec.constraints) ? defaultConstraints : spec.constraints
  const payload = spec.payload.bytes === '' && spec.payload.contentType === undefined ? noPayload : spec.payload
  const metadata = describesNothing(spec.metadata) ? noMetadata : spec.metadata
  const isShared =
    runPolicy === spec.runPolicy &&
    constraints === spec.constraints &&
    payload === spec.payload &&
    metadata === spec.metadata
  return isShared ? spec : { ...deepFreeze(spec), runPolicy, constraints, payload, metadata }
}

function describesNothing(metadata: TaskMetadata): boolean {
  const { tags, priority } = metadata
  return tags.length === 0 && priority === 0 && Object.keys(metadata).length === 2
}

function statesNothing(constraints: TaskConstraints): boolean {
  if (constraints === defaultConstraints) return true
  const keys = Object.keys(constraints) as (keyof TaskConstraints)[]
  return keys.every((key) => constraints[key] === defaultConstraints[key])
}

/**
 * Raises `invalid_task_id`, then what {@link checkRunPolicy} and {@link checkConstraints} raise, then
 * `empty_kind` and `empty_task_key`: T-105.
 */
export function checkTaskSpec(spec: TaskSpec): void {
  if (isNilUuid(spec.id)) throw new TaskError('invalid_task_id', { taskId: spec.id })
  checkRunPolicy(spec.runPolicy)
  checkConstraints(spec.constraints)
  if (spec.kind === '') throw new TaskError('empty_kind', {})
  if (spec.key === '') throw new TaskError('empty_task_key', {})
}
