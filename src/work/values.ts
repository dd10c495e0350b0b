import type { StandardSchemaV1 } from '@standard-schema/spec'
import { InvalidInputError, messageOf } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { textOf } from '../base/options.js'

/** A schema of any library that supports Standard Schema: valibot, zod, arktype and others. */
export type Schema<Input = unknown, Output = Input> = StandardSchemaV1<Input, Output>

/** The type of a schema's values before they are checked. */
export type InputOf<Checked extends Schema> = StandardSchemaV1.InferInput<Checked>

/** The type of a schema's values after they have been checked. */
export type OutputOf<Checked extends Schema> = StandardSchemaV1.InferOutput<Checked>

/** How deep a value may be nested. */
export const deepestValue = 128

/**
 * The key under which bytes are encoded. A user's object with the same key is wrapped, so that it is never mistaken
 * for bytes.
 */
const bytesKey = '$bytes'
const plainKey = '$plain'

/**
 * Encodes a value as JSON that {@link decodeValue} turns into the same value again: null, booleans, finite numbers,
 * text, arrays, plain objects, and bytes (`Uint8Array`, `Buffer`). Properties that are `undefined` are left out, a
 * value that is `undefined` itself stays `undefined`, and -0 becomes 0.
 *
 * Throws `invalid_input` naming the path of the first part that JSON would change: NaN and infinities, BigInt,
 * symbols, functions, dates, maps, sets, other typed arrays, class instances, holes, cycles, and anything nested
 * deeper than {@link deepestValue}. Throws nothing else, whatever getters and proxies do. `field` is the path of the
 * value itself within the subject.
 */
export function encodeValue(value: unknown, subject: string, field?: string): JsonValue | undefined {
  if (value === undefined) return undefined
  return new ValueEncoder(subject, field).encode(value, undefined)
}

/** Decodes an encoded value. Does not check its input, which comes from a journal that has been checked. */
export function decodeValue(stored: JsonValue | undefined): unknown {
  if (typeof stored !== 'object' || stored === null) return stored
  if (isList(stored)) return stored.map(decodeValue)
  const [only, ...others] = Object.keys(stored)
  if (others.length === 0) {
    if (only === bytesKey) return new Uint8Array(Buffer.from(stored[bytesKey] as string, 'base64'))
    if (only === plainKey) return decodeFields(stored[plainKey] as JsonValue & object)
  }
  return decodeFields(stored)
}

/**
 * Checks a value with its schema and returns the result. Throws `invalid_input` naming the path of the first issue. A
 * schema that throws, rejects or breaks the rules of Standard Schema counts as an issue of the whole value, and so does
 * a result that is a promise, which would otherwise be awaited unnoticed. Throws nothing else, whatever the schema and
 * the value do.
 */
export async function checkValue<Checked extends Schema>(
  schema: Checked,
  value: unknown,
  subject: string,
): Promise<OutputOf<Checked>> {
  let issue: { readonly field: string; readonly reason: string }
  try {
    const result = await schema['~standard'].validate(value)
    if (typeof result !== 'object' || result === null) throw new TypeError(`it answered ${textOf(result)}`)
    if (result.issues === undefined) {
      // Returning it from an async function would wait for it, however long that takes.
      if (isThenable(result.value)) throw new TypeError('it answered a promise: await it first')
      return result.value
    }
    const [first] = result.issues
    issue = { field: pathOf(first), reason: first === undefined ? 'refused by its schema' : textOfIssue(first) }
  } catch (cause) {
    throw new InvalidInputError({ subject, field: '$', reason: `its schema threw: ${messageOf(cause)}` }, { cause })
  }
  throw new InvalidInputError({ subject, ...issue })
}

/** True for a schema; those of arktype are functions. */
export function isSchema(candidate: unknown): candidate is Schema {
  if ((typeof candidate !== 'object' || candidate === null) && typeof candidate !== 'function') return false
  const standard = (candidate as { readonly '~standard'?: { readonly validate?: unknown } })['~standard']
  return typeof standard?.validate === 'function'
}

function isThenable(value: unknown): boolean {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false
  return typeof (value as { readonly then?: unknown }).then === 'function'
}

function textOfIssue({ message }: { readonly message: unknown }): string {
  return typeof message === 'string' ? message : textOf(message)
}

function pathOf(issue: StandardSchemaV1.Issue | undefined): string {
  const keys = (issue?.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part))
  return keys.length === 0 ? '$' : keys.join('.')
}

function decodeFields(stored: object): Record<string, unknown> {
  // Object.fromEntries defines own properties, including `__proto__`.
  return Object.fromEntries(Object.entries(stored).map(([key, part]) => [key, decodeValue(part as JsonValue)]))
}

/** The path of a part of a value, as a linked list, so that it is only written out if something is wrong. */
interface Place {
  readonly key: string
  readonly above: Place | undefined
  readonly depth: number
}

class ValueEncoder {
  readonly #subject: string
  readonly #root: readonly string[]
  /** The objects that contain the part being encoded, from the root down. */
  readonly #above = new Set<object>()

  constructor(subject: string, field: string | undefined) {
    this.#subject = subject
    this.#root = field === undefined ? [] : [field]
  }

  encode(value: unknown, place: Place | undefined): JsonValue {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value
      case 'number':
        // -0 is 0 in JSON. Returned so at once, it is the same before and after a restart.
        if (Number.isFinite(value)) return value === 0 ? 0 : value
        return this.#refuse(place, `${value} has no form in JSON`)
      case 'object':
        return value === null ? null : this.#encodeObject(value, place)
      default:
        return this.#refuse(place, `a ${typeof value} has no form in JSON`)
    }
  }

  #encodeObject(value: object, place: Place | undefined): JsonValue {
    if (this.#above.has(value)) return this.#refuse(place, 'it contains itself')
    if ((place?.depth ?? 0) >= deepestValue) return this.#refuse(place, `nested deeper than ${deepestValue}`)
    this.#above.add(value)
    try {
      if (value instanceof Uint8Array) return { [bytesKey]: Buffer.from(value).toString('base64') }
      if (Array.isArray(value)) return this.#encodeList(value, place)
      const prototype: unknown = Object.getPrototypeOf(value)
      if (prototype === null || prototype === Object.prototype) return this.#encodeFields(value, place)
      return this.#refuse(place, `${nameOf(prototype)} has no form in JSON: pass a plain object, text or bytes`)
    } catch (cause) {
      if (cause instanceof InvalidInputError) throw cause
      return this.#refuse(place, `it cannot be read: ${messageOf(cause)}`)
    } finally {
      this.#above.delete(value)
    }
  }

  #encodeList(list: readonly unknown[], place: Place | undefined): JsonValue {
    const encoded: JsonValue[] = []
    for (let index = 0; index < list.length; index++) {
      const at = below(place, String(index))
      const item = list[index]
      if (item === undefined) return this.#refuse(at, 'undefined has no form in a JSON array')
      encoded.push(this.encode(item, at))
    }
    return encoded
  }

  #encodeFields(value: object, place: Place | undefined): JsonValue {
    if (Object.getOwnPropertySymbols(value).length > 0) return this.#refuse(place, 'a symbol is no key in JSON')
    const fields: [string, JsonValue][] = []
    for (const [key, part] of Object.entries(value) as [string, unknown][]) {
      if (part !== undefined) fields.push([key, this.encode(part, below(place, key))])
    }
    const encoded = Object.fromEntries(fields)
    const looksLikeOurs = fields.length === 1 && (fields[0]?.[0] === bytesKey || fields[0]?.[0] === plainKey)
    return looksLikeOurs ? { [plainKey]: encoded } : encoded
  }

  #refuse(place: Place | undefined, reason: string): never {
    const keys: string[] = []
    for (let next = place; next !== undefined; next = next.above) keys.unshift(next.key)
    keys.unshift(...this.#root)
    throw new InvalidInputError({ subject: this.#subject, field: keys.length === 0 ? '$' : keys.join('.'), reason })
  }
}

function below(above: Place | undefined, key: string): Place {
  return { key, above, depth: (above?.depth ?? 0) + 1 }
}

function nameOf(prototype: unknown): string {
  const name: unknown = (prototype as { readonly constructor?: { readonly name?: unknown } }).constructor?.name
  return typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'an instance of a class'
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}
