import * as v from 'valibot'
import { decode } from '../base/decode.js'
import type { JsonObject } from '../base/json.js'
import type { SettleEvent } from '../../machines/operation-registry.js'
import {
  cursorConsumers,
  type CursorConsumer,
  type OperationId,
  type OperationSpec,
} from '../../machines/operation-vocabulary.js'
import { internalError } from './errors.js'
import { readFacts } from './projection.js'
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

const limits = { max_completed: wireCount, max_concurrent: v.nullable(wireCount) }

const factSchema = v.variant('type', [
  v.object({ type: v.literal('session_opened'), epoch_id: wireUuid, ...limits }),
  v.object({ type: v.literal('session_limited'), max_concurrent: wireCount }),
  v.object({ type: v.literal('session_imported'), snapshot: v.unknown() }),
  v.object({ type: v.literal('session_deleted') }),
  v.object({ type: v.literal('operation_registered'), spec: wireSpec }),
  v.object({ type: v.literal('operation_started'), id: wireOperationId }),
  v.object({
    type: v.literal('operation_settled'),
    id: wireOperationId,
    seq: wireCount,
    outcome: wireOutcome,
    peer_ready: v.boolean(),
    progress_count: wireCount,
    completed_at_ms: wireCount,
  }),
  v.object({ type: v.literal('records_collected'), ids: v.array(wireOperationId) }),
  v.object({ type: v.literal('lost_forgotten'), ids: v.array(wireOperationId) }),
  v.object({ type: v.literal('cursor_advanced'), consumer: v.picklist(cursorConsumers), cursor: wireCount }),
])

/** One change of a session as the journal keeps it: deltas, never whole snapshots. */
export type OperationsFact = v.InferOutput<typeof factSchema>

/** Decodes a journalled fact; raises `invalid_input` naming the field. */
export function decodeFact(fact: JsonObject): OperationsFact {
  return decode(factSchema, fact, 'operations fact')
}

/** How the facts are written. */
export const facts = {
  opened: (epochId: EpochId, { maxCompleted, maxConcurrent }: OperationRecords) => ({
    type: 'session_opened',
    epoch_id: epochId,
    max_completed: maxCompleted,
    max_concurrent: maxConcurrent ?? null,
  }),
  limited: (maxConcurrent: number) => ({ type: 'session_limited', max_concurrent: maxConcurrent }),
  imported: (snapshot: JsonObject) => ({ type: 'session_imported', snapshot }),
  deleted: () => ({ type: 'session_deleted' }),
  registered: (spec: OperationSpec) => ({
    type: 'operation_registered',
    spec: encodeSpec(spec),
  }),
  started: (id: OperationId) => ({ type: 'operation_started', id }),
  settled: ({ id, outcome, settlement }: SettleEvent, records: OperationRecords) => {
    const row = records.rows.get(id)
    if (row === undefined || settlement?.completedAtMs === undefined) {
      throw internalError(`operation ${id} did not mint a completion sequence`)
    }
    // Read fail-closed: what is corrupt must not become durable.
    const { peerReady, progressCount } = readFacts(id, row)
    return {
      type: 'operation_settled',
      id,
      seq: settlement.sequence,
      outcome: encodeOutcome(outcome),
      peer_ready: peerReady,
      progress_count: progressCount,
      completed_at_ms: settlement.completedAtMs,
    }
  },
  collected: (ids: readonly OperationId[]) => ({ type: 'records_collected', ids }),
  lostForgotten: (ids: readonly OperationId[]) => ({ type: 'lost_forgotten', ids }),
  cursorAdvanced: (consumer: CursorConsumer, cursor: number) => ({ type: 'cursor_advanced', consumer, cursor }),
} satisfies Record<string, (...args: never[]) => JsonObject>
