import { deepFreeze } from '../base/freeze.js'
import { canonicalJson } from '../base/json-copy.js'
import type { JsonValue } from '../base/json.js'
import type { ProcessEventType } from './event-type.js'

/** How many lists are cached: one per definition, and a few for processes registered without one. */
const mostRemembered = 1000

const byText = new Map<string, readonly ProcessEventType[]>()
const remembered = new WeakSet<readonly ProcessEventType[]>()

/**
 * Returns the one shared list that equals the given one, so that processes of a definition share it and everything
 * derived from it, such as compiled types. The given list must be checked already. It is frozen.
 */
export function sharedEventTypes(list: readonly ProcessEventType[]): readonly ProcessEventType[] {
  if (remembered.has(list)) return list
  // The text includes the key order, so that the shared list is exactly what was written.
  const text = JSON.stringify(list)
  const known = byText.get(text)
  if (known !== undefined) return known
  deepFreeze(list)
  if (byText.size >= mostRemembered) return list
  byText.set(text, list)
  remembered.add(list)
  return list
}

/** Whether this is a shared list, which was checked before and cannot have changed. */
export function isSharedEventTypes(candidate: unknown): boolean {
  return typeof candidate === 'object' && candidate !== null && remembered.has(candidate as readonly ProcessEventType[])
}

const texts = new WeakMap<readonly ProcessEventType[], string>()

/** The canonical JSON of what `make` returns for a list, computed once per list. */
export function textOfEventTypes(
  list: readonly ProcessEventType[],
  make: (list: readonly ProcessEventType[]) => JsonValue,
): string {
  let text = texts.get(list)
  if (text === undefined) texts.set(list, (text = canonicalJson(make(list))))
  return text
}
