import * as v from 'valibot'
import type { JsonObject, JsonValue } from '../base/json.js'
import { jsonSchema } from './scalars.js'

/** Selects a value from a payload. */
export type Selector =
  /** The whole payload. */
  | { readonly type: 'payload' }
  /** The value at a JSON Pointer (RFC 6901). An error if there is none. */
  | { readonly type: 'pointer'; readonly pointer: string }
  | { readonly type: 'const'; readonly value: JsonValue }
  /** Text in which each `{name}` is replaced by the value that its field selects. Unknown names stay as they are. */
  | { readonly type: 'template'; readonly template: string; readonly fields: Readonly<Record<string, Selector>> }
  /** Whether the JSON Pointer leads to a value. */
  | { readonly type: 'present'; readonly pointer: string }

const pointerSchema = v.custom<string>(
  (input) => typeof input === 'string' && /^(\/([^~/]|~[01])*)*$/.test(input),
  'not a JSON Pointer',
)

const nested: v.GenericSchema<unknown, Selector> = v.lazy(() => selectorSchema)

/** The shape of a {@link Selector}. */
export const selectorSchema: v.GenericSchema<unknown, Selector> = v.variant('type', [
  v.strictObject({ type: v.literal('payload') }),
  v.strictObject({ type: v.literal('pointer'), pointer: pointerSchema }),
  v.strictObject({ type: v.literal('const'), value: jsonSchema }),
  v.strictObject({ type: v.literal('template'), template: v.string(), fields: v.record(v.string(), nested) }),
  v.strictObject({ type: v.literal('present'), pointer: pointerSchema }),
])

/** Applies a selector to a payload. Raises {@link NothingSelected}. */
export type Select = (payload: JsonValue) => JsonValue

/** A pointer that leads to no value. The caller adds which event it is about. */
export class NothingSelected extends Error {
  readonly pointer: string

  constructor(pointer: string) {
    super(`nothing at ${pointer}`)
    this.pointer = pointer
  }
}

/** Compiles a selector into a function, parsing its pointers once. */
export function compileSelector(selector: Selector): Select {
  switch (selector.type) {
    case 'payload':
      return (payload) => payload
    case 'const':
      return () => selector.value
    case 'pointer': {
      const keys = keysOf(selector.pointer)
      return (payload) => {
        const found = follow(payload, keys)
        if (found === undefined) throw new NothingSelected(selector.pointer)
        return found
      }
    }
    case 'present': {
      const keys = keysOf(selector.pointer)
      return (payload) => follow(payload, keys) !== undefined
    }
    case 'template': {
      const fields = new Map(Object.entries(selector.fields).map(([name, field]) => [name, compileSelector(field)]))
      // In one pass, so that inserted text is never taken for a name.
      return (payload) =>
        selector.template.replaceAll(/\{([^{}]*)\}/g, (text, name: string) => {
          const select = fields.get(name)
          return select === undefined ? text : textOfValue(select(payload))
        })
    }
  }
}

/** A value as text: strings as they are, everything else as JSON. */
export function textOfValue(value: JsonValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** False for null, false, and empty text, arrays and objects. True for everything else, including 0. */
export function isTruthy(value: JsonValue): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0
  return value !== null && value !== false && value !== ''
}

function keysOf(pointer: string): readonly string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function follow(payload: JsonValue, keys: readonly string[]): JsonValue | undefined {
  let at: JsonValue | undefined = payload
  for (const key of keys) {
    if (Array.isArray(at)) at = /^(0|[1-9]\d*)$/.test(key) ? (at as readonly JsonValue[])[Number(key)] : undefined
    else if (typeof at === 'object' && at !== null) at = Object.hasOwn(at, key) ? (at as JsonObject)[key] : undefined
    else return undefined
  }
  return at
}
