import * as v from 'valibot'
import { InvalidInputError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import { storedCodec, type StoredCodec } from '../state/stored.js'
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
import { count, outcome, spec, uuid } from './vocabulary.js'

/** Version of the shape of every event of this room; a directory that holds another one is refused. */
const version = 1

/** One kind of event. */
function kindOf<const Type extends string, const Fields extends v.ObjectEntries>(type: Type, fields: Fields) {
  return v.strictObject({ type: v.literal(type), version: v.literal(version), ...fields })
}

const schemas = {
  session_opened: kindOf('session_opened', {
    epochId: uuid<EpochId>(),
    maxCompleted: count,
    maxConcurrent: v.nullable(count),
  }),
  session_limited: kindOf('session_limited', { maxConcurrent: count }),
  session_imported: kindOf('session_imported', { snapshot: v.unknown() }),
  session_deleted: kindOf('session_deleted', {}),
  operation_registered: kindOf('operation_registered', { spec }),
  operation_started: kindOf('operation_started', { id: uuid<OperationId>() }),
  operation_ended: kindOf('operation_ended', {
    id: uuid<OperationId>(),
    seq: count,
    outcome,
    peerReady: v.boolean(),
    progressCount: count,
    completedAtMs: count,
  }),
  records_collected: kindOf('records_collected', { ids: v.array(uuid<OperationId>()) }),
  lost_forgotten: kindOf('lost_forgotten', { ids: v.array(uuid<OperationId>()) }),
  cursor_advanced: kindOf('cursor_advanced', { consumer: v.picklist(cursorConsumers), cursor: count }),
}

/** One change of a session as the journal keeps it: what has changed, never whole snapshots. */
export type OperationsEvent = {
  [Type in keyof typeof schemas]: v.InferOutput<(typeof schemas)[Type]>
}[keyof typeof schemas]

const codecs = new Map(
  Object.entries(schemas).map(([type, schema]) => {
    const codec = storedCodec(schema as unknown as v.GenericSchema<unknown, OperationsEvent>, {
      version,
      subject: `operations event ${type}`,
    })
    return [type, codec]
  }),
)

/** Reads a journalled event; raises `invalid_input` naming the field. */
export function decodeEvent(stored: JsonObject): OperationsEvent {
  const { type } = stored
  const codec = typeof type === 'string' ? codecs.get(type) : undefined
  if (codec !== undefined) return codec.decode(stored)
  const reason = `unknown event: ${JSON.stringify(type)}`
  throw new InvalidInputError({ subject: 'operations event', field: 'type', reason })
}

/** Without its version, which all have. */
type Said = OperationsEvent extends infer Event
  ? Event extends OperationsEvent
    ? Omit<Event, 'version'>
    : never
  : never

/** The event as the journal keeps it. */
function written(event: Said): JsonObject {
  const codec = codecs.get(event.type) as StoredCodec<OperationsEvent>
  return codec.encode({ version, ...event })
}

/** The events as the journal keeps them. */
export const events = {
  opened: (epochId: EpochId, { maxCompleted, maxConcurrent = null }: Readonly<Limits>) =>
    written({ type: 'session_opened', epochId, maxCompleted, maxConcurrent }),
  limited: (maxConcurrent: number) => written({ type: 'session_limited', maxConcurrent }),
  imported: (snapshot: JsonObject) => written({ type: 'session_imported', snapshot }),
  deleted: () => written({ type: 'session_deleted' }),
  registered: (registered: OperationSpec) => written({ type: 'operation_registered', spec: registered }),
  started: (id: OperationId) => written({ type: 'operation_started', id }),
  ended: ({ id, outcome: reached, settlement }: MintedEnd, { context }: OperationRow) => {
    const { peerReady, progressCount } = context
    const { sequence: seq, completedAtMs } = settlement
    return written({ type: 'operation_ended', id, seq, outcome: reached, peerReady, progressCount, completedAtMs })
  },
  collected: (ids: readonly OperationId[]) => written({ type: 'records_collected', ids: [...ids] }),
  lostForgotten: (ids: readonly OperationId[]) => written({ type: 'lost_forgotten', ids: [...ids] }),
  cursorAdvanced: (consumer: CursorConsumer, cursor: number) => written({ type: 'cursor_advanced', consumer, cursor }),
} satisfies Record<string, (...args: never[]) => JsonObject>

type Limits = Pick<OperationRecords, 'maxCompleted'> & { readonly maxConcurrent?: number | null | undefined }

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
