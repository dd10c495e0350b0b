import * as v from 'valibot'
import { InvalidInputError } from '../base/errors.js'
import { strictSchema } from '../base/options.js'
import { checkCron, nextOccurrence } from './cron.js'
import { TaskError } from './errors.js'
import { countSchema, labelSchema, naturalSchema } from './scalars.js'

/** When a task runs (spec mutation authority 1.3). */
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
      /** Seven fields `sec min hour dom month dow year`, UTC. */
      readonly expression: string
      /** 1 to 4,294,967,295; absent means unlimited. */
      readonly maxOccurrences?: number
    }

/** The shape of a {@link RunPolicy}; its rules are {@link checkRunPolicy}'s. */
export const runPolicySchema: v.GenericSchema<unknown, RunPolicy> = v.variant('type', [
  strictSchema({ type: v.literal('once') }),
  strictSchema({ type: v.literal('repeat'), count: countSchema, intervalMs: naturalSchema }),
  strictSchema({ type: v.literal('cron'), expression: labelSchema, maxOccurrences: v.exactOptional(countSchema) }),
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
      checkCron(policy.expression)
      if (policy.maxOccurrences === 0) {
        throw new TaskError('cron_policy_error', { message: 'maxOccurrences must be at least 1' })
      }
  }
}

/**
 * Raises `invalid_input` for a cron expression without any occurrence from `origin` on, for instance the 30th of February
 * or a year that is over: its task would never end. A rule of taking a task, not of reading one: what was taken may since
 * have come to its last occurrence.
 */
export function checkOccurs(policy: RunPolicy, origin: number): void {
  if (policy.type !== 'cron' || nextOccurrence(policy.expression, origin - 1) !== undefined) return
  const reason = `${policy.expression} never occurs from ${origin} on, in epoch milliseconds`
  throw new InvalidInputError({ subject: 'task', field: 'runPolicy.expression', reason })
}
