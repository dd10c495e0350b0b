import * as v from 'valibot'
import { decode } from '../base/decode.js'
import type { OperationOutcome } from '../../machines/index.js'
import type { OperationProgress } from '../operations/index.js'
import { largestValueBytes, textSchema } from '../processes/scalars.js'

/* How much a caller may leave in the row of an operation: what a process may. */

const contentSchema = v.custom<string>(
  (input) => typeof input === 'string' && Buffer.byteLength(input) <= largestValueBytes,
  `more than ${largestValueBytes} bytes`,
)
const outcomeSchema = v.looseObject({
  reason: v.exactOptional(v.nullable(textSchema)),
  error: v.exactOptional(textSchema),
  result: v.exactOptional(v.looseObject({ content: contentSchema })),
})
const progressSchema = v.looseObject({ message: textSchema })

/** Raises `invalid_input` for an outcome that is too large, naming the field. */
export function checkOutcomeSize(outcome: OperationOutcome): void {
  decode(outcomeSchema, outcome, 'operation outcome')
}

/** Raises `invalid_input` for a progress report that is too long. */
export function checkProgressSize(progress: OperationProgress): void {
  decode(progressSchema, progress, 'operation progress')
}
