import type { AnyEventObject, Snapshot } from 'xstate'
import { read } from './plain.js'

/**
 * Whether something of this id belongs to the shown fraction. The answer depends on the id alone, so an
 * operation is shown with its whole story or not at all, by every process alike.
 */
export function isSampled(id: string, fraction: number): boolean {
  return hash(id) < fraction * 2 ** 32
}

/** The operation that an event of a registry is about. */
export function operationOfEvent(event: AnyEventObject): string | undefined {
  const named = read(event, 'id') ?? read(read(event, 'spec'), 'id')
  return typeof named === 'string' ? named : undefined
}

/** The operation whose life a snapshot shows. */
export function operationOfSnapshot(snapshot: Snapshot<unknown>): string | undefined {
  const id = read(read(snapshot, 'context'), 'id')
  return typeof id === 'string' ? id : undefined
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let place = 0; place < text.length; place += 1) value = Math.imul(value ^ text.charCodeAt(place), 0x01000193)
  return value >>> 0
}
