import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import type { SettleEvent, Settlement } from '../../machines/operation-registry.js'
import {
  cursorConsumers,
  type CursorConsumer,
  type OperationId,
  type OperationSpec,
} from '../../machines/operation-vocabulary.js'
import { internalError } from './errors.js'
import { readFacts, type OperationRow } from './projection.js'
import type { OperationRecords } from './records.js'
import type { EpochId } from './types.js'
import {
  encodeOutcome,
  encodeSpec,
  wireCount,
  wireOperationId,
  wireOutcome,
  wireSpec,
  wireUuid,
} from './wire-vocabulary.js'

/** Version of the shape of every event of this room; a directory that holds another one is refused. */
const version = 1

const limits = { max_completed: wireCount, max_concurrent: v.nullable(wireCount) }

/** One kind of event. */
function kind<const Type extends string, const Fields extends v.ObjectEntries>(type: Type, fields: Fields) {
  return v.object({ type: v.literal(type), version: v.literal(version), ...fields })
}

const eventSchema = v.variant('type', [
  kind('session_opened', { epoch_id: wireUuid, ...limits }),
  kind('session_limited', { max_concurrent: wireCount }),
  kind('session_imported', { snapshot: v.unknown() }),
  kind('session_deleted', {}),
  kind('operation_registered', { spec: wireSpec }),
  kind('operation_started', { id: wireOperationId }),
  kind('operation_ended', {
    id: wireOperationId,
    seq: wireCount,
    outcome: wireOutcome,
    peer_ready: v.boolean(),
    progress_count: wireCount,
    completed_at_ms: wireCount,
  }),
  kind('records_collected', { ids: v.array(wireOperationId) }),
  kind('lost_forgotten', { ids: v.array(wireOperationId) }),
  kind('cursor_advanced', { consumer: v.picklist(cursorConsumers), cursor: wireCount }),
])

/** One change of a session as the journal keeps it: what has changed, never whole snapshots. */
export type OperationsEvent = v.InferOutput<typeof eventSchema>

/** Reads a journalled event; raises `invalid_input` naming the field. */
export function decodeEvent(stored: JsonObject): OperationsEvent {
  const subject = 'operations event'
  if (stored['version'] !== version) {
    const reason = `version ${JSON.stringify(stored['version'])}, this program reads ${version}`
    throw new InvalidInputError({ subject, field: 'version', reason })
  }
  return decode(eventSchema, stored, subject)
}

/** The events as the journal keeps them. */
export const events = {
  opened: (epochId: EpochId, { maxCompleted, maxConcurrent }: OperationRecords) => ({
    type: 'session_opened',
    version,
    epoch_id: epochId,
    max_completed: maxCompleted,
    max_concurrent: maxConcurrent ?? null,
  }),
  limited: (maxConcurrent: number) => ({ type: 'session_limited', version, max_concurrent: maxConcurrent }),
  imported: (snapshot: JsonObject) => ({ type: 'session_imported', version, snapshot }),
  deleted: () => ({ type: 'session_deleted', version }),
  registered: (spec: OperationSpec) => ({ type: 'operation_registered', version, spec: encodeSpec(spec) }),
  started: (id: OperationId) => ({ type: 'operation_started', version, id }),
  ended: ({ id, outcome, settlement }: MintedEnd, { context }: OperationRow) => ({
    type: 'operation_ended',
    version,
    id,
    seq: settlement.sequence,
    outcome: encodeOutcome(outcome),
    peer_ready: context.peerReady,
    progress_count: context.progressCount,
    completed_at_ms: settlement.completedAtMs,
  }),
  collected: (ids: readonly OperationId[]) => ({ type: 'records_collected', version, ids }),
  lostForgotten: (ids: readonly OperationId[]) => ({ type: 'lost_forgotten', version, ids }),
  cursorAdvanced: (consumer: CursorConsumer, cursor: number) => ({
    type: 'cursor_advanced',
    version,
    consumer,
    cursor,
  }),
} satisfies Record<string, (...args: never[]) => JsonObject>

/** An end that has its place in the completion order and its time. */
export interface MintedEnd extends SettleEvent {
  settlement: Required<Settlement>
}

/** Raises `internal` unless the end may become durable: nothing that is corrupt may. */
export function checkEnd(event: SettleEvent, row: OperationRow | undefined): asserts event is MintedEnd {
  const { id, settlement } = event
  if (row === undefined || settlement?.completedAtMs === undefined) {
    throw internalError(`operation ${id} did not mint a completion sequence`)
  }
  readFacts(id, row)
}
