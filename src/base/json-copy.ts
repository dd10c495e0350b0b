import { InvalidInputError, messageOf } from './errors.js'
import type { JsonValue } from './json.js'

/** How deep a value may be nested. */
const deepestJson = 128

/**
 * Returns a frozen copy of a JSON value that nothing else can change. Properties that are `undefined` are left out,
 * and `-0` becomes `0`.
 *
 * Throws `invalid_input` naming the path of the first part that JSON would change: NaN and infinities, BigInt,
 * symbols, functions, dates, class instances, holes, cycles, and anything nested deeper than 128. Throws nothing
 * else, whatever getters and proxies do.
 *
 * `isCopy` names parts that are such copies already. They are taken over as they are.
 */
export function copyJson(value: unknown, subject: string, isCopy: (part: object) => boolean = () => false): JsonValue {
  return new Copier(subject, isCopy).copy(value, [])
}

/** The JSON text of a value, the same for equal values: keys of every object sorted, no spaces. */
export function canonicalJson(value: JsonValue | undefined): string {
  if (typeof value !== 'object' || value === null) return value === undefined ? '' : JSON.stringify(value)
  if (Array.isArray(value)) return `[${(value as readonly JsonValue[]).map(canonicalJson).join(',')}]`
  const fields = value as Readonly<Record<string, JsonValue | undefined>>
  let text = ''
  for (const key of Object.keys(fields).sort()) {
    const part = fields[key]
    if (part !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(part)}`
  }
  return `{${text}}`
}

/**
 * Whether two JSON values are equal. The order of keys does not matter, and a property that is `undefined` counts as
 * absent.
 */
export function isSameJson(one: JsonValue | undefined, other: JsonValue | undefined): boolean {
  if (one === other) return true
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false
  if (Array.isArray(one) || Array.isArray(other)) {
    if (!Array.isArray(one) || !Array.isArray(other) || one.length !== other.length) return false
    return one.every((item: JsonValue, index) => isSameJson(item, other[index] as JsonValue))
  }
  const [first, second] = [one as Record<string, JsonValue | undefined>, other as Record<string, JsonValue | undefined>]
  let left = 0
  for (const key of Object.keys(first)) {
    if (first[key] === undefined) continue
    if (!Object.hasOwn(second, key) || !isSameJson(first[key], second[key])) return false
    left += 1
  }
  for (const key of Object.keys(second)) if (second[key] !== undefined) left -= 1
  return left === 0
}

class Copier {
  readonly #subject: string
  readonly #isCopy: (part: object) => boolean
  /** The objects that contain the part being copied, from the root down. */
  readonly #above = new Set<object>()

  constructor(subject: string, isCopy: (part: object) => boolean) {
    this.#subject = subject
    this.#isCopy = isCopy
  }

  copy(value: unknown, path: string[]): JsonValue {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value
      case 'number':
        if (!Number.isFinite(value)) return this.#refuse(path, `${value} has no form in JSON`)
        return value === 0 ? 0 : value
      case 'object':
        return value === null ? null : this.#copyObject(value, path)
      default:
        return this.#refuse(
          path,
          `${typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`} has no form in JSON`,
        )
    }
  }

  #copyObject(value: object, path: string[]): JsonValue {
    if (this.#isCopy(value)) return value as JsonValue
    if (this.#above.has(value)) return this.#refuse(path, 'it contains itself')
    if (path.length >= deepestJson) return this.#refuse(path, `nested deeper than ${deepestJson}`)
    this.#above.add(value)
    try {
      return Object.freeze(Array.isArray(value) ? this.#copyList(value, path) : this.#copyFields(value, path))
    } catch (cause) {
      if (cause instanceof InvalidInputError) throw cause
      return this.#refuse(path, `it cannot be read: ${messageOf(cause)}`)
    } finally {
      this.#above.delete(value)
    }
  }

  #copyList(list: readonly unknown[], path: string[]): JsonValue[] {
    const copy: JsonValue[] = []
    for (let index = 0; index < list.length; index++) {
      path.push(String(index))
      copy.push(this.copy(list[index], path))
      path.pop()
    }
    return copy
  }

  #copyFields(value: object, path: string[]): Record<string, JsonValue> {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== null && prototype !== Object.prototype) {
      return this.#refuse(path, 'an instance of a class has no form in JSON')
    }
    if (Object.getOwnPropertySymbols(value).length > 0) return this.#refuse(path, 'a symbol is no key in JSON')
    const copy: Record<string, JsonValue> = {}
    for (const [key, part] of Object.entries(value) as [string, unknown][]) {
      if (part === undefined) continue
      path.push(key)
      const copied = this.copy(part, path)
      path.pop()
      // A plain assignment would set the prototype.
      if (key === '__proto__') Object.defineProperty(copy, key, { value: copied, enumerable: true })
      else copy[key] = copied
    }
    return copy
  }

  #refuse(path: readonly string[], reason: string): never {
    throw new InvalidInputError({ subject: this.#subject, field: path.length === 0 ? '$' : path.join('.'), reason })
  }
}
