import { msUntil } from './scalars.js'
import type { MonotonicMs } from './vocabulary.js'

/** What the loop tells the daemons of its node, with monotonic instants. */
export type ControlEvent =
  | { readonly type: 'shutdown' | 'drain_start'; readonly deadline: MonotonicMs }
  | { readonly type: 'drain_finish' | 'backpressure_off' }
  /** `level` is a fraction. */
  | { readonly type: 'backpressure_on'; readonly level: number }

/** A control event as a daemon receives it, with remaining times in milliseconds. */
export type DaemonControl =
  | { readonly type: 'shutdown' | 'drain_start'; readonly gracePeriodMs: number }
  | { readonly type: 'drain_finish' | 'backpressure_off' }
  | { readonly type: 'backpressure_on'; readonly level: number }

/** Receives control events; must be synchronous and quick. */
export interface ControlSink {
  emit(event: ControlEvent): void
}

/** Converts a control event to what its daemons receive at an instant. */
export function daemonControlOf(event: ControlEvent, now: MonotonicMs): DaemonControl {
  return 'deadline' in event ? { type: event.type, gracePeriodMs: msUntil(event.deadline, now) } : event
}
