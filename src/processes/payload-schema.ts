import * as v from 'valibot'
import { isSameJson } from '../base/json-copy.js'
import type { JsonObject, JsonValue } from '../base/json.js'
import { optionsSchema } from '../base/options.js'
import { jsonSchema, naturalSchema } from './scalars.js'

/** The part of JSON Schema that event types may use. `{}` accepts everything. */
export interface PayloadSchema {
  /** At least one alternative must fit. All other keywords next to it are ignored. `oneOf` means the same. */
  readonly anyOf?: readonly PayloadSchema[]
  readonly oneOf?: readonly PayloadSchema[]
  readonly enum?: readonly JsonValue[]
  readonly type?: JsonType | readonly JsonType[]
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly items?: PayloadSchema
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, PayloadSchema>>
  /** Whether undeclared properties are allowed. Only checked if `properties` is given. */
  readonly additionalProperties?: boolean | PayloadSchema
}

const jsonTypes = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object'] as const
type JsonType = (typeof jsonTypes)[number]

const numberSchema = v.custom<number>((input) => typeof input === 'number', 'not a number')
const nested: v.GenericSchema<unknown, PayloadSchema> = v.lazy(() => payloadSchemaSchema)
const alternatives = v.optional(v.pipe(v.array(nested), v.minLength(1)))

/**
 * The shape of a {@link PayloadSchema}. Unknown keywords are refused, because they would promise checks that are not
 * made.
 */
export const payloadSchemaSchema: v.GenericSchema<unknown, PayloadSchema> = optionsSchema<PayloadSchema>({
  anyOf: alternatives,
  oneOf: alternatives,
  enum: v.optional(v.array(jsonSchema)),
  type: v.optional(v.union([v.picklist(jsonTypes), v.pipe(v.array(v.picklist(jsonTypes)), v.minLength(1))])),
  minimum: v.optional(numberSchema),
  maximum: v.optional(numberSchema),
  minLength: v.optional(naturalSchema),
  maxLength: v.optional(naturalSchema),
  minItems: v.optional(naturalSchema),
  maxItems: v.optional(naturalSchema),
  items: v.optional(nested),
  required: v.optional(v.array(v.string())),
  properties: v.optional(v.record(v.string(), nested)),
  additionalProperties: v.optional(v.union([v.boolean(), nested])),
})

/** Where a payload does not fit, as a dotted path, and why. */
export interface Misfit {
  readonly path: string
  readonly reason: string
}

/** Returns the first misfit of a payload, or `undefined`. */
export type PayloadCheck = (payload: JsonValue) => Misfit | undefined

/** A check at a path. The path is joined into text only if the check fails. */
type Check = (value: JsonValue, path: readonly string[]) => Misfit | undefined

/** Compiles a schema into a check. */
export function compilePayloadSchema(schema: PayloadSchema): PayloadCheck {
  const check = compile(schema)
  return (payload) => check(payload, [])
}

function compile(schema: PayloadSchema): Check {
  const options = schema.anyOf ?? schema.oneOf
  if (options !== undefined) return anyOf(options.map(compile))
  const checks = [...valueChecks(schema), ...listChecks(schema), ...objectChecks(schema)]
  return (value, path) => {
    for (const check of checks) {
      const found = check(value, path)
      if (found !== undefined) return found
    }
    return undefined
  }
}

function anyOf(checks: readonly Check[]): Check {
  return (value, path) =>
    checks.some((check) => check(value, path) === undefined) ? undefined : misfit(path, 'fits none of the alternatives')
}

function valueChecks(schema: PayloadSchema): Check[] {
  const checks: Check[] = []
  const { enum: values, type, minimum, maximum, minLength, maxLength } = schema
  if (values !== undefined) {
    checks.push(rule((value) => values.some((one) => isSameJson(one, value)), 'is none of the listed values'))
  }
  if (type !== undefined) {
    const types: readonly JsonType[] = typeof type === 'string' ? [type] : type
    checks.push(rule((value) => types.some((one) => isOfType(value, one)), `is not of type ${types.join(' or ')}`))
  }
  if (minimum !== undefined) {
    checks.push(rule((value) => typeof value !== 'number' || value >= minimum, `is less than ${minimum}`))
  }
  if (maximum !== undefined) {
    checks.push(rule((value) => typeof value !== 'number' || value <= maximum, `is more than ${maximum}`))
  }
  if (minLength !== undefined) {
    const reason = `is shorter than ${minLength} characters`
    checks.push(rule((value) => typeof value !== 'string' || lengthOf(value) >= minLength, reason))
  }
  if (maxLength !== undefined) {
    const reason = `is longer than ${maxLength} characters`
    checks.push(rule((value) => typeof value !== 'string' || lengthOf(value) <= maxLength, reason))
  }
  return checks
}

function listChecks({ minItems, maxItems, items }: PayloadSchema): Check[] {
  const checks: Check[] = []
  if (minItems !== undefined) {
    checks.push(rule((value) => !isList(value) || value.length >= minItems, `has fewer than ${minItems} items`))
  }
  if (maxItems !== undefined) {
    checks.push(rule((value) => !isList(value) || value.length <= maxItems, `has more than ${maxItems} items`))
  }
  if (items !== undefined) {
    const item = compile(items)
    checks.push((value, path) => {
      if (!isList(value)) return undefined
      for (const [index, part] of value.entries()) {
        const found = item(part, [...path, String(index)])
        if (found !== undefined) return found
      }
      return undefined
    })
  }
  return checks
}

function objectChecks({ required = [], properties, additionalProperties = true }: PayloadSchema): Check[] {
  const checks: Check[] = required.map(
    (name): Check =>
      (value, path) =>
        !isObject(value) || Object.hasOwn(value, name) ? undefined : misfit([...path, name], 'is missing'),
  )
  if (properties === undefined) return checks
  const declared = new Map(Object.entries(properties).map(([name, schema]) => [name, compile(schema)]))
  const others = typeof additionalProperties === 'boolean' ? undefined : compile(additionalProperties)
  checks.push((value, path) => {
    if (!isObject(value)) return undefined
    for (const [name, part] of Object.entries(value)) {
      const check = declared.get(name) ?? others
      const at = [...path, name]
      if (check === undefined && additionalProperties === false) return misfit(at, 'is not declared')
      const found = part === undefined ? undefined : check?.(part, at)
      if (found !== undefined) return found
    }
    return undefined
  })
  return checks
}

function rule(fits: (value: JsonValue) => boolean, reason: string): Check {
  return (value, path) => (fits(value) ? undefined : misfit(path, reason))
}

function misfit(path: readonly string[], reason: string): Misfit {
  return { path: path.length === 0 ? '$' : path.join('.'), reason }
}

function isOfType(value: JsonValue, type: JsonType): boolean {
  switch (type) {
    case 'null':
      return value === null
    case 'integer':
      return Number.isInteger(value)
    case 'array':
      return isList(value)
    case 'object':
      return isObject(value)
    default:
      return typeof value === type
  }
}

/** The length in code points, as JSON Schema counts it. */
function lengthOf(text: string): number {
  let length = 0
  for (const _ of text) length += 1
  return length
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
