import * as v from 'valibot'
import { messageOf, type InvalidInputError } from '../../base/errors.js'
import { checkValue, encodeValue } from '../../work/values.js'
import { resultPartType } from '../wire/names.js'
import type { TaskEnd, ToolResult } from '../wire/shapes.js'
import { bytesOf } from './limits.js'
import type { DurableTool } from './tool.js'

/** The length of one part of a result too large for one process value, in UTF-16 units. Small enough for any text. */
const partLength = 2 ** 18
/** Bytes of JSON up to which a result is stored as one value. */
const mostInOneValue = 900_000

/** A result saying that the tool failed, and why. */
export function toolError(text: string): ToolResult {
  return { content: [{ type: 'text', text }], isError: true }
}

/** Names of errors that indicate a fault of the program rather than of the request. */
const programFaults = new Set([
  'TypeError',
  'ReferenceError',
  'RangeError',
  'SyntaxError',
  'EvalError',
  'AssertionError',
])
const neutralText = 'the tool failed'
const pathPattern = /(^|[\s'"`(=])((?:\/|[A-Za-z]:\\|file:)[^\s'"`)]{2,})/g

/**
 * The text that a host, and its model, receive for an error: the message without file paths. For errors of the system
 * and faults of the program only that there was one, unless everything is to be shown.
 */
export function textForHosts(thrown: unknown, isExposed: boolean): string {
  if (isExposed) return messageOf(thrown)
  if (!(thrown instanceof Error) || programFaults.has(thrown.name) || 'syscall' in thrown) return neutralText
  const [line = ''] = messageOf(thrown).split('\n')
  return line.replace(pathPattern, '$1[path]').slice(0, 1000) || neutralText
}

/** What a tool returned, as the result to store. An invalid one becomes a result that says so. */
export async function resultOf(
  returned: unknown,
  { outputSchema, name }: Pick<DurableTool, 'outputSchema' | 'name'>,
  maxResultBytes: number,
): Promise<ToolResult> {
  let encoded: unknown
  try {
    encoded = encodeValue(returned, `result of ${name}`)
  } catch (refusal) {
    return toolError(`the result of ${name} has no form in JSON: ${messageOf(refusal)}`)
  }
  if (typeof encoded !== 'object' || encoded === null || Array.isArray(encoded))
    return toolError(`${name} returned no result`)
  const { content = [] } = returned as ToolResult
  // Clients reject a result whose content is not a list of typed parts.
  if (!v.is(contentSchema, content)) return toolError(`${name} returned content that is no list of parts`)
  const result: ToolResult = { ...(returned as ToolResult), content }
  if (outputSchema !== undefined && result.isError !== true) {
    try {
      await checkValue(outputSchema, result.structuredContent, 'output')
    } catch (refusal) {
      const { field, reason } = (refusal as InvalidInputError).data
      return toolError(`Output validation error: ${field}: ${reason}`)
    }
  }
  const bytes = bytesOf(result)
  if (bytes <= maxResultBytes) return result
  return toolError(
    `the result of ${name} has ${bytes} bytes, more than ${maxResultBytes}: answer with a link to a resource`,
  )
}

const contentSchema = v.array(v.looseObject({ type: v.string() }))

/** Writes a part of a result to the log of its process. */
export type WritePart = (type: typeof resultPartType, payload: unknown, key: string) => Promise<unknown>

/** The process value for a result: the result itself, or a reference to its parts, which are then durable. */
export async function endWith(result: ToolResult, attempt: number, write: WritePart): Promise<TaskEnd> {
  const text = JSON.stringify(result)
  if (Buffer.byteLength(text) <= mostInOneValue) return { result }
  const parts = Math.ceil(text.length / partLength)
  for (let part = 0; part < parts; part += 1) {
    const piece = text.slice(part * partLength, (part + 1) * partLength)
    await write(resultPartType, { attempt, part, text: piece }, `result:${attempt}/${part}`)
  }
  return { parts, attempt }
}
