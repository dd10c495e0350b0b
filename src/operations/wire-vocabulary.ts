/** Spellings of the operations vocabulary in JSON (O-2, O-3, O-4); unknown fields are ignored, unknown members refused. */

import * as v from 'valibot'
import { errorDetailsLimits, errorDetailsOf, type ErrorDetails } from '../base/error-details.js'
import { isUuid } from '../base/ids.js'
import type { JsonObject } from '../base/json.js'
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
export const wireCount = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

/** A UUID in its one spelling. */
export const wireUuid = v.custom<string>(isUuid, 'not a lower-case UUID')

/** An operation id. */
export const wireOperationId = v.custom<OperationId>(isUuid, 'not a lower-case UUID')

/** An operation id used as a key; a record keyed by a narrower type would decode to optional values. */
export const wireOperationKey = v.pipe(
  v.string(),
  v.check((key) => isUuid(key), 'invalid operation id key'),
)

/** One of the kinds. */
export const wireKind = v.picklist(operationKinds)

const wireReason = v.optional(v.nullable(v.string()), null)
const address = v.object({ transport: v.picklist(['inproc', 'uds', 'tcp']), endpoint: v.string() })

/** A source; its exact parts are checked where it is used, so that a bad one is named by operation. */
export const wireSource = v.pipe(
  v.variant('kind', [
    v.object({ kind: v.literal('session_child'), session_id: v.string() }),
    v.object({ kind: v.literal('backend_peer'), peer_id: v.string(), address }),
  ]),
  v.transform(
    (wire): OperationSource =>
      wire.kind === 'session_child'
        ? { kind: wire.kind, sessionId: wire.session_id as SessionId }
        : { kind: wire.kind, peerId: wire.peer_id as PeerId, address: wire.address },
  ),
)

/** A source as JSON. */
export function encodeSource(source: OperationSource) {
  return source.kind === 'session_child'
    ? { kind: source.kind, session_id: source.sessionId }
    : { kind: source.kind, peer_id: source.peerId, address: { ...source.address } }
}

/** Details of an error, this many levels of causes and members deep; what lies deeper is an unknown field. */
function wireErrorDetails(depth: number): v.GenericSchema<JsonObject, ErrorDetails> {
  const own = {
    name: v.string(),
    message: v.string(),
    code: v.optional(v.string()),
    stack: v.optional(v.string()),
  }
  if (depth === 0) return v.object(own) as unknown as v.GenericSchema<JsonObject, ErrorDetails>
  const below = wireErrorDetails(depth - 1)
  const whole = v.object({ ...own, cause: v.optional(below), errors: v.optional(v.array(below)) })
  return whole as unknown as v.GenericSchema<JsonObject, ErrorDetails>
}

const wireCause = v.pipe(
  wireErrorDetails(errorDetailsLimits.depth),
  v.transform((details: ErrorDetails): ErrorDetails => errorDetailsOf(details)),
)

/** A terminal outcome; the fields of a result stand beside the tag. */
export const wireOutcome = v.pipe(
  v.variant('outcome_type', [
    v.object({
      outcome_type: v.literal('completed'),
      id: wireOperationId,
      content: v.string(),
      is_error: v.boolean(),
      duration_ms: wireCount,
      tokens_used: wireCount,
    }),
    v.object({
      outcome_type: v.literal('failed'),
      error: v.string(),
      reason: v.optional(v.picklist(failureReasons)),
      cause: v.optional(wireCause),
    }),
    v.object({ outcome_type: v.literal('aborted'), reason: wireReason }),
    v.object({ outcome_type: v.literal('cancelled'), reason: wireReason }),
    v.object({ outcome_type: v.literal('retired') }),
    v.object({ outcome_type: v.literal('terminated'), reason: v.string() }),
  ]),
  v.transform((wire): OperationOutcome => {
    switch (wire.outcome_type) {
      case 'completed': {
        const { id, content, is_error: isError, duration_ms: durationMs, tokens_used: tokensUsed } = wire
        return { type: 'completed', result: { id, content, isError, durationMs, tokensUsed } }
      }
      case 'failed': {
        const { error, reason, cause } = wire
        return {
          type: 'failed',
          error,
          ...(reason !== undefined && { reason }),
          ...(cause !== undefined && { cause }),
        }
      }
      case 'aborted':
      case 'cancelled':
        return { type: wire.outcome_type, reason: wire.reason }
      case 'retired':
        return { type: 'retired' }
      case 'terminated':
        return { type: 'terminated', reason: wire.reason }
    }
  }),
)

/** A terminal outcome as JSON. */
export type WireOutcome = v.InferInput<typeof wireOutcome>

/** A terminal outcome as JSON. */
export function encodeOutcome(outcome: OperationOutcome): WireOutcome {
  switch (outcome.type) {
    case 'completed': {
      const { id, content, isError, durationMs, tokensUsed } = outcome.result
      return {
        outcome_type: 'completed',
        id,
        content,
        is_error: isError,
        duration_ms: durationMs,
        tokens_used: tokensUsed,
      }
    }
    case 'failed': {
      const { error, reason, cause } = outcome
      return {
        outcome_type: 'failed',
        error,
        ...(reason !== undefined && { reason }),
        ...(cause !== undefined && { cause: cause as object as JsonObject }),
      }
    }
    case 'aborted':
    case 'cancelled':
      return { outcome_type: outcome.type, reason: outcome.reason }
    case 'retired':
      return { outcome_type: 'retired' }
    case 'terminated':
      return { outcome_type: 'terminated', reason: outcome.reason }
  }
}

/** A registration payload. */
export const wireSpec = v.pipe(
  v.object({
    id: wireOperationId,
    kind: wireKind,
    owner_session_id: v.string(),
    display_name: v.string(),
    source_label: v.string(),
    operation_source: v.optional(wireSource),
    child_session_id: v.optional(v.nullable(v.string()), null),
    expect_peer_channel: v.boolean(),
  }),
  v.transform(
    (wire): OperationSpec => ({
      id: wire.id,
      kind: wire.kind,
      ownerSessionId: wire.owner_session_id as SessionId,
      displayName: wire.display_name,
      sourceLabel: wire.source_label,
      ...(wire.operation_source !== undefined && { operationSource: wire.operation_source }),
      childSessionId: wire.child_session_id as SessionId | null,
      expectPeerChannel: wire.expect_peer_channel,
    }),
  ),
)

/** A registration payload as JSON. */
export type WireSpec = v.InferInput<typeof wireSpec>

/** A registration payload as JSON. */
export function encodeSpec(spec: OperationSpec): WireSpec {
  return {
    id: spec.id,
    kind: spec.kind,
    owner_session_id: spec.ownerSessionId,
    display_name: spec.displayName,
    source_label: spec.sourceLabel,
    ...(spec.operationSource !== undefined && { operation_source: encodeSource(spec.operationSource) }),
    child_session_id: spec.childSessionId,
    expect_peer_channel: spec.expectPeerChannel,
  }
}
