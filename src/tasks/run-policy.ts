import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { checkCron } from './cron.js'
import { TaskError } from './errors.js'
import { countSchema, labelSchema, naturalSchema, type Seconds } from './scalars.js'

/** When a task runs (spec mutation authority 1.3). */
export type RunPolicy =
  | { readonly type: 'once' }
  | { readonly type: 'repeat'; readonly count: number; readonly intervalSecs: Seconds }
  | {
      readonly type: 'cron'
      /** Seven fields `sec min hour dom month dow year`, UTC. */
      readonly expression: string
      /** Absent means unlimited. */
      readonly maxOccurrences?: number
    }

/** The shape of a {@link RunPolicy}; its rules are {@link checkRunPolicy}'s. */
export const runPolicySchema: v.GenericSchema<unknown, RunPolicy> = v.variant('type', [
  strictSchema({ type: v.literal('once') }),
  strictSchema({ type: v.literal('repeat'), count: countSchema, intervalSecs: naturalSchema }),
  strictSchema({ type: v.literal('cron'), expression: labelSchema, maxOccurrences: v.exactOptional(countSchema) }),
])

/** Raises `invalid_repeat_count`, `invalid_repeat_interval_secs` or `cron_policy_error`, in this order. */
export function checkRunPolicy(policy: RunPolicy): void {
  switch (policy.type) {
    case 'once':
      return
    case 'repeat':
      if (policy.count === 0) throw new TaskError('invalid_repeat_count', { count: 0 })
      if (policy.intervalSecs === 0) throw new TaskError('invalid_repeat_interval_secs', { intervalSecs: 0 })
      return
    case 'cron':
      checkCron(policy.expression)
      if (policy.maxOccurrences === 0) {
        throw new TaskError('cron_policy_error', { message: 'maxOccurrences must be at least 1' })
      }
  }
}
