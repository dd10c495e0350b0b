import * as v from 'valibot'
import type { JsonObject } from '../base/json.js'
import { nameSchema, wholeNumberSchema } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'

/**
 * Something that the loop has folded and must fold again when it starts anew: an intent, an accepted command, an observed
 * transition, a crash (N-402). The latest under a key is the one that counts.
 */
export interface Fact {
  readonly key: string
  /** Number of the change that wrote it: facts are folded in this order. */
  readonly seq: number
  /** Epoch milliseconds of the tick that the loop stood at. */
  readonly atMs: number
  readonly event: JsonObject
}

/** Tables of this file. */
export interface FactRows {
  readonly facts: Table<string, Fact>
}

const keySchema = nameSchema
const eventSchema = v.custom<JsonObject>(
  (input) => typeof input === 'object' && input !== null && !Array.isArray(input),
)
const fields = { key: keySchema, atMs: wholeNumberSchema(0), event: eventSchema }

const defineEvent = eventDefiner<FactRows, unknown>()
const defineCommand = commandDefiner<unknown>()
const defineRow = rowDefiner<FactRows, unknown>()

export const factKept = defineEvent('fact_kept', {
  fields,
  evolve: (draft, { sequence: seq, key, atMs, event }) => {
    // Those of later changes come later, also where there was one under the key before.
    draft.put(draft.tables.facts, key, { key, seq, atMs, event })
  },
})

export const factForgotten = defineEvent('fact_forgotten', {
  fields: { key: keySchema },
  evolve: (draft, { key }) => draft.put(draft.tables.facts, key, undefined),
})

export const keepFact = defineCommand('fact_keep', {
  fields,
  decide: (_view, { type: _, ...payload }, sequence) => ({
    event: factKept.create(sequence, payload),
    applied: sequence,
  }),
})

export const forgetFact = defineCommand('fact_forget', {
  fields: { key: keySchema },
  decide: (_view, { key }, sequence) => ({ event: factForgotten.create(sequence, { key }), applied: sequence }),
})

export const factRow = defineRow('fact', {
  fields: { seq: wholeNumberSchema(1), ...fields },
  capture: ({ facts }) => facts.captured(),
  restore: (draft, fact) => draft.put(draft.tables.facts, fact.key, fact),
})
