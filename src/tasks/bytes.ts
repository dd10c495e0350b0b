import * as v from 'valibot'
import { InvalidInputError } from '../base/errors.js'
import type { Brand } from '../base/ids.js'
import { checkText, textOf } from '../base/options.js'

/** Opaque bytes as base64 text: immutable, and identical in memory, in the log and in a snapshot. Never inspected. */
export type Base64 = Brand<string, 'Base64'>

/** Bytes from a caller: raw or already encoded. */
export type BytesInput = Uint8Array | Base64

/** Copies the bytes into base64 text. Raises `invalid_input` for anything but bytes or text. */
export function encodeBytes(bytes: BytesInput): Base64 {
  if (typeof bytes === 'string') return bytes
  if (!ArrayBuffer.isView(bytes)) {
    throw new InvalidInputError({ subject: 'bytes', field: '$', reason: `neither bytes nor base64: ${textOf(bytes)}` })
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') as Base64
}

/** The decoded bytes, in a new array. */
export function decodeBytes(text: Base64): Uint8Array {
  checkText('base64 text', text)
  return new Uint8Array(Buffer.from(text, 'base64'))
}

/** UTF-8 text as bytes. */
export function encodeText(text: string): Base64 {
  checkText('text', text)
  return Buffer.from(text).toString('base64') as Base64
}

/** Decodes the bytes as UTF-8 text. */
export function decodeText(text: Base64): string {
  checkText('base64 text', text)
  return Buffer.from(text, 'base64').toString()
}

const foreign = /[^A-Za-z0-9+/]/

/** Accepts base64 text. */
export const base64Schema = v.custom<Base64>(
  (input) => typeof input === 'string' && isBase64(input),
  'expected base64 text',
)

/** Searches for a bad character: a pattern over the whole text would overflow the stack on long payloads. */
function isBase64(text: string): boolean {
  if (text.length % 4 !== 0) return false
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return !foreign.test(text.slice(0, text.length - padding))
}
