import type { JsonValue } from '../base/json.js'

/** How much of a value is shown. */
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

/**
 * The JSON form of any value, cut at the limits, so that showing a value costs no more than the limits
 * allow. Cuts are marked by an ellipsis; functions become `{ type: name }` as the protocol has it, and
 * instances of classes their name unless they have a `toJSON`.
 */
export function toPlain(value: unknown, limits: PlainLimits = defaultLimits): JsonValue | undefined {
  let valuesLeft = limits.values

  const convert = (part: unknown, depth: number): JsonValue | undefined => {
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
        return { type: part.name }
      case 'bigint':
      case 'symbol':
        return part.toString()
      default:
        return part === null ? null : convertObject(part, depth)
    }
  }

  const convertObject = (part: object, depth: number): JsonValue | undefined => {
    if (depth >= limits.depth) return '…'
    if (Array.isArray(part)) return convertArray(part, depth)
    if ('toJSON' in part && typeof part.toJSON === 'function') return convert(part.toJSON(), depth + 1)
    if (part instanceof Error) return { name: part.name, message: shorten(part.message, limits.characters) }
    const prototype: unknown = Object.getPrototypeOf(part)
    if (prototype !== Object.prototype && prototype !== null) return `[${part.constructor.name}]`
    return convertRecord(part as Readonly<Record<string, unknown>>, depth)
  }

  const convertArray = (part: readonly unknown[], depth: number): JsonValue => {
    const shown = part.slice(0, limits.entries).map((entry) => convert(entry, depth + 1) ?? null)
    return part.length > limits.entries ? [...shown, `… ${part.length - limits.entries} more`] : shown
  }

  const convertRecord = (part: Readonly<Record<string, unknown>>, depth: number): JsonValue => {
    const shown: Record<string, JsonValue | undefined> = {}
    let entriesLeft = limits.entries
    for (const key in part) {
      if (entriesLeft === 0) {
        shown['…'] = 'more'
        break
      }
      entriesLeft -= 1
      const plain = convert(part[key], depth + 1)
      if (key === '__proto__') Object.defineProperty(shown, key, { value: plain, enumerable: true })
      else shown[key] = plain
    }
    return shown
  }

  return convert(value, 0)
}

function shorten(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}… ${text.length - limit} more characters`
}
