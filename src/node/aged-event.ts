import type { AdminEvent } from './admin-event.js'

/**
 * An operator's event as it is folded some time after it was shared: durations in it are shortened by its age (N-522).
 */
export function agedEvent(event: AdminEvent, ageMs: number): AdminEvent {
  const left = (durationMs: number): number => Math.max(0, Math.trunc(durationMs - ageMs))
  switch (event.type) {
    case 'freeze_cluster':
      return { ...event, ttlMs: left(event.ttlMs) }
    case 'drain':
      return { ...event, drainForMs: left(event.drainForMs) }
    case 'enter_maintenance':
      return event.drainForMs === undefined ? event : { ...event, drainForMs: left(event.drainForMs) }
    default:
      return event
  }
}
