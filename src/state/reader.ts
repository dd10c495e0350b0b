import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { snakeCase, wireCodec } from './wire.js'

/** Answer of a {@link FastReader} that does not say what is wrong, or whether anything is. */
export const unread = Symbol('unread')

/** Reads a stored value with the names of the wire; {@link unread} for whatever is not plainly right. */
export type FastReader = (stored: unknown) => unknown

/**
 * Reads stored values by a schema: names of the wire become those of the code, and every field is checked.
 *
 * A long journal is read at every opening, and nearly all of it is as it should be. So the schema is turned into plain
 * checks once, which read a value in one pass and say yes or nothing; on nothing the schema itself is asked, and what it
 * says counts. A property holds both to the same answers.
 *
 * The reader raises `invalid_input` naming the field as it is spelt on the wire, where that is known. Raises
 * `wire_schema` like {@link wireCodec}.
 */
export function storedReader<Output>(
  schema: v.GenericSchema<unknown, Output>,
): (stored: unknown, subject: string) => Output {
  const wire = wireCodec(schema)
  const read = fastReader(schema)
  return (stored, subject) => {
    const value = read(stored)
    return value === unread ? decode(schema, wire.decode(stored, subject), subject) : (value as Output)
  }
}

/** What is read of a schema or an action of valibot, which have one shape per `type`. */
interface Parts {
  readonly kind: string
  readonly type: string
  readonly pipe?: readonly Parts[]
  readonly requirement?: unknown
  readonly entries?: Readonly<Record<string, Parts>>
  readonly wrapped?: Parts
  readonly default?: unknown
  readonly item?: Parts
  readonly options?: readonly unknown[]
  readonly key?: unknown
  readonly literal?: unknown
  readonly check?: (value: unknown) => boolean
}

/** The checks of a schema, made once. */
export function fastReader(schema: v.GenericSchema): FastReader {
  return readerOf(schema) ?? askSchema(schema)
}

/** For what has no checks here: the schema is asked about this part. */
function askSchema(schema: v.GenericSchema): FastReader {
  const wire = wireCodec(schema)
  return (stored) => {
    try {
      const result = v.safeParse(schema, wire.decode(stored, ''), { abortEarly: true })
      return result.success ? result.output : unread
    } catch {
      return unread
    }
  }
}

function partReader(parts: Parts): FastReader {
  return readerOf(parts) ?? askSchema(parts as unknown as v.GenericSchema)
}

/** `undefined` for a schema that only valibot understands. */
function readerOf(parts: Parts): FastReader | undefined {
  return parts.pipe === undefined ? plainReader(parts) : pipeReader(parts.pipe)
}

function pipeReader([root, ...actions]: readonly Parts[]): FastReader | undefined {
  const read = root && readerOf(root)
  const checks = actions.filter(({ type }) => type !== 'brand' && type !== 'readonly').map(checkOf)
  if (read === undefined || !checks.every((check) => check !== undefined)) return undefined
  return (stored) => {
    const value = read(stored)
    if (value === unread) return unread
    for (const check of checks) if (!check(value as never)) return unread
    return value
  }
}

/** What an action of a pipe demands; the values have the type that it is for. */
function checkOf({ kind, type, requirement }: Parts): ((value: never) => boolean) | undefined {
  if (kind !== 'validation') return undefined
  switch (type) {
    case 'safe_integer':
    case 'integer':
    case 'finite':
    case 'check':
      return requirement as (value: never) => boolean
    case 'min_value':
      return (value: number) => value >= (requirement as number)
    case 'max_value':
      return (value: number) => value <= (requirement as number)
    case 'min_length':
      return ({ length }: { readonly length: number }) => length >= (requirement as number)
    case 'max_length':
      return ({ length }: { readonly length: number }) => length <= (requirement as number)
    case 'regex':
      return (value: string) => (requirement as RegExp).test(value)
    default:
      return undefined
  }
}

function plainReader(parts: Parts): FastReader | undefined {
  switch (parts.type) {
    case 'string':
    case 'boolean':
      return (stored) => (typeof stored === parts.type ? stored : unread)
    case 'number':
      return (stored) => (typeof stored === 'number' && !Number.isNaN(stored) ? stored : unread)
    case 'literal':
      return (stored) => (stored === parts.literal ? stored : unread)
    case 'picklist': {
      const options = new Set(parts.options)
      return (stored) => (options.has(stored) ? stored : unread)
    }
    case 'unknown':
      return (stored) => stored
    case 'custom':
      return (stored) => (parts.check?.(stored) === true ? stored : unread)
    case 'nullable': {
      if (parts.default !== undefined) return undefined
      const read = parts.wrapped && partReader(parts.wrapped)
      return read && ((stored) => (stored === null ? null : read(stored)))
    }
    case 'array': {
      const read = parts.item && partReader(parts.item)
      return read && ((stored) => readList(stored, read))
    }
    case 'strict_object':
      return objectReader(parts.entries ?? {})
    case 'variant':
      return variantReader(parts)
    default:
      return undefined
  }
}

function readList(stored: unknown, read: FastReader): unknown {
  if (!Array.isArray(stored)) return unread
  const list: unknown[] = []
  for (const item of stored) {
    const value = read(item)
    if (value === unread) return unread
    list.push(value)
  }
  return list
}

interface Field {
  readonly name: string
  readonly wireName: string
  readonly isOptional: boolean
  /** What the schema fills in where there is nothing. */
  readonly assumed: unknown
  readonly read: FastReader
}

function objectReader(entries: Readonly<Record<string, Parts>>): FastReader | undefined {
  const fields: Field[] = []
  for (const [name, parts] of Object.entries(entries)) {
    const isOptional = parts.type === 'exact_optional' || parts.type === 'optional'
    // What is computed, or stands for nothing else than a missing field, is left to the schema.
    if (typeof parts.default === 'function' || (parts.default !== undefined && !isOptional)) return undefined
    if (isOptional && parts.wrapped === undefined) return undefined
    const read = partReader(isOptional ? (parts.wrapped as Parts) : parts)
    fields.push({ name, wireName: snakeCase(name), isOptional, assumed: parts.default, read })
  }
  return (stored) => {
    if (!isPlainObject(stored)) return unread
    const value: Record<string, unknown> = {}
    let found = 0
    for (const { name, wireName, isOptional, assumed, read } of fields) {
      const content = stored[wireName]
      if (content === undefined) {
        if (!isOptional || wireName in stored) return unread
        if (assumed !== undefined) value[name] = assumed
        continue
      }
      const part = read(content)
      if (part === unread) return unread
      value[name] = part
      found += 1
    }
    // Another field than the declared ones.
    for (const _ in stored) found -= 1
    return found === 0 ? value : unread
  }
}

/** The discriminator says which option holds. */
function variantReader({ key, options = [] }: Parts): FastReader | undefined {
  const discriminator = String(key)
  const byValue = new Map<unknown, FastReader>()
  for (const option of options as Parts[]) {
    const { type, literal, options: values = [] } = option.entries?.[discriminator] ?? {}
    if (type !== 'literal' && type !== 'picklist') return undefined
    const read = partReader(option)
    for (const value of type === 'literal' ? [literal] : values) {
      // Of two options for one value, the schema tries both.
      if (byValue.has(value)) return undefined
      byValue.set(value, read)
    }
  }
  const wireName = snakeCase(discriminator)
  return (stored) => (isPlainObject(stored) ? (byValue.get(stored[wireName])?.(stored) ?? unread) : unread)
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
