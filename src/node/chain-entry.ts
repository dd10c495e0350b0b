import * as v from 'valibot'
import type { SequencedFeed } from '../base/feed.js'
import type { JsonObject } from '../base/json.js'
import { wholeNumberSchema } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'

/** What a node writes down: what it did, what went wrong, who asked for what, and what it was told to say. */
export const chainNames = ['action', 'failure', 'audit', 'log'] as const
export type ChainName = (typeof chainNames)[number]

/**
 * A record as its chain keeps it. `seq` is the chain's own number: it grows over restarts, with gaps, and orders the records. That
 * of the record itself begins anew in every epoch (N-401).
 */
export interface ChainEntry<Content = JsonObject> {
  readonly seq: number
  readonly chain: ChainName
  /** The run of the loop that wrote it. */
  readonly epoch: string
  /** Epoch milliseconds at which it was written. */
  readonly atMs: number
  readonly record: Content
}

/** How much of a chain is kept; what is older goes. */
export interface ChainRetention {
  /** Records; `Infinity` keeps all of them. */
  readonly records: number
  /** Milliseconds, by the clock of the records; absent: however old they are. */
  readonly ageMs?: number
}

/** Tables of this file. */
export interface ChainRows {
  readonly chains: Readonly<Record<ChainName, SequencedFeed<ChainEntry>>>
  readonly retention: Readonly<Record<ChainName, ChainRetention>>
}

const chainSchema = v.picklist(chainNames)
const millisecondsSchema = wholeNumberSchema(0)
/** Records are checked where they are made; what is read back is what was written. */
const recordSchema = v.custom<JsonObject>(
  (input) => typeof input === 'object' && input !== null && !Array.isArray(input),
)
const fields = { chain: chainSchema, epoch: v.string(), atMs: millisecondsSchema, record: recordSchema }

const defineEvent = eventDefiner<ChainRows, unknown>()
const defineCommand = commandDefiner<unknown>()
const defineRow = rowDefiner<ChainRows, unknown>()

/** Stages a record: its chain shows it once it is durable, and lets go of what is too old or too much. */
function stageEntry(draft: Draft<ChainRows, unknown>, entry: ChainEntry): void {
  const { chains, retention } = draft.tables
  const chain = chains[entry.chain]
  const { ageMs } = retention[entry.chain]
  draft.add({
    commit: () => {
      chain.push(entry)
      if (ageMs !== undefined) chain.dropWhile(({ atMs }) => atMs < entry.atMs - ageMs)
    },
    undo: () => {},
  })
}

export const chainAppended = defineEvent('chain_appended', {
  fields,
  evolve: (draft, { sequence: seq, chain, epoch, atMs, record }) =>
    stageEntry(draft, { seq, chain, epoch, atMs, record }),
})

export const appendToChain = defineCommand('chain_append', {
  fields,
  decide: (_view, { type: _, ...payload }, sequence) => ({
    event: chainAppended.create(sequence, payload),
    applied: sequence,
  }),
})

/** What retention has dropped from a chain, if anything: told as a gap also after a restart. */
export const chainRetentionRow = defineRow('chain_retention', {
  fields: { chain: chainSchema, droppedThrough: wholeNumberSchema(0), droppedCount: wholeNumberSchema(0) },
  capture: ({ chains }) =>
    chainNames.flatMap((chain) => {
      const { droppedThrough, droppedCount } = chains[chain]
      return droppedCount === 0 ? [] : [{ chain, droppedThrough, droppedCount }]
    }),
  restore: ({ tables }, { chain, droppedThrough, droppedCount }) =>
    tables.chains[chain].restoreRetention(droppedThrough, droppedCount),
})

/** The records of the chains. Raises `feed_sequence` for one out of order. */
export const chainEntryRow = defineRow('chain_entry', {
  fields: { seq: wholeNumberSchema(1), ...fields },
  capture: ({ chains }) => chainNames.flatMap((chain) => chains[chain].rows()),
  restore: stageEntry,
})
