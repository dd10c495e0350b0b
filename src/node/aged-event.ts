import type { AdminEvent } from './admin-event.js'

/** An operator's event as it is folded so much later than it was shared: what lasts for a while lasts so much less (N-522). */
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
