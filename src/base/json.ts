/** A value that survives `JSON.stringify` and `JSON.parse` unchanged. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject

/** An object of JSON values; a property that is `undefined` is left out when written. */
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined
}
