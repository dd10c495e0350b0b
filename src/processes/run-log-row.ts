import * as v from 'valibot'
import type { JsonValue } from '../base/json.js'
import { strictSchema } from '../base/options.js'
import { storedReader } from '../state/reader.js'
import { wireCodec } from '../state/wire.js'
import type { DurableAnswer } from '../work/durable-log.js'
import type { AwaitOutput, NoLongerRetained } from './output.js'
import { idSchema, jsonSchema, nameSchema, naturalSchema, positiveSchema, type ProcessId } from './scalars.js'

/*
 * What the log of a run writes into the steps of its process: the output of each step, each wait, and how each wait
 * ended.
 */

/** What a wait is for, as recorded. A call is recorded as the process it started. */
export type WaitRow =
  | { readonly type: 'answer'; readonly name: string; readonly untilMs?: number; readonly whom?: string }
  | { readonly type: 'time'; readonly untilMs: number }
  | { readonly type: 'process'; readonly processId: ProcessId }

/** A wait and when it began. */
export interface BegunWait {
  readonly sinceMs: number
  readonly wait: WaitRow
}

/** How a wait ended, as recorded. For a signal only its sequence, because its payload is already in the log. */
export type AnswerRow =
  | { readonly type: 'signal'; readonly sequence: number }
  | { readonly type: 'value'; readonly value: JsonValue }
  | { readonly type: 'timed_out' }
  | { readonly type: 'failed'; readonly reason: string; readonly message: string }

/** An answer that the row itself holds. */
export type OtherAnswerRow = Exclude<AnswerRow, { type: 'signal' }>

const stepSchema = strictSchema({ output: v.exactOptional(jsonSchema) })

const waitSchema: v.GenericSchema<unknown, BegunWait> = strictSchema({
  sinceMs: naturalSchema,
  wait: v.variant('type', [
    strictSchema({
      type: v.literal('answer'),
      name: nameSchema,
      untilMs: v.exactOptional(naturalSchema),
      whom: v.exactOptional(v.string()),
    }),
    strictSchema({ type: v.literal('time'), untilMs: naturalSchema }),
    strictSchema({ type: v.literal('process'), processId: idSchema }),
  ]),
})

const answerSchema: v.GenericSchema<unknown, AnswerRow> = v.variant('type', [
  strictSchema({ type: v.literal('signal'), sequence: positiveSchema }),
  strictSchema({ type: v.literal('value'), value: jsonSchema }),
  strictSchema({ type: v.literal('timed_out') }),
  strictSchema({ type: v.literal('failed'), reason: v.string(), message: v.string() }),
])

/** Codec for a row in the log. */
function formOf<Row>(schema: v.GenericSchema<unknown, Row>) {
  const wire = wireCodec(schema)
  return { write: (row: Row): JsonValue => wire.encode(row), read: storedReader(schema) }
}

/** The output of a step. */
export const stepRow = formOf(stepSchema)
/** A wait that has begun. */
export const waitRow = formOf(waitSchema)
/** The answer to a wait. */
export const answerRow = formOf(answerSchema)

/** Prefix of the names of steps that hold the answer to a wait. */
export const answerPrefix = 'answer:'

/** The step name and ordinal of a key. */
export function placeOf(key: string): { readonly name: string; readonly ordinal: number } {
  const [name = '', number = '1'] = key.split('#')
  return { name, ordinal: Number(number) }
}

/** The key of a step. */
export function keyOf(name: string, ordinal: number): string {
  return ordinal === 1 ? name : `${name}#${ordinal}`
}

/** The key of the step that holds the answer to a wait. */
export function answerKeyOf(key: string): string {
  return `${answerPrefix}${key}`
}

/** What a row says to whoever waits. */
export function answerOf(row: OtherAnswerRow): DurableAnswer {
  return row.type === 'value' ? { type: 'answered', value: row.value } : row
}

/** The output of a called process, as an answer. */
export function rowOfOutput(output: AwaitOutput | NoLongerRetained | undefined): OtherAnswerRow {
  switch (output?.type) {
    case 'success':
      return { type: 'value', value: output.value }
    case 'failure':
      return { type: 'failed', reason: output.code, message: output.message }
    case 'cancelled':
      return { type: 'failed', reason: 'cancelled', message: output.message }
    case 'abandoned':
      return { type: 'failed', reason: 'abandoned', message: `it was given up: ${output.evidence.writer}` }
    default:
      return { type: 'failed', reason: 'no_longer_retained', message: 'it has ended and is no longer kept' }
  }
}
