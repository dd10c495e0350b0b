import type * as v from 'valibot'
import { InvalidInputError, StatewardError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'

/** Encodes values with the field names of the wire, and decodes them. */
export interface WireCodec {
  /**
   * Encodes the value as JSON, with declared fields in snake_case. Absent fields are left out, and so are values
   * equal to the schema's default. Keys and values of users stay as they are.
   */
  encode(value: unknown): JsonValue
  /**
   * Renames the fields of a stored value, for its schema to check. Throws `invalid_input` for an undeclared field,
   * naming it as it is written on the wire, or ignores it if `ignoresUnknown`.
   */
  decode(stored: unknown, subject: string, options?: { readonly ignoresUnknown?: boolean }): unknown
}

/**
 * Derives from a valibot schema how its values are named on the wire: camelCase in code, snake_case in journal,
 * snapshots and exports. Only fields that an object schema declares are renamed. Keys of records, and everything
 * below `v.unknown()` or `v.custom()`, belong to users.
 *
 * Throws `wire_schema` for a schema whose names would be ambiguous, such as a union of objects.
 */
export function wireCodec(schema: v.GenericSchema): WireCodec {
  const naming = namingOf(schema)
  return {
    encode: (value) => (naming === undefined ? value : naming.encode(value)) as JsonValue,
    decode: (stored, subject, { ignoresUnknown = false } = {}) =>
      naming === undefined ? stored : naming.decode(stored, { subject, path: [], ignoresUnknown }),
  }
}

/** The name of a field on the wire. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** Renames the values of one schema. Absent where nothing is renamed. */
interface Naming {
  encode(value: unknown): unknown
  decode(stored: unknown, place: Place): unknown
}

interface Place {
  readonly subject: string
  readonly path: readonly string[]
  readonly ignoresUnknown: boolean
}

/** The parts used of a valibot schema; which of them exist depends on `type`. */
interface SchemaParts {
  readonly type: string
  readonly entries?: Readonly<Record<string, SchemaParts>>
  readonly wrapped?: SchemaParts
  readonly default?: unknown
  readonly item?: SchemaParts
  readonly items?: readonly SchemaParts[]
  readonly value?: SchemaParts
  readonly key?: unknown
  readonly options?: readonly unknown[]
  readonly literal?: unknown
  readonly getter?: unknown
}

function namingOf(schema: object): Naming | undefined {
  const parts = schema as SchemaParts
  if (parts.wrapped !== undefined) return namingOf(parts.wrapped)
  switch (parts.type) {
    case 'object':
    case 'strict_object':
      return objectNaming(parts.entries ?? {})
    case 'array':
      return parts.item && listNaming(namingOf(parts.item))
    case 'record':
      return parts.value && recordNaming(namingOf(parts.value))
    case 'variant':
      return variantNaming(parts)
    case 'lazy':
      return lazyNaming(parts.getter as () => object)
    case 'union':
    case 'tuple':
    case 'strict_tuple':
    case 'intersect': {
      const within = [...(parts.options ?? []), ...(parts.items ?? [])] as SchemaParts[]
      if (within.every((option) => namingOf(option) === undefined)) return undefined
      throw new StatewardError('wire_schema', `a ${parts.type} of objects has no names on the wire: use a variant`, {
        type: parts.type,
      })
    }
    default:
      return undefined
  }
}

/**
 * The names of recursive schemas, computed when the first value is seen. Each schema is processed once, however deep
 * its values are.
 */
const ofLazy = new WeakMap<object, { readonly naming: Naming | undefined }>()

function lazyNaming(getter: () => object): Naming {
  const resolve = (): Naming | undefined => {
    const schema = getter()
    let known = ofLazy.get(schema)
    if (known === undefined) ofLazy.set(schema, (known = { naming: namingOf(schema) }))
    return known.naming
  }
  return {
    encode: (value) => resolve()?.encode(value) ?? value,
    decode: (stored, place) => {
      const naming = resolve()
      return naming === undefined ? stored : naming.decode(stored, place)
    },
  }
}

interface Field {
  readonly name: string
  readonly wireName: string
  /** The schema's default. */
  readonly assumed: unknown
  readonly naming: Naming | undefined
}

function objectNaming(entries: Readonly<Record<string, SchemaParts>>): Naming {
  const fields: Field[] = Object.entries(entries).map(([name, schema]) => ({
    name,
    wireName: snakeCase(name),
    assumed: schema.default,
    naming: namingOf(schema),
  }))
  const byWireName = new Map(fields.map((field) => [field.wireName, field]))
  return {
    encode(value) {
      const source = value as Record<string, unknown>
      const stored: Record<string, unknown> = {}
      for (const { name, wireName, assumed, naming } of fields) {
        const content = source[name]
        if (content === undefined || content === assumed) continue
        stored[wireName] = naming === undefined || content === null ? content : naming.encode(content)
      }
      return stored
    },
    decode(stored, { subject, path, ignoresUnknown }) {
      if (!isRecord(stored)) return stored
      const value: Record<string, unknown> = {}
      for (const wireName of Object.keys(stored)) {
        const field = byWireName.get(wireName)
        if (field === undefined && ignoresUnknown) continue
        const place = { subject, path: [...path, wireName], ignoresUnknown }
        if (field === undefined) {
          throw new InvalidInputError({ subject, field: place.path.join('.'), reason: 'unknown field' })
        }
        const content = stored[wireName]
        value[field.name] = field.naming === undefined ? content : field.naming.decode(content, place)
      }
      return value
    },
  }
}

function listNaming(naming: Naming | undefined): Naming | undefined {
  if (naming === undefined) return undefined
  return {
    encode: (value) => (value as readonly unknown[]).map((item) => naming.encode(item)),
    decode: (stored, { path, ...place }) =>
      Array.isArray(stored)
        ? stored.map((item: unknown, index) => naming.decode(item, { ...place, path: [...path, String(index)] }))
        : stored,
  }
}

function recordNaming(naming: Naming | undefined): Naming | undefined {
  if (naming === undefined) return undefined
  const map = (value: object, change: (content: unknown, key: string) => unknown): object =>
    Object.fromEntries(Object.entries(value).map(([key, content]) => [key, change(content, key)]))
  return {
    encode: (value) => map(value as object, (content) => naming.encode(content)),
    decode: (stored, { path, ...place }) =>
      isRecord(stored)
        ? map(stored, (content, key) => naming.decode(content, { ...place, path: [...path, key] }))
        : stored,
  }
}

/** The discriminator selects the option whose names apply. The discriminator's values are not renamed. */
function variantNaming({ key, options = [] }: SchemaParts): Naming {
  const discriminator = String(key)
  const wireDiscriminator = snakeCase(discriminator)
  const byValue = new Map<unknown, Naming | undefined>()
  for (const option of options as SchemaParts[]) {
    const naming = namingOf(option)
    for (const value of valuesOf(option.entries?.[discriminator])) byValue.set(value, naming)
  }
  return {
    encode: (value) => byValue.get((value as Record<string, unknown>)[discriminator])?.encode(value) ?? value,
    decode: (stored, place) => {
      if (!isRecord(stored)) return stored
      // An unknown option is left for the schema to refuse, which can name the known ones.
      return byValue.get(stored[wireDiscriminator])?.decode(stored, place) ?? stored
    },
  }
}

function valuesOf(schema: SchemaParts | undefined): readonly unknown[] {
  if (schema?.type === 'literal') return [schema.literal]
  if (schema?.type === 'picklist') return schema.options ?? []
  throw new StatewardError('wire_schema', 'the discriminator of a variant must be a literal or a picklist', {
    type: schema?.type ?? 'none',
  })
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
