import * as v from 'valibot'
import type { Brand } from '../base/ids.js'

/** Opaque bytes as base64 text: immutable, and the same in memory, in the log and in a snapshot. Never inspected. */
export type Base64 = Brand<string, 'Base64'>

/** Bytes at a door: raw, or encoded already. */
export type BytesInput = Uint8Array | Base64

/** Takes a copy of the bytes. */
export function encodeBytes(bytes: BytesInput): Base64 {
  if (typeof bytes === 'string') return bytes
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') as Base64
}

/** The bytes, in an array of their own. */
export function decodeBytes(text: Base64): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'))
}

/** UTF-8 text as bytes. */
export function encodeText(text: string): Base64 {
  return Buffer.from(text).toString('base64') as Base64
}

/** The bytes read as UTF-8 text. */
export function decodeText(text: Base64): string {
  return Buffer.from(text, 'base64').toString()
}

const foreign = /[^A-Za-z0-9+/]/

/** Accepts base64 text. */
export const base64Schema = v.custom<Base64>(
  (input) => typeof input === 'string' && isBase64(input),
  'expected base64 text',
)

/** A search, because a pattern over the whole text would overflow the stack on long payloads. */
function isBase64(text: string): boolean {
  if (text.length % 4 !== 0) return false
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return !foreign.test(text.slice(0, text.length - padding))
}
