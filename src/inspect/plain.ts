import type { JsonValue } from '../base/json.js'

/** Limits on how much of a value is shown. */
export interface PlainLimits {
  /** Levels of nesting. */
  readonly depth: number
  /** Entries of one array or object. */
  readonly entries: number
  /** UTF-16 units of one string. */
  readonly characters: number
  /** Values in total. */
  readonly values: number
}

const defaultLimits: PlainLimits = { depth: 10, entries: 100, characters: 2000, values: 2000 }

/** Replaces a value that throws when it is read. */
export const unreadable = '[unreadable]'

/**
 * Converts any value to JSON, cut at the limits, so that showing a value never costs more than the limits allow. Cuts
 * are marked by an ellipsis; functions become `{ type: name }` as in Stately's protocol, and instances of classes
 * become their name unless they have a `toJSON`. Never throws: a value that cannot be read, or that contains itself, is
 * replaced by a marker, and the rest is kept.
 */
export function toPlain(value: unknown, limits: PlainLimits = defaultLimits): JsonValue | undefined {
  let valuesLeft = limits.values
  /** The objects that contain the current value, outermost first. */
  const path: object[] = []

  const convert = (part: unknown): JsonValue | undefined => {
    if (part === undefined) return undefined
    valuesLeft -= 1
    if (valuesLeft < 0) return '…'
    switch (typeof part) {
      case 'string':
        return shorten(part, limits.characters)
      case 'number':
        return Number.isFinite(part) ? part : String(part)
      case 'boolean':
        return part
      case 'function':
        return { type: nameOf(part) }
      case 'bigint':
      case 'symbol':
        return part.toString()
      default:
        return part === null ? null : convertObject(part)
    }
  }

  const convertObject = (part: object): JsonValue | undefined => {
    if (path.includes(part)) return '[circular]'
    if (path.length >= limits.depth) return '…'
    path.push(part)
    try {
      return convertParts(part)
    } catch {
      // Getters, proxies and `toJSON` run foreign code.
      return unreadable
    } finally {
      path.pop()
    }
  }

  const convertParts = (part: object): JsonValue | undefined => {
    if (Array.isArray(part)) return convertArray(part)
    if ('toJSON' in part && typeof part.toJSON === 'function') return convert(part.toJSON())
    if (part instanceof Error) {
      return { name: convertMember(part, 'name') ?? null, message: convertMember(part, 'message') ?? null }
    }
    const prototype: unknown = Object.getPrototypeOf(part)
    if (prototype !== Object.prototype && prototype !== null) return `[${nameOf(part.constructor)}]`
    return convertRecord(part)
  }

  const convertMember = (part: object, key: PropertyKey): JsonValue | undefined => convert(read(part, key, unreadable))

  const convertArray = (part: readonly unknown[]): JsonValue => {
    const shown: JsonValue[] = []
    for (let index = 0; index < Math.min(part.length, limits.entries); index += 1) {
      shown.push(convertMember(part, index) ?? null)
    }
    return part.length > limits.entries ? [...shown, `… ${part.length - limits.entries} more`] : shown
  }

  const convertRecord = (part: object): JsonValue => {
    const shown: Record<string, JsonValue | undefined> = {}
    let entriesLeft = limits.entries
    for (const key in part) {
      if (entriesLeft === 0) {
        shown['…'] = 'more'
        break
      }
      entriesLeft -= 1
      const plain = convertMember(part, key)
      if (key === '__proto__') Object.defineProperty(shown, key, { value: plain, enumerable: true })
      else shown[key] = plain
    }
    return shown
  }

  return convert(value)
}

/** Reads a property of any value; `otherwise` if there is none, or if reading it throws. */
export function read(value: unknown, key: PropertyKey, otherwise?: unknown): unknown {
  try {
    return isObject(value) || typeof value === 'function' ? Reflect.get(value, key, value) : undefined
  } catch {
    return otherwise
  }
}

/** Whether the value is an object or an array. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function nameOf(value: unknown): string {
  const name = read(value, 'name')
  return typeof name === 'string' ? name : 'Object'
}

function shorten(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}… ${text.length - limit} more characters`
}
