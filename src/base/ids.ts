import { randomFillSync } from 'node:crypto'
import * as v from 'valibot'
import { decode } from './decode.js'
import { InvalidInputError } from './errors.js'
import { functionSchema, optionsSchema, textOf } from './options.js'

/** A `Base` with a brand: ids of different things have different types and cannot be mixed up. */
export type Brand<Base, Name extends string> = Base & { readonly '~brand': Name }

/** Creates ids. Injected, so that a test can predict them. */
export interface IdSource {
  /** A lower-case UUID v7. Within one source, text order is creation order. */
  uuid(): string
}

/** What a UUID v7 is made from. Both parts can be injected. */
export interface UuidIngredients {
  /** Epoch milliseconds. */
  readonly now: () => number
  /** Fills the array with random bytes. */
  readonly random?: (bytes: Uint8Array) => void
}

const ingredientsSchema = optionsSchema<UuidIngredients>({
  now: functionSchema<UuidIngredients['now']>(),
  random: v.optional(functionSchema<(bytes: Uint8Array) => void>()),
})

/** The latest millisecond that a UUID v7 can hold. */
const latestMillisecond = 2 ** 48 - 1

/** The text form of a lower-case UUID. */
export const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const nilUuid = '00000000-0000-0000-0000-000000000000'
/** The hexadecimal digits of each byte, as two consecutive character codes. */
const hexDigits = Buffer.from(Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, '0')).join(''))
/** Where the digits of each byte are in the text of a UUID. */
const digitPlaces = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34]
const randomBlockSize = 4096
/** How many random bytes an id takes: some seed its counter, the rest are its tail. */
const randomBytes = 9

/**
 * A UUID v7 source (RFC 9562, method 1). A 12-bit counter keeps ids of one millisecond in order, even if the clock
 * steps back. Throws `invalid_input` for a wrong ingredient, and on creating an id while the clock returns an invalid
 * instant.
 */
export function createUuidSource(ingredients: UuidIngredients): IdSource {
  const { now, random = randomFillSync } = decode(ingredientsSchema, ingredients, 'UUID ingredients')
  let lastMillisecond = -1
  let counter = 0
  // Random bytes are drawn in blocks: one system call per id would dominate the cost of registering.
  const block = new Uint8Array(randomBlockSize)
  let used = randomBlockSize
  const bytes = Buffer.alloc(16)
  return {
    uuid() {
      const millisecond = Math.max(instantOf(now()), lastMillisecond)
      if (used + randomBytes > randomBlockSize) {
        random(block)
        used = 0
      }
      if (millisecond > lastMillisecond) {
        lastMillisecond = millisecond
        counter = (block[used] as number) & 0x7f
      } else if (++counter > 0xfff) {
        lastMillisecond += 1
        counter = 0
      }
      bytes.writeUIntBE(lastMillisecond, 0, 6)
      bytes.writeUInt16BE(0x7000 | counter, 6)
      for (let place = 1; place < randomBytes; place += 1) bytes[place + 7] = block[used + place] as number
      bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f)
      used += randomBytes
      return spellUuid(bytes)
    },
  }
}

function instantOf(now: number): number {
  if (now >= 0 && now <= latestMillisecond) return Math.trunc(now)
  throw new InvalidInputError({
    subject: 'UUID ingredients',
    field: 'now',
    reason: `not epoch milliseconds: ${textOf(now)}`,
  })
}

const spelt = Buffer.from(nilUuid)

/** Converts 16 bytes to the text of a UUID. */
export function spellUuid(bytes: Uint8Array): string {
  // Concatenated text would keep its parts in memory for as long as the id lives.
  for (let place = 0; place < 16; place += 1) {
    const digits = 2 * (bytes[place] as number)
    spelt[digitPlaces[place] as number] = hexDigits[digits] as number
    spelt[(digitPlaces[place] as number) + 1] = hexDigits[digits + 1] as number
  }
  return spelt.toString('latin1')
}

/** Converts the text of a UUID to 16 bytes, written to `target` at `offset`. The text must be a UUID. */
export function readUuid(uuid: string, target: Uint8Array, offset: number): void {
  for (let place = 0; place < 16; place += 1) {
    const digits = digitPlaces[place] as number
    const high = digitValues[uuid.charCodeAt(digits)] as number
    target[offset + place] = 16 * high + (digitValues[uuid.charCodeAt(digits + 1)] as number)
  }
}

/** The value of each hexadecimal digit, by its character code. */
const digitValues = new Uint8Array(0x80)
for (let value = 0; value < 16; value += 1) digitValues[value.toString(16).charCodeAt(0)] = value

/** True for a lower-case hyphenated UUID of any version, the nil UUID included. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && uuidPattern.test(value)
}

/** True for the UUID whose bits are all zero. */
export function isNilUuid(value: string): boolean {
  return value === nilUuid
}

/** The UUID in lower case. Throws `invalid_input` naming `subject` if the value is not a UUID. */
export function parseUuid<Id extends string>(value: string, subject: string): Id {
  const lower: unknown = typeof value === 'string' ? value.toLowerCase() : value
  if (!isUuid(lower)) throw new InvalidInputError({ subject, field: '$', reason: `not a UUID: ${textOf(value)}` })
  return lower as Id
}
