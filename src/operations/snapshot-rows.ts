import * as v from 'valibot'
import { decode } from '../base/decode.js'
import type { JsonObject } from '../base/json.js'
import { wireOperationKey } from './wire-vocabulary.js'
import type { WireOperationsSnapshot } from './wire.js'

const part = v.looseObject({})

const rowSchema = v.variant('row', [
  v.object({ row: v.literal('session'), session: part }),
  v.object({ row: v.literal('operation'), id: wireOperationKey, record: part, spec: part }),
  v.object({ row: v.literal('completion'), id: wireOperationKey, fact: part, entry: part }),
])

/** A registry snapshot as many small rows, so that no journal record has to hold a whole registry. */
export function* splitRows(snapshot: WireOperationsSnapshot): Iterable<JsonObject> {
  const { authority_state: authority, operation_specs: specs, completion_entries: entries, ...rest } = snapshot
  const { operations, completion_feed_entries: feedFacts, ...counters } = authority
  // Derived from the operations when they are joined again; ignored by recovery.
  const session = { ...rest, authority_state: { ...counters, completed_order: [] } }
  yield { row: 'session', session }
  for (const [id, record] of Object.entries(operations)) {
    yield { row: 'operation', id, record, spec: specs[id] }
  }
  for (const entry of entries) {
    yield {
      row: 'completion',
      id: entry.operation_id,
      fact: feedFacts[entry.operation_id],
      entry,
    }
  }
}

/** The snapshot that was split into these rows; only its outline is checked here. Raises `invalid_input`. */
export function joinRows(rows: readonly JsonObject[]): unknown {
  let session: JsonObject = {}
  const operations: Record<string, unknown> = {}
  const specs: Record<string, unknown> = {}
  const feedFacts: Record<string, unknown> = {}
  const entries: unknown[] = []
  for (const row of rows) {
    const decoded = decode(rowSchema, row, 'operations snapshot row')
    switch (decoded.row) {
      case 'session':
        session = decoded.session as JsonObject
        break
      case 'operation':
        operations[decoded.id] = decoded.record
        specs[decoded.id] = decoded.spec
        break
      case 'completion':
        feedFacts[decoded.id] = decoded.fact
        entries.push(decoded.entry)
        break
    }
  }
  const authority = session['authority_state'] as JsonObject | undefined
  return {
    ...session,
    authority_state: { ...authority, operations, completion_feed_entries: feedFacts },
    operation_specs: specs,
    completion_entries: entries,
  }
}
