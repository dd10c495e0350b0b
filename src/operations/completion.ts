import { isDeepStrictEqual } from 'node:util'
import * as v from 'valibot'
import { cursorConsumers, type OperationId } from '../../machines/operation-vocabulary.js'
import { kindClasses } from './classification.js'
import { internalError } from './errors.js'
import { checkResult } from './operation.js'
import { defineEvent, defineRow, type SessionState } from './session-state.js'
import type { CompletionEntry } from './types.js'
import { count, kind, outcome, uuid } from './vocabulary.js'

/** A consumer of the feed has moved its cursor. */
export const cursorAdvanced = defineEvent('cursor_advanced', {
  fields: { consumer: v.picklist(cursorConsumers), cursor: count },
  isNoted: true,
  evolve: ({ tables }, { consumer, cursor }) => tables.records.advanceCursor(consumer, cursor),
})

/** The fields of a feed row. */
export const entryFields = {
  seq: count,
  operationId: uuid<OperationId>(),
  kind,
  displayName: v.string(),
  outcome,
  completedAtMs: v.nullable(count),
}

/** Publishes a recovered completion; called oldest first. Raises `internal` if it contradicts its operation. */
export function restoreCompletion({ records }: SessionState, entry: CompletionEntry): void {
  const { operationId: id, seq } = entry
  if (kindClasses[entry.kind].feed === 'suppress') {
    throw internalError(`completion feed authority holds the hidden kind ${entry.kind} of ${id}`)
  }
  checkResult(id, entry.outcome)
  const known = records.rows.get(id)
  if (known !== undefined) {
    const { sequence } = known.stamp ?? {}
    const { kind: knownKind, outcome: knownOutcome } = known.context
    if (sequence !== seq || knownKind !== entry.kind || !isDeepStrictEqual(knownOutcome, entry.outcome)) {
      throw internalError(`completion feed fact of ${id} drifted from its recovery`)
    }
  }
  records.publish(entry)
}

/** A row of the feed. In a snapshot these follow the operations they refer to. */
export const completionRow = defineRow('completion', {
  fields: entryFields,
  capture: (state) => (state.currentEpoch === undefined ? [] : state.records.order.feed.rows()),
  restore: ({ tables }, entry) => {
    tables.claim(entry.seq, entry.operationId)
    restoreCompletion(tables, entry)
  },
})
