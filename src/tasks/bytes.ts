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

const pattern = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Accepts canonical base64 text. */
export const base64Schema = v.custom<Base64>(
  (input) => typeof input === 'string' && pattern.test(input),
  'expected base64 text',
)
