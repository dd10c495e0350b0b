/** A value that survives `JSON.stringify` and `JSON.parse` unchanged. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject

/** An object of JSON values. A property that is `undefined` is left out when written. */
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined
}

/** The JSON text of a value, the same for equal values whatever the order of their keys. */
export function canonicalText(value: JsonValue): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)))
  })
}
