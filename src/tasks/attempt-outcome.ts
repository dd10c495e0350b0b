import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { errorDetailsSchema } from '../base/error-details.js'
import { failureReasons, type FailureOrigin } from '../base/failure.js'
import { strictSchema } from '../base/options.js'
import { base64Schema, encodeBytes, type Base64, type BytesInput } from './bytes.js'
import { TaskError } from './errors.js'
import type { AttemptId } from './ids.js'
import { idSchema, labelSchema, naturalSchema, optionalTime } from './scalars.js'
import { attemptResults, failureClasses, type AttemptResult, type FailureClass } from './vocabulary.js'

export { attemptResults, failureClasses, type AttemptResult, type FailureClass } from './vocabulary.js'
export { failureReasons, type FailureOrigin, type FailureReason } from '../base/failure.js'

/** The result of an attempt, with the data that belongs to each result. */
export type AttemptOutcome =
  /** `contentType` says how to read the output; without it, the output is bytes. */
  | { readonly result: 'success'; readonly output?: Base64; readonly contentType?: string }
  | (FailureOrigin & { readonly result: 'failure'; readonly error: string; readonly failureClass: FailureClass })
  | { readonly result: 'timeout' | 'lost'; readonly error: string }
  | { readonly result: 'suspended'; readonly output?: Base64 }

/** One attempt in the projection; unfinished while `finishedAtMs` is absent. */
export interface AttemptRecord {
  readonly attemptId: AttemptId
  readonly startedAtMs: number
  readonly finishedAtMs?: number
  readonly outcome?: AttemptOutcome
}

/** The parts of an outcome, as a caller passes them. */
export interface RawOutcome extends FailureOrigin {
  readonly result: AttemptResult
  readonly error?: string
  readonly output?: Base64
  readonly contentType?: string
  readonly failureClass?: FailureClass
}

/** The fields of a {@link RawOutcome}. */
export const outcomeEntries = {
  result: v.picklist(attemptResults),
  error: v.exactOptional(v.string()),
  output: v.exactOptional(base64Schema),
  contentType: v.exactOptional(labelSchema),
  failureClass: v.exactOptional(v.picklist(failureClasses)),
  reason: v.exactOptional(v.picklist(failureReasons)),
  cause: v.exactOptional(errorDetailsSchema),
}

const rawOutcomeSchema: v.GenericSchema<unknown, RawOutcome> = strictSchema(outcomeEntries)

/** The shape of an {@link AttemptOutcome}; {@link outcomeFromParts} checks that its parts fit together. */
export const outcomeSchema = rawOutcomeSchema as v.GenericSchema<unknown, AttemptOutcome>

/** The shape of an {@link AttemptRecord}. */
export const attemptRecordSchema: v.GenericSchema<unknown, AttemptRecord> = v.strictObject({
  attemptId: idSchema<AttemptId>(),
  startedAtMs: naturalSchema,
  finishedAtMs: optionalTime,
  outcome: v.exactOptional(outcomeSchema),
})

/** A success; empty output counts as none, unless it has a content type. */
export function succeeded(output?: BytesInput, contentType?: string): AttemptOutcome {
  if (output === undefined || contentType === undefined) return withOutput('success', output)
  return { result: 'success', output: encodeBytes(output), contentType }
}

/** A suspension, with the state to resume from; empty output counts as none. */
export function suspended(output?: BytesInput): AttemptOutcome {
  return withOutput('suspended', output)
}

/** A failure; the error text may be empty. */
export function failed(error: string, failureClass: FailureClass, origin: FailureOrigin = {}): AttemptOutcome {
  return { result: 'failure', error, failureClass, ...origin }
}

/** A timeout, with the limit in its error text. */
export function timedOut(limitMs: number): AttemptOutcome {
  return { result: 'timeout', error: `attempt exceeded its limit of ${limitMs} milliseconds` }
}

/** An attempt whose worker was lost. */
export function lost(error: string): AttemptOutcome {
  return { result: 'lost', error }
}

/**
 * Builds an outcome from its parts; empty output is kept as given. Raises, in this order, `invalid_input`,
 * `success_with_error`, `non_success_without_error`, `non_success_with_output`, `content_type_without_output`,
 * `failure_without_class` or `class_without_failure`.
 */
export function outcomeFromParts(parts: RawOutcome): AttemptOutcome {
  return checkParts(decode(rawOutcomeSchema, parts, 'attempt outcome'))
}

/** Like {@link outcomeFromParts}, for parts whose shape has been checked. */
export function checkParts(parts: RawOutcome): AttemptOutcome {
  const { result, error, output, contentType, failureClass, reason, cause } = parts
  const isError = result === 'failure' || result === 'timeout' || result === 'lost'
  if (!isError && error !== undefined) throw new TaskError('success_with_error', { result, error })
  if (isError && error === undefined) throw new TaskError('non_success_without_error', { result })
  if (isError && output !== undefined) throw new TaskError('non_success_with_output', { result })
  if (contentType !== undefined && (result !== 'success' || output === undefined)) {
    throw new TaskError('content_type_without_output', { result })
  }
  if (result === 'failure' && failureClass === undefined) throw new TaskError('failure_without_class', {})
  const isOfFailure = failureClass !== undefined || reason !== undefined || cause !== undefined
  if (result !== 'failure' && isOfFailure) throw new TaskError('class_without_failure', { result })
  return parts as AttemptOutcome
}

function withOutput(result: 'success' | 'suspended', bytes: BytesInput = new Uint8Array()): AttemptOutcome {
  const output = encodeBytes(bytes)
  return output === '' ? { result } : { result, output }
}
