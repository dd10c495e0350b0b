import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { daemonIdSchema, type DaemonId } from './ids.js'
import { fractionSchema, labelSchema, monotonicSchema, textSchema } from './scalars.js'
import type { MonotonicMs } from './vocabulary.js'

/**
 * Identifies a daemon. Two references with the same id are the same daemon; the name is for people, and empty if it is
 * not known.
 */
export interface DaemonRef {
  readonly id: DaemonId
  readonly name: string
}

/** The health that a daemon reports. */
export type DaemonHealth =
  | { readonly status: 'healthy' | 'unhealthy' }
  | { readonly status: 'degraded'; readonly reason: string }

/** What the dispatcher has seen happen to a daemon. */
export type DaemonSignal =
  | { readonly type: 'started' | 'exited_cleanly'; readonly at: MonotonicMs }
  | { readonly type: 'crashed'; readonly at: MonotonicMs; readonly reason: string }
  | { readonly type: 'health_changed'; readonly at: MonotonicMs; readonly health: DaemonHealth }
  /** `saturation` is a fraction. */
  | { readonly type: 'saturation_changed'; readonly at: MonotonicMs; readonly saturation: number }

/** Accepts a {@link DaemonRef}. */
export const daemonRefSchema: v.GenericSchema<unknown, DaemonRef> = strictSchema({
  id: daemonIdSchema,
  name: labelSchema,
})

/** Accepts a {@link DaemonHealth}. */
export const daemonHealthSchema: v.GenericSchema<unknown, DaemonHealth> = v.variant('status', [
  strictSchema({ status: v.picklist(['healthy', 'unhealthy']) }),
  strictSchema({ status: v.literal('degraded'), reason: textSchema }),
])

/** Accepts a {@link DaemonSignal}. */
export const daemonSignalSchema: v.GenericSchema<unknown, DaemonSignal> = v.variant('type', [
  strictSchema({ type: v.picklist(['started', 'exited_cleanly']), at: monotonicSchema }),
  strictSchema({ type: v.literal('crashed'), at: monotonicSchema, reason: textSchema }),
  strictSchema({ type: v.literal('health_changed'), at: monotonicSchema, health: daemonHealthSchema }),
  strictSchema({ type: v.literal('saturation_changed'), at: monotonicSchema, saturation: fractionSchema }),
])
