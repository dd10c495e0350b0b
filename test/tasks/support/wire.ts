import type { JsonObject } from '../../../src/base/json.js'

/** A stored value as the journal spells it, with every name in snake_case; for values without keys of users. */
export function toWire(value: object): JsonObject {
  return renamed(value, (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)) as JsonObject
}

/** The same in the names of the code. */
export function fromWire(value: object): JsonObject {
  return renamed(value, (name) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())) as JsonObject
}

function renamed(value: unknown, rename: (name: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => renamed(item, rename))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [rename(name), renamed(part, rename)]))
}
