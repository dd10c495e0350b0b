import type { AnyEventObject, Snapshot } from 'xstate'
import { read } from './plain.js'

/**
 * Whether an id belongs to the sampled fraction. The answer depends on the id alone, so that every process shows an
 * operation either with its whole history or not at all.
 */
export function isSampled(id: string, fraction: number): boolean {
  return hash(id) < fraction * 2 ** 32
}

/** The operation that a registry's event is about. */
export function operationOfEvent(event: AnyEventObject): string | undefined {
  const named = read(event, 'id') ?? read(read(event, 'spec'), 'id')
  return typeof named === 'string' ? named : undefined
}

/** The operation that a snapshot belongs to. */
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
