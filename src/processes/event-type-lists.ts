import { deepFreeze } from '../base/freeze.js'
import { canonicalJson } from '../base/json-copy.js'
import type { JsonValue } from '../base/json.js'
import type { ProcessEventType } from './event-type.js'

/** How many lists are remembered: there is one for each definition, and a few for what is registered without one. */
const mostRemembered = 1000

const byText = new Map<string, readonly ProcessEventType[]>()
const remembered = new WeakSet<readonly ProcessEventType[]>()

/**
 * The one list that says the same: processes of a definition share it, and with it all that is made of it once, such as its compiled
 * types. The list that is given must have been checked; it is frozen.
 */
export function sharedEventTypes(list: readonly ProcessEventType[]): readonly ProcessEventType[] {
  if (remembered.has(list)) return list
  // By the order of the keys too, so that what is shared is what was written.
  const text = JSON.stringify(list)
  const known = byText.get(text)
  if (known !== undefined) return known
  deepFreeze(list)
  if (byText.size >= mostRemembered) return list
  byText.set(text, list)
  remembered.add(list)
  return list
}

/** Whether it is a list that was checked and shared before, and cannot have changed. */
export function isSharedEventTypes(candidate: unknown): boolean {
  return typeof candidate === 'object' && candidate !== null && remembered.has(candidate as readonly ProcessEventType[])
}

const texts = new WeakMap<readonly ProcessEventType[], string>()

/** What `make` makes of a list as canonical JSON, once per list. */
export function textOfEventTypes(
  list: readonly ProcessEventType[],
  make: (list: readonly ProcessEventType[]) => JsonValue,
): string {
  let text = texts.get(list)
  if (text === undefined) texts.set(list, (text = canonicalJson(make(list))))
  return text
}
