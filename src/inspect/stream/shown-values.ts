import type { JsonObject, JsonValue } from '../../base/json.js'
import { maskFields, type IsSecretKey } from '../../base/mask.js'
import { toPlain, type PlainLimits } from '../plain.js'

/** How much of values is shown. */
export interface ShownValuesOptions {
  /** Whether the contents of payloads, results and contexts are shown. */
  readonly values: boolean
  readonly isSecret: IsSecretKey
}

/** Names of fields that contain what users pass in or get back. */
const contents: ReadonlySet<string> = new Set([
  'payload',
  'input',
  'output',
  'result',
  'content',
  'value',
  'answer',
  'data',
  'body',
  'semantics',
  'awaitOutput',
  'await_output',
  'await_output_json',
  'context',
])

/** Replaces content that is not shown. */
const hidden = '[hidden]'

const limits: PlainLimits = { depth: 8, entries: 100, characters: 2000, values: 1000 }

/**
 * Converts values of the service to what a viewer may see: plain, cut, masked, and without contents unless they are
 * enabled.
 */
export class ShownValues {
  readonly #options: ShownValuesOptions

  constructor(options: ShownValuesOptions) {
    this.#options = options
  }

  /** Whether contents are shown. */
  get areShown(): boolean {
    return this.#options.values
  }

  /** A context or similar value; `undefined` if contents are not shown. Never throws. */
  content(value: unknown): JsonValue | undefined {
    return this.#options.values ? this.#masked(toPlain(value, limits)) : undefined
  }

  /** The fields of an event or row except those named; contents only if they are shown. Never throws. */
  fields(value: object, without: ReadonlySet<string>): JsonObject {
    const plain = toPlain(value, limits)
    if (typeof plain !== 'object' || plain === null || Array.isArray(plain)) return {}
    const kept = Object.fromEntries(Object.entries(plain as JsonObject).filter(([key]) => !without.has(key)))
    return this.#masked(this.#options.values ? kept : withoutContents(kept)) as JsonObject
  }

  /** A text written by people, such as an error message. */
  text(text: string): string {
    const { shown } = this.#masked({ shown: toPlain(text, limits) ?? '' }) as { readonly shown: string }
    return shown
  }

  #masked(plain: JsonValue | undefined): JsonValue | undefined {
    const { shown } = maskFields({ shown: plain }, this.#options.isSecret) as { readonly shown: JsonValue | undefined }
    return shown
  }
}

function withoutContents(value: JsonValue | undefined): JsonValue | undefined {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((part: JsonValue) => withoutContents(part) ?? null)
  const shown = Object.entries(value as JsonObject).map(([key, part]) => [
    key,
    contents.has(key) && part !== null ? hidden : withoutContents(part),
  ])
  return Object.fromEntries(shown) as JsonObject
}
