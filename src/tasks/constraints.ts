import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { TaskError } from './errors.js'
import { countSchema, labelSchema, naturalSchema } from './scalars.js'

/** Whether a waiting run keeps its concurrency key. */
export const holdPolicies = ['hold_during_retry', 'release_on_retry'] as const
export type ConcurrencyKeyHoldPolicy = (typeof holdPolicies)[number]

/** What a handler promises about running twice; advisory. */
export const safetyLevels = ['pure', 'idempotent', 'transactional'] as const
export type SafetyLevel = (typeof safetyLevels)[number]

/** How a task may run (spec mutation authority 1.4). */
export interface TaskConstraints {
  /** At least 1. Default 1. */
  readonly maxAttempts: number
  /** Milliseconds per attempt, at least 1; absent means none. */
  readonly timeoutMs?: number
  /** Runs with one key never overlap. */
  readonly concurrencyKey?: string
  readonly requiredCapabilities?: readonly string[]
  /** Default `hold_during_retry`. */
  readonly concurrencyKeyHoldPolicy: ConcurrencyKeyHoldPolicy
  /** Default `pure`. */
  readonly safetyLevel: SafetyLevel
}

/** What a task gets that states nothing. */
export const defaultConstraints: TaskConstraints = {
  maxAttempts: 1,
  concurrencyKeyHoldPolicy: 'hold_during_retry',
  safetyLevel: 'pure',
}

/** The shape of {@link TaskConstraints}; its rules are {@link checkConstraints}'s. */
export const constraintsSchema: v.GenericSchema<unknown, TaskConstraints> = strictSchema({
  maxAttempts: countSchema,
  timeoutMs: v.exactOptional(naturalSchema),
  concurrencyKey: v.exactOptional(labelSchema),
  requiredCapabilities: v.exactOptional(v.array(labelSchema)),
  concurrencyKeyHoldPolicy: v.picklist(holdPolicies),
  safetyLevel: v.picklist(safetyLevels),
})

/**
 * Raises `invalid_max_attempts`, `zero_timeout`, `empty_concurrency_key`, `empty_capabilities` or
 * `empty_capability_entry`, in this order.
 */
export function checkConstraints(constraints: TaskConstraints): void {
  const { maxAttempts, timeoutMs, concurrencyKey, requiredCapabilities } = constraints
  if (maxAttempts === 0) throw new TaskError('invalid_max_attempts', { maxAttempts })
  if (timeoutMs === 0) throw new TaskError('zero_timeout', {})
  if (concurrencyKey === '') throw new TaskError('empty_concurrency_key', {})
  if (requiredCapabilities !== undefined) checkCapabilityNames(requiredCapabilities)
}

/** Raises `empty_capabilities` or `empty_capability_entry`; also the rule for what an actor offers. */
export function checkCapabilityNames(names: readonly string[]): void {
  if (names.length === 0) throw new TaskError('empty_capabilities', {})
  if (names.includes('')) throw new TaskError('empty_capability_entry', {})
}
