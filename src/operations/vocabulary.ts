/**
 * Schemas of the values in operations, shared by events, snapshot rows and the export document. Field names are those
 * of the code.
 */

import * as v from 'valibot'
import { errorDetailsLimits, errorDetailsOf, type ErrorDetails } from '../base/error-details.js'
import { isUuid } from '../base/ids.js'
import { textSchema } from '../base/options.js'
import {
  failureReasons,
  operationKinds,
  type OperationId,
  type OperationOutcome,
  type OperationSource,
  type OperationSpec,
  type PeerId,
  type SessionId,
} from '../../machines/operation-vocabulary.js'

/** A count, sequence or time: a safe integer from 0. */
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

/** A UUID in lower case. */
export function uuid<Id extends string = string>(): v.GenericSchema<string, Id> {
  return v.custom<Id>(isUuid, 'not a lower-case UUID') as v.GenericSchema as v.GenericSchema<string, Id>
}

/** Text that identifies something; its parts are checked where it is used. */
function text<Text extends string>(): v.GenericSchema<string, Text> {
  return textSchema<Text>() as v.GenericSchema as v.GenericSchema<string, Text>
}

/** An operation kind. */
export const kind = v.picklist(operationKinds)

const name = v.string()

/** A source. Its exact shape is checked where it is used, so that the error names the operation. */
export const source: v.GenericSchema<OperationSource> = v.variant('kind', [
  v.strictObject({ kind: v.literal('session_child'), sessionId: text<SessionId>() }),
  v.strictObject({
    kind: v.literal('backend_peer'),
    peerId: text<PeerId>(),
    address: v.strictObject({ transport: v.picklist(['inproc', 'uds', 'tcp']), endpoint: name }),
  }),
]) as never

/** The fields of an operation spec. */
export const specFields = {
  id: uuid<OperationId>(),
  kind,
  ownerSessionId: text<SessionId>(),
  displayName: name,
  sourceLabel: name,
  operationSource: v.optional(source),
  childSessionId: v.nullable(text<SessionId>()),
  expectPeerChannel: v.boolean(),
  parentId: v.optional(uuid<OperationId>()),
  outlivesParent: v.optional(v.literal(true)),
  // A value of the user: the names in it are never changed.
  input: v.optional(v.unknown()),
}

/** An operation spec. */
export const spec: v.GenericSchema<OperationSpec> = v.strictObject(specFields) as never

/** The details of an error, with this many levels of causes and members; anything deeper is an unknown field. */
function errorDetails(depth: number): v.GenericSchema<unknown, ErrorDetails> {
  const own = { name, message: name, code: v.optional(name), stack: v.optional(name) }
  if (depth === 0) return v.strictObject(own) as never
  const below = errorDetails(depth - 1)
  return v.strictObject({ ...own, cause: v.optional(below), errors: v.optional(v.array(below)) }) as never
}

const cause = v.pipe(
  errorDetails(errorDetailsLimits.depth),
  v.transform((details: ErrorDetails): ErrorDetails => errorDetailsOf(details)),
)

const reason = v.nullable(v.string())

/** The fields of each outcome besides its type; an exported document writes the fields of a result next to the type. */
export const outcomeFields = {
  completed: {
    id: uuid<OperationId>(),
    content: v.string(),
    isError: v.boolean(),
    durationMs: count,
    tokensUsed: count,
  },
  failed: { error: v.string(), reason: v.optional(v.picklist(failureReasons)), cause: v.optional(cause) },
  aborted: { reason },
  cancelled: { reason },
  retired: {},
  terminated: { reason: v.string() },
} as const satisfies Record<OperationOutcome['type'], v.ObjectEntries>

/** An outcome. */
export const outcome: v.GenericSchema<OperationOutcome> = v.variant('type', [
  v.strictObject({ type: v.literal('completed'), result: v.strictObject(outcomeFields.completed) }),
  v.strictObject({ type: v.literal('failed'), ...outcomeFields.failed }),
  v.strictObject({ type: v.literal('aborted'), ...outcomeFields.aborted }),
  v.strictObject({ type: v.literal('cancelled'), ...outcomeFields.cancelled }),
  v.strictObject({ type: v.literal('retired') }),
  v.strictObject({ type: v.literal('terminated'), ...outcomeFields.terminated }),
]) as never
