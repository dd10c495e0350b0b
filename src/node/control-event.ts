import { msUntil } from './scalars.js'
import type { MonotonicMs } from './vocabulary.js'

/** What the loop tells the daemons of its node; instants are its own. */
export type ControlEvent =
  | { readonly type: 'shutdown' | 'drain_start'; readonly deadline: MonotonicMs }
  | { readonly type: 'drain_finish' | 'backpressure_off' }
  /** `level` is a fraction. */
  | { readonly type: 'backpressure_on'; readonly level: number }

/** The same as a daemon learns of it: what is left of the time, in milliseconds. */
export type DaemonControl =
  | { readonly type: 'shutdown' | 'drain_start'; readonly gracePeriodMs: number }
  | { readonly type: 'drain_finish' | 'backpressure_off' }
  | { readonly type: 'backpressure_on'; readonly level: number }

/** Where control events go; synchronous and quick. */
export interface ControlSink {
  emit(event: ControlEvent): void
}

/** A control event as its daemons are to learn of it at an instant. */
export function daemonControlOf(event: ControlEvent, now: MonotonicMs): DaemonControl {
  return 'deadline' in event ? { type: event.type, gracePeriodMs: msUntil(event.deadline, now) } : event
}
