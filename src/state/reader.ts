import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { snakeCase, wireCodec } from './wire.js'

/** The result of a {@link FastReader} that could not read a value. It does not say whether the value is invalid. */
export const unread = Symbol('unread')

/** Reads a stored value and renames its fields from the wire form. Returns {@link unread} for anything unusual. */
export type FastReader = (stored: unknown) => unknown

/**
 * Creates a reader of stored values: it renames fields from the wire form and checks every field against the schema.
 *
 * A long journal is read at every opening, and nearly all of it is valid. So the schema is compiled once into plain
 * checks that read a value in one pass, or give up. Then the schema itself is used, and its result counts. A
 * property-based test compares both.
 *
 * The reader throws `invalid_input` naming the field as it is written on the wire, where that is known. This function
 * throws `wire_schema` like {@link wireCodec}. Fields of an object that are `leftOut` are checked, but the value that is
 * read is without them.
 */
export function storedReader<Output>(
  schema: v.GenericSchema<unknown, Output>,
  leftOut: readonly string[] = [],
): (stored: unknown, subject: string) => Output {
  const wire = wireCodec(schema)
  const read = fastReader(schema, leftOut)
  return (stored, subject) => {
    const value = read(stored)
    const output = value === unread ? without(decode(schema, wire.decode(stored, subject), subject), leftOut) : value
    return output as Output
  }
}

function without(value: unknown, names: readonly string[]): unknown {
  if (names.length === 0) return value
  return Object.fromEntries(Object.entries(value as object).filter(([name]) => !names.includes(name)))
}

/** The parts used of a valibot schema or action; which of them exist depends on `type`. */
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

/** Compiles the checks of a schema. Fields of an object that are `leftOut` are checked but not part of the result. */
export function fastReader(schema: v.GenericSchema, leftOut: readonly string[] = []): FastReader {
  const { type, entries = {} } = schema as unknown as Parts
  const read =
    leftOut.length > 0 && type === 'strict_object' ? objectReader(entries, new Set(leftOut)) : readerOf(schema)
  return read ?? askSchema(schema, leftOut)
}

/** A reader that uses the schema itself, for parts without compiled checks. */
function askSchema(schema: v.GenericSchema, leftOut: readonly string[] = []): FastReader {
  const wire = wireCodec(schema)
  return (stored) => {
    try {
      const result = v.safeParse(schema, wire.decode(stored, ''), { abortEarly: true })
      return result.success ? without(result.output, leftOut) : unread
    } catch {
      return unread
    }
  }
}

function partReader(parts: Parts): FastReader {
  return readerOf(parts) ?? askSchema(parts as unknown as v.GenericSchema)
}

/** `undefined` for a schema that only valibot can check. */
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

/** The check of a pipe's action. Values already have the type that the action expects. */
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
  /** The schema's default for a missing field. */
  readonly assumed: unknown
  readonly isLeftOut: boolean
  readonly read: FastReader
}

const none: ReadonlySet<string> = new Set()

function objectReader(entries: Readonly<Record<string, Parts>>, leftOut = none): FastReader | undefined {
  const fields: Field[] = []
  for (const [name, parts] of Object.entries(entries)) {
    const isOptional = parts.type === 'exact_optional' || parts.type === 'optional'
    // Computed defaults, and defaults of fields that are not optional, are left to the schema.
    if (typeof parts.default === 'function' || (parts.default !== undefined && !isOptional)) return undefined
    if (isOptional && parts.wrapped === undefined) return undefined
    const read = partReader(isOptional ? (parts.wrapped as Parts) : parts)
    const isLeftOut = leftOut.has(name)
    fields.push({ name, wireName: snakeCase(name), isOptional, assumed: parts.default, isLeftOut, read })
  }
  return (stored) => {
    if (!isPlainObject(stored)) return unread
    const value: Record<string, unknown> = {}
    let found = 0
    for (const { name, wireName, isOptional, assumed, isLeftOut, read } of fields) {
      const content = stored[wireName]
      if (content === undefined) {
        if (!isOptional || wireName in stored) return unread
        if (assumed !== undefined) value[name] = assumed
        continue
      }
      const part = read(content)
      if (part === unread) return unread
      if (!isLeftOut) value[name] = part
      found += 1
    }
    // Unknown fields.
    for (const _ in stored) found -= 1
    return found === 0 ? value : unread
  }
}

/** The discriminator selects the option. */
function variantReader({ key, options = [] }: Parts): FastReader | undefined {
  const discriminator = String(key)
  const byValue = new Map<unknown, FastReader>()
  for (const option of options as Parts[]) {
    const { type, literal, options: values = [] } = option.entries?.[discriminator] ?? {}
    if (type !== 'literal' && type !== 'picklist') return undefined
    const read = partReader(option)
    for (const value of type === 'literal' ? [literal] : values) {
      // The schema tries all options for an ambiguous value.
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
